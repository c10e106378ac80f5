package adahessian

import (
	"slices"
	"testing"
)

// TestProbes proves that hvp gets the signs of its draw: of refresh r and probe
// p, draw r·Samples + p, at indices that run on from parameter to parameter
// or start at an Offset.
func TestProbes(t *testing.T) {
	forFloats(t, testProbes[float32], testProbes[float64], testProbes[weight])
}

func testProbes[T Float](t *testing.T) {
	const far = 1<<39 - 70 // the block number's low word overflows within
	params := withValues([]Param[T]{
		{Layout: Elementwise(5)}, {Layout: Elementwise(0)}, {Layout: Layout{30, 10, 1}},
		{Layout: Elementwise(200), Offset: far}, {Layout: Layout{3, 2, 2}}, {Layout: Elementwise(9), Offset: 3},
		{Layout: Elementwise(taskLen + 7)}, {Layout: Elementwise(3), Offset: 1<<64 - 4},
	})
	offsets := []uint64{0, 5, 5, far, far + 200, 3, 12, 1<<64 - 4}
	opts := DefaultOptions()
	opts.Samples, opts.UpdateEach, opts.Seed = 3, 2, 1<<40+77
	eachISA(t, func(t *testing.T) {
		opt, err := New(opts, params...)
		if err != nil {
			t.Fatal(err)
		}
		draw := uint64(0)
		hvp := func(hz, z [][]T) error {
			for i := range params {
				want := make([]T, len(params[i].Value))
				Rademacher(want, opts.Seed, draw, offsets[i])
				for e := range want {
					if s := T(sign(opts.Seed, draw, offsets[i]+uint64(e))); want[e] != s {
						t.Fatalf("Rademacher: draw %d, index %d is %v, want %v", draw, offsets[i]+uint64(e), want[e], s)
					}
				}
				requireSame(t, z[i], want, "draw %d, parameter %d: z", draw, i)
			}
			draw++
			return nil
		}
		for range 4 {
			if err := opt.Step(valuesOf(params), hvp); err != nil {
				t.Fatal(err)
			}
		}
		if draw != 6 {
			t.Errorf("%d draws in 4 steps, want 6", draw)
		}
	})
}

// TestShards cuts tensors at the bounds of their blocks and gives the parts to
// several optimizers, in any order. Each part must become what it is in the
// whole.
func TestShards(t *testing.T) {
	forFloats(t, testShards[float32], testShards[float64], testShards[weight])
}

func testShards[T Float](t *testing.T) {
	const base = 1000
	for _, l := range []Layout{{1003, 1, 1}, {101, 9, 1}, {50, 3, 7}, {20, 1000, 1}, {5000, 9, 2}} {
		for _, samples := range []int{1, 2} {
			opts := DefaultOptions()
			opts.Samples, opts.UpdateEach, opts.Workers = samples, 2, 1
			whole := newRunner(t, opts, Param[T]{Layout: l, Offset: base})

			// Three parts: the last and the first in one optimizer, the middle in
			// another that has other workers.
			slice := l.Block * l.Inner
			cuts := []int{0, l.Outer / 3, l.Outer/3 + 1, l.Outer}
			parts := make([]Param[T], 3)
			for k := range parts {
				parts[k] = Param[T]{
					Layout: Layout{cuts[k+1] - cuts[k], l.Block, l.Inner},
					Value:  whole.theta[0][cuts[k]*slice : cuts[k+1]*slice],
					Offset: base + uint64(cuts[k]*slice),
				}
			}
			outer := newRunner(t, opts, parts[2], parts[0])
			opts.Workers = 4
			middle := newRunner(t, opts, parts[1])
			shares := []struct {
				runner[T]
				tensor, part int
			}{{outer, 0, 2}, {outer, 1, 0}, {middle, 0, 1}}
			for _, s := range shares { // the same problem in parts
				lo, hi := cuts[s.part]*slice, cuts[s.part+1]*slice
				for _, x := range []struct{ part, whole [][]T }{{s.a, whole.a}, {s.b, whole.b}, {s.c, whole.c}} {
					x.part[s.tensor] = x.whole[0][lo:hi]
				}
			}
			for range 4 {
				whole.step(t)
				outer.step(t)
				middle.step(t)
				m, v := whole.opt.State(0)
				for _, s := range shares {
					lo, hi := cuts[s.part], cuts[s.part+1]
					partM, partV := s.opt.State(s.tensor)
					requireSame(t, s.theta[s.tensor], whole.theta[0][lo*slice:hi*slice], "%+v, part %d: θ", l, s.part)
					requireSame(t, partM, m[lo*slice:hi*slice], "%+v, part %d: m", l, s.part)
					requireSame(t, partV, v[lo*l.Inner:hi*l.Inner], "%+v, part %d: v", l, s.part)
				}
			}
		}
	}
}

// TestNamedTypeIsFloat32 proves that a type of a caller's own trains as the one
// below it.
func TestNamedTypeIsFloat32(t *testing.T) {
	plain := newRunner(t, DefaultOptions(), smallLayouts[float32]()...)
	named := newRunner(t, DefaultOptions(), smallLayouts[weight]()...)
	for range 3 {
		plain.step(t)
		named.step(t)
		for i := range plain.theta {
			if !slices.EqualFunc(plain.theta[i], named.theta[i], func(a float32, b weight) bool { return a == float32(b) }) {
				t.Fatalf("parameter %d differs", i)
			}
		}
	}
}
