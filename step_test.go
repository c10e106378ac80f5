package adahessian

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// smallLayouts has every kind of layout, in sizes near those of vectors and of groups
// of blocks.
func smallLayouts[T Float]() []Param[T] {
	var params []Param[T]
	for _, l := range []Layout{
		{100, 1, 1}, {1, 1, 1}, {0, 1, 1}, {7, 1, 1}, {4, 1, 13},
		{50, 2, 1}, {33, 3, 1}, {37, 9, 1}, {0, 9, 1}, {11, 32, 1}, {3, 1000, 1}, {1, 5, 1},
		{3, 9, 5}, {2, 4, 17}, {1, 3, 70}, {5, 2, 2}, {5, 3, 0}, {1, 33, 8},
	} {
		params = append(params, Param[T]{Name: fmt.Sprint(l), Layout: l})
	}
	return params
}

// longLayouts has blocks longer than one call of assembly, and rows longer
// than the buffer between the stages of a step.
func longLayouts[T Float]() []Param[T] {
	return []Param[T]{
		{Layout: Layout{2, maxCall + 600, 1}},
		{Layout: Layout{1, maxCall + 5, 2}},
		{Layout: Layout{1, 2*runLen + 9, 1}}, // several runs
		{Layout: Layout{1, 2*runLen + 9, 3}},
		{Layout: Layout{1, 2, scratchLen + 100}},
		{Layout: Layout{3, maxCall / 8, 1}}, // the longest that is updated in one pass
		{Layout: Layout{3, maxCall/8 + 1, 1}},
		{Layout: Layout{2, 2, onePassWidth}}, // the most columns of one pass
		{Layout: Layout{2, 2, onePassWidth + 1}},
		{Layout: Layout{1, maxCall / onePassWidth, onePassWidth}},
		{Layout: Layout{1, maxCall/onePassWidth + 1, onePassWidth}},
	}
}

// optionCases are edits of the defaults, one for each term of the mathematics.
var optionCases = []struct {
	name string
	edit func(*Options)
}{
	{"defaults", func(o *Options) {}},
	{"power 0", func(o *Options) { o.HessianPower = 0 }},
	{"power 0.5", func(o *Options) { o.HessianPower = 0.5 }},
	{"power 2", func(o *Options) { o.HessianPower = 2 }},
	{"power 0.75", func(o *Options) { o.HessianPower = 0.75 }},
	{"power 1.3, two probes, each 2", func(o *Options) { o.HessianPower, o.Samples, o.UpdateEach = 1.3, 2, 2 }},
	{"power 2, each 2", func(o *Options) { o.HessianPower, o.UpdateEach = 2, 2 }},
	{"weight decay", func(o *Options) { o.WeightDecay = 0.3 }},
	{"bounded", func(o *Options) { o.MaxUpdate = 0.7 }},
	{"no decay of moments", func(o *Options) { o.Beta1, o.Beta2 = 0, 0 }},
	{"other rates", func(o *Options) { o.LR, o.Beta1, o.Beta2, o.Eps = 0.02, 0.8, 0.9, 1e-2 }},
	{"rate 0", func(o *Options) { o.LR, o.WeightDecay, o.MaxUpdate = 0, 0.1, 1 }},
	{"seed", func(o *Options) { o.Seed = 1<<63 + 12345 }},
}

// TestStep compares steps with the model.
func TestStep(t *testing.T) {
	forFloats(t, testStep[float32], testStep[float64], testStep[weight])
}

func testStep[T Float](t *testing.T) {
	eachISA(t, func(t *testing.T) {
		for _, c := range optionCases {
			t.Run(c.name, func(t *testing.T) {
				opts := DefaultOptions()
				c.edit(&opts)
				tr := newTrial(t, opts, smallLayouts[T]()...)
				for range 6 {
					tr.step(t)
				}
			})
		}
	})
}

// TestStepLong compares steps of long blocks and long rows with the model.
func TestStepLong(t *testing.T) {
	t.Run("float32", testStepLong[float32])
	t.Run("float64", testStepLong[float64])
}

