package adahessian

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"github.com/adahessian-go/adahessian/internal/bigpow"
)

// TestCoefficientsBits compares with the formulas, computed in math/big and rounded
// after every operation.
func TestCoefficientsBits(t *testing.T) {
	t.Run("float32", testCoefficientsBits[float32])
	t.Run("float64", testCoefficientsBits[float64])
}

func testCoefficientsBits[T Float](t *testing.T) {
	hypers := []Hyper{DefaultHyper()}
	for _, h := range stepHypers {
		hypers = append(hypers, h.h)
	}
	for _, h := range hypers {
		for _, k := range kernelPowers {
			for _, step := range []uint64{1, 2, 3, 10, 999, 1000, 12345, 1 << 40, math.MaxUint64} {
				h.HessianPower = k
				c, err := NewCoefficients[T](h, step, 1)
				if err != nil {
					t.Fatalf("%+v step %d: %v", h, step, err)
				}
				got, want := reflect.ValueOf(c.scalars), reflect.ValueOf(coefficientsModel[T](h, step))
				for i := range got.NumField() {
					if name := got.Type().Field(i).Name; name != "div" && got.Field(i).Float() != want.Field(i).Float() {
						t.Errorf("%+v step %d: %s = %x, want %x", h, step, name, got.Field(i).Float(), want.Field(i).Float())
					}
				}
			}
		}
	}
}

// TestCoefficientsValues checks values that can be worked out by hand.
func TestCoefficientsValues(t *testing.T) {
	for _, c := range []struct {
		name    string
		h       Hyper
		step    uint64
		s, w, r float64
		limit   float64
	}{
		{"the first step corrects by 1 − β", Hyper{LR: 1, Beta1: 0.5, Beta2: 0.75, HessianPower: 1}, 1, 2, 1, 2, math.Inf(1)},
		{"the second by 1 − β²", Hyper{LR: 3, Beta1: 0.5, Beta2: 0.5, HessianPower: 2}, 2, 4, 1, 4. / 3, math.Inf(1)},
		{"in the end by nothing", Hyper{LR: 0.25, Beta1: 0.9, Beta2: 0.999, HessianPower: 1}, 1 << 50, 0.25, 1, 1, math.Inf(1)},
		{"β = 0 needs no correction", Hyper{LR: 0.5, HessianPower: 1}, 1, 0.5, 1, 1, math.Inf(1)},
		{"power 0", Hyper{LR: 1, Beta2: 0.9}, 1, 1, 1, 1, math.Inf(1)},
		{"power ½", Hyper{LR: 1, Beta2: 0.9375, HessianPower: 0.5}, 1, 1, 1, 2, math.Inf(1)},
		{"power 2", Hyper{LR: 1, Beta2: 0.75, HessianPower: 2}, 1, 1, 1, 4, math.Inf(1)},
		{"weight decay is scaled by the rate", Hyper{LR: 0.5, WeightDecay: 0.25}, 1, 0.5, 0.875, 1, math.Inf(1)},
		{"a bound", Hyper{LR: 0.5, MaxUpdate: 8}, 1, 0.5, 1, 1, 4},
		{"a bound without a rate", Hyper{LR: 0, MaxUpdate: 8}, 1, 0, 1, 1, 0},
	} {
		k, err := NewCoefficients[float64](c.h, c.step, 1)
		if err != nil {
			t.Fatal(err)
		}
		if s := k.scalars; s.s != c.s || s.w != c.w || s.r != c.r || s.limit != c.limit {
			t.Errorf("%s: s, w, r, limit = %v, %v, %v, %v, want %v, %v, %v, %v", c.name, s.s, s.w, s.r, s.limit, c.s, c.w, c.r, c.limit)
		}
	}
	// A power without a special case is computed by pow, with the same bits everywhere.
	k, err := NewCoefficients[float64](Hyper{LR: 1, Beta2: 0.5, HessianPower: 0.75}, 1, 1)
	if want := 1 / pow64(0.5, 0.375); err != nil || k.scalars.r != want || math.Abs(want-math.Pow(0.5, -0.375)) > 1e-15 {
		t.Errorf("power ¾: r = %v (%v), want %v", k.scalars.r, err, want)
	}
	if k.power != powerAny || k.exponent != 0.375 {
		t.Errorf("power ¾: case %d, exponent %v", k.power, k.exponent)
	}
}

func TestCoefficientsDivisor(t *testing.T) {
	for _, c := range []struct {
		block, samples int
		want           float32
	}{{1, 1, 1}, {9, 1, 9}, {1, 5, 5}, {9, 5, 45}, {1 << 24, 3, 3 << 24}, {1<<24 + 1, 1, 1 << 24}} {
		k, err := NewCoefficients[float32](DefaultHyper(), 1, c.samples)
		if err != nil {
			t.Fatal(err)
		}
		if s := k.scalarsFor(c.block); s.div != c.want {
			t.Errorf("block %d, samples %d: divisor %v, want %v", c.block, c.samples, s.div, c.want)
		}
	}
}

