package adahessian

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// kernelModel is an optimizer that uses only the exported kernels, as a framework that
// holds its own state would write it. Each parameter has its own coefficients, and
// takes no part in a step if it has no gradient or, between refreshes, no curvature.
type kernelModel[T Float] struct {
	opts             Options
	params           []kernelParam[T]
	steps, refreshes uint64
	age              int // of the curvature; 0: none
}

type kernelParam[T Float] struct {
	Param[T]
	theta, m, v, d []T
	steps          uint64
	curved         bool
}

func (k *kernelModel[T]) add(params ...Param[T]) {
	for _, p := range params {
		if n := len(k.params); p.Offset == 0 && n > 0 {
			p.Offset = k.params[n-1].Offset + uint64(len(k.params[n-1].theta))
		}
		if p.Layout == (Layout{}) {
			p.Layout = Elementwise(len(p.Value))
		}
		n, blocks := p.Layout.Len(), p.Layout.Blocks()
		k.params = append(k.params, kernelParam[T]{Param: p, theta: slices.Clone(p.Value),
			m: make([]T, n), v: make([]T, blocks), d: make([]T, blocks)})
	}
}

// setUpdateEach is Optimizer.SetUpdateEach.
func (k *kernelModel[T]) setUpdateEach(n int) {
	if k.age >= k.opts.UpdateEach {
		k.age = 0
	}
	if k.opts.UpdateEach == 1 || n == 1 {
		for i := range k.params {
			k.params[i].curved = false
		}
	}
	k.opts.UpdateEach = n
}

// due reports whether the next step refreshes the curvature.
func (k *kernelModel[T]) due() bool { return k.age == 0 || k.age >= k.opts.UpdateEach }

func (k *kernelModel[T]) step(t *testing.T, grads [][]T, hvp HVP[T]) {
	due := k.due()
	var h [][]T
	if due {
		h = k.products(hvp)
		k.refreshes++
		k.age = 0
	}
	k.age++
	k.steps++
	for i := range k.params {
		p := &k.params[i]
		if grads[i] == nil || !due && !p.curved {
			continue
		}
		p.steps++
		hyper := p.Hyper
		if hyper == nil {
			hyper = &k.opts.Hyper
		}
		c, err := NewCoefficients[T](*hyper, p.steps, k.opts.Samples)
		if err != nil {
			t.Fatal(err)
		}
		if !due {
			UpdateCurvature(p.theta, p.m, p.v, grads[i], p.d, p.Layout, &c)
			continue
		}
		Update(p.theta, p.m, p.v, grads[i], h[i], p.Layout, &c)
		if k.opts.UpdateEach > 1 {
			p.curved = true
			meanPanel(p.d, h[i], p.Layout.panel(), T(p.Layout.Block*k.opts.Samples), 0) // for one sample, BlockMeanAbs
		}
	}
}

// products returns hz, or the sum of z⊙Hz over several samples.
func (k *kernelModel[T]) products(hvp HVP[T]) (h [][]T) {
	for _, p := range k.params {
		h = append(h, make([]T, len(p.theta)))
	}
	for s := range k.opts.Samples {
		var z, hz [][]T
		for _, p := range k.params {
			z, hz = append(z, make([]T, len(p.theta))), append(hz, make([]T, len(p.theta)))
			Rademacher(z[len(z)-1], k.opts.Seed, k.refreshes*uint64(k.opts.Samples)+uint64(s), p.Offset)
		}
		if err := hvp(hz, z); err != nil {
			panic(err)
		}
		for i := range h {
			if k.opts.Samples == 1 {
				copy(h[i], hz[i])
			} else {
				addProbeGeneric(h[i], z[i], hz[i])
			}
		}
	}
	return h
}

// dynamicRun drives an optimizer and its model through the same events.
type dynamicRun[T Float] struct {
	*testing.T
	rand   *rand.Rand
	opt    *Optimizer[T]
	model  kernelModel[T]
	values [][]T // the optimizer's
	hypers []*Hyper
	waited int // parameters with a gradient that had to wait for a refresh
}