func testStepLong[T Float](t *testing.T) {
	eachISA(t, func(t *testing.T) {
		for i, workers := range []int{1, 3, 1, 3} {
			opts := DefaultOptions()
			opts.HessianPower, opts.UpdateEach, opts.Workers = 1, 1, workers
			if i >= 2 {
				opts.HessianPower, opts.UpdateEach = 0.75, 2
			}
			tr := newTrial(t, opts, longLayouts[T]()...)
			for range 2 {
				tr.step(t)
			}
		}
	})
}

// TestStepProbes compares every number of probes and every interval between
// refreshes with the model.
func TestStepProbes(t *testing.T) {
	forFloats(t, testStepProbes[float32], testStepProbes[float64], testStepProbes[weight])
}

func testStepProbes[T Float](t *testing.T) {
	eachISA(t, func(t *testing.T) {
		for samples := 1; samples <= 3; samples++ {
			for each := 1; each <= 5; each++ {
				t.Run(fmt.Sprintf("%d probes, each %d", samples, each), func(t *testing.T) {
					opts := DefaultOptions()
					opts.Samples, opts.UpdateEach, opts.Seed = samples, each, 9
					tr := newTrial(t, opts, smallLayouts[T]()...)
					for range 2*each + 1 {
						tr.step(t)
					}
				})
			}
		}
	})
}

// TestStepBetweenRefreshes proves that hvp is not called, and may be nil, if it is not
// due.
func TestStepBetweenRefreshes(t *testing.T) {
	opts := DefaultOptions()
	opts.UpdateEach, opts.Samples = 3, 2
	with := newRunner(t, opts, smallLayouts[float32]()...)
	without := newRunner(t, opts, smallLayouts[float32]()...)
	for n := range 9 {
		calls := with.calls
		with.step(t)
		due := n%3 == 0
		if got, want := with.calls-calls, map[bool]int{true: 2}[due]; got != want {
			t.Fatalf("step %d called hvp %d times, want %d", n+1, got, want)
		}
		if due {
			without.step(t)
		} else if err := without.opt.Step(without.gradients(), nil); err != nil {
			t.Fatalf("step %d without hvp: %v", n+1, err)
		}
		takeSnapshot(with.opt).require(t, without.opt)
	}
}

// TestGroups has parameters with hyperparameters of their own, with shared ones and
// with the common ones, and changes all of these between steps.
func TestGroups(t *testing.T) {
	forFloats(t, testGroups[float32], testGroups[float64], testGroups[weight])
}

func testGroups[T Float](t *testing.T) {
	decayed := DefaultHyper()
	decayed.WeightDecay, decayed.LR = 0.2, 0.05
	rooted := DefaultHyper()
	rooted.HessianPower, rooted.Beta1 = 0.5, 0.5
	anyPower := DefaultHyper()
	anyPower.HessianPower, anyPower.MaxUpdate = 0.75, 0.4
	hypers := []*Hyper{nil, &decayed, &rooted, nil, &decayed, &anyPower}

	eachISA(t, func(t *testing.T) {
		for each := 1; each <= 2; each++ {
			opts := DefaultOptions()
			opts.UpdateEach = each
			params := smallLayouts[T]()
			for i := range params {
				params[i].Hyper = hypers[i%len(hypers)]
			}
			before := []Hyper{decayed, rooted, anyPower}
			tr := newTrial(t, opts, params...)
			for n := range 8 {
				switch n {
				case 2:
					tr.setLR(t, 0.02)
				case 3:
					decayed.LR, decayed.WeightDecay = 0.2, 0
				case 5:
					rooted.HessianPower, rooted.Beta2 = 2, 0.9
				case 6:
					tr.setLR(t, 0)
					anyPower.MaxUpdate = 0
				}
				tr.step(t)
			}
			decayed, rooted, anyPower = before[0], before[1], before[2]
		}
	})
}

// setLR sets the common learning rate of both.
func (tr trial[T]) setLR(t *testing.T, lr float64) {
	t.Helper()
	if err := tr.opt.SetLR(lr); err != nil {
		t.Fatal(err)
	}
	tr.ref.opts.LR = lr
}

