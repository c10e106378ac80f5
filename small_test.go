package adahessian

import (
	"fmt"
	"slices"
	"testing"
)

// listLayouts are small tensors in lists of one and of many, of several groups,
// with others and with empty ones among them.
func listLayouts[T Float](groups ...*Hyper) (params []Param[T]) {
	for i := range 120 {
		p := Param[T]{Layout: Elementwise([]int{64, 1, 0, 17, 7, 129}[i%6]), Hyper: groups[i/10%len(groups)]}
		if i%23 == 20 {
			p.Layout = []Layout{{4, 9, 1}, {2, 3, 5}, {0, 3, 1}}[i/23%3]
		}
		params = append(params, p)
	}
	params[70].Offset = 1 << 40 // begins a run
	return params
}

// TestLists compares steps of many small tensors with the model: where hvp
// fills what it gets, where it puts in slices of its own, and where it does so
// for some.
func TestLists(t *testing.T) {
	eachISAAndType(t, testLists[float32], testLists[float64])
}

func testLists[T Float](t *testing.T) {
	for _, c := range []struct {
		samples, each int
		power         float64
	}{{1, 1, 1}, {1, 1, 0.5}, {2, 1, 1}, {1, 2, 1}, {2, 3, 0.75}, {1, 1, 0.75}} {
		t.Run(fmt.Sprintf("%d probes, each %d, power %v", c.samples, c.each, c.power), func(t *testing.T) {
			opts, other := DefaultOptions(), DefaultHyper()
			opts.Samples, opts.UpdateEach, opts.HessianPower = c.samples, c.each, c.power
			other.LR, other.MaxUpdate, other.HessianPower = 0.01, 2, 2
			tr := newTrial(t, opts, listLayouts[T](nil, &other)...)
			lists, most := 0, 0
			for _, b := range tr.opt.plan.tasks {
				if b.tiles == nil {
					lists++
					most = max(most, b.last-b.first+1)
				}
			}
			if lists < 12 || most < 9 {
				t.Fatalf("%d lists, of up to %d tensors", lists, most)
			}
			fill := tr.hvp
			for step := range 4 * c.each {
				hvp := func(hz, z [][]T) error {
					for i := range hz {
						if step/c.each == 1 || step/c.each == 2 && i%3 == 0 {
							hz[i] = slices.Clone(hz[i])
						}
					}
					return fill(hz, z)
				}
				if err := tr.opt.Step(tr.gradients(), hvp); err != nil {
					t.Fatal(err)
				}
				tr.ref.step(tr.refProblem.gradients(), tr.refProblem.hvp)
				tr.compare(t)
			}
		})
	}
}

// TestListFaults spoils one value after the other of small tensors, of a
// gradient or a product: the step must find it and change nothing.
func TestListFaults(t *testing.T) {
	other := DefaultHyper()
	for samples := 1; samples <= 2; samples++ {
		opts := DefaultOptions()
		opts.Samples = samples
		r := newRunner(t, opts, listLayouts[float32](nil, &other)...)
		r.step(t)
		before := takeSnapshot(r.opt)
		for i, x := range r.theta {
			for _, e := range []int{0, len(x) / 2, len(x) - 1} {
				if len(x) == 0 {
					continue
				}
				what := fmt.Sprintf("parameter %d \"\": gradient[%d]", i, e)
				grads := slices.Clone(r.gradients())
				grads[i] = slices.Clone(grads[i])
				grads[i][e] = float32(nan)
				requireError(t, r.opt.Step(grads, r.hvp), ErrNonFinite, what)
				for _, own := range []bool{false, true} {
					spoil := func(hz, z [][]float32) error {
						err := r.hvp(hz, z)
						if own { // and what was there is finite
							hz[i] = slices.Clone(hz[i])
						}
						hz[i][e] = float32(inf)
						return err
					}
					what := fmt.Sprintf("parameter %d \"\": Hessian-vector product[%d]", i, e)
					requireError(t, r.opt.Step(r.gradients(), spoil), ErrNonFinite, what)
				}
			}
		}
		before.require(t, r.opt)
	}
}

// TestKernelUpdateEach compares updateEach with the definition, tensor by
// tensor.
func TestKernelUpdateEach(t *testing.T) {
	eachISAAndType(t, testKernelUpdateEach[float32], testKernelUpdateEach[float64])
}

func testKernelUpdateEach[T Float](t *testing.T) {
	var params []Param[T]
	for _, n := range []int{5, 0, 64, 33, 1} {
		params = append(params, Param[T]{Layout: Elementwise(n)})
	}
	for _, k := range []float64{0, 0.5, 1, 2} {
		h := DefaultHyper()
		h.HessianPower = k
		c, err := NewCoefficients[T](h, 3, 2)
		if err != nil {
			t.Fatal(err)
		}
		got, want := newProblem(valuesOf(withValues(params))), newProblem(valuesOf(withValues(params)))
		m, v := make([]T, 103), make([]T, 103)
		for i := range m {
			m[i], v[i] = T(i-50), T(i)
		}
		wantM, wantV := slices.Clone(m), slices.Clone(v)
		updateEach(got.theta, m, v, got.gradients(), got.b, &c.scalars, c.power)
		grads, at := want.gradients(), 0
		for i, theta := range want.theta {
			n := len(theta)
			updateGeneric(theta, wantM[at:], wantV[at:], grads[i], want.b[i], panel{n, 1, 1, 1}, &c.scalars, c.power, 0)
			requireSame(t, got.theta[i], theta, "power %v, tensor %d: θ", k, i)
			at += n
		}
		requireSame(t, m, wantM, "power %v: m", k)
		requireSame(t, v, wantV, "power %v: v", k)
	}
}

// TestKernelAllFiniteEach spoils one value after the other of slices of all
// lengths around those of vectors.
func TestKernelAllFiniteEach(t *testing.T) {
	eachISAAndType(t, testKernelAllFiniteEach[float32], testKernelAllFiniteEach[float64])
}

func testKernelAllFiniteEach[T Float](t *testing.T) {
	if !allFiniteEach[T](nil) {
		t.Error("no slices: not finite")
	}
	largest := T(formatOf[T]().largest)
	var x [][]T
	for n := range 70 {
		s := make([]T, n)
		for i := range s {
			s[i] = []T{largest, -largest, 0, -1}[i%4]
		}
		x = append(x, s)
	}
	if !allFiniteEach(x) {
		t.Error("finite slices: not finite")
	}
	for _, spoilt := range []T{T(nan), T(inf), T(-inf)} {
		for n, s := range x {
			for i, was := range s {
				s[i] = spoilt
				if allFiniteEach(x) {
					t.Fatalf("slice of %d, element %d = %v: finite", n, i, spoilt)
				}
				s[i] = was
			}
		}
	}
}
