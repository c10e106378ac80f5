package adahessian

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

// stepModel is the optimizer written as its mathematics reads: a curvature, a second
// moment and a denominator for every element, and no split, no panel and no shared
// loop. From the package it uses only the bits of Philox, and pow for a power without a
// special case.
type stepModel[T Float] struct {
	opts             Options
	tensors          []tensorModel[T]
	steps, refreshes uint64
	age              int // steps made with the present curvature; 0: there is none
}

// tensorModel is a Param with its state, one value for each element.
type tensorModel[T Float] struct {
	layout         Layout
	hyper          *Hyper // nil: the model's
	offset         uint64
	steps          uint64 // of its own
	curved         bool   // d may be used again
	theta, m, v, d []T
}

// newModel makes a model of the parameters, with copies of their values.
func newModel[T Float](opts Options, params []Param[T]) *stepModel[T] {
	mo := &stepModel[T]{opts: opts}
	mo.add(params)
	return mo
}

// add is Optimizer.Add.
func (mo *stepModel[T]) add(params []Param[T]) {
	next := uint64(0)
	if n := len(mo.tensors); n > 0 {
		last := &mo.tensors[n-1]
		next = last.offset + uint64(len(last.theta))
	}
	for _, p := range params {
		n := len(p.Value)
		t := tensorModel[T]{layout: p.Layout, hyper: p.Hyper, offset: p.Offset}
		t.theta, t.m, t.v, t.d = append([]T{}, p.Value...), make([]T, n), make([]T, n), make([]T, n)
		if p.Layout == (Layout{}) {
			t.layout = Layout{n, 1, 1}
		}
		if p.Offset == 0 {
			t.offset = next
		}
		next = t.offset + uint64(n)
		mo.tensors = append(mo.tensors, t)
	}
}

// due is Optimizer.NeedsHessian.
func (mo *stepModel[T]) due() bool { return mo.age == 0 || mo.age >= mo.opts.UpdateEach }

// setUpdateEach is Optimizer.SetUpdateEach.
func (mo *stepModel[T]) setUpdateEach(n int) {
	if mo.due() {
		mo.age = 0
	}
	if (n > 1) != (mo.opts.UpdateEach > 1) { // no curvature was kept, or none will be
		for i := range mo.tensors {
			mo.tensors[i].curved = false
			clear(mo.tensors[i].d)
		}
	}
	mo.opts.UpdateEach = n
}

// step is Optimizer.Step for calls without a fault.
func (mo *stepModel[T]) step(grads [][]T, hvp HVP[T]) {
	due := mo.due()
	if due {
		mo.refresh(grads, hvp)
		mo.age = 0
	}
	mo.steps++
	mo.age++
	for i := range mo.tensors {
		t := &mo.tensors[i]
		if grads[i] == nil || !due && !t.curved {
			continue
		}
		t.steps++
		h := t.hyper
		if h == nil {
			h = &mo.opts.Hyper
		}
		t.step(grads[i], h, t.steps)
	}
}

// refresh sets d from new probes, for the tensors that have a gradient.
func (mo *stepModel[T]) refresh(grads [][]T, hvp HVP[T]) {
	samples := mo.opts.Samples
	sum := mo.zeros()
	for probe := range samples {
		draw := mo.refreshes*uint64(samples) + uint64(probe)
		z, hz := mo.zeros(), mo.zeros()
		for i, t := range mo.tensors {
			for e := range z[i] {
				z[i][e] = T(sign(mo.opts.Seed, draw, t.offset+uint64(e)))
			}
		}
		if err := hvp(hz, z); err != nil {
			panic(err)
		}
		for i := range sum {
			for e := range sum[i] {
				if samples == 1 {
					sum[i][e] = hz[i][e]
				} else {
					sum[i][e] = T(z[i][e]*hz[i][e]) + sum[i][e]
				}
			}
		}
	}
	mo.refreshes++
	for i := range mo.tensors {
		if t := &mo.tensors[i]; grads[i] != nil {
			t.average(sum[i], samples)
			t.curved = mo.opts.UpdateEach > 1
		}
	}
}

func (mo *stepModel[T]) zeros() [][]T {
	var x [][]T
	for _, t := range mo.tensors {
		x = append(x, make([]T, len(t.theta)))
	}
	return x
}

// average gives every element the mean of |h| over its block.
func (t *tensorModel[T]) average(h []T, samples int) {
	l := t.layout
	for o := range l.Outer {
		for i := range l.Inner {
			var block []T
			for b := range l.Block {
				block = append(block, h[(o*l.Block+b)*l.Inner+i])
			}
			d := modelSum(block, l.Inner == 1)
			if l.Block*samples != 1 {
				d /= T(l.Block * samples)
			}
			for b := range l.Block {
				t.d[(o*l.Block+b)*l.Inner+i] = d
			}
		}
	}
}

