package amd64

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"github.com/adahessian-go/adahessian/_asm/table"
)

// The kernels of bfloat16 and float16, whose vectors are of float32. bfloat16 is the upper
// half of a float32 and takes integer arithmetic. VCVTNEPS2BF16 would do it in
// one instruction, but flushes subnormal numbers. float16 has instructions, which look at
// no control register: VCVTPH2PS makes normal numbers of subnormal ones, whatever
// MXCSR.DAZ says, and VCVTPS2PH makes subnormal ones whatever MXCSR.FTZ says; its immediate
// names the rounding.

const (
	halfSize   = 2
	quietNaN   = 0x7fc00000 // a float32
	unordered  = 3          // a predicate of VCMPPS: one of the two is NaN
	toNearest  = 0          // a rounding of VCVTPS2PH
	bf16Shift  = 16
	belowHalf  = 1<<(bf16Shift-1) - 1 // of what the shift cuts off
	floatScale = 4 / halfSize         // bytes of a float32 for a byte of a half
)

// bfloat16 tells the two types apart.
func (k *kernel) bfloat16() bool { return k.typ == table.BF16 }

// countHalves is count in bytes of halves.
func (k *kernel) countHalves() (n, index reg.GPVirtual) {
	n, index = arg("n"), GP64()
	SHLQ(U8(1), n)
	XORQ(index, index)
	return n, index
}

// float is the memory of the float32 that belongs to the half behind h + index, v
// vectors further on.
func (k *kernel) float(x, index reg.Register, v int) Mem {
	return Mem{Base: x, Index: index, Scale: floatScale, Disp: v * k.bytes()}
}

// half is that half: a vector of float32 has half as many bytes of halves.
func (k *kernel) half(h, index reg.Register, v int) Mem {
	return Mem{Base: h, Index: index, Scale: 1, Disp: v * k.bytes() / floatScale}
}

// halves emits vectors for n bytes of halves, counted down: for strides of unroll vectors of
// so many bytes, then for single ones, then, where there are mask registers, for the rest at
// once. Without them it emits single for each half of the rest: loads of
// halves have no masks.
func (k *kernel) halves(n, index reg.GPVirtual, vector, unroll int, vectors func(nv int, rest reg.Register), single func()) {
	loop := func(bytes int, body func()) {
		loop, done := k.label("loop"), k.label("done")
		SUBQ(U32(bytes), n)
		JL(LabelRef(done))
		Label(loop)
		body()
		ADDQ(U32(bytes), index)
		SUBQ(U32(bytes), n)
		JGE(LabelRef(loop))
		Label(done)
		ADDQ(U32(bytes), n)
	}
	loop(unroll*vector, func() { vectors(unroll, nil) })
	loop(vector, func() { vectors(1, nil) })
	if !k.wide() {
		loop(halfSize, single)
		return
	}
	end := k.label("end")
	TESTQ(n, n)
	JZ(LabelRef(end))
	rest, lanes, ones := K(), GP64(), GP64()
	MOVQ(n, lanes)
	SHRQ(U8(1), lanes)
	XORL(ones.As32(), ones.As32())
	BTSQ(lanes, ones)
	DECQ(ones)
	KMOVD(ones.As32(), rest)
	vectors(1, rest)
	Label(end)
}

// loadHalf loads a half into the lowest lane of a vector, the others being 0.
func (k *kernel) loadHalf(src Mem) reg.VecVirtual {
	word, v := GP32(), k.vec()
	MOVWLZX(src, word)
	VMOVD(word, v.AsX())
	return v
}

// number returns a vector of 32 bits each.
func (k *kernel) number(bits uint32) reg.VecVirtual {
	r, v := GP32(), k.vec()
	MOVL(U32(bits), r)
	k.broadcast32(r, v)
	return v
}

