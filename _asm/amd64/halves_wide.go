package amd64

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// wideRounding narrows with AVX-512. bfloat16 is rounded in words of 16 bits: of two vectors,
// one permutation collects the upper words and one the lower words. Then there is half as
// much to round as in the vectors themselves.
type wideRounding struct {
	k            *kernel
	nan          Mem            // the quiet NaN
	upper, lower reg.VecVirtual // indices of words
	one          reg.VecVirtual // in each word
	half         Mem            // in each word, half of the last place that is kept
}

func (k *kernel) newWideRounding() *wideRounding {
	r := &wideRounding{k: k, nan: k.same("quietNaNs", quietNaN)}
	if !k.bfloat16() {
		return r
	}
	words := func(name string, first int) Mem {
		return data(name, func(add func(Constant)) {
			for i := range k.lanes() {
				add(U32((4*i+2+first)<<16 | (4*i + first)))
			}
		})
	}
	r.upper, r.lower = k.load(words("upperWords", 1), nil), k.load(words("lowerWords", 0), nil)
	r.one = k.vec()
	k.ones(r.one)
	VPSRLW(U8(15), r.one, r.one)
	r.half = k.same("halfPlaces", 1<<31|1<<15)
	return r
}

// quiet turns any NaN into the quiet one. Parameters are NaN only after a training has
// failed, so a branch is cheaper than an instruction for each vector. One comparison looks at
// two vectors: they are unordered where one of them is NaN.
func (r *wideRounding) quiet(f []reg.VecVirtual) {
	k := r.k
	found, done := k.label("nan"), k.label("quiet")
	var nan []reg.OpmaskVirtual
	for i := 0; i < len(f); i += 2 {
		nan = append(nan, K())
		VCMPPS(U8(unordered), f[min(i+1, len(f)-1)], f[i], nan[i/2])
	}
	KORTESTW(nan[0], nan[len(nan)-1])
	JNE(LabelRef(found))
	Label(done)
	k.outOfLine = append(k.outOfLine, func() {
		Comment("NaN.")
		Label(found)
		for _, v := range f {
			isNaN := K()
			VCMPPS(U8(unordered), v, v, isNaN)
			VMOVUPS(r.nan, isNaN, v)
		}
		JMP(LabelRef(done))
	})
}

// store stores vectors as halves, or the part of a single one. It consumes them.
func (r *wideRounding) store(f []reg.VecVirtual, rest reg.Register, at func(i int) Mem) {
	r.quiet(f)
	for i := 0; i < len(f); i++ {
		v := f[i]
		switch {
		case !r.k.bfloat16() && rest == nil:
			VCVTPS2PH(U8(toNearest), v, at(i))
		case !r.k.bfloat16():
			halves := YMM()
			VCVTPS2PH(U8(toNearest), v, halves)
			VMOVDQU16(halves, rest, at(i))
		case i+1 < len(f):
			VMOVDQU16(r.round(v, f[i+1]), at(i))
			i++
		case rest == nil:
			VMOVDQU16(r.round(v, v).AsY(), at(i))
		default:
			VMOVDQU16(r.round(v, v).AsY(), rest, at(i))
		}
	}
}

// round rounds two vectors without NaN to bfloat16s in one. A lower word of half a place or
// more rounds up, but if it is exactly half a place and the upper word is even, it does not:
// so it is compared with half a place, plus 1 if the upper word is even. A carry goes into
// the exponent.
func (r *wideRounding) round(a, b reg.VecVirtual) reg.VecVirtual {
	k := r.k
	upper, lower, least, up := k.vec(), k.vec(), k.vec(), K()
	k.copy(a, upper)
	k.copy(a, lower)
	VPERMT2W(b, r.upper, upper)
	VPERMT2W(b, r.lower, lower)
	k.mov(r.half, least)
	VPTERNLOGD(U8(halfOrEven), r.one, upper, least)
	VPCMPUW(U8(notLess), least, lower, up)
	VPADDW(r.one, upper, up, upper)
	return upper
}

const (
	// halfOrEven is the table of VPTERNLOGD for half | ^upper & one: the inputs are the bits 2,
	// 1 and 0 of the number of a bit.
	halfOrEven = 0b11110010
	notLess    = 5 // a predicate of VPCMPUW
)