func TestCoefficientsErrors(t *testing.T) {
	ok := DefaultHyper()
	with := func(edit func(h *Hyper)) Hyper {
		h := ok
		edit(&h)
		return h
	}
	type bad struct {
		h       Hyper
		step    uint64
		samples int
		words   []string
	}
	cases := []bad{
		{ok, 0, 1, []string{"step = 0"}},
		{ok, 1, 0, []string{"samples = 0"}},
		{ok, 1, -3, []string{"samples = -3"}},
	}
	for _, f := range []struct {
		name   string
		set    func(h *Hyper, x float64)
		values []float64
	}{
		{"LR", func(h *Hyper, x float64) { h.LR = x }, []float64{-1e-300}},
		{"Beta1", func(h *Hyper, x float64) { h.Beta1 = x }, []float64{-0.1, 1, 1.5}},
		{"Beta2", func(h *Hyper, x float64) { h.Beta2 = x }, []float64{-0.1, 1, 1.5}},
		{"Eps", func(h *Hyper, x float64) { h.Eps = x }, []float64{-1e-8}},
		{"WeightDecay", func(h *Hyper, x float64) { h.WeightDecay = x }, []float64{-1}},
		{"HessianPower", func(h *Hyper, x float64) { h.HessianPower = x }, []float64{-0.5, 2.001}},
		{"MaxUpdate", func(h *Hyper, x float64) { h.MaxUpdate = x }, []float64{-1}},
	} {
		for _, x := range append(f.values, math.NaN(), math.Inf(1), math.Inf(-1)) {
			cases = append(cases, bad{with(func(h *Hyper) { f.set(h, x) }), 1, 1, []string{f.name, fmt.Sprint(x)}})
		}
	}
	for _, c := range cases {
		k32, err32 := NewCoefficients[float32](c.h, c.step, c.samples)
		k64, err64 := NewCoefficients[float64](c.h, c.step, c.samples)
		for _, err := range []error{err32, err64} {
			if !errors.Is(err, ErrOption) {
				t.Errorf("%+v step %d samples %d: error %v does not wrap ErrOption", c.h, c.step, c.samples, err)
				continue
			}
			for _, w := range c.words {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not say %q", err, w)
				}
			}
		}
		if k32 != (Coefficients[float32]{}) || k64 != (Coefficients[float64]{}) {
			t.Errorf("%+v: coefficients returned together with an error", c.h)
		}
	}
	// Finite in float64, not in float32.
	for _, h := range []Hyper{with(func(h *Hyper) { h.LR = 1e39 }), with(func(h *Hyper) { h.Eps = 1e39 }), with(func(h *Hyper) { h.LR, h.WeightDecay = 1e20, 1e20 })} {
		if _, err := NewCoefficients[float32](h, 1, 1); !errors.Is(err, ErrOption) {
			t.Errorf("%+v in float32: error %v", h, err)
		}
		if _, err := NewCoefficients[float64](h, 1, 1); err != nil {
			t.Errorf("%+v in float64: %v", h, err)
		}
	}
}

// scalarFields is the order in which the assembly reads the scalars.
var scalarFields = []string{"b1", "c1", "b2", "c2", "s", "w", "r", "e", "limit", "div"}

// TestScalarsOrder compares the Go struct with the list above, and the constants with
// their numbers. The generators' tests compare their own with both.
func TestScalarsOrder(t *testing.T) {
	check := func(typ reflect.Type, elem uintptr) {
		if typ.NumField() != len(scalarFields) || typ.Size() != uintptr(len(scalarFields))*elem {
			t.Errorf("%v has %d fields in %d bytes, want %d", typ, typ.NumField(), typ.Size(), len(scalarFields))
		}
		for i, name := range scalarFields {
			if f, ok := typ.FieldByName(name); !ok || f.Offset != uintptr(i)*elem {
				t.Errorf("%v: %s at offset %d, want %d", typ, name, f.Offset, uintptr(i)*elem)
			}
		}
	}
	check(reflect.TypeFor[scalars[float32]](), 4)
	check(reflect.TypeFor[scalars[float64]](), 8)
	var s scalars[float32]
	if unsafe.Offsetof(s.div) != 36 {
		t.Errorf("div at offset %d", unsafe.Offsetof(s.div))
	}
	for i, p := range []power{powerZero, powerHalf, powerOne, powerTwo, powerAny} {
		if int(p) != i {
			t.Errorf("power %d has number %d", i, p)
		}
	}
}