// widen converts to float32 and multiplies by a factor, unless that is 1.
func (k *kernel) widen() {
	k.begin("widen", 0)
	x, h := arg("x"), arg("h")
	n, index := k.countHalves()
	factor := k.vec()
	k.broadcast(mem("factor"), factor)
	all := func(scale bool) {
		k.halves(n, index, k.bytes()/floatScale, 4, func(nv int, rest reg.Register) {
			var f []reg.VecVirtual
			for i := range nv {
				v := k.vec()
				k.loadWide(k.half(h, index, i), rest, v)
				f = append(f, v)
			}
			for i, v := range f {
				if scale {
					k.mul(factor, v, v)
				}
				if rest != nil {
					k.mov(v, rest, k.float(x, index, i))
				} else {
					k.mov(v, k.float(x, index, i))
				}
			}
		}, func() {
			v := k.loadHalf(k.half(h, index, 0)).AsX()
			if k.bfloat16() {
				VPSLLD(U8(bf16Shift), v, v)
			} else {
				VCVTPH2PS(v, v)
			}
			if scale {
				VMULSS(factor.AsX(), v, v)
			}
			VMOVSS(v, k.float(x, index, 0))
		})
	}
	plain, done := k.label("plain"), k.label("done")
	CMPL(mem("factor"), U32(0x3f800000))
	JE(LabelRef(plain))
	all(true)
	JMP(LabelRef(done))
	Label(plain)
	all(false)
	Label(done)
	k.ret()
}

// loadWide loads halves as float32.
func (k *kernel) loadWide(src Mem, rest reg.Register, dst reg.VecVirtual) {
	var halves Op = src
	if rest != nil { // a plain load has no fault beyond its mask in emulators too
		y := YMM()
		VMOVDQU16_Z(src, rest, y)
		halves = y
	}
	if !k.bfloat16() {
		VCVTPH2PS(halves, dst)
		return
	}
	VPMOVZXWD(halves, dst)
	VPSLLD(U8(bf16Shift), dst, dst)
}

// narrow rounds float32s to halves.
func (k *kernel) narrow() {
	k.begin("narrow", 0)
	h, x := arg("h"), arg("x")
	n, index := k.countHalves()
	r := k.newRounding()
	k.halves(n, index, k.bytes()/floatScale, 4, func(nv int, rest reg.Register) {
		var f []reg.VecVirtual
		for i := range nv {
			v := k.vec()
			if rest != nil {
				k.masks.loadZeroing(k.float(x, index, i), rest, v)
			} else {
				k.mov(k.float(x, index, i), v)
			}
			f = append(f, v)
		}
		for _, v := range f {
			r.round(v)
		}
		r.store(f, rest, func(i int) Mem { return k.half(h, index, i) })
	}, func() {
		v := k.vec()
		VMOVSS(k.float(x, index, 0), v.AsX())
		r.round(v)
		if !k.bfloat16() {
			VCVTPS2PH(U8(toNearest), v.AsX(), v.AsX())
		}
		word := GP32()
		VMOVD(v.AsX(), word)
		MOVW(word.As16(), k.half(h, index, 0))
	})
	k.ret()
}

// rounding has the constants of narrow, of AVX2 in memory.
type rounding struct {
	k               *kernel
	nan, one, below Op

	minusOne, upper reg.VecVirtual // AVX-512; the indices of the upper halves of two vectors' lanes
}

func (k *kernel) newRounding() *rounding {
	number := func(name string, bits int) Op {
		if k.wide() {
			return k.number(uint32(bits))
		}
		return data(name, func(add func(Constant)) {
			for range k.lanes() {
				add(integer(k.elem, bits))
			}
		})
	}
	r := &rounding{k: k, nan: number("quietNaNs", quietNaN)}
	if k.bfloat16() {
		r.one, r.below = number("lastBits", 1), number("belowHalves", belowHalf)
	}
	if k.bfloat16() && k.wide() {
		r.one, r.minusOne = k.number(1<<bf16Shift), k.vec()
		k.ones(r.minusOne)
		r.upper = k.load(data("upperHalves", func(add func(Constant)) {
			for i := range k.bytes() / 4 {
				add(U32((4*i+3)<<16 | (4*i + 1)))
			}
		}), nil)
	}
	return r
}

