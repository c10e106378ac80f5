package arm64

// Contiguous blocks are taken in groups of as many as a vector has lanes. The sums of a
// group are folded into one vector, in which the curvature and the denominators are
// computed. Then each vector of the group's elements takes its denominators from there
// with one table look-up in a register. Nothing goes through memory, and all streams
// flow at once.

// stride is the bytes of the contract's partial sums: four vectors.
const stride = 4 * wholeVector

// sums adds |x| over the blocks of a group.
type sums struct {
	k    *kernel
	x    gp // the next block
	full gp // bytes of a block in whole strides
	rest gp // bytes of a block beyond
}

// newSums prepares for the blocks of the argument block's length in the
// argument x.
func (k *kernel) newSums(x string) *sums {
	s := &sums{k: k, x: k.arg(x), full: k.arg("block"), rest: k.gp()}
	k.toBytes(s.full)
	k.ins("AND $%d, %v, %v", stride-1, s.full, s.rest)
	k.ins("SUB %v, %v", s.rest, s.full)
	return s
}

// group returns the sums of n blocks, 1 to lanes, in a vector. Its other lanes have no
// meaning.
//
// The vectors are added in pairs: each addition folds two of them into one, with the
// lanes to be added brought opposite each other, and the last one adds neighbours.
func (s *sums) group(n gp) vec {
	k := s.k
	total := k.vec()
	k.scope(func() {
		folded := k.label("folded")
		u := append([]vec{total}, k.some(k.lanes()-1)...)
		for _, u := range u[1:] {
			k.zero(u)
		}
		for i, u := range u {
			if i > 0 {
				k.ins("CMP $%d, %v", i, n)
				k.ins("BLE %s", folded)
			}
			k.scope(func() { s.block(u) })
		}
		k.at(folded)
		if k.elem == 4 {
			for i := 0; i < 4; i += 2 {
				high := k.vec()
				k.ins("VZIP2 %s, %s, %s", u[i+1].as("D2"), u[i].as("D2"), high.as("D2"))
				k.ins("VZIP1 %s, %s, %s", u[i+1].as("D2"), u[i].as("D2"), u[i].as("D2"))
				k.add(u[i], u[i], high)
			}
			u = []vec{u[0], u[2]}
		}
		k.addPairs(total, u[0], u[1])
	})
	return total
}

// block sets u to the partial sums of the next block, folded into one vector.
//
// A block of less than a stride needs no sums: its first vectors, by absolute value,
// are the partial sums, since what is missing would add zeros. There is a piece of code
// for each number of whole vectors, because the small kernels of convolutions have
// little arithmetic behind which a longer path could hide.
func (s *sums) block(u vec) {
	k := s.k
	h := k.some(4)
	long, two, three, folded := k.label("long"), k.label("two"), k.label("three"), k.label("folded")
	short := func(whole int) {
		for i := 0; i < whole; i += 2 {
			k.nextInputs(h[i:min(i+2, whole)], s.x, wholeVector)
		}
		k.nextSomeInput(h[whole], s.x, s.rest)
		k.scale(h[:whole+1]...)
		each(whole+1, func(i int) { k.abs(h[i], h[i]) })
		k.fold(u, h[:whole+1])
		k.ins("B %s", folded)
	}
	k.ins("CBNZ %v, %s", s.full, long)
	k.ins("TBNZ $5, %v, %s", s.rest, two)
	one := k.label("one")
	k.ins("TBNZ $4, %v, %s", s.rest, one)
	short(0)
	k.at(one)
	short(1)
	k.at(two)
	k.ins("TBNZ $4, %v, %s", s.rest, three)
	short(2)
	k.at(three)
	short(3)
	k.at(folded)
	k.later(func() {
		k.at(long)
		s.longBlock(u, h)
		k.ins("B %s", folded)
	})
}