// params makes parameters of several layouts, some of them small and next to each
// other.
func (r *dynamicRun[T]) params() (params []Param[T]) {
	layouts := []Layout{{5, 1, 1}, {64, 1, 1}, {1, 1, 1}, {7, 9, 1}, {3, 4, 5}, {1300, 1, 1}, {2, 3, 1100}, {0, 1, 1}, {40, 3, 1}}
	for range 1 + r.rand.IntN(5) {
		l := layouts[r.rand.IntN(len(layouts))]
		p := Param[T]{Layout: l, Value: make([]T, l.Len()), Hyper: r.hypers[r.rand.IntN(len(r.hypers))]}
		for j := range p.Value {
			p.Value[j] = T(r.rand.NormFloat64())
		}
		params = append(params, p)
	}
	return params
}

// gradients of ¼ Σ (θ⁴ + θ²), some of them nil.
func (r *dynamicRun[T]) gradients() (grads [][]T) {
	skip := []float64{0, 0, 0.3, 0.9}[r.rand.IntN(4)]
	found := false
	for _, p := range r.model.params {
		var g []T
		if r.rand.Float64() >= skip {
			g = make([]T, len(p.theta))
			for j, x := range p.theta {
				g[j] = x*x*x + x/2
			}
			found = found || len(g) > 0
		}
		grads = append(grads, g)
	}
	if !found {
		return r.gradientsOfAll()
	}
	return grads
}

func (r *dynamicRun[T]) gradientsOfAll() (grads [][]T) {
	for _, p := range r.model.params {
		grads = append(grads, append([]T{}, p.theta...))
	}
	return grads
}

// hvp is the product for the parameters whose gradients are not nil, and NaN elsewhere.
func (r *dynamicRun[T]) hvp(grads [][]T, theta func(i int) []T) HVP[T] {
	return func(hz, z [][]T) error {
		for i := range hz {
			for j := range hz[i] {
				x := theta(i)[j]
				if hz[i][j] = (3*x*x + T(0.5)) * z[i][j]; grads[i] == nil {
					hz[i][j] = T(nan)
				}
			}
		}
		return nil
	}
}

func (r *dynamicRun[T]) step() {
	grads := r.gradients()
	if r.opt.NeedsHessian() != r.model.due() {
		r.Fatalf("NeedsHessian = %v before step %d", !r.model.due(), r.model.steps+1)
	}
	for i, p := range r.model.params {
		if grads[i] != nil && !r.model.due() && !p.curved && len(p.theta) > 0 {
			r.waited++
		}
	}
	model := &r.model
	if err := r.opt.Step(grads, r.hvp(grads, func(i int) []T { return r.values[i] })); err != nil {
		r.Fatal(err)
	}
	model.step(r.T, grads, r.hvp(grads, func(i int) []T { return model.params[i].theta }))
	for i, p := range model.params {
		m, v := r.opt.State(i)
		requireSame(r.T, r.values[i], p.theta, "step %d: parameter %d %+v: θ", model.steps, i, p.Layout)
		requireSame(r.T, m, p.m, "step %d: parameter %d %+v: m", model.steps, i, p.Layout)
		requireSame(r.T, v, p.v, "step %d: parameter %d %+v: v", model.steps, i, p.Layout)
	}
}

// rebind moves some parameters. Two of the same length change places.
func (r *dynamicRun[T]) rebind() {
	next := make([][]T, len(r.values))
	var olds [][]T
	for i, x := range r.values {
		if r.rand.IntN(2) == 0 {
			next[i] = slices.Clone(x)
			olds = append(olds, x)
		}
	}
	for i := range r.values {
		for j := range i {
			if len(r.values[i]) == len(r.values[j]) && len(r.values[i]) > 0 && next[i] == nil && next[j] == nil {
				next[i], next[j] = r.values[j], r.values[i]
				for e := range next[i] {
					next[i][e], next[j][e] = next[j][e], next[i][e]
				}
				break
			}
		}
	}
	if err := r.opt.Rebind(next); err != nil {
		r.Fatal(err)
	}
	for i, x := range next {
		if x != nil {
			r.values[i] = x
		}
	}
	for _, old := range olds { // must never be touched again
		for j := range old {
			old[j] = T(nan)
		}
	}
}

func (r *dynamicRun[T]) add() {
	params := r.params()
	r.model.add(params...)
	for _, p := range params {
		r.values = append(r.values, p.Value)
	}
	if err := r.opt.Add(params...); err != nil {
		r.Fatal(err)
	}
}