// round makes any NaN the quiet one and, for bfloat16, rounds into the lower half of each
// lane: it adds just below a half of the last place that stays, and one more where that
// is odd.
func (r *rounding) round(v reg.VecVirtual) {
	k := r.k
	if k.wide() {
		isNaN := K()
		VCMPPS(U8(unordered), v, v, isNaN)
		VMOVDQA32(r.nan, isNaN, v)
	} else {
		isNaN := k.vec()
		VCMPPS(U8(unordered), v, v, isNaN)
		k.blend(isNaN, r.nan, v, v)
	}
	if !k.bfloat16() {
		return
	}
	if k.wide() {
		odd := K()
		VPTESTMD(r.one, v, odd)
		VPADDD(r.below, v, v)
		VPSUBD(r.minusOne, v, odd, v)
		return
	}
	odd := k.vec()
	VPSRLD(U8(bf16Shift), v, odd)
	k.and(r.one, odd, odd)
	VPADDD(r.below, v, v)
	VPADDD(odd, v, v)
	VPSRLD(U8(bf16Shift), v, v)
}

// store stores vectors that round has seen, as halves.
func (r *rounding) store(f []reg.VecVirtual, rest reg.Register, at func(i int) Mem) {
	k := r.k
	for i := 0; i < len(f); i++ {
		v := f[i]
		switch {
		case rest != nil:
			halves := YMM()
			if k.bfloat16() {
				VPSRLD(U8(bf16Shift), v, v)
				VPMOVDW(v, halves)
			} else {
				VCVTPS2PH(U8(toNearest), v, halves)
			}
			VMOVDQU16(halves, rest, at(i))
		case !k.bfloat16():
			VCVTPS2PH(U8(toNearest), v, at(i))
		case k.wide() && i+1 < len(f): // two at once
			VPERMT2W(f[i+1], r.upper, v)
			VMOVDQU16(v, at(i))
			i++
		case k.wide():
			VPSRLD(U8(bf16Shift), v, v)
			VPMOVDW(v, at(i))
		case i+1 < len(f): // two at once
			VPACKUSDW(f[i+1], v, v)
			VPERMQ(U8(0xd8), v, v) // it packs within each half of the vector
			VMOVDQU(v, at(i))
			i++
		default:
			upper := XMM()
			VEXTRACTI128(U8(1), v, upper)
			VPACKUSDW(upper, v.AsX(), v.AsX())
			VMOVDQU(v.AsX(), at(i))
		}
	}
}

// allFiniteHalf takes the largest |h| in four chains: those of NaN and infinity are the
// largest integers.
func (k *kernel) allFiniteHalf() {
	k.begin("allFiniteHalf", 0)
	h := arg("h")
	n, index := k.countHalves()
	abs := k.number(0x7fff7fff)
	var most [4]reg.VecVirtual
	for i := range most {
		most[i] = k.vec()
		k.zero(most[i])
	}
	see := func(v reg.VecVirtual, i int) { VPMAXSW(v, most[i], most[i]) }
	k.halves(n, index, k.bytes(), len(most), func(nv int, rest reg.Register) {
		for i := range nv {
			v := k.vec()
			if rest != nil {
				VMOVDQU16_Z(k.at(h, index, i), rest, v)
				k.and(abs, v, v)
			} else {
				k.and(k.at(h, index, i), abs, v)
			}
			see(v, i)
		}
	}, func() {
		v := k.loadHalf(k.half(h, index, 0))
		k.and(abs, v, v)
		see(v, 0)
	})
	VPMAXSW(most[1], most[0], most[0])
	VPMAXSW(most[3], most[2], most[2])
	VPMAXSW(most[2], most[0], most[0])
	limit := k.number(map[bool]uint32{true: 0x7f7f7f7f, false: 0x7bff7bff}[k.bfloat16()]) // the largest finite
	k.returnNoneAbove(limit, most[0], VPCMPGTW, KORTESTD)
}