// longBlock is block for a block of at least a stride, with the partial sums p. Until the
// end, u is free.
func (s *sums) longBlock(u vec, p []vec) {
	k := s.k
	loop, left := k.label("stride"), k.gp()
	for _, p := range p {
		k.zero(p)
	}
	k.ins("MOVD %v, %v", s.full, left)
	k.at(loop)
	k.addStride(p, s.x, u)
	k.ins("SUBS $%d, %v", stride, left)
	k.ins("BNE %s", loop)
	k.ins("MOVD %v, %v", s.rest, left)
	k.addRest(p, s.x, left, u)
	k.fold(u, p)
}

// addStride adds |x| of a stride to the partial sums p, and moves on. u is overwritten.
// With halves there is no register for a second vector.
func (k *kernel) addStride(p []vec, x gp, u vec) {
	k.scope(func() {
		h := []vec{u}
		if !k.ofHalves() {
			h = append(h, k.vec())
		}
		for ; len(p) > 0; p = p[len(h):] {
			k.nextInputs(h, x, wholeVector)
			k.scale(h...)
			each(len(h), func(j int) { k.abs(h[j], h[j]) })
			each(len(h), func(j int) { k.add(p[j], p[j], h[j]) })
		}
	})
}

// addRest is addStride for n bytes, fewer than a stride. n is overwritten.
func (k *kernel) addRest(p []vec, x, n gp, h vec) {
	k.scope(func() {
		done := k.label("added")
		k.ins("CBZ %v, %s", n, done)
		for i, sum := range p {
			whole := k.label("whole")
			if i < len(p)-1 {
				k.ins("SUBS $%d, %v", wholeVector, n)
				k.ins("BGE %s", whole)
			}
			k.nextSomeInput(h, x, n) // the lowest bits of n are still the same
			k.scale(h)
			k.abs(h, h)
			k.add(sum, sum, h)
			if i < len(p)-1 {
				k.ins("B %s", done)
				k.at(whole)
				k.nextInputs([]vec{h}, x, wholeVector)
				k.scale(h)
				k.abs(h, h)
				k.add(sum, sum, h)
			}
		}
		k.at(done)
	})
}

// fold adds the partial sums of a stride, the last of which may be missing, into those
// of one vector: the upper half to the lower, and again.
func (k *kernel) fold(u vec, p []vec) {
	for i := 2; i < len(p); i++ {
		k.add(p[i-2], p[i-2], p[i])
	}
	if len(p) > 1 {
		k.add(u, p[0], p[1])
	} else {
		k.move(u, p[0])
	}
}

// blockOf tells to which block of its group each lane of a vector belongs, for one
// vector of the group after another. Element x of the group belongs to block
//
//	x/block = x·reciprocal >> 28, with reciprocal = ⌈2²⁸/block⌉,
//
// which is exact for x < lanes·block and block up to maxCall/lanes, and for x < block
// up to maxCall. The reciprocal is too large by less than 1, so the product is too
// large by less than x, and since x·block < 2²⁸, that does not reach the next multiple.
//
// TBL selects by byte numbers: the block times the element's size, plus the number of the
// byte within the element. A smaller shift multiplies, and leaves bits of the quotient's
// fraction, over which the latter number is written. For float64 the two halves of an
// element have the same x.
type blockOf struct {
	k           *kernel
	first, now  vec // the products of the group's first vector, and of the present one
	step        vec // from one vector to the next
	spread      vec // brings the lowest byte of a lane into all of its bytes
	bytes, kept vec // the bytes' numbers, and the bits of the block
}

const reciprocalBits = 28

func (k *kernel) newBlockOf() *blockOf {
	b := &blockOf{k: k, first: k.vec(), now: k.vec(), step: k.vec(), spread: k.vec(), bytes: k.vec(), kept: k.vec()}
	words := floats{k, "4s", "S4"}
	words.fillInto(b.kept, uint64(0x100-k.elem)*0x01010101)
	k.scope(func() {
		table := k.blockTable()
		k.ins("FMOVQ (%v), %s", table, b.first.f())
		k.ins("FMOVQ 16(%v), %s", table, b.bytes.f())
		k.ins("FMOVQ 32(%v), %s", table, b.spread.f())
		block, r, reciprocal := k.arg("block"), k.constant(1<<reciprocalBits-1), k.vec()
		k.ins("ADD %v, %v", block, r)
		k.ins("UDIV %v, %v", block, r)
		k.ins("VDUP %v, %s", r, reciprocal.as("S4"))
		k.word("mul %s, %s, %s", b.first.gnu("4s"), b.first.gnu("4s"), reciprocal.gnu("4s"))
		k.ins("LSL $%d, %v", log2(k.lanes()), r)
		k.ins("VDUP %v, %s", r, b.step.as("S4"))
	})
	return b
}