// TestDynamic runs through random events: parameters move, are added late or have no
// gradient, and UpdateEach changes. It compares with a model that uses only the
// exported kernels.
func TestDynamic(t *testing.T) {
	forFloats(t, testDynamic[float32], testDynamic[float64], testDynamic[weight])
}

func testDynamic[T Float](t *testing.T) {
	waited := 0
	for seed := range uint64(24) {
		opts := DefaultOptions()
		opts.Seed, opts.Workers = seed, 1+int(seed%3)
		opts.Samples, opts.UpdateEach = 1+int(seed/3%2), 1+int(seed/6%2)*2
		opts.LR, opts.SkipFiniteCheck = 0.01, seed%5 == 4
		opts.HessianPower = []float64{1, 1, 0.75}[seed%3]
		other, third := DefaultHyper(), DefaultHyper()
		other.LR, other.MaxUpdate = 0.02, 1
		third.LR, third.HessianPower = 0.003, 0.5
		r := &dynamicRun[T]{T: t, rand: rand.New(rand.NewPCG(seed, 1)), model: kernelModel[T]{opts: opts},
			hypers: []*Hyper{nil, nil, nil, &other, &third}}
		var err error
		if r.opt, err = New[T](opts); err != nil {
			t.Fatal(err)
		}
		r.add()
		r.add()
		for range 60 {
			switch r.rand.IntN(12) {
			case 0:
				if len(r.model.params) < 40 {
					r.add()
				}
			case 1, 2:
				r.rebind()
			case 3:
				n := 1 + r.rand.IntN(4)
				if err := r.opt.SetUpdateEach(n); err != nil {
					t.Fatal(err)
				}
				r.model.setUpdateEach(n)
			default:
				r.step()
			}
		}
		waited += r.waited
	}
	if waited < 20 {
		t.Errorf("%d parameters waited for a refresh", waited)
	}
}

// TestAddMovesByItsOwnSteps adds a body to a head that has trained for long. The first
// step of each moves it by the learning rate, and the head keeps the bits that it has
// alone.
func TestAddMovesByItsOwnSteps(t *testing.T) {
	const steps = 500
	train := func(join bool) (head, body []float64) {
		opts := DefaultOptions()
		opts.Eps = 1e-12
		head, body = []float64{0, 0, 0}, []float64{0, 0}
		opt, err := New(opts, Param[float64]{Name: "head", Value: head})
		if err != nil {
			t.Fatal(err)
		}
		hvp := func(hz, z [][]float64) error {
			for i := range hz {
				for j := range hz[i] {
					hz[i][j] = 4 * z[i][j]
				}
			}
			return nil
		}
		g := [][]float64{{4, 4, 4}, {4, 4}}
		for range steps {
			if err := opt.Step(g[:1], hvp); err != nil {
				t.Fatal(err)
			}
		}
		n := 1
		if join {
			if err := opt.Add(Param[float64]{Name: "body", Value: body}); err != nil {
				t.Fatal(err)
			}
			n = 2
		}
		if err := opt.Step(g[:n], hvp); err != nil {
			t.Fatal(err)
		}
		return head, body
	}
	head, body := train(true)
	alone, _ := train(false)
	requireSame(t, head, alone, "the head")
	for _, x := range body {
		if d := x + 0.15; d > 1e-9 || d < -1e-9 { // g/|D| = 1
			t.Errorf("the body moved by %v at its first step, want −0.15", x)
		}
	}
}

