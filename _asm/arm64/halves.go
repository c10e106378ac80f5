package arm64

import "fmt"

// The kernels of bfloat16 and float16, whose vectors are of four float32. bfloat16 is the
// upper half of a float32 and takes integer arithmetic. float16 has instructions, whose
// results do not depend on the flushing of subnormal numbers in FPCR; nor do the comparisons
// that find NaN. The bit AHP of FPCR, which nothing in Go sets, is 0.

const (
	quietNaN = 0x7fc00000 // a float32
	lastBit  = 1 << 16    // of a float32 that a bfloat16 has
)

// nextHalves loads and widens halves for vectors of float32, or for a part of one of the given
// width in bytes, and moves the pointer on. loadHalves does not move the pointer.
func (k *kernel) nextHalves(v []vec, p gp, width int) {
	if len(v) == 1 {
		switch width {
		case wholeVector:
			k.ins("FMOVD.P 8(%v), %s", p, v[0].f())
		case 8:
			k.ins("FMOVS.P 4(%v), %s", p, v[0].f())
		default:
			k.oneHalf(v[0], fmt.Sprintf("MOVHU.P 2(%v)", p))
		}
	} else {
		k.next(firstOfPairs(v), p, wholeVector)
	}
	k.widenVectors(v)
}

func (k *kernel) loadHalves(v []vec, p gp, width int) {
	switch {
	case len(v) > 1:
		k.load(firstOfPairs(v), p, wholeVector)
	case width > 4:
		k.load(v, p, width/2)
	default:
		k.oneHalf(v[0], fmt.Sprintf("MOVHU (%v)", p))
	}
	k.widenVectors(v)
}

// oneHalf loads a single half by way of a general register: a load into one lane would wait
// for the others.
func (k *kernel) oneHalf(v vec, load string) {
	k.scope(func() {
		word := k.gp()
		k.ins("%s, %v", load, word)
		k.ins("FMOVS %v, %s", word, v.f())
	})
}

// firstOfPairs returns every second vector. Halves for two vectors of float32 are loaded and
// stored together, in the first of the two.
func firstOfPairs(v []vec) (first []vec) {
	for i := 0; i < len(v); i += 2 {
		first = append(first, v[i])
	}
	return first
}

// widenVectors widens what was loaded into the first of each pair, or into a single vector.
func (k *kernel) widenVectors(v []vec) {
	for i := 0; i < len(v); i += 2 {
		low := v[i]
		if k.bfloat16() {
			if i+1 < len(v) {
				k.word("shll2 %s, %s, #16", v[i+1].gnu("4s"), low.gnu("8h"))
			}
			k.word("shll %s, %s, #16", low.gnu("4s"), low.gnu("4h"))
		} else {
			if i+1 < len(v) {
				k.word("fcvtl2 %s, %s", v[i+1].gnu("4s"), low.gnu("8h"))
			}
			k.word("fcvtl %s, %s", low.gnu("4s"), low.gnu("4h"))
		}
	}
}

// nextSomeHalves loads and widens halves for n bytes of float32, fewer than a whole vector,
// and moves the pointer past them. The other lanes become zero.
func (k *kernel) nextSomeHalves(v vec, p, n gp) {
	one, done := k.label("one"), k.label("loaded")
	k.zero(v)
	k.ins("TBZ $3, %v, %s", n, one)
	k.ins("FMOVS.P 4(%v), %s", p, v.f())
	k.ins("TBZ $2, %v, %s", n, done)
	k.ins("VLD1.P 2(%v), %s[2]", p, v.as("H"))
	k.ins("B %s", done)
	k.at(one)
	k.ins("TBZ $2, %v, %s", n, done)
	k.oneHalf(v, fmt.Sprintf("MOVHU.P 2(%v)", p))
	k.at(done)
	k.widenVectors([]vec{v})
}

// storeHalves stores what narrow has left for vectors of float32, or for a part of one of the
// given width in bytes, and moves the pointer on.
func (k *kernel) storeHalves(v []vec, p gp, width int) {
	switch {
	case len(v) > 1:
		k.store(firstOfPairs(v), p, wholeVector)
	case width > 4:
		k.store(v, p, width/2)
	default:
		k.ins("VST1.P %s[0], 2(%v)", v[0].as("H"), p)
	}
}