// TestMaxUpdate proves that a step without curvature keeps to the bound, and shows what
// happens without one.
func TestMaxUpdate(t *testing.T) {
	for _, max := range []float64{0, 0.5} {
		value := []float64{1, 1, 1}
		opts := DefaultOptions()
		opts.MaxUpdate = max
		opt, err := New(opts, Param[float64]{Value: value})
		if err != nil {
			t.Fatal(err)
		}
		flat := func(hz, z [][]float64) error { clear(hz[0]); return nil }
		if err := opt.Step([][]float64{{1, -1, 0}}, flat); err != nil {
			t.Fatal(err)
		}
		far := opts.LR * max
		if max == 0 {
			far = opts.LR / opts.Eps // a gradient of 1 divided by ε
		}
		for e, want := range []float64{1 - far, 1 + far, 1} {
			if e := value[e] - want; e > 1e-9 || e < -1e-9 {
				t.Errorf("MaxUpdate %v: θ is off by %v", max, e)
			}
		}
	}
}

// TestStateIsLive proves that State gives the optimizer's own memory, of the
// right lengths, before and after steps.
func TestStateIsLive(t *testing.T) {
	tr := newTrial(t, DefaultOptions(), smallLayouts[float64]()...)
	m0, v0 := tr.opt.State(7)
	if len(m0) != 37*9 || len(v0) != 37 {
		t.Fatalf("State has %d and %d values, want %d and %d", len(m0), len(v0), 37*9, 37)
	}
	tr.step(t)
	if m, v := tr.opt.State(7); &m[0] != &m0[0] || &v[0] != &v0[0] {
		t.Fatal("State moved")
	}
	m0[5], v0[2] = 3, 4
	ref := &tr.ref.tensors[7]
	ref.m[5] = 3
	for b := range 9 {
		ref.v[2*9+b] = 4
	}
	tr.step(t)
	for _, i := range []int{-1, len(tr.ref.tensors)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("State(%d) did not panic", i)
				}
			}()
			tr.opt.State(i)
		}()
	}
}

// TestUpdateIsStep proves that the exported kernels make the step that the
// optimizer makes.
func TestUpdateIsStep(t *testing.T) {
	forFloats(t, testUpdateIsStep[float32], testUpdateIsStep[float64], testUpdateIsStep[weight])
}

func testUpdateIsStep[T Float](t *testing.T) {
	for _, power := range []float64{1, 0.75} {
		opts := DefaultOptions()
		opts.HessianPower = power
		r := newRunner(t, opts, append(smallLayouts[T](), longLayouts[T]()...)...)
		for n := range uint64(3) {
			before := takeSnapshot(r.opt)
			var hz [][]T
			grads := r.gradients()
			err := r.opt.Step(grads, func(out, z [][]T) error {
				hz = out
				return r.hvp(out, z)
			})
			if err != nil {
				t.Fatal(err)
			}
			c, err := NewCoefficients[T](opts.Hyper, n+1, 1)
			if err != nil {
				t.Fatal(err)
			}
			for i := range before.theta {
				Update(before.theta[i], before.m[i], before.v[i], grads[i], hz[i], r.opt.tensors[i].layout, &c)
			}
			before.steps, before.refreshes = n+1, n+1
			for i := range before.own {
				before.own[i] = n + 1
			}
			before.require(t, r.opt)
		}
	}
}

// TestNoParameters makes steps of an optimizer without parameters.
func TestNoParameters(t *testing.T) {
	for _, params := range [][]Param[float32]{nil, {{}, {Value: []float32{}}}} {
		tr := newTrial(t, DefaultOptions(), params...)
		for range 3 {
			tr.step(t)
		}
	}
}

// listLayouts are small tensors in lists of one and of many, in several groups, with
// other tensors and empty ones among them.
func listLayouts[T Float](groups ...*Hyper) (params []Param[T]) {
	for i := range 120 {
		p := Param[T]{Layout: Elementwise([]int{64, 1, 0, 17, 7, 129}[i%6]), Hyper: groups[i/10%len(groups)]}
		if i%23 == 20 {
			p.Layout = []Layout{{4, 9, 1}, {2, 3, 5}, {0, 3, 1}}[i/23%3]
		}
		params = append(params, p)
	}
	params[70].Offset = 1 << 40 // begins a new run of indices
	return params
}

// TestLists compares steps of many small tensors with the model. hvp fills the slices
// that it gets, replaces them with its own, or replaces some of them.
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