// TestNilGradients checks the errors that nil gradients give.
func TestNilGradients(t *testing.T) {
	opts := DefaultOptions()
	opts.Samples = 2
	opt, err := New(opts, Param[float64]{Name: "a", Value: []float64{1}}, Param[float64]{Name: "b", Value: []float64{1, 2}})
	if err != nil {
		t.Fatal(err)
	}
	fill := func(hz, z [][]float64) error {
		for i := range hz {
			copy(hz[i], z[i])
		}
		return nil
	}
	before := takeSnapshot(opt)
	requireError(t, opt.Step([][]float64{nil, nil}, fill), ErrShape, "every gradient is nil")
	before.require(t, opt)
	shard, err := New(opts, Param[float64]{Value: []float64{1}}, Param[float64]{})
	if err != nil {
		t.Fatal(err)
	}
	if err := shard.Step([][]float64{nil, {}}, fill); err != nil || shard.Steps() != 1 || shard.refreshes != 1 || shard.stepsOf(0) != 0 {
		t.Errorf("%v; %d steps, %d refreshes, %d steps of its own", err, shard.Steps(), shard.refreshes, shard.stepsOf(0))
	}
	grads, calls := [][]float64{{1}, nil}, 0
	err = opt.Step(grads, func(hz, z [][]float64) error {
		if calls++; calls == 2 {
			grads[1] = []float64{1, 1}
		}
		return fill(hz, z)
	})
	requireError(t, err, ErrShape, "between the probes of step 1: the same gradients must be nil for all of them")
	before.require(t, opt)
	// A closure may compute the gradients in the same pass as the product.
	grads = make([][]float64, 2)
	err = opt.Step(grads, func(hz, z [][]float64) error {
		grads[0], grads[1] = []float64{1}, []float64{1, 1}
		return fill(hz, z)
	})
	if err != nil {
		t.Error(err)
	}
}

// TestRebindErrors proves that a bad Rebind changes nothing.
func TestRebindErrors(t *testing.T) {
	a, b := make([]float32, 3000), make([]float32, 5)
	opt, err := New(DefaultOptions(), Param[float32]{Name: "a", Value: a}, Param[float32]{Name: "b", Value: b}, Param[float32]{Name: "none"})
	if err != nil {
		t.Fatal(err)
	}
	m, _ := opt.State(0)
	both := make([]float32, 3005)
	for _, c := range []struct {
		values [][]float32
		words  []string
	}{
		{[][]float32{nil, nil}, []string{"values has 2 slices, want 3, one for each parameter (nil leaves it where it is)"}},
		{[][]float32{a[:2999], nil, nil}, []string{`parameter 0 "a"`, "2999 elements, want 3000"}},
		{[][]float32{nil, nil, {1}}, []string{`parameter 2 "none"`, "1 elements, want 0"}},
		{[][]float32{nil, a[10:15], nil}, []string{`parameter 1 "b"`, `Value of parameter 0 "a"`}},
		{[][]float32{both[:3000], both[2999:3004], nil}, []string{`parameter 1 "b"`, `Value of parameter 0 "a"`}},
		{[][]float32{m, nil, nil}, []string{`parameter 0 "a"`, `m of parameter 0 "a"`}},
		{[][]float32{nil, m[4:9], nil}, []string{`parameter 1 "b"`, `m of parameter 0 "a"`}},
	} {
		requireError(t, opt.Rebind(c.values), ErrShape, append(c.words, "Rebind")...)
		if &opt.tensors[0].value[0] != &a[0] || &opt.memory.values[1][0] != &b[0] {
			t.Fatal("a Rebind that failed has moved a parameter")
		}
	}
	// A slice that shared nothing with the old memory may share some with the new.
	g := [][]float32{both[:3000], make([]float32, 5), {}}
	hvp := func(hz, z [][]float32) error {
		for i := range hz {
			copy(hz[i], z[i])
		}
		return nil
	}
	if err := opt.Step(g, hvp); err != nil {
		t.Fatal(err)
	}
	if err := opt.Rebind([][]float32{nil, both[100:105], nil}); err != nil {
		t.Fatal(err)
	}
	requireError(t, opt.Step(g, hvp), ErrShape, `parameter 0 "a"`, `Value of parameter 1 "b"`)
}

// TestAddErrors proves that a bad Add changes nothing.
func TestAddErrors(t *testing.T) {
	a := make([]float64, 3000)
	opt, err := New(DefaultOptions(), Param[float64]{Name: "a", Value: a})
	if err != nil {
		t.Fatal(err)
	}
	m, _ := opt.State(0)
	good, bad := Param[float64]{Name: "good", Value: make([]float64, 4), Hyper: &Hyper{LR: 1}}, DefaultHyper()
	bad.LR = -1
	for _, c := range []struct {
		param Param[float64]
		want  error
		words []string
	}{
		{Param[float64]{Name: "b", Value: a[5:8]}, ErrShape, []string{`parameter 2 "b"`, `parameter 0 "a"`}},
		{Param[float64]{Name: "b", Value: m[5:8]}, ErrShape, []string{`parameter 2 "b"`, `m of parameter 0 "a"`}},
		{Param[float64]{Name: "b", Value: good.Value}, ErrShape, []string{`parameter 2 "b"`, `parameter 1 "good"`}},
		{Param[float64]{Name: "b", Value: make([]float64, 3), Layout: Layout{1, 2, 1}}, ErrLayout, []string{`parameter 2 "b"`}},
		{Param[float64]{Name: "b", Hyper: &bad}, ErrOption, []string{`parameter 2 "b"`, "LR = -1"}},
	} {
		requireError(t, opt.Add(good, c.param), c.want, c.words...)
		if len(opt.tensors) != 1 || len(opt.groups) != 1 || len(opt.memory.values) != 1 {
			t.Fatal("an Add that failed has left something")
		}
	}
	if err := opt.Add(good); err != nil {
		t.Fatal(err)
	}
}