// modelSum is the sum of |h| over a block. It adds the runs of a long block in float64.
func modelSum[T Float](h []T, contiguous bool) T {
	if len(h) <= 1<<14 {
		return modelRunSum(h, contiguous)
	}
	var total float64
	for run := range slices.Chunk(h, 1<<14) {
		total += float64(modelRunSum(run, contiguous))
	}
	return T(total)
}

// modelRunSum is the sum of |h| over a run, in T.
func modelRunSum[T Float](h []T, contiguous bool) T {
	if !contiguous {
		var sum T
		for _, x := range h {
			sum += T(math.Abs(float64(x)))
		}
		return sum
	}
	p := make([]T, 64/unsafe.Sizeof(T(0)))
	for i, x := range h {
		p[i%len(p)] += T(math.Abs(float64(x)))
	}
	for len(p) > 1 {
		half := len(p) / 2
		for j := range half {
			p[j] += p[j+half]
		}
		p = p[:half]
	}
	return p[0]
}

// step makes step number n from t.d and the gradient.
func (t *tensorModel[T]) step(grad []T, h *Hyper, n uint64) {
	b1, c1, b2, c2 := T(h.Beta1), T(1-h.Beta1), T(h.Beta2), T(1-h.Beta2)
	s := T(h.LR / (1 - modelPower(h.Beta1, n)))
	w := T(1 - float64(h.LR*h.WeightDecay))
	r := T(1 / modelRoot(1-modelPower(h.Beta2, n), h.HessianPower))
	bound := T(math.Inf(1))
	if h.MaxUpdate != 0 {
		bound = T(h.LR * h.MaxUpdate)
	}
	theta, m, v, d := t.theta, t.m, t.v, t.d
	for e := range theta {
		v[e] = modelFlush(T(b2*v[e]) + T(T(c2*d[e])*d[e]))
		den := T(modelRoot(v[e], h.HessianPower)*r) + T(h.Eps)
		m[e] = modelFlush(T(b1*m[e]) + T(c1*grad[e]))
		u := T(s*m[e]) / den
		if u < -bound {
			u = -bound
		}
		if u > bound {
			u = bound
		}
		theta[e] = T(w*theta[e]) - u
	}
}

// modelPower is b^n.
func modelPower(b float64, n uint64) float64 {
	p := 1.0
	for n > 0 {
		if n%2 == 1 {
			p = p * b
		}
		n, b = n/2, b*b
	}
	return p
}

// modelRoot is x^(k/2).
func modelRoot[T Float](x T, k float64) T {
	root := func(x T) T { return T(math.Sqrt(float64(x))) }
	switch {
	case k == 0:
		return 1
	case k == 0.5:
		return root(root(x))
	case k == 1:
		return root(x)
	case k == 2:
		return x
	case unsafe.Sizeof(x) == 4:
		return T(pow32(float32(x), k/2))
	default:
		return T(pow64(float64(x), k/2))
	}
}

// modelFlush turns a subnormal number into +0.
func modelFlush[T Float](x T) T {
	if T(math.Abs(float64(x))) < smallestNormal[T]() {
		return 0
	}
	return x
}

func smallestNormal[T Float]() T {
	if unsafe.Sizeof(T(0)) == 4 {
		return T(math.Ldexp(1, -126))
	}
	return T(math.Ldexp(1, -1022))
}

// problem supplies gradients and products that depend on every θ and on every sign, so
// that no wrong bit goes unseen. The product is a⊙z + b. No Hessian gives this, but it
// makes |Hz| depend on the sign even for a single probe.
type problem[T Float] struct {
	theta, a, b, c [][]T
	grads          [][]T // what Step gets
	calls          int   // of hvp
}

// newProblem makes a problem for the values theta, without copying them.
func newProblem[T Float](theta [][]T) *problem[T] {
	p := &problem[T]{}
	p.add(theta)
	return p
}

// add appends values to the problem's.
func (p *problem[T]) add(theta [][]T) {
	for _, x := range theta {
		n := len(x)
		r := rand.New(rand.NewPCG(3, uint64(len(p.theta))))
		a, b, c := make([]T, n), make([]T, n), make([]T, n)
		for e := range n {
			a[e], b[e], c[e] = T(math.Abs(r.NormFloat64())), T(r.NormFloat64()/2), T(r.NormFloat64())
			small := math.Sqrt(float64(smallestNormal[T]()))
			switch e % 23 {
			case 3: // v is subnormal at some steps
				a[e], b[e] = T(small*8), T(small*4)
			case 7: // m is subnormal
				a[e], c[e] = 0, smallestNormal[T]()
			case 11: // no curvature
				a[e], b[e] = 0, 0
			case 17: // nothing at all
				a[e], b[e], c[e] = 0, 0, 0
			}
		}
		p.a, p.b, p.c = append(p.a, a), append(p.b, b), append(p.c, c)
		p.theta, p.grads = append(p.theta, x), append(p.grads, make([]T, n))
	}
}

