package adahessian

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// problem supplies gradients and products that depend on every θ and on every
// sign, so that no wrong bit stays unseen. The product is a⊙z + b, which no
// Hessian gives: it makes |Hz| depend on the sign even for a single probe.
type problem[T Float] struct {
	theta, a, b, c [][]T
	grads          [][]T // what Step gets
	calls          int   // of hvp
}

// newProblem makes a problem for the values theta, which it keeps.
func newProblem[T Float](theta [][]T) *problem[T] {
	p := &problem[T]{theta: theta}
	for i, x := range theta {
		n := len(x)
		r := rand.New(rand.NewPCG(3, uint64(i)))
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
		p.grads = append(p.grads, make([]T, n))
	}
	return p
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

// trial is an optimizer beside its model.
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
	due := tr.ref.steps%uint64(tr.ref.opts.UpdateEach) == 0
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
