package adahessian

import (
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unsafe"
)

// TestCoefficientsBits compares with the formulas in math/big, rounded after
// every operation.
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

// TestCoefficientsValues has values that one can work out by hand.
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
	// A power without a special case comes out of pow, the same bits everywhere.
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
			t.Errorf("%+v: coefficients beside an error", c.h)
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

// TestScalarsOrder compares the Go struct, the list above, and the generator's
// constants.
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

	source, err := os.ReadFile("_asm/amd64/scalars.go")
	if os.IsNotExist(err) {
		t.Skip("the generators are not part of the module as it is downloaded")
	} else if err != nil {
		t.Fatal(err)
	}
	var generator []string
	for _, m := range regexp.MustCompile(`(?m)^\tfield(\w+)( = iota)?$`).FindAllStringSubmatch(string(source), -1) {
		generator = append(generator, strings.ToLower(m[1]))
	}
	if got, want := strings.Join(generator, " "), strings.Join(scalarFields, " "); got != want {
		t.Errorf("the generator reads the fields as %s, want %s", got, want)
	}
	moments, err := os.ReadFile("_asm/amd64/moments.go")
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]power{"powerHalf": powerHalf, "powerOne": powerOne} {
		if want := regexp.MustCompile(fmt.Sprintf(`(?m)^\t%s\s+= %d$`, name, p)); !want.Match(moments) {
			t.Errorf("the generator's %s is not %d", name, p)
		}
	}
}