// gradients sets grads at the present values.
func (p *problem[T]) gradients() [][]T {
	for i, x := range p.theta {
		g, a, c := p.grads[i], p.a[i], p.c[i]
		for e := range x {
			g[e] = T(a[e]*x[e]) - c[e]
		}
	}
	return p.grads
}

func (p *problem[T]) hvp(hz, z [][]T) error {
	p.calls++
	for i := range z {
		hz, z, a, b := hz[i], z[i], p.a[i], p.b[i]
		for e := range z {
			hz[e] = T(a[e]*z[e]) + b[e]
		}
	}
	return nil
}

// withValues gives parameters without a Value random ones for their Layout.
func withValues[T Float](params []Param[T]) []Param[T] {
	params = slices.Clone(params)
	for i := range params {
		p := &params[i]
		if p.Value != nil {
			p.Value = slices.Clone(p.Value)
			continue
		}
		r := rand.New(rand.NewPCG(5, uint64(i)))
		p.Value = make([]T, p.Layout.Len())
		for e := range p.Value {
			p.Value[e] = T(r.NormFloat64())
			if e%29 == 5 {
				p.Value[e] = smallestNormal[T]() / 4
			}
		}
	}
	return params
}

func valuesOf[T Float](params []Param[T]) [][]T {
	var x [][]T
	for _, p := range params {
		x = append(x, p.Value)
	}
	return x
}

// runner is an optimizer with a problem.
type runner[T Float] struct {
	*problem[T]
	opt *Optimizer[T]
}

// newRunner makes an optimizer of copies of the parameters.
func newRunner[T Float](t *testing.T, opts Options, params ...Param[T]) runner[T] {
	t.Helper()
	params = withValues(params)
	opt, err := New(opts, params...)
	if err != nil {
		t.Fatal(err)
	}
	return runner[T]{newProblem(valuesOf(params)), opt}
}

// step makes a good step.
func (r runner[T]) step(t *testing.T) {
	t.Helper()
	if err := r.opt.Step(r.gradients(), r.hvp); err != nil {
		t.Fatal(err)
	}
}

// trial is an optimizer together with its model.
type trial[T Float] struct {
	runner[T]
	ref        *stepModel[T]
	refProblem *problem[T]
}

func newTrial[T Float](t *testing.T, opts Options, params ...Param[T]) trial[T] {
	t.Helper()
	ref := newModel(opts, withValues(params))
	var theta [][]T
	for _, x := range ref.tensors {
		theta = append(theta, x.theta)
	}
	return trial[T]{newRunner(t, opts, params...), ref, newProblem(theta)}
}

// step makes a step of both and compares all that they hold.
func (tr trial[T]) step(t *testing.T) {
	t.Helper()
	due := tr.ref.due()
	if tr.opt.NeedsHessian() != due {
		t.Fatalf("after %d steps NeedsHessian is %v, want %v", tr.ref.steps, !due, due)
	}
	tr.runner.step(t)
	tr.ref.step(tr.refProblem.gradients(), tr.refProblem.hvp)
	tr.compare(t)
}

func (tr trial[T]) compare(t *testing.T) {
	t.Helper()
	if tr.opt.Steps() != tr.ref.steps || tr.calls != tr.refProblem.calls {
		t.Fatalf("%d steps with %d products, want %d with %d",
			tr.opt.Steps(), tr.calls, tr.ref.steps, tr.refProblem.calls)
	}
	for i, want := range tr.ref.tensors {
		got := &tr.opt.tensors[i]
		requireSame(t, got.value, want.theta, "step %d, parameter %d %+v: θ", tr.ref.steps, i, want.layout)
		m, v := tr.opt.State(i)
		requireSame(t, m, want.m, "step %d, parameter %d %+v: m", tr.ref.steps, i, want.layout)
		requireSame(t, expand(v, want.layout), want.v, "step %d, parameter %d %+v: v", tr.ref.steps, i, want.layout)
		if (got.d != nil) != (tr.ref.opts.UpdateEach > 1) {
			t.Fatalf("parameter %d keeps its curvature: %v, with UpdateEach %d", i, got.d != nil, tr.ref.opts.UpdateEach)
		}
		if got.d != nil {
			requireSame(t, expand(got.d, want.layout), want.d, "step %d, parameter %d %+v: D", tr.ref.steps, i, want.layout)
		}
	}
}

// expand repeats the value of each block for its elements.
func expand[T Float](x []T, l Layout) []T {
	y := make([]T, l.Len())
	for e := range y {
		outer, inner := e/(l.Block*l.Inner), e%l.Inner
		y[e] = x[outer*l.Inner+inner]
	}
	return y
}
