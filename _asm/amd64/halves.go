package amd64

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The kernels of bfloat16 and float16, whose vectors are of float32. A bfloat16 is the
// upper half of a float32, and integer arithmetic converts it. VCVTNEPS2BF16 would do that
// in one instruction, but flushes subnormal numbers. float16 has its own instructions,
// which do not depend on a control register: VCVTPH2PS turns subnormal numbers into normal
// ones, whatever MXCSR.DAZ says, and VCVTPS2PH makes subnormal ones, whatever MXCSR.FTZ
// says. The immediate of the latter chooses the rounding.

const (
	halfSize   = 2
	quietNaN   = 0x7fc00000 // a float32
	unordered  = 3          // a predicate of VCMPPS: one of the two is NaN
	toNearest  = 0          // a rounding of VCVTPS2PH
	bf16Shift  = 16
	belowHalf  = 1<<(bf16Shift-1) - 1 // of what the shift cuts off
	floatScale = 4 / halfSize         // bytes of a float32 for a byte of a half
)

// half is the memory of the halves for a vector of float32, half as many bytes as the
// vector has, v vectors after h + index.
func (k *kernel) half(h, index reg.Register, v int) Mem {
	m := Mem{Base: h, Disp: v * k.step()}
	if index != nil {
		m.Index, m.Scale = index, 1
	}
	return m
}

// halves emits vectors for n bytes of halves, counted down: for strides of unroll vectors of
// the given number of bytes, then for single vectors and then, if there are mask registers,
// for the whole rest. Without mask registers it emits single for each half of the rest,
// because loads of halves have no masks.
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

// loadHalf loads a half into the lowest lane of a vector. The other lanes are 0.
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
	n, index := k.count("n")
	factor := k.vec()
	k.broadcast(mem("factor"), factor)
	all := func(scale bool) {
		k.halves(n, index, k.step(), 4, func(nv int, rest reg.Register) {
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
					k.mov(v, rest, k.at(x, index, i))
				} else {
					k.mov(v, k.at(x, index, i))
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
			VMOVSS(v, k.at(x, index, 0))
		})
	}
	k.unlessOne(func() { all(true) }, func() { all(false) })
	k.ret()
}

// loadWide loads halves as float32.
func (k *kernel) loadWide(src Mem, rest reg.Register, dst reg.VecVirtual) {
	var halves Op = src
	if rest != nil { // even in emulators, a plain load does not fault beyond its mask
		y := YMM()
		VMOVDQU16_Z(src, rest, y)
		halves = y
	}
	k.widenInto(halves, dst)
}

// widenInto widens halves in memory or in a register.
func (k *kernel) widenInto(halves Op, dst reg.VecVirtual) {
	if !k.bfloat16() {
		VCVTPH2PS(halves, dst)
		return
	}
	if c := k.conversion; c != nil && k.wide() {
		y, ok := halves.(reg.VecVirtual)
		if !ok {
			y = YMM()
			VMOVDQU16(halves, y)
		}
		VPERMW_Z(y.AsZ(), c.spread, c.odd, dst)
		return
	}
	if !k.wide() {
		VBROADCASTI128(halves, dst)
		VPSHUFB(spreadHalves(), dst, dst)
		return
	}
	VPMOVZXWD(halves, dst)
	VPSLLD(U8(bf16Shift), dst, dst)
}

// spreadHalves tells VPSHUFB to put the halves of 128 bits that are in both parts of a vector
// into the upper halves of its lanes. With a broadcast, which costs no more than a load, that
// is one instruction less than VPMOVZXWD and a shift.
func spreadHalves() Mem {
	return data("spreadHalves", func(add func(Constant)) {
		for h := range 8 {
			add(U32(0x8080 | (2*h)<<16 | (2*h+1)<<24)) // 0x80 gives 0
		}
	})
}