// blockTable holds the elements of a group's first vector, the bytes within an element, and
// the lowest bytes of lanes.
func (k *kernel) blockTable() gp {
	if k.elem == 4 {
		return k.table("lanes32", 1<<32, 3<<32|2, 0x03020100_03020100, 0x03020100_03020100, 0x04040404_00000000, 0x0c0c0c0c_08080808)
	}
	return k.table("lanes64", 0, 1<<32|1, 0x07060504_03020100, 0x07060504_03020100, 0, 0x08080808_08080808)
}

// reset goes to the first vector of a group.
func (b *blockOf) reset() { b.k.move(b.now, b.first) }

// next goes on to the next vector.
func (b *blockOf) next() {
	b.k.ins("VADD %s, %s, %s", b.step.as("S4"), b.now.as("S4"), b.now.as("S4"))
}

// take returns the denominators of the elements of n vectors, taken from those of the
// group. The last of them is then the present one.
func (b *blockOf) take(den vec, n int) []vec {
	k, index := b.k, b.k.some(n)
	for j, i := range index {
		if j > 0 {
			b.next()
		}
		k.ins("VUSHR $%d, %s, %s", reciprocalBits-log2(k.elem), b.now.as("S4"), i.as("S4"))
	}
	lookUp := func(numbers func(i vec) vec, from func(i vec) vec) {
		for _, i := range index {
			k.ins("VTBL %s, [%s], %s", numbers(i).as("B16"), from(i).as("B16"), i.as("B16"))
		}
	}
	same := func(i vec) vec { return i }
	lookUp(func(vec) vec { return b.spread }, same)
	for _, i := range index {
		k.insertNot(i, b.bytes, b.kept)
	}
	lookUp(same, func(vec) vec { return den })
	return index
}

// descendGroup updates n bytes of elements, those of a group of blocks. Only the last
// group can end with less than a whole vector.
func (c *scalars) descendGroup(b *blockOf, den vec, e elements, n gp) {
	k := c.k
	end := k.label("end")
	b.reset()
	k.whole(n, 2, func(nv int) {
		den := b.take(den, nv)
		b.next()
		c.descendNext(e, den, wholeVector)
	})
	k.ins("CBZ %v, %s", n, end)
	k.scope(func() {
		den := b.take(den, 1)
		k.parts(n, func(width int) {
			c.descendNext(e, den, width)
			k.behind(den[0], width)
		})
	})
	k.at(end)
}

// behind moves what a part of a vector leaves over to the vector's start.
func (k *kernel) behind(v vec, width int) {
	if width > k.elem {
		k.ins("VEXT $%d, %s, %s, %s", width, v.as("B16"), v.as("B16"), v.as("B16"))
	}
}

// nextBlocks takes the next group off left: n is its number of blocks, at most
// the lanes.
func (k *kernel) nextBlocks(left, n gp) {
	k.scope(func() {
		lanes := k.constant(uint64(k.lanes()))
		k.ins("CMP %v, %v", lanes, left)
		k.ins("CSEL LT, %v, %v, %v", left, lanes, n)
	})
	k.ins("SUB %v, %v", n, left)
}

// loadGroup and storeGroup load and store a value for each of n blocks, and move the
// pointer on. storeGroup overwrites v if the group is not whole.
func (k *kernel) loadGroup(v vec, p, n gp) {
	some, loaded := k.label("some"), k.label("loaded")
	k.ins("CMP $%d, %v", k.lanes(), n)
	k.ins("BNE %s", some)
	k.next([]vec{v}, p, wholeVector)
	k.at(loaded)
	k.later(func() {
		k.at(some)
		bytes := k.gp()
		k.ins("LSL $%d, %v, %v", log2(k.elem), n, bytes)
		k.nextSome(v, p, bytes)
		k.ins("B %s", loaded)
	})
}

