// Package halfbits defines the 16-bit numbers and how to round to them, using only their
// values in float64 and the distances between them. Package adahessian, which it is used
// to test, works on the bits instead.
package halfbits

import (
	"math"
	"sort"
)

// A Format has a sign and the given numbers of exponent and mantissa bits.
type Format struct {
	Name               string
	exponent, mantissa int
}

// The formats.
var (
	BFloat16 = Format{"bfloat16", 8, 7}
	Float16  = Format{"float16", 5, 10}
)

// Infinity returns the bits of +Inf. Greater bits, sign aside, are NaN.
func (f Format) Infinity() uint16 { return 1<<15 - 1<<f.mantissa }

// QuietNaN returns the bits of the NaN that every NaN is rounded to.
func (f Format) QuietNaN() uint16 { return 1<<15 - 1<<(f.mantissa-1) }

// Value returns the number that the bits stand for, which float64 holds exactly.
func (f Format) Value(h uint16) float64 {
	sign := 1.0
	if h>>15 != 0 {
		sign = -1
	}
	h &= 1<<15 - 1
	switch {
	case h > f.Infinity():
		return math.NaN()
	case h == f.Infinity():
		return sign * math.Inf(1)
	}
	return sign * f.value(h)
}

// value is Value without the sign. For infinity it returns the next number as if the
// exponents went on.
func (f Format) value(h uint16) float64 {
	bias := 1<<(f.exponent-1) - 1
	exponent, mantissa := int(h>>f.mantissa), int(h)&(1<<f.mantissa-1)
	if exponent == 0 { // subnormal
		return math.Ldexp(float64(mantissa), 1-bias-f.mantissa)
	}
	return math.Ldexp(float64(1<<f.mantissa+mantissa), exponent-bias-f.mantissa)
}

// A Rounder rounds to a format. It is fast if each number is near the one before.
type Rounder struct {
	format Format
	values []float64 // of the bits from 0 to those of infinity
	last   int       // the number below
}

// NewRounder returns a Rounder.
func NewRounder(f Format) *Rounder {
	r := &Rounder{format: f}
	for h := uint16(0); h <= f.Infinity(); h++ {
		r.values = append(r.values, f.value(h))
	}
	return r
}

// Round returns the bits of the number nearest to x or, of two that are equally near, of
// the one whose last bit is 0. All distances that decide are exact: either two neighbours
// are less than a power of two apart, or x is closer to one of them by more than a
// rounding error.
func (r *Rounder) Round(x float32) uint16 {
	if x != x {
		return r.format.QuietNaN()
	}
	sign := uint16(0)
	if math.Signbit(float64(x)) {
		sign = 1 << 15
	}
	a := math.Abs(float64(x))
	last := len(r.values) - 1
	if a >= r.values[last] {
		return sign | uint16(last)
	}
	if a < r.values[r.last] || a >= r.values[r.last+1] {
		r.last = sort.SearchFloat64s(r.values, a)
		if r.values[r.last] > a {
			r.last--
		}
	}
	below, above := a-r.values[r.last], r.values[r.last+1]-a
	if above < below || above == below && r.last&1 != 0 {
		return sign | uint16(r.last+1)
	}
	return sign | uint16(r.last)
}