// narrow rounds float32s to halves.
func (k *kernel) narrow() {
	k.begin("narrow", 0)
	h, x := arg("h"), arg("x")
	n, index := k.count("n")
	r := k.newRounding()
	k.halves(n, index, k.step(), 4, func(nv int, rest reg.Register) {
		var f []reg.VecVirtual
		for i := range nv {
			v := k.vec()
			if rest != nil {
				k.masks.loadZeroing(k.at(x, index, i), rest, v)
			} else {
				k.mov(k.at(x, index, i), v)
			}
			f = append(f, v)
		}
		r.store(f, rest, func(i int) Mem { return k.half(h, index, i) })
	}, func() {
		v := k.vec()
		VMOVSS(k.at(x, index, 0), v.AsX())
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

// rounding has the constants of narrow. Those of AVX2 are in memory.
type rounding struct {
	k               *kernel
	nan, one, below Mem
	wide            *wideRounding // AVX-512

	// For two vectors at once.
	apart, oneWords, belowWords Mem
}

func (k *kernel) newRounding() *rounding {
	r := &rounding{k: k}
	if k.wide() {
		r.wide = k.newWideRounding()
		return r
	}
	r.nan = k.same("quietNaNs", quietNaN)
	if !k.bfloat16() {
		return r
	}
	r.one, r.below = k.same("lastBits", 1), k.same("belowHalves", belowHalf)
	r.oneWords, r.belowWords = k.same("lastBitsOfWords", 1<<bf16Shift|1), k.same("belowHalvesOfWords", (belowHalf-1)<<bf16Shift|(belowHalf-1))
	r.apart = data("upperThenLower", func(add func(Constant)) {
		for range 2 {
			add(U64(0x0f0e0b0a07060302))
			add(U64(0x0d0c090805040100))
		}
	})
	return r
}

// same is a vector in memory with the same 32 bits in each lane.
func (k *kernel) same(name string, bits uint32) Mem {
	return data(fmt.Sprintf("%s%d", name, k.bits), func(add func(Constant)) {
		for range k.lanes() {
			add(U32(bits))
		}
	})
}

// round turns any NaN into the quiet one. For bfloat16 it also rounds, into the lower half of
// each lane: it adds just under half of the last place that is kept, and 1 more if that place
// is odd. It is for AVX2.
func (r *rounding) round(v reg.VecVirtual) {
	k := r.k
	isNaN := k.vec()
	VCMPPS(U8(unordered), v, v, isNaN)
	k.blend(isNaN, r.nan, v, v)
	if !k.bfloat16() {
		return
	}
	odd := k.vec()
	VPSRLD(U8(bf16Shift), v, odd)
	k.and(r.one, odd, odd)
	VPADDD(r.below, v, v)
	VPADDD(odd, v, v)
	VPSRLD(U8(bf16Shift), v, v)
}

// store stores vectors as halves, or with AVX-512 the part of a single one. It consumes them.
func (r *rounding) store(f []reg.VecVirtual, rest reg.Register, at func(i int) Mem) {
	if r.wide != nil {
		r.wide.store(f, rest, at)
		return
	}
	i := 0
	for ; i+1 < len(f); i += 2 {
		r.storePair(f[i], f[i+1], at(i), at(i+1))
	}
	if i < len(f) {
		r.storeOne(f[i], at(i))
	}
}

// storeOne stores a vector, for AVX2.
func (r *rounding) storeOne(v reg.VecVirtual, at Mem) {
	r.round(v)
	if !r.k.bfloat16() {
		VCVTPS2PH(U8(toNearest), v, at)
		return
	}
	upper := XMM()
	VEXTRACTI128(U8(1), v, upper)
	VPACKUSDW(upper, v.AsX(), v.AsX())
	VMOVDQU(v.AsX(), at)
}

// storePair stores two vectors at once, for AVX2. One comparison finds NaN in both, and
// code out of line makes it quiet: a step that has gone well has none.
//
// For bfloat16, the halves of lanes are then split into a vector of upper and one of lower
// halves, and words are rounded instead of lanes, which takes half as many instructions. The
// carry into the upper half is the highest bit of (lower + 0x7fff + odd)/2, where odd is the
// last bit of the upper half. VPAVGW has room for this sum of 17 bits, and adds the 1 that
// 0x7ffe lacks.
func (r *rounding) storePair(a, b reg.VecVirtual, at, next Mem) {
	k := r.k
	isNaN, some := k.vec(), GP32()
	nan, quiet := k.label("nan"), k.label("quiet")
	VCMPPS(U8(unordered), a, b, isNaN)
	VMOVMSKPS(isNaN, some)
	TESTL(some, some)
	JNZ(LabelRef(nan))
	Label(quiet)
	k.outOfLine = append(k.outOfLine, func() {
		Label(nan)
		for _, v := range []reg.VecVirtual{a, b} {
			VCMPPS(U8(unordered), v, v, isNaN)
			k.blend(isNaN, r.nan, v, v)
		}
		JMP(LabelRef(quiet))
	})
	if !k.bfloat16() {
		VCVTPS2PH(U8(toNearest), a, at)
		VCVTPS2PH(U8(toNearest), b, next)
		return
	}
	low, odd := k.vec(), k.vec()
	VPSHUFB(r.apart, a, a)
	VPSHUFB(r.apart, b, b)
	VPUNPCKHQDQ(b, a, low)
	VPUNPCKLQDQ(b, a, a)
	k.and(r.oneWords, a, odd)
	VPADDW(r.belowWords, odd, odd)
	VPAVGW(odd, low, low)
	VPSRLW(U8(15), low, low)
	VPADDW(low, a, a)
	VPERMQ(U8(0xd8), a, a) // unpacking works within each half of the vector
	VMOVDQU(a, at)
}

// allFiniteHalf takes the largest |h| in four chains: as integers, NaN and infinity are
// the largest.
func (k *kernel) allFiniteHalf() {
	k.begin("allFiniteHalf", 0)
	h := arg("h")
	n, index := k.count("n")
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
				VMOVDQU16_Z(k.half(h, index, i*floatScale), rest, v)
				k.and(abs, v, v)
			} else {
				k.and(k.half(h, index, i*floatScale), abs, v)
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