// updateHalf is updateElements with gradients and products of halves, which are widened in
// registers, and so is what of theta goes to out narrowed: in tiles that are widened into the
// L1 cache, memory would wait for the processor while it does that.
func (k *kernel) updateHalf() {
	frame := k.begin("updateHalf", k.scalarsFrame())
	v, hz := arg("v"), arg("hz")
	k.stepHalf(k.loadScalars(arg("s"), frame, ofCurvature|ofParameters), v, hz, nil)
}

// descendHalf is the second pass of such a step, with a denominator for each element.
func (k *kernel) descendHalf() {
	frame := k.begin("descendHalf", k.scalarsFrame())
	den := arg("den")
	k.stepHalf(k.loadScalars(arg("s"), frame, ofParameters), nil, nil, den)
}

// stepHalf is the rest of updateHalf, or of descendHalf where there is den.
func (k *kernel) stepHalf(c *scalars, v, hz, den reg.Register) {
	theta, m, out, g := arg("theta"), arg("m"), arg("out"), arg("grad")
	n, index := k.countHalves()
	floats, halves := []reg.Register{theta, m}, []reg.Register{g, out}
	if den == nil {
		floats, halves = append(floats, v), append(halves, hz)
	}
	factor, r := k.vec(), k.newRounding()
	k.broadcast(mem("factor"), factor)
	const nv = 2
	pair := func(scale bool) {
		for _, p := range floats {
			for line := 0; line < nv*k.bytes(); line += 64 {
				PREFETCHT0(Mem{Base: p, Index: index, Scale: floatScale, Disp: prefetchStreams + line})
			}
		}
		for _, p := range halves {
			PREFETCHT0(Mem{Base: p, Index: index, Scale: 1, Disp: prefetchStreams})
		}
		widened := func(h Mem) reg.VecVirtual {
			x := k.vec()
			k.loadWide(h, nil, x)
			if scale {
				k.mul(factor, x, x)
			}
			return x
		}
		c.widened = func(g Mem) Op { return widened(g) }
		var narrowed []reg.VecVirtual
		var elements []element
		for i := range nv {
			elements = append(elements, element{k.float(theta, index, i), k.float(m, index, i), k.half(g, index, i)})
		}
		denominator := func(i int) reg.VecVirtual { return k.load(k.float(den, index, i), nil) }
		if den == nil {
			var d, next []reg.VecVirtual
			for i := range nv {
				d = append(d, widened(k.half(hz, index, i)))
			}
			c.divide(d)
			Comment("v' = flush(b2*v + (c2*d)*d).")
			for i := range nv {
				next = append(next, c.secondMoment(d[i], k.float(v, index, i)))
			}
			den := c.denominators(next)
			for i := range nv {
				k.mov(next[i], k.float(v, index, i))
			}
			denominator = func(i int) reg.VecVirtual { return den[i] }
		}
		c.narrowed = func(i int, theta reg.VecVirtual) {
			x := k.vec()
			k.copy(theta, x)
			r.round(x)
			if narrowed = append(narrowed, x); i == nv-1 {
				r.store(narrowed, nil, func(i int) Mem { return k.half(out, index, i) })
			}
		}
		c.descend(nil, denominator, elements...)
	}
	plain, done := k.label("plain"), k.label("done")
	TESTQ(n, n)
	JZ(LabelRef(done))
	CMPL(mem("factor"), U32(0x3f800000))
	JE(LabelRef(plain))
	for _, scale := range []bool{true, false} {
		if !scale {
			JMP(LabelRef(done))
			Label(plain)
		}
		loop := k.label("loop")
		Label(loop)
		pair(scale)
		ADDQ(U8(nv*k.bytes()/floatScale), index)
		SUBQ(U8(nv*k.bytes()/floatScale), n)
		JNZ(LabelRef(loop))
	}
	Label(done)
	k.ret()
}
