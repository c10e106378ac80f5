package arm64

import "github.com/adahessian-go/adahessian/_asm/table"

// The kernels of bfloat16 and float16, whose vectors are of four float32. bfloat16 is the
// upper half of a float32 and takes integer arithmetic. float16 has instructions, whose
// results do not depend on the flushing of subnormal numbers in FPCR. The bit AHP of FPCR,
// which nothing in Go sets, is 0.

const (
	quietNaN  = 0x7fc00000 // a float32
	belowHalf = 1<<15 - 1  // just below half of what a shift by 16 cuts off
)

// bfloat16 tells the two types apart.
func (k *kernel) bfloat16() bool { return k.typ == table.BF16 }

// nextHalf loads the halves for a vector of float32, or for its part of the given width in
// bytes, and moves the pointer on.
func (k *kernel) nextHalf(v vec, p gp, width int) {
	switch width {
	case wholeVector:
		k.ins("FMOVD.P 8(%v), %s", p, v.f())
	case 8:
		k.ins("FMOVS.P 4(%v), %s", p, v.f())
	default:
		k.ins("VLD1.P 2(%v), %s[0]", p, v.as("H"))
	}
}

// storeHalf stores such halves and moves the pointer on.
func (k *kernel) storeHalf(v vec, p gp, width int) {
	switch width {
	case wholeVector:
		k.ins("FMOVD.P %s, 8(%v)", v.f(), p)
	case 8:
		k.ins("FMOVS.P %s, 4(%v)", v.f(), p)
	default:
		k.ins("VST1.P %s[0], 2(%v)", v.as("H"), p)
	}
}

// widen converts to float32 and multiplies by a factor, unless that is 1.
func (k *kernel) widen() {
	k.begin("widen", 0)
	x, h, n := k.arg("x"), k.arg("h"), k.count("n")
	zero, factor := k.vec(), k.broadcastArg("factor")
	k.zero(zero)
	all := func(scale bool) {
		k.vectors(n, 4, func(nv, width int) {
			f := k.some(nv)
			each(nv, func(i int) { k.nextHalf(f[i], h, width) })
			each(nv, func(i int) {
				if k.bfloat16() {
					k.ins("VZIP1 %s, %s, %s", f[i].as("H8"), zero.as("H8"), f[i].as("H8"))
				} else {
					k.word("fcvtl %s, %s", f[i].gnu("4s"), f[i].gnu("4h"))
				}
			})
			if scale {
				each(nv, func(i int) { k.mul(f[i], f[i], factor) })
			}
			k.store(f, x, width)
		})
	}
	plain, done := k.label("plain"), k.label("done")
	k.scope(func() {
		bits, one := k.gp(), k.constant(0x3f800000)
		k.ins("MOVWU %s, %v", k.mem("factor"), bits)
		k.ins("CMPW %v, %v", one, bits)
	})
	k.ins("BEQ %s", plain)
	all(true)
	k.ins("B %s", done)
	k.at(plain)
	all(false)
	k.at(done)
	k.ret()
}

// narrow rounds float32s to halves. For bfloat16 it adds just below half a unit of the last
// place that stays, and one more if that place is odd.
func (k *kernel) narrow() {
	k.begin("narrow", 0)
	h, x, n := k.arg("h"), k.arg("x"), k.count("n")
	abs, infinity, nan := k.fill(0x7fffffff), k.fill(0x7f800000), k.fill(quietNaN)
	var one, below vec
	if k.bfloat16() {
		one, below = k.fill(1), k.fill(belowHalf)
	}
	k.vectors(n, 4, func(nv, width int) {
		f, isNaN, odd := k.some(nv), k.some(nv), k.some(nv)
		k.next(f, x, width)
		each(nv, func(i int) { k.and(isNaN[i], f[i], abs) })
		each(nv, func(i int) { k.moreBits(isNaN[i], isNaN[i], infinity) })
		each(nv, func(i int) { k.choose(isNaN[i], nan, f[i]) }) // the result is left in isNaN
		if k.bfloat16() {
			each(nv, func(i int) { k.shiftRight(odd[i], isNaN[i], 16) })
			each(nv, func(i int) { k.and(odd[i], odd[i], one) })
			each(nv, func(i int) { k.addInt(isNaN[i], isNaN[i], below) })
			each(nv, func(i int) { k.addInt(f[i], isNaN[i], odd[i]) })
			each(nv, func(i int) { k.ins("VUZP2 %s, %s, %s", f[i].as("H8"), f[i].as("H8"), f[i].as("H8")) })
		} else {
			each(nv, func(i int) { k.word("fcvtn %s, %s", f[i].gnu("4h"), isNaN[i].gnu("4s")) })
		}
		each(nv, func(i int) { k.storeHalf(f[i], h, width) })
	})
	k.ret()
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