// TestListFaults spoils one value after another in the gradients and products of small
// tensors. The step must find it and change nothing.
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
						if own { // and the slice that it replaces is finite
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

// TestKernelUpdateMulti compares updateMulti with the definition, tensor by
// tensor.
func TestKernelUpdateMulti(t *testing.T) {
	eachISAAndType(t, testKernelUpdateMulti[float32], testKernelUpdateMulti[float64])
}

func testKernelUpdateMulti[T Float](t *testing.T) {
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
		updateMulti(got.theta, m, v, got.gradients(), got.b, &c.scalars, c.power)
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

// TestKernelAllFiniteMulti spoils one value after another in slices of all lengths near
// those of vectors.
func TestKernelAllFiniteMulti(t *testing.T) {
	eachISAAndType(t, testKernelAllFiniteMulti[float32], testKernelAllFiniteMulti[float64])
}

func testKernelAllFiniteMulti[T Float](t *testing.T) {
	if !allFiniteMulti[T](nil) {
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
	if !allFiniteMulti(x) {
		t.Error("finite slices: not finite")
	}
	for _, spoilt := range []T{T(nan), T(inf), T(-inf)} {
		for n, s := range x {
			for i, was := range s {
				s[i] = spoilt
				if allFiniteMulti(x) {
					t.Fatalf("slice of %d, element %d = %v: finite", n, i, spoilt)
				}
				s[i] = was
			}
		}
	}
}

// TestPanelFinite spoils one value after the other of panels of some rows, of one array and
// of two, and those in between, which are not looked at.
func TestPanelFinite(t *testing.T) {
	for rows := 1; rows <= 5; rows++ {
		p := panel{1, rows, 40, 33}
		x, y := make([]float32, rows*p.stride), make([]float32, rows*p.stride)
		for _, spoilt := range [][]float32{x, y} {
			for i := range spoilt {
				spoilt[i] = float32(nan)
				inside := i%p.stride < p.width
				if got := panelFinite(x, p); got != (!inside || &spoilt[0] == &y[0]) {
					t.Fatalf("%d rows, element %d: panelFinite = %v", rows, i, got)
				}
				if got := panelsFinite(x, y, p, i%2); got == inside {
					t.Fatalf("%d rows, element %d: panelsFinite = %v", rows, i, got)
				}
				spoilt[i] = 0
			}
		}
	}
	n := 2*maxCall + 100 // several calls
	p := panel{n, 1, 1, 1}
	x, y := make([]float32, n), make([]float32, n)
	for _, i := range []int{0, 1000, maxCall - 1, maxCall, 2*maxCall - 1, 2 * maxCall, n - 1} {
		for _, spoilt := range [][]float32{x, y} {
			spoilt[i] = float32(inf)
			if panelsFinite(x, y, p, 0) || panelsFinite(x, y, p, n) {
				t.Fatalf("element %d of %d: panelsFinite", i, n)
			}
			spoilt[i] = 0
		}
	}
	if !panelsFinite(x, y, p, n) {
		t.Error("finite: not panelsFinite")
	}
}

// TestProbes proves that hvp gets the signs of its draw. Refresh r and probe p use draw
// r·Samples + p, at indices that run on from parameter to parameter or start at an
// Offset.
func TestProbes(t *testing.T) {
	forFloats(t, testProbes[float32], testProbes[float64], testProbes[weight])
}

func testProbes[T Float](t *testing.T) {
	const far = 1<<39 - 70 // the block number's low word overflows within
	params := withValues([]Param[T]{
		{Layout: Elementwise(5)}, {Layout: Elementwise(0)}, {Layout: Layout{30, 10, 1}},
		{Layout: Elementwise(200), Offset: far}, {Layout: Layout{3, 2, 2}}, {Layout: Elementwise(9), Offset: 403},
		{Layout: Elementwise(taskLen + 7)}, {Layout: Elementwise(135), Offset: 1<<64 - 135},
	})
	offsets := []uint64{0, 5, 5, far, far + 200, 403, 412, 1<<64 - 135}
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
				clear(hz[i])
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

// TestShards cuts tensors between blocks and gives the parts to several optimizers, in
// any order. Each part must get the same values as in the whole.
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

			// Three parts: the last and the first in one optimizer, and the middle in
			// another with a different number of workers.
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
			for _, s := range shares { // the same problem, in parts
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

// TestNamedTypeIsFloat32 proves that a caller's own type trains like its underlying
// type.
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

// TestStepAllocates proves that no Step after the first allocates.
func TestStepAllocates(t *testing.T) {
	t.Run("float32", testStepAllocates[float32])
	if !brief() {
		t.Run("float64", testStepAllocates[float64])
	}
}

func testStepAllocates[T Float](t *testing.T) {
	hyper := DefaultHyper()
	hyper.HessianPower = 0.75
	params := smallLayouts[T]()
	for i := range params {
		if i%2 == 0 {
			params[i].Hyper = &hyper
		}
	}
	params = append(params, longLayouts[T]()...)
	eachISA(t, func(t *testing.T) {
		for _, workers := range []int{1, 4} {
			for _, samples := range []int{1, 3} {
				for _, each := range []int{1, 3} {
					name := fmt.Sprintf("%d workers, %d probes, each %d", workers, samples, each)
					t.Run(name, func(t *testing.T) {
						opts := DefaultOptions()
						opts.Workers, opts.Samples, opts.UpdateEach = workers, samples, each
						r := newRunner(t, opts, params...)
						if got := len(r.opt.call.scratch); got != workers {
							t.Fatalf("want %d workers, got %d", workers, got)
						}
						grads := r.gradients()
						var hvp HVP[T] = r.hvp
						var failed error
						allocs := allocsPerRun(2, func() { // which runs it once more before it counts
							for range each {
								if err := r.opt.Step(grads, hvp); err != nil {
									failed = err
								}
							}
						})
						if failed != nil {
							t.Fatal(failed)
						}
						if allocs != 0 {
							t.Errorf("%v allocations", allocs)
						}
					})
				}
			}
		}
	})
}

// line is the model y = w·x + b, with the loss ½ mean (w·x + b − y)².
type line struct {
	x, y  []float64
	theta []float64 // w, b
	grad  []float64 // of the mean loss of all the data
}

// add adds to g and hz the gradients of the examples from lo to hi, and their products
// with z.
func (l *line) add(g, hz, z []float64, lo, hi int) {
	for i := lo; i < hi; i++ {
		residual := l.theta[0]*l.x[i] + l.theta[1] - l.y[i]
		along := z[0]*l.x[i] + z[1]
		g[0], g[1] = g[0]+residual*l.x[i], g[1]+residual
		hz[0], hz[1] = hz[0]+along*l.x[i], hz[1]+along
	}
}

// accumulate returns an HVP that goes through micro-batches as Example_accumulation
// does, with the same z for all of them.
func (l *line) accumulate(micro int) HVP[float64] {
	return func(hz, z [][]float64) error {
		clear(l.grad) // the gradient is accumulated along with the product
		clear(hz[0])
		n := len(l.x)
		for lo := 0; lo < n; lo += micro {
			l.add(l.grad, hz[0], z[0], lo, min(lo+micro, n))
		}
		for i := range l.grad {
			l.grad[i] /= float64(n)
			hz[0][i] /= float64(n)
		}
		return nil
	}
}

// newLine makes a line with n noisy examples.
func newLine(n int) *line {
	l := &line{theta: []float64{0.3, -0.2}, grad: make([]float64, 2)}
	r := rand.New(rand.NewPCG(5, 6))
	for range n {
		x := r.NormFloat64()
		l.x, l.y = append(l.x, x), append(l.y, 2*x+1+r.NormFloat64()/10)
	}
	return l
}

// train makes steps with the given product and returns the parameters.
func (l *line) train(t *testing.T, hvp HVP[float64], steps int) []float64 {
	opts := DefaultOptions()
	opts.Samples = 2
	o, err := New(opts, Param[float64]{Value: l.theta})
	if err != nil {
		t.Fatal(err)
	}
	for range steps {
		if err := o.Step([][]float64{l.grad}, hvp); err != nil {
			t.Fatal(err)
		}
	}
	return l.theta
}

// means is accumulate for frameworks that return means: it adds the means of the
// micro-batches, each weighted by its share of the examples.
func (l *line) means(micro int) HVP[float64] {
	return func(hz, z [][]float64) error {
		clear(l.grad)
		clear(hz[0])
		n := len(l.x)
		for lo := 0; lo < n; lo += micro {
			hi := min(lo+micro, n)
			g, h := make([]float64, 2), make([]float64, 2)
			l.add(g, h, z[0], lo, hi)
			size, share := float64(hi-lo), float64(hi-lo)/float64(n)
			for i := range g {
				l.grad[i] += share * (g[i] / size)
				hz[0][i] += share * (h[i] / size)
			}
		}
		return nil
	}
}

// TestAccumulation compares micro-batches with the whole batch. Sums that continue from
// one micro-batch to the next make the same additions, and so give the same bits.
// Weighted means round differently, by a few units in the last place of a step.
func TestAccumulation(t *testing.T) {
	const n, steps = 103, 300
	whole := newLine(n)
	want := slices.Clone(whole.train(t, whole.accumulate(n), steps))
	for _, micro := range []int{1, 7, 16, 64, 102} {
		l := newLine(n)
		if got := l.train(t, l.accumulate(micro), steps); !slices.Equal(got, want) {
			t.Errorf("micro-batches of %d, sums: θ = %v, want the bits of the whole batch, %v", micro, got, want)
		}
		l = newLine(n)
		got := l.train(t, l.means(micro), steps)
		for i := range got {
			if d := math.Abs(got[i] - want[i]); !(d <= 1e-12) {
				t.Errorf("micro-batches of %d, means: θ[%d] is off by %g, want at most 1e-12", micro, i, d)
			}
		}
	}
}

// TestSpike has a first product that is far larger than the others, and counts the
// steps until a parameter moves at half the speed that it would have without this
// spike.
func TestSpike(t *testing.T) {
	for _, c := range []struct {
		name         string
		spike, beta2 float64
		bound        float64 // of hz, in the closure
		want         int
	}{
		{"none", 1, 0.999, inf, 1},
		{"the published algorithm", 1e3, 0.999, inf, 5811},
		{"larger", 1e6, 0.999, inf, 19616},
		{"a bound in the closure", 1e6, 0.999, 2, 1},
		{"a smaller Beta2", 1e3, 0.9, inf, 100},
	} {
		opts := DefaultOptions()
		opts.Beta2 = c.beta2
		theta := []float64{0}
		o, err := New(opts, Param[float64]{Value: theta})
		if err != nil {
			t.Fatal(err)
		}
		got, far := 0, opts.LR/(1+opts.Eps) // a step without a spike
		for moved := 0.0; moved < far/2; got++ {
			before := theta[0]
			err := o.Step([][]float64{{1}}, func(hz, z [][]float64) error {
				curvature := 1.0
				if got == 0 {
					curvature = c.spike
				}
				hz[0][0] = max(-c.bound, min(c.bound, curvature*z[0][0]))
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			moved = before - theta[0]
		}
		if got != c.want {
			t.Errorf("%s: half the speed at step %d, want %d", c.name, got, c.want)
		}
	}
}

// TestDiagonal uses the caller's own diagonal D instead of a product. z⊙D is right for
// any number of probes. D itself is right for one probe, but vanishes for two whose
// signs differ.
func TestDiagonal(t *testing.T) {
	diagonal := []float64{1, 2, 4, 8, 16, 32, 64, 128}
	kept := func(samples int, linear bool) []float64 {
		opts := DefaultOptions()
		opts.Samples, opts.UpdateEach = samples, 2 // D is kept
		o, err := New(opts, Param[float64]{Value: make([]float64, len(diagonal))})
		if err != nil {
			t.Fatal(err)
		}
		err = o.Step([][]float64{diagonal}, func(hz, z [][]float64) error {
			for e, d := range diagonal {
				if hz[0][e] = d; linear {
					hz[0][e] = d * z[0][e]
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return o.tensors[0].d
	}
	for samples := 1; samples <= 3; samples++ {
		requireSame(t, kept(samples, true), diagonal, "%d probes of z⊙D: D", samples)
	}
	requireSame(t, kept(1, false), diagonal, "one probe of D: D")
	if d := kept(2, false); !slices.Contains(d, 0) {
		t.Errorf("two probes of D give %v, want some zeros", d)
	}
}
