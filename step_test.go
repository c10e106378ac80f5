package adahessian

import (
	"fmt"
	"testing"
)

// smallLayouts has every kind of layout, in sizes about those of vectors and
// of groups of blocks.
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
		{Layout: Layout{1, 2, scratchLen + 100}},
		{Layout: Layout{3, maxCall / 8, 1}}, // the longest that is updated in one pass
		{Layout: Layout{3, maxCall/8 + 1, 1}},
		{Layout: Layout{2, 2, onePassWidth}}, // the most columns of one pass
		{Layout: Layout{2, 2, onePassWidth + 1}},
		{Layout: Layout{1, maxCall / onePassWidth, onePassWidth}},
		{Layout: Layout{1, maxCall/onePassWidth + 1, onePassWidth}},
	}
}

// optionCases are edits of the defaults, each for a term of the mathematics.
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
		for each, power := range map[int]float64{1: 1, 2: 0.75} {
			opts := DefaultOptions()
			opts.HessianPower, opts.UpdateEach = power, each
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

// TestStepBetweenRefreshes proves that hvp is not called, and may be nil,
// where it is not due.
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

// TestGroups gives each kind of parameter hyperparameters of its own, shared
// ones, and the common ones, and changes each between steps.
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

// TestMaxUpdate holds a step to its bound where there is no curvature, and
// shows what happens without one.
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
			far = opts.LR / opts.Eps // the gradient over ε
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
			before.require(t, r.opt)
		}
	}
}

// TestNoParameters steps an optimizer of nothing.
func TestNoParameters(t *testing.T) {
	for _, params := range [][]Param[float32]{nil, {{}, {Value: []float32{}}}} {
		tr := newTrial(t, DefaultOptions(), params...)
		for range 3 {
			tr.step(t)
		}
	}
}
