package adahessian

import (
	"math"
	"unsafe"
)

// A BFloat16 holds the bits of a bfloat16, the upper half of a float32: a sign, 8 bits of
// exponent and 7 bits of mantissa.
type BFloat16 uint16

// A Float16 holds the bits of an IEEE 754 binary16: a sign, 5 bits of exponent and 10 bits
// of mantissa. The largest finite number is 65,504.
type Float16 uint16

// HalfFormat is the format of 16-bit numbers. Functions on such numbers take it as their
// first type argument, since their second, the type that holds the bits, can be the
// caller's own and does not determine the format:
//
//	adahessian.Widen[adahessian.BFloat16](x, bits)
type HalfFormat interface{ BFloat16 | Float16 }

// Half is a type that holds the bits of a 16-bit number: BFloat16, Float16, or a type
// of another package, so that its slices need not be copied.
type Half interface{ ~uint16 }

// Widen sets x[i] to h[i], exactly. A NaN keeps its sign and payload; a signaling NaN of a
// Float16 becomes quiet.
//
// Widen panics if the lengths differ. x and h must not overlap.
func Widen[F HalfFormat, H Half](x []float32, h []H) {
	if len(x) != len(h) {
		panic("adahessian: Widen: lengths differ")
	}
	noteWrite(x)
	noteRead(h)
	bits, f := bitsOfHalves(h), formatOfHalf[F]()
	for from := 0; from < len(x); from += maxCall {
		to := min(from+maxCall, len(x))
		widen(x[from:to], bits[from:to], 1, f)
	}
}

// Narrow sets h[i] to the number nearest to x[i] or, of two that are equally near, to the
// one whose last bit is 0. A number that is too large becomes an infinity. Subnormal
// numbers are kept. A NaN becomes the quiet NaN without sign and payload: 0x7fc0 in
// BFloat16, 0x7e00 in Float16.
//
// Narrow panics if the lengths differ. h and x must not overlap.
func Narrow[F HalfFormat, H Half](h []H, x []float32) {
	if len(x) != len(h) {
		panic("adahessian: Narrow: lengths differ")
	}
	noteWrite(h)
	noteRead(x)
	narrowAll(bitsOfHalves(h), x, formatOfHalf[F]())
}

// narrowAll is narrow in calls of at most maxCall elements.
func narrowAll(h []uint16, x []float32, f half) {
	for from := 0; from < len(x); from += maxCall {
		to := min(from+maxCall, len(x))
		narrow(h[from:to], x[from:to], f)
	}
}

// FirstNonFiniteHalf returns the index of the first element of h that is NaN or infinite,
// or −1 if all are finite.
func FirstNonFiniteHalf[F HalfFormat, H Half](h []H) int {
	noteRead(h)
	bits, f := bitsOfHalves(h), formatOfHalf[F]()
	for from := 0; from < len(bits); from += maxCall {
		part := bits[from:min(from+maxCall, len(bits))]
		if allFiniteHalf(part, f) {
			continue
		}
		for i, h := range part {
			if h&f.infinity() == f.infinity() {
				return from + i
			}
		}
	}
	return -1
}

// UpdateHalf is Update for weights that live elsewhere in 16 bits, for example on an
// accelerator, while their float32 masters and the moments are here. From the gradient g and
// the Hessian-vector product hz, both of 16 bits, it sets m, v and the masters theta to their
// values after the step that c belongs to, and out to the rounded masters. The bits are those
// of Widen, Update and Narrow one after the other, with less memory traffic than Update
// alone.
//
// g and hz are multiplied by factor while they are widened. factor is 1 or, if the loss was
// multiplied by a scale, 1/scale: products scale as gradients do. Each multiplication rounds
// once to float32. If factor is a power of two, that is exact unless the result is subnormal
// or overflows.
//
// theta, out, m, g and hz have l.Len() elements, and v has l.Blocks(). UpdateHalf panics if
// they do not, if l is not a valid layout, if c was not made by NewCoefficients, or if factor
// is not finite and above 0. g and hz are only read. No slice may overlap another, except that
// g and hz may be the same slice. UpdateHalf does not look for values that are not finite;
// call FirstNonFiniteHalf first if you need that.
func UpdateHalf[F HalfFormat, H Half](theta []float32, out, g, hz []H, m, v []float32, l Layout, c *Coefficients[float32], factor float32) {
	checkUpdate("UpdateHalf", theta, m, v, theta, l, c)
	if len(out) != len(theta) || len(g) != len(theta) || len(hz) != len(theta) {
		panic("adahessian: UpdateHalf: lengths do not fit the layout")
	}
	if !(factor > 0 && factor <= math.MaxFloat32) {
		panic("adahessian: UpdateHalf: factor is not finite and above 0")
	}
	noteUpdateHalf(theta, out, g, hz, m, v)
	s := halfStep{
		theta: theta, m: m, v: v, out: bitsOfHalves(out), g: bitsOfHalves(g), hz: bitsOfHalves(hz),
		format: formatOfHalf[F](), factor: factor, scalars: c.scalarsFor(l.Block), power: c.power, exponent: c.exponent,
	}
	s.run(l.panel())
}

// formatOfHalf returns F as a value.
func formatOfHalf[F HalfFormat]() half {
	if _, ok := any(F(0)).(BFloat16); ok {
		return bfloat16
	}
	return float16
}

// bitsOfHalves returns h with the plain type of its bits.
func bitsOfHalves[H Half](h []H) []uint16 {
	return unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(h))), len(h))
}