// widen converts to float32 and multiplies by a factor, unless that is 1.
func (k *kernel) widen() {
	k.begin("widen", 0)
	x, h, n := k.arg("x"), k.arg("h"), k.count("n")
	k.newConversion(false)
	k.vectors(n, 4, func(nv, width int) {
		f := k.some(nv)
		k.nextInputs(f, h, width)
		k.scale(f...)
		k.store(f, x, width)
	})
	k.ret()
}

// narrow rounds float32s to halves.
func (k *kernel) narrow() {
	k.begin("narrow", 0)
	h, x, n := k.arg("h"), k.arg("x"), k.count("n")
	r := k.newRounding()
	k.vectors(n, 4, func(nv, width int) {
		f, t := k.some(nv), k.some(nv)
		k.next(f, x, width)
		r.narrow(f, t)
		k.storeHalves(f, h, width)
	})
	k.ret()
}

// rounding has the constants of narrow.
type rounding struct {
	k          *kernel
	nan        vec
	odd, below vec // bfloat16: the last bit that stays, and just below half of it
}

func (k *kernel) newRounding() *rounding {
	r := &rounding{k: k, nan: k.fill(quietNaN)}
	if k.bfloat16() {
		r.odd, r.below = k.fill(lastBit), k.fill(lastBit/2-1)
	}
	return r
}

// narrow rounds vectors of float32 to halves, which it leaves in the first of each pair. The
// second one, and t, are overwritten. For bfloat16 it adds just below half a unit of the last
// place that stays, and one more if that place is odd, and takes the upper halves of the sums.
func (r *rounding) narrow(f, t []vec) {
	k := r.k
	each(len(f), func(i int) { k.equal(t[i], f[i], f[i]) }) // not NaN
	each(len(f), func(i int) { k.insertNot(f[i], r.nan, t[i]) })
	if k.bfloat16() {
		each(len(f), func(i int) { k.ins("VCMTST %s, %s, %s", f[i].as("S4"), r.odd.as("S4"), t[i].as("S4")) })
		each(len(f), func(i int) { k.subInt(t[i], r.below, t[i]) }) // −1 if odd
	}
	each(len(f), func(i int) {
		to, second, arrangement := f[i], "", "4h"
		if i%2 == 1 {
			to, second, arrangement = f[i-1], "2", "8h"
		}
		if k.bfloat16() {
			k.word("addhn%s %s, %s, %s", second, to.gnu(arrangement), f[i].gnu("4s"), t[i].gnu("4s"))
		} else {
			k.word("fcvtn%s %s, %s", second, to.gnu(arrangement), f[i].gnu("4s"))
		}
	})
}

// allFiniteHalf collects, in four chains, which |h| are greater than the largest finite
// one.
func (k *kernel) allFiniteHalf() {
	k.begin("allFiniteHalf", 0)
	h, n := k.arg("h"), k.arg("n")
	k.ins("LSL $1, %v", n)
	abs, limit, found := k.vec(), k.vec(), k.some(4)
	largest := map[bool]uint64{true: 0x7f7f, false: 0x7bff}[k.bfloat16()]
	k.scope(func() { k.ins("VDUP %v, %s", k.constant(0x7fff), abs.as("H8")) })
	k.scope(func() { k.ins("VDUP %v, %s", k.constant(largest), limit.as("H8")) })
	for _, f := range found {
		k.zero(f)
	}
	see := func(v vec, i int) {
		k.and(v, v, abs)
		k.word("cmhi %s, %s, %s", v.gnu("8h"), v.gnu("8h"), limit.gnu("8h"))
		k.or(found[i], found[i], v)
	}
	k.vectors(n, len(found), func(nv, width int) {
		v := k.some(nv)
		k.next(v, h, width)
		each(nv, func(i int) { see(v[i], i) })
	})
	k.scope(func() {
		skip := k.label("skip")
		k.ins("TBZ $1, %v, %s", n, skip)
		v := k.vec()
		k.zero(v)
		k.ins("VLD1 (%v), %s[0]", h, v.as("H"))
		see(v, 0)
		k.at(skip)
	})
	k.noBit(found)
	k.ret()
}