// The scalars of a step, to the bit, in the order b1, c1, b2, c2, s, w, r, e, limit. An
// architecture, compiler or library that computes one of them differently fails here.
// The comparison with math/big shows that they are also right.
var scalarBits = []struct {
	h    Hyper
	step uint64
	f64  []float64
	f32  []float32
}{
	{Hyper{LR: 0.15, Beta1: 0.9, Beta2: 0.999, Eps: 1e-4, HessianPower: 1, MaxUpdate: 10}, 1,
		[]float64{0x1.ccccccccccccdp-01, 0x1.9999999999998p-04, 0x1.ff7ced916872bp-01, 0x1.0624dd2f1aap-10, 0x1.8000000000001p+00, 0x1p+00, 0x1.f9f6e4990f224p+04, 0x1.a36e2eb1c432dp-14, 0x1.8p+00},
		[]float32{0x1.ccccccp-01, 0x1.99999ap-04, 0x1.ff7ceep-01, 0x1.0624dep-10, 0x1.8p+00, 0x1p+00, 0x1.f9f6e4p+04, 0x1.a36e2ep-14, 0x1.8p+00}},
	{Hyper{LR: 0.15, Beta1: 0.9, Beta2: 0.999, Eps: 1e-4, HessianPower: 0.75, MaxUpdate: 10}, 2,
		[]float64{0x1.ccccccccccccdp-01, 0x1.9999999999998p-04, 0x1.ff7ced916872bp-01, 0x1.0624dd2f1aap-10, 0x1.9435e50d79438p-01, 0x1p+00, 0x1.491cf4ae33af3p+03, 0x1.a36e2eb1c432dp-14, 0x1.8p+00},
		[]float32{0x1.ccccccp-01, 0x1.99999ap-04, 0x1.ff7ceep-01, 0x1.0624dep-10, 0x1.9435e6p-01, 0x1p+00, 0x1.491cf4p+03, 0x1.a36e2ep-14, 0x1.8p+00}},
	{Hyper{LR: 3e-4, Beta1: 0.95, Beta2: 0.98, Eps: 1e-8, WeightDecay: 0.1, HessianPower: 0.1, MaxUpdate: 0.3}, 7,
		[]float64{0x1.e666666666666p-01, 0x1.99999999999ap-05, 0x1.f5c28f5c28f5cp-01, 0x1.47ae147ae148p-06, 0x1.04b2f936e0043p-10, 0x1.fffc115df6556p-01, 0x1.1b4a5ab9fe642p+00, 0x1.5798ee2308c3ap-27, 0x1.797cc39ffd60ep-14},
		[]float32{0x1.e66666p-01, 0x1.99999ap-05, 0x1.f5c29p-01, 0x1.47ae14p-06, 0x1.04b2fap-10, 0x1.fffc12p-01, 0x1.1b4a5ap+00, 0x1.5798eep-27, 0x1.797cc4p-14}},
	{Hyper{LR: 0.02, Beta1: 0.8, Beta2: 0.9999, Eps: 1e-6, WeightDecay: 0.3, HessianPower: 1.9, MaxUpdate: 1.1}, 1000,
		[]float64{0x1.999999999999ap-01, 0x1.9999999999998p-03, 0x1.fff2e48e8a71ep-01, 0x1.a36e2eb1c4p-14, 0x1.47ae147ae147bp-06, 0x1.fced916872b02p-01, 0x1.2af13e6ab777ap+03, 0x1.0c6f7a0b5ed8dp-20, 0x1.6872b020c49bbp-06},
		[]float32{0x1.99999ap-01, 0x1.99999ap-03, 0x1.fff2e4p-01, 0x1.a36e2ep-14, 0x1.47ae14p-06, 0x1.fced92p-01, 0x1.2af13ep+03, 0x1.0c6f7ap-20, 0x1.6872bp-06}},
	{Hyper{LR: 0.712, Beta1: 0.7, Beta2: 0.99, Eps: 1e-3, WeightDecay: 0.098, HessianPower: 0.5, MaxUpdate: 7}, 33,
		[]float64{0x1.6666666666666p-01, 0x1.3333333333334p-02, 0x1.fae147ae147aep-01, 0x1.47ae147ae148p-07, 0x1.6c8bfc48e2b57p-01, 0x1.dc4651f3e89a8p-01, 0x1.5f373bb6f21cap+00, 0x1.0624dd2f1a9fcp-10, 0x1.3ef9db22d0e56p+02},
		[]float32{0x1.666666p-01, 0x1.333334p-02, 0x1.fae148p-01, 0x1.47ae14p-07, 0x1.6c8bfcp-01, 0x1.dc4652p-01, 0x1.5f373cp+00, 0x1.0624dep-10, 0x1.3ef9dcp+02}},
	{Hyper{LR: 0.7, Beta1: 0.999, Beta2: 0.99999, Eps: 0.1, WeightDecay: 0.7, HessianPower: 2. / 3, MaxUpdate: 0.7}, 12345,
		[]float64{0x1.ff7ced916872bp-01, 0x1.0624dd2f1aap-10, 0x1.fffeb074a771dp-01, 0x1.4f8b588e3p-17, 0x1.6666cbfa817e2p-01, 0x1.051eb851eb852p-01, 0x1.065adef7b11c2p+01, 0x1.999999999999ap-04, 0x1.f5c28f5c28f5bp-02},
		[]float32{0x1.ff7ceep-01, 0x1.0624dep-10, 0x1.fffebp-01, 0x1.4f8b58p-17, 0x1.6666ccp-01, 0x1.051eb8p-01, 0x1.065adep+01, 0x1.99999ap-04, 0x1.f5c29p-02}},
	{Hyper{LR: 0.15, Beta1: 0.9, Beta2: 0.9999999, Eps: 1e-4, HessianPower: 1.25, MaxUpdate: 1e-3}, 999999,
		[]float64{0x1.ccccccccccccdp-01, 0x1.9999999999998p-04, 0x1.fffffca501acbp-01, 0x1.ad7f29a8p-24, 0x1.3333333333333p-03, 0x1p+00, 0x1.1661696c19b57p+02, 0x1.a36e2eb1c432dp-14, 0x1.3a92a30553261p-13},
		[]float32{0x1.ccccccp-01, 0x1.99999ap-04, 0x1.fffffcp-01, 0x1.ad7f2ap-24, 0x1.333334p-03, 0x1p+00, 0x1.16616ap+02, 0x1.a36e2ep-14, 0x1.3a92a4p-13}},
}

