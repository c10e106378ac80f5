package adahessian

import "math"

// This file defines what is done with halves, as kernels_generic.go defines the rest. It
// has no build tag. Bits are put together as integers, so that nothing
// depends on a processor's control register.

// half is the format of 16 bits.
type half int

const (
	bfloat16 half = iota
	float16
)

// infinity returns the bits of the format's infinity, which are all bits of the exponent.
func (f half) infinity() uint16 {
	if f == bfloat16 {
		return 0x7f80
	}
	return 0x7c00
}

const (
	signBit       = 1 << 31    // of a float32
	infinity32    = 0x7f800000 // as bits
	quietBit32    = 0x00400000
	quietNaNBF16  = 0x7fc0 // what every NaN becomes in narrow
	quietNaNF16   = 0x7e00
	cutBF16       = 32 - 16          // bits of a float32 that bfloat16 does not have
	cutF16        = 23 - 10          // of its mantissa that float16 does not have
	rebias        = (127 - 15) << 23 // between the exponents of float32 and float16
	leastNormal16 = (127 - 14) << 23 // the smallest normal float16 as a float32
	overflow16    = (127 + 16) << 23 // the power of two above the largest float16
	leastHalf16   = (127 - 25) << 23 // half of the smallest float16
	unitShift     = 127 - 1          // mantissa 1.m of exponent e is m·2^(e−unitShift−24), that is in units of 2⁻²⁴ when shifted
	hiddenBit     = 1 << 23
	mantissa32    = hiddenBit - 1
	mantissa16    = 1<<10 - 1
	unit16        = 0x1p-24 // the smallest float16
)

// widened returns the bits of the float32 that equals a half. A NaN keeps its sign and
// payload; a NaN of a float16 becomes quiet, as in the instruction of every processor.
func (f half) widened(h uint16) uint32 {
	if f == bfloat16 {
		return uint32(h) << cutBF16
	}
	sign := uint32(h) << 16 & signBit
	exponent, mantissa := uint32(h>>10&31), uint32(h&mantissa16)
	switch {
	case exponent == 31 && mantissa != 0:
		return sign | infinity32 | quietBit32 | mantissa<<cutF16
	case exponent == 31:
		return sign | infinity32
	case exponent == 0:
		return sign | math.Float32bits(float32(mantissa)*unit16) // exact
	}
	return sign | exponent<<23 + rebias + mantissa<<cutF16
}

// narrowed returns the half nearest to the float32 of the given bits or, of two that are
// equally near, the even one. A number beyond the largest half is rounded as if there were
// larger exponents, and becomes infinite if it reaches the next one. A NaN becomes the
// quiet NaN without sign and payload.
func (f half) narrowed(x uint32) uint16 {
	sign, x := uint16(x&signBit>>16), x&^signBit
	if f == bfloat16 {
		if x > infinity32 {
			return quietNaNBF16
		}
		return sign | uint16(shiftRounded(x, cutBF16))
	}
	switch {
	case x > infinity32:
		return quietNaNF16
	case x >= overflow16:
		return sign | f.infinity()
	case x >= leastNormal16:
		return sign | uint16(shiftRounded(x-rebias, cutF16)) // a carry goes into the exponent
	case x >= leastHalf16:
		return sign | uint16(shiftRounded(x&mantissa32|hiddenBit, unitShift-x>>23))
	}
	return sign
}

// shiftRounded returns the integer nearest to x/2^n or, of two that are equally near, the
// even one.
func shiftRounded(x, n uint32) uint32 {
	return (x + 1<<(n-1) - 1 + x>>n&1) >> n
}

// widenGeneric sets x[i] to h[i] times factor, rounded once. If factor is 1, it sets x[i]
// to h[i].
func widenGeneric(x []float32, h []uint16, factor float32, f half) {
	for i, h := range h {
		x[i] = math.Float32frombits(f.widened(h))
	}
	if factor != 1 {
		for i := range h {
			x[i] *= factor
		}
	}
}

// narrowGeneric sets h[i] to x[i].
func narrowGeneric(h []uint16, x []float32, f half) {
	for i := range h {
		h[i] = f.narrowed(math.Float32bits(x[i]))
	}
}

// allFiniteHalfGeneric reports whether no h is NaN or infinite.
func allFiniteHalfGeneric(h []uint16, f half) bool {
	for _, h := range h {
		if h&f.infinity() == f.infinity() {
			return false
		}
	}
	return true
}