// TestSettersErrors checks the bounds of SetUpdateEach and SetSteps.
func TestSettersErrors(t *testing.T) {
	opts := DefaultOptions()
	opts.UpdateEach = 3
	opt, err := New(opts, Param[float64]{Value: []float64{1}})
	if err != nil {
		t.Fatal(err)
	}
	requireError(t, opt.SetUpdateEach(0), ErrOption, "n = 0")
	requireError(t, opt.SetSteps(4), ErrOption, "steps = 4", "UpdateEach = 3")
	if opt.options.UpdateEach != 3 || opt.Steps() != 0 {
		t.Errorf("UpdateEach = %d and %d steps after errors", opt.options.UpdateEach, opt.Steps())
	}
	if err := opt.SetSteps(6); err != nil || opt.Steps() != 6 || opt.refreshes != 2 || !opt.NeedsHessian() {
		t.Errorf("%v; %d steps, %d refreshes, due %v", err, opt.Steps(), opt.refreshes, opt.NeedsHessian())
	}
}

// TestDynamicAllocates proves that Rebind does not allocate, nor do steps whose set of
// gradients changes.
func TestDynamicAllocates(t *testing.T) {
	opts := DefaultOptions()
	opts.Workers = 1
	var params []Param[float32]
	grads := make([][]float32, 40)
	for i := range grads {
		params = append(params, Param[float32]{Value: make([]float32, 50+i)})
		grads[i] = make([]float32, 50+i)
	}
	opt, err := New(opts, params...)
	if err != nil {
		t.Fatal(err)
	}
	hvp := func(hz, z [][]float32) error {
		for i := range hz {
			copy(hz[i], z[i])
		}
		return nil
	}
	values, others := make([][]float32, 40), make([][]float32, 40)
	for i, p := range params {
		values[i], others[i] = p.Value, make([]float32, len(p.Value))
	}
	some := slices.Clone(grads)
	n := 0
	step := func() {
		n++
		copy(some, grads)
		some[n%40], some[n*7%40] = nil, nil
		if err := errors.Join(opt.Step(some, hvp), opt.Rebind(values), opt.Rebind(others)); err != nil {
			t.Fatal(err)
		}
	}
	step()
	if got := allocsPerRun(100, step); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// TestStepGradient compares with Step and FiniteDifference, also if parameters have
// moved, have been added, or have no gradient.
func TestStepGradient(t *testing.T) {
	forFloats(t, testStepGradient[float32], testStepGradient[float64], testStepGradient[weight])
}

func testStepGradient[T Float](t *testing.T) {
	for _, opts := range []Options{DefaultOptions(), {Hyper: DefaultHyper(), Samples: 2, UpdateEach: 3}} {
		values := func() [][]T { return [][]T{{1, 2, 3}, {-1, 0.5}, {0.3, 0.2, 0.1, 0.7}} }
		one, two := values(), values()
		params := func(x [][]T) (p []Param[T]) {
			for i := range x {
				p = append(p, Param[T]{Name: fmt.Sprint(i), Value: x[i]})
			}
			return p
		}
		grad := func(x *[][]T) func(grads [][]T) error {
			return func(grads [][]T) error {
				sum := T(0)
				for i := range grads {
					for j := range grads[i] {
						sum += (*x)[i][j]
					}
				}
				for i := range grads {
					for j := range grads[i] {
						v := (*x)[i][j]
						grads[i][j] += v*v*v + sum
					}
				}
				return nil
			}
		}
		a, err := New(opts, params(one)[:2]...)
		if err != nil {
			t.Fatal(err)
		}
		b, err := New(opts, params(two)[:2]...)
		if err != nil {
			t.Fatal(err)
		}
		n := 2
		for step := range 12 {
			switch step {
			case 4:
				if err := errors.Join(a.Add(params(one)[2]), b.Add(params(two)[2])); err != nil {
					t.Fatal(err)
				}
				n = 3
			case 8:
				one[1] = slices.Clone(one[1])
				if err := a.Rebind([][]T{nil, one[1], nil}); err != nil {
					t.Fatal(err)
				}
			}
			if err := a.StepGradient(grad(&one)); err != nil {
				t.Fatal(err)
			}
			g := vectorsLike(params(two)[:n])
			if err := grad(&two)(g); err != nil {
				t.Fatal(err)
			}
			if err := b.Step(g, FiniteDifference(params(two)[:n], grad(&two), 0)); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				requireSame(t, one[i], two[i], "%+v: step %d: parameter %d", opts, step, i)
			}
		}
	}
}

