package fit

import (
	"math"
	"math/big"
	"testing"
)

// TestChebyshev fits x⁴. The error of the best polynomial below degree n for xⁿ on [−1,
// 1] is the Chebyshev polynomial of degree n, divided by 2^(n−1).
func TestChebyshev(t *testing.T) {
	p := problem{
		target: func(x *big.Float) *big.Float { return mul(mul(x, x), mul(x, x)) },
		weight: func(*big.Float) *big.Float { return num(1) },
		lo:     num(-1),
		hi:     num(1),
		terms:  4,
	}
	c, err := p.solve()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{-1.0 / 8, 0, 1, 0} { // x⁴ − (x² − ⅛) = T₄/8
		if got, _ := c[i].Float64(); math.Abs(got-want) > 1e-6 {
			t.Errorf("coefficient %d is %g, want %g", i, got, want)
		}
	}
	if got := p.worst(c); math.Abs(got-1.0/8) > 1e-6 {
		t.Errorf("error %g, want 1/8", got)
	}
}

// TestPolynomials checks the errors that pow.go counts on.
func TestPolynomials(t *testing.T) {
	polynomials, err := Polynomials()
	if err != nil {
		t.Fatal(err)
	}
	for i, bound := range []float64{0x1p-47, 0x1p-40, 0x1p-60, 0x1p-63} {
		if p := polynomials[i]; !(p.Error <= bound) {
			t.Errorf("%s %g, want at most %g", p.Comment, p.Error, bound)
		}
	}
}
