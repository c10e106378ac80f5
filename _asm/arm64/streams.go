package arm64

// NEON has no masked loads. What remains of a stream after its last whole vector is
// taken in parts of 8 and 4 bytes, according to the bits of its length. A load of so
// many bytes clears the rest of the register, the arithmetic is that of whole vectors,
// and then so many bytes are stored. So nothing after the stream is touched, and every
// element is rounded in the same way.

const wholeVector = 16

// vectors emits body for n bytes, counted down: in strides of unroll vectors,
// then single vectors, then parts of one. body gets the number of vectors and
// their width in bytes, and moves its pointers on.
func (k *kernel) vectors(n gp, unroll int, body func(nv, width int)) {
	k.whole(n, unroll, func(nv int) { body(nv, wholeVector) })
	k.parts(n, func(width int) { body(1, width) })
}

// whole is vectors without the parts of one, whose bytes are left in n.
func (k *kernel) whole(n gp, unroll int, body func(nv int)) {
	strides := []int{unroll, 1}
	if unroll == 1 {
		strides = strides[1:]
	}
	for _, nv := range strides {
		loop, done := k.label("loop"), k.label("done")
		k.ins("SUBS $%d, %v", nv*wholeVector, n)
		k.ins("BLT %s", done)
		k.at(loop)
		k.scope(func() { body(nv) })
		k.ins("SUBS $%d, %v", nv*wholeVector, n)
		k.ins("BGE %s", loop)
		k.at(done)
		k.ins("ADD $%d, %v", nv*wholeVector, n)
	}
}

// parts emits body for the parts that make up n bytes, fewer than a whole vector.
func (k *kernel) parts(n gp, body func(width int)) {
	for width := wholeVector / 2; width >= k.elem; width /= 2 {
		skip := k.label("skip")
		k.ins("TBZ $%d, %v, %s", log2(width), n, skip)
		k.scope(func() { body(width) })
		k.at(skip)
	}
}

func log2(n int) (l int) {
	for ; n > 1; n /= 2 {
		l++
	}
	return l
}

// count loads the number of elements n and returns it in bytes.
func (k *kernel) count(name string) gp {
	n := k.arg(name)
	k.toBytes(n)
	return n
}

// toBytes turns a number of elements into a number of bytes.
func (k *kernel) toBytes(n gp) { k.ins("LSL $%d, %v", log2(k.elem), n) }

// move returns the instruction for loads and stores of width bytes.
func move(width int) string { return map[int]string{16: "FMOVQ", 8: "FMOVD", 4: "FMOVS"}[width] }

// load loads vectors of the given width, which lie one after the other.
func (k *kernel) load(v []vec, p gp, width int) { k.loadAt(v, p, 0, width) }

// loadAt is load from an offset.
func (k *kernel) loadAt(v []vec, p gp, offset, width int) {
	for ; len(v) > 1; v, offset = v[2:], offset+2*wholeVector {
		k.ins("FLDPQ %d(%v), (%s, %s)", offset, p, v[0].f(), v[1].f())
	}
	if len(v) == 1 {
		k.ins("%s %d(%v), %s", move(width), offset, p, v[0].f())
	}
}

// next is load, and moves the pointer past what it has loaded.
func (k *kernel) next(v []vec, p gp, width int) {
	if len(v) == 1 {
		k.ins("%s.P %d(%v), %s", move(width), width, p, v[0].f())
		return
	}
	all := len(v) * wholeVector
	k.ins("FLDPQ.P %d(%v), (%s, %s)", all, p, v[0].f(), v[1].f())
	k.loadAt(v[2:], p, 2*wholeVector-all, width)
}

// store stores vectors of the given width and moves the pointer past them. It uses a
// separate instruction for that, because if the store did it, the next use of the
// pointer might wait for the stored value.
func (k *kernel) store(v []vec, p gp, width int) {
	k.storeAt(v, p, 0, width)
	k.ins("ADD $%d, %v", len(v)*width, p)
}

// storeBack stores vectors where next has just loaded as many.
func (k *kernel) storeBack(v []vec, p gp, width int) { k.storeAt(v, p, -len(v)*width, width) }

func (k *kernel) storeAt(v []vec, p gp, offset, width int) {
	for ; len(v) > 1; v, offset = v[2:], offset+2*wholeVector {
		k.ins("FSTPQ (%s, %s), %d(%v)", v[0].f(), v[1].f(), offset, p)
	}
	if len(v) == 1 {
		k.ins("%s %s, %d(%v)", move(width), v[0].f(), offset, p)
	}
}

// nextSome loads n bytes, fewer than a whole vector, at once, and moves the pointer
// past them. The other lanes become zero.
func (k *kernel) nextSome(v vec, p, n gp) {
	done := k.label("loaded")
	k.zero(v)
	if k.elem == 8 {
		k.ins("TBZ $3, %v, %s", n, done)
		k.ins("FMOVD.P 8(%v), %s", p, v.f())
		k.at(done)
		return
	}
	one := k.label("one")
	k.ins("TBZ $3, %v, %s", n, one)
	k.ins("FMOVD.P 8(%v), %s", p, v.f())
	k.ins("TBZ $2, %v, %s", n, done)
	k.ins("VLD1.P 4(%v), %s[2]", p, v.as("S"))
	k.ins("B %s", done)
	k.at(one)
	k.ins("TBZ $2, %v, %s", n, done)
	k.ins("FMOVS.P 4(%v), %s", p, v.f())
	k.at(done)
}

// each emits f for every one of n.
func each(n int, f func(i int)) {
	for i := range n {
		f(i)
	}
}
