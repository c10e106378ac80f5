package adahessian

import (
	"math"
	"testing"
)

// panics returns what f panics with, or nil.
func panics(f func()) (value any) {
	defer func() { value = recover() }()
	f()
	return nil
}

func wantPanic(t *testing.T, what string, want any, f func()) {
	t.Helper()
	if got := panics(f); got != want {
		t.Errorf("%s: panic %v, want %v", what, got, want)
	}
}

// badLayouts are no layouts.
var badLayouts = []Layout{{}, {1, 0, 1}, {-1, 1, 1}, {1, -1, 1}, {1, 1, -1}, {-1, 1, -1}, {math.MaxInt, 2, 1}, {math.MaxInt/2 + 1, 1, 2}, {math.MaxInt, math.MaxInt, math.MaxInt}}

func TestUpdatePanics(t *testing.T) {
	c, err := NewCoefficients[float32](DefaultHyper(), 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float32, 100)
	for _, l := range badLayouts {
		wantPanic(t, "bad layout", "adahessian: Update: invalid layout", func() { Update(x, x, x, x, x, l, &c) })
	}
	lengths := func(theta, m, v, g, hz int) func() {
		return func() { Update(x[:theta], x[:m], x[:v], x[:g], x[:hz], Layout{2, 9, 1}, &c) }
	}
	const text = "adahessian: Update: lengths do not fit the layout"
	for _, by := range []int{-1, 1} {
		wantPanic(t, "theta", text, lengths(18+by, 18, 2, 18, 18))
		wantPanic(t, "m", text, lengths(18, 18+by, 2, 18, 18))
		wantPanic(t, "v", text, lengths(18, 18, 2+by, 18, 18))
		wantPanic(t, "g", text, lengths(18, 18, 2, 18+by, 18))
		wantPanic(t, "hz", text, lengths(18, 18, 2, 18, 18+by))
	}
	wantPanic(t, "v with one value for each element", text, lengths(18, 18, 18, 18, 18))
	wantPanic(t, "zero Coefficients", "adahessian: Update: Coefficients not made by NewCoefficients", func() {
		Update(x[:18], x[:18], x[:2], x[:18], x[:18], Layout{2, 9, 1}, new(Coefficients[float32]))
	})
	for i, f := range x {
		if f != 0 {
			t.Fatalf("a call that panics wrote x[%d]", i)
		}
	}
}

func TestBlockMeanAbsPanics(t *testing.T) {
	x := make([]float64, 100)
	for _, l := range badLayouts {
		wantPanic(t, "bad layout", "adahessian: BlockMeanAbs: invalid layout", func() { BlockMeanAbs(x, x, l) })
	}
	const text = "adahessian: BlockMeanAbs: lengths do not fit the layout"
	for _, c := range []struct{ d, x int }{{1, 18}, {3, 18}, {2, 17}, {2, 19}, {0, 0}, {18, 18}} {
		wantPanic(t, "lengths", text, func() { BlockMeanAbs(x[:c.d], x[50:][:c.x], Layout{2, 9, 1}) })
	}
	wantPanic(t, "nothing wrong", nil, func() { BlockMeanAbs(x[:2], x[50:][:18], Layout{2, 9, 1}) })
}

// TestEmpty gives the exported functions nothing to do, in each way there is. A
// loop over an axis as long as the longest here would not end.
func TestEmpty(t *testing.T) {
	eachISAAndType(t, testEmpty[float32], testEmpty[float64])
}

func testEmpty[T Float](t *testing.T) {
	for _, k := range []float64{1, 0.75} {
		h := DefaultHyper()
		h.HessianPower = k
		c, err := NewCoefficients[T](h, 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range []Layout{{0, 1, 1}, {0, 9, 1}, {0, 9, 9}, {9, 1, 0}, {9, 9, 0}, {0, 1, 0}, {0, 9, math.MaxInt}, {0, math.MaxInt, math.MaxInt},
			{math.MaxInt, 1, 0}, {math.MaxInt, 9, 0}, {math.MaxInt, math.MaxInt, 0}} {
			Update(nil, nil, nil, nil, nil, l, &c)
			BlockMeanAbs(nil, []T{}, l)
		}
	}
	Rademacher([]T(nil), 1, 2, 3)
	Rademacher([]T{}, 1, 2, math.MaxUint64)
}

// TestKernelsDoNotAllocate has slices on the caller's stack: a kernel that the
// compiler cannot see through would move them to the heap.
func TestKernelsDoNotAllocate(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		t.Run("float32", testNoAllocations[float32])
		t.Run("float64", testNoAllocations[float64])
		t.Run("named", testNoAllocations[weight])
	})
}

func testNoAllocations[T Float](t *testing.T) {
	for _, k := range []float64{1, 0.75} {
		for _, l := range []Layout{{90, 1, 1}, {10, 9, 1}, {2, 9, 5}} {
			allocs := testing.AllocsPerRun(20, func() {
				var theta, m, v, g, hz [90]T
				h := DefaultHyper()
				h.HessianPower = k
				c, err := NewCoefficients[T](h, 3, 1)
				if err != nil {
					panic(err)
				}
				Rademacher(hz[:], 1, 2, 3)
				BlockMeanAbs(v[:l.Blocks()], hz[:], l)
				Update(theta[:], m[:], v[:l.Blocks()], g[:], hz[:], l, &c)
			})
			if allocs != 0 {
				t.Errorf("k=%v %+v: %v allocations", k, l, allocs)
			}
		}
	}
}