func (k *kernel) storeGroup(v vec, p, n gp) {
	some, stored := k.label("some"), k.label("stored")
	k.ins("CMP $%d, %v", k.lanes(), n)
	k.ins("BNE %s", some)
	k.store([]vec{v}, p, wholeVector)
	k.at(stored)
	k.later(func() {
		k.at(some)
		bytes := k.gp()
		k.ins("LSL $%d, %v, %v", log2(k.elem), n, bytes)
		k.parts(bytes, func(width int) {
			k.store([]vec{v}, p, width)
			k.behind(v, width)
		})
		k.ins("B %s", stored)
	})
}

// updateBlocks is the step for blocks that are runs of elements. The curvature of a
// group is computed before the elements of the group before it are updated, so that the
// long chain from the sums to the denominators can hide behind those elements'
// arithmetic.
func (k *kernel) updateBlocks() {
	k.begin(k.typ.Named("updateBlocks"), 0)
	c := k.loadScalars(k.arg("s"), ofCurvature|ofParameters)
	c.power = k.arg("power")
	k.newConversion(true)
	b, s := k.newBlockOf(), k.newSums("hz")
	e := k.newElements()
	v, block, left := k.arg("v"), k.arg("block"), k.arg("blocks")
	k.toBytes(block)
	ahead, den := k.vec(), k.vec()
	n, bytes := k.gp(), k.gp()
	k.ins("MOVD ZR, %v", bytes)
	k.at("group")
	k.nextBlocks(left, n)
	k.ins("CBZ %v, elements", n)
	k.scope(func() {
		d := []vec{s.group(n)}
		c.divide(d)
		at := k.gp()
		k.ins("MOVD %v, %v", v, at)
		k.loadGroup(ahead, at, n)
		next, t := []vec{ahead}, []vec{k.vec()}
		c.secondMoment(next, d, t)
		c.denominators(t, next)
		k.storeGroup(ahead, v, n)
		k.move(ahead, t[0])
	})
	k.at("elements")
	c.descendGroup(b, den, e, bytes)
	k.move(den, ahead)
	// The present group comes next. If it is empty, that was the last one.
	k.ins("MUL %v, %v, %v", n, block, bytes)
	k.ins("CBNZ %v, group", bytes)
	k.ret()
}

// descendBlocks is the second of the two passes of a step, for contiguous
// blocks.
func (k *kernel) descendBlocks() {
	k.begin(k.typ.Named("descendBlocks"), 0)
	c := k.loadScalars(k.arg("s"), ofParameters)
	k.newConversion(true)
	b := k.newBlockOf()
	e := k.newElements()
	den, block, left := k.arg("den"), k.arg("block"), k.arg("blocks")
	k.toBytes(block)
	n, bytes, group := k.gp(), k.gp(), k.vec()
	k.at("group")
	k.ins("CBZ %v, done", left)
	k.nextBlocks(left, n)
	k.loadGroup(group, den, n)
	k.ins("MUL %v, %v, %v", n, block, bytes)
	c.descendGroup(b, group, e, bytes)
	k.ins("B group")
	k.at("done")
	k.ret()
}

// blockMeans is the mean over contiguous blocks.
func (k *kernel) blockMeans() {
	k.begin(k.typ.Named("blockMeans"), 0)
	k.newConversion(false)
	s := k.newSums("x")
	d, left, div, n := k.arg("d"), k.arg("blocks"), k.broadcastArg("div"), k.gp()
	k.at("group")
	k.ins("CBZ %v, done", left)
	k.nextBlocks(left, n)
	k.scope(func() {
		sum := s.group(n)
		k.div(sum, sum, div)
		k.storeGroup(sum, d, n)
	})
	k.ins("B group")
	k.at("done")
	k.ret()
}