// TestStepGradientSkips has a parameter whose gradient is nil. It stays where it is,
// even while the differences are taken, and the others move as if it were a constant.
func TestStepGradientSkips(t *testing.T) {
	frozen, free := []float64{2}, []float64{1}
	opt, err := New(DefaultOptions(), Param[float64]{Value: frozen}, Param[float64]{Value: free})
	if err != nil {
		t.Fatal(err)
	}
	alone := []float64{1}
	only, err := New(DefaultOptions(), Param[float64]{Value: alone, Offset: 1})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		err := opt.StepGradient(func(grads [][]float64) error {
			if frozen[0] != 2 {
				t.Errorf("the frozen parameter is %v", frozen[0])
			}
			grads[0] = nil
			grads[1][0] = free[0] * frozen[0] * frozen[0]
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := only.StepGradient(func(grads [][]float64) error { grads[0][0] = 4 * alone[0]; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	// Only approximately, since the step of a difference depends on the largest
	// parameter.
	if d := free[0] - alone[0]; d > 1e-8 || d < -1e-8 || opt.stepsOf(0) != 0 || frozen[0] != 2 {
		t.Errorf("%v, alone %v; the frozen one made %d steps to %v", free, alone, opt.stepsOf(0), frozen)
	}
}

// TestStepGradientErrors proves that nothing changes if the gradient fails, whichever
// call it is.
func TestStepGradientErrors(t *testing.T) {
	x := []float64{1, 2}
	opt, err := New(DefaultOptions(), Param[float64]{Name: "x", Value: x})
	if err != nil {
		t.Fatal(err)
	}
	requireError(t, opt.StepGradient(nil), ErrOption, "grad is nil")
	before := takeSnapshot(opt)
	mine := errors.New("mine")
	for within := range 2 { // the gradient of the step, and one of a difference
		calls := 0
		err := opt.StepGradient(func(grads [][]float64) error {
			if calls++; calls > within {
				return opt.StepGradient(func(grads [][]float64) error { return nil })
			}
			return nil
		})
		requireError(t, err, ErrState, "StepGradient called within")
		before.require(t, opt)
	}
	for fail := 1; fail <= 3; fail++ {
		for kind := range 4 {
			calls := 0
			err := opt.StepGradient(func(grads [][]float64) error {
				copy(grads[0], x)
				if calls++; calls != fail {
					return nil
				}
				switch kind {
				case 0:
					return mine
				case 1:
					grads[0] = []float64{1}
				case 2:
					grads[0][1] = nan
				case 3:
					grads[0] = nil
				}
				return nil
			})
			want := []error{mine, ErrShape, ErrNonFinite, ErrShape}[kind]
			if !errors.Is(err, want) {
				t.Errorf("call %d, kind %d: %v", fail, kind, err)
			}
			before.require(t, opt)
		}
	}
	if err := opt.StepGradient(func(grads [][]float64) error { copy(grads[0], x); return nil }); err != nil {
		t.Error(err)
	}
	grad := func(grads [][]float64) error { copy(grads[0], x); return nil }
	if got := allocsPerRun(50, func() {
		if err := opt.StepGradient(grad); err != nil {
			t.Fatal(err)
		}
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}