func TestScalarBits(t *testing.T) {
	for _, c := range scalarBits {
		c64, err64 := NewCoefficients[float64](c.h, c.step, 1)
		c32, err32 := NewCoefficients[float32](c.h, c.step, 1)
		if err64 != nil || err32 != nil {
			t.Fatal(err64, err32)
		}
		v64, v32 := reflect.ValueOf(c64.scalars), reflect.ValueOf(c32.scalars)
		for i := range c.f64 {
			name := v64.Type().Field(i).Name
			if got := v64.Field(i).Float(); math.Float64bits(got) != math.Float64bits(c.f64[i]) {
				t.Errorf("%+v step %d: %s = %x, want %x", c.h, c.step, name, got, c.f64[i])
			}
			if got := float32(v32.Field(i).Float()); math.Float32bits(got) != math.Float32bits(c.f32[i]) {
				t.Errorf("%+v step %d: %s = %x in float32, want %x", c.h, c.step, name, got, c.f32[i])
			}
		}
		// r: the power, at most 0.58 ulp or two roots, then a division.
		bc2 := 1 - powInt(c.h.Beta2, c.step)
		want := new(big.Float).Quo(big.NewFloat(1), bigpow.Pow(bc2, c.h.HessianPower/2, 120))
		if e := relativeError(c.f64[6], want); !(e <= 1.3*0x1p-52) {
			t.Errorf("%+v step %d: r is off by %g", c.h, c.step, e)
		}
		if e := relativeError(float64(c.f32[6]), want); !(e <= 0x1.00001p-24) {
			t.Errorf("%+v step %d: r is off by %g in float32", c.h, c.step, e)
		}
	}
}

var powIntBits = []struct {
	b    float64
	n    uint64
	want float64
}{
	{0.9, 2, 0x1.9eb851eb851ecp-01},
	{0.9, 3, 0x1.753f7ced91688p-01},
	{0.9, 10, 0x1.650bf60432fdap-02},
	{0.9, 255, 0x1.2e2b3a47275aap-39},
	{0.9, 1000, 0x1.fee7413dac412p-153},
	{0.999, 1000, 0x1.788526411edacp-02},
	{0.999, 12345, 0x1.22391fb9458bp-18},
	{0.9999999, 999999, 0x1.cf46dc8004da5p-01},
	{0.5, 1022, 0x1p-1022},
	{0.9, 6700, 0x1.7e7d25e731bf4p-1019},
}

func TestScalarPowInt(t *testing.T) {
	for _, c := range powIntBits {
		if got := powInt(c.b, c.n); math.Float64bits(got) != math.Float64bits(c.want) {
			t.Errorf("%v^%d = %x, want %x", c.b, c.n, got, c.want)
		}
		// Each of the n factors except one adds at most half an ulp.
		if e := relativeError(c.want, bigpow.Pow(c.b, float64(c.n), 120)); !(e <= float64(c.n)*0x1p-53) {
			t.Errorf("%v^%d is off by %g", c.b, c.n, e)
		}
	}
}

// relativeError returns |got/want − 1|.
func relativeError(got float64, want *big.Float) float64 {
	d := new(big.Float).SetPrec(200).Sub(big.NewFloat(got), want)
	e, _ := d.Quo(d, want).Float64()
	return math.Abs(e)
}
