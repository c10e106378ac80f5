package ahspago

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/adahessian-go/adahessian"
	"github.com/nlpodyssey/spago/ag"
	"github.com/nlpodyssey/spago/mat"
	"github.com/nlpodyssey/spago/mat/float"
	"github.com/nlpodyssey/spago/nn"
	"github.com/nlpodyssey/spago/optimizers"
	"github.com/nlpodyssey/spago/optimizers/adam"
	"github.com/nlpodyssey/spago/optimizers/gradclipper"
)

// blocked is a strategy that waits.
type blocked chan struct{}

func (b blocked) OptimizeParams(*nn.Param) error { <-b; return nil }

// TestOptimizeDoesNotWait shows why AdaHessian is not a strategy: Optimize of spaGO
// v1.1.0 returns while its strategy is still at work.
func TestOptimizeDoesNotWait(t *testing.T) {
	p := nn.NewParam(mat.Scalar(1.0))
	p.AccGrad(mat.Scalar(1.0))
	b := make(blocked)
	if err := optimizers.New(nn.StreamParams([]*nn.Param{p}), b).Optimize(); err != nil {
		t.Fatal(err)
	}
	close(b) // if Optimize had waited, the test would not have reached this line
}

// TestAgreement compares Optimize with adahessian.Optimizer.StepGradient, which gets the
// gradients of another network. Both give the same bits, on fresh batches, while a
// parameter has no gradient in some steps.
func TestAgreement(t *testing.T) {
	t.Run("float32", testAgreement[float32])
	t.Run("float64", testAgreement[float64])
}

func testAgreement[T float.DType](t *testing.T) {
	c := Config{
		StepSize: 0.1, Beta1: 0.8, Beta2: 0.99, Epsilon: 1e-3, Lambda: 0.1, HessianPower: 0.5, MaxUpdate: 2,
		UpdateEach: 2, Samples: 2, Seed: 9, Average: perUnit,
	}
	opts := adahessian.Options{Samples: 2, UpdateEach: 2, Seed: 9, Hyper: adahessian.Hyper{
		LR: 0.1, Beta1: 0.8, Beta2: 0.99, Eps: 1e-3, WeightDecay: 0.1, HessianPower: 0.5, MaxUpdate: 2,
	}}
	a, b := newNetwork[T](1, ag.Tanh, 2, 8, 3), newNetwork[T](1, ag.Tanh, 2, 8, 3)
	o := a.optimizer(c)
	var params []adahessian.Param[T]
	for i, p := range b.params {
		l, err := adahessian.AverageAxes(p.Shape(), perUnit(i, p)...)
		if err != nil {
			t.Fatal(err)
		}
		params = append(params, adahessian.Param[T]{Value: memory[T](t, p.Value()), Layout: l})
	}
	opt, err := adahessian.New(opts, params...)
	if err != nil {
		t.Fatal(err)
	}
	r, q := rand.New(rand.NewPCG(4, 4)), rand.New(rand.NewPCG(4, 4))
	for i := range 9 {
		a.see(r)
		b.see(q)
		frozen := i%3 == 1 // the last
		a.params[3].SetRequiresGrad(!frozen)
		a.optimize(t, o)
		err := opt.StepGradient(func(grads [][]T) error {
			for _, p := range b.params {
				p.ZeroGrad()
			}
			if err := b.compute(); err != nil {
				return err
			}
			for i, p := range b.params {
				grads[i] = memory[T](t, p.Grad())
			}
			if frozen {
				grads[3] = nil
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range a.params {
			if p.HasGrad() {
				t.Errorf("parameter %d has a gradient after the step", i)
			}
		}
	}
	same(t, "Optimize", a.values(t), b.values(t))
}

// TestGradient compares the optimizer's gradients with differences of the loss, and
// tests the products made of their differences with CheckHVP.
func TestGradient(t *testing.T) {
	n := small[float64]()
	o := n.optimizer(NewDefaultConfig())
	if err := n.compute(); err != nil {
		t.Fatal(err)
	}
	if err := o.bind(n.params); err != nil {
		t.Fatal(err)
	}
	b := o.bound.(*boundTo[float64])
	if err := b.begin(); err != nil {
		t.Fatal(err)
	}
	var params []adahessian.Param[float64]
	var grads [][]float64
	for _, value := range b.values {
		params = append(params, adahessian.Param[float64]{Value: value})
		grads = append(grads, make([]float64, len(value)))
	}
	gradient := func(grads [][]float64) error { return b.run(n.compute, grads) }
	loss := func() float64 {
		if err := gradient(grads); err != nil {
			t.Fatal(err)
		}
		return n.loss
	}
	for i, p := range params {
		loss()
		at := len(p.Value) / 2
		old, got := p.Value[at], grads[i][at]
		const h = 1e-5
		p.Value[at] = old + h
		plus := loss()
		p.Value[at] = old - h
		minus := loss()
		p.Value[at] = old
		if want := (plus - minus) / (2 * h); math.Abs(got-want) > 1e-8 {
			t.Errorf("parameter %d[%d]: gradient %v, differences of the loss give %v", i, at, got, want)
		}
	}
	if err := adahessian.CheckHVP(params, gradient, adahessian.FiniteDifference(params, gradient, 0), 1); err != nil {
		t.Error(err)
	}
}

// TestDefaults proves that with its defaults the optimizer trains a network of two
// hidden layers, smooth or not, to at most 1.2 times the loss that Adam reaches with
// its own defaults. A network that has died has a loss of 1/3.
func TestDefaults(t *testing.T) {
	for name, activation := range map[string]func(x mat.Tensor) mat.Tensor{"tanh": ag.Tanh, "ReLU": ag.ReLU} {
		t.Run(name+"/float32", func(t *testing.T) { testDefaults[float32](t, activation) })
		t.Run(name+"/float64", func(t *testing.T) { testDefaults[float64](t, activation) })
	}
}

// waiting is Adam, but Optimize returns only when all goroutines have ended.
type waiting struct {
	*adam.Adam
	params []*nn.Param
}

func (w waiting) Optimize() error {
	for _, p := range w.params {
		if err := w.OptimizeParams(p); err != nil {
			return err
		}
	}
	w.IncExample()
	return nil
}

func testDefaults[T float.DType](t *testing.T, activation func(x mat.Tensor) mat.Tensor) {
	train := func(newOptimizer func(n *network[T]) interface{ Optimize() error }) (mean float64) {
		n := newNetwork[T](1, activation, 2, 24, 24, 3)
		o := newOptimizer(n)
		r := rand.New(rand.NewPCG(3, 4))
		for i := range 150 {
			n.see(r)
			loss := n.optimize(t, o)
			if i >= 140 {
				mean += loss / 10
			}
		}
		return mean
	}
	got := train(func(n *network[T]) interface{ Optimize() error } { return n.optimizer(NewDefaultConfig()) })
	want := train(func(n *network[T]) interface{ Optimize() error } {
		return waiting{adam.New(adam.NewDefaultConfig()), n.params}
	})
	t.Logf("loss %.3f, Adam's %.3f", got, want)
	if got > 1.2*want {
		t.Errorf("loss %.3f, Adam's %.3f: want at most 1.2 times that", got, want)
	}
}

// TestNewParameters proves that a parameter that is added has a first step of its own,
// and that one whose value is replaced continues from there.
func TestNewParameters(t *testing.T) {
	x, y := nn.NewParam(mat.Scalar(3.0)), nn.NewParam(mat.Scalar(-2.0))
	params := []*nn.Param{x}
	compute := func() error { return ag.Backward(ag.Add(ag.Square(x), ag.Square(y))) }
	// The loss is quadratic, so the first step of a parameter is Newton's times the
	// learning rate, which is the learning rate times g/|H|.
	c := NewDefaultConfig()
	c.StepSize, c.MaxUpdate, c.Epsilon, c.Beta1 = 0.01, 0, 0, 0
	o := New(func(ctx context.Context) <-chan *nn.Param { return nn.StreamParams(params)(ctx) }, c, compute)
	step := func() {
		t.Helper()
		x.ZeroGrad()
		y.ZeroGrad()
		if err := compute(); err != nil {
			t.Fatal(err)
		}
		if err := o.Optimize(); err != nil {
			t.Fatal(err)
		}
	}
	check := func(name string, p *nn.Param, want float64) {
		t.Helper()
		if got := p.Item().F64(); math.Abs(got-want) > 1e-9 {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
	step()
	check("x", x, 3*0.99)
	check("y", y, -2)
	params = append(params, y)
	step()
	check("x", x, 3*0.99*0.99)
	check("y", y, -2*0.99)
	replaced := mat.Scalar(5.0)
	replaced.SetRequiresGrad(true)
	x.ReplaceValue(replaced)
	o.StepSize = 0.02
	step()
	check("x", x, 5*0.98)
	check("y", y, -2*0.99*0.98)
}

// TestGradClipper proves that spaGO's clippers change the gradient that a step uses,
// and not the curvature.
func TestGradClipper(t *testing.T) {
	c := NewDefaultConfig()
	c.Beta1 = 0
	second := func(clip float64) (m, v []float64) {
		n := small[float64]()
		o := n.optimizer(c)
		if err := n.compute(); err != nil {
			t.Fatal(err)
		}
		(&gradclipper.ValueClipper{Value: clip}).ClipGrads(nn.StreamParams(n.params))
		if err := o.Optimize(); err != nil {
			t.Fatal(err)
		}
		return o.bound.(*boundTo[float64]).State(2)
	}
	m, v := second(1e-3)
	free, want := second(1e9)
	for i := range m {
		if m[i] != min(max(free[i], -1e-3), 1e-3) || math.Abs(m[i]) > 1e-3 {
			t.Errorf("the step was made of a gradient of %v, and of %v without a clip of 0.001", m[i], free[i])
		}
		if v[i] != want[i] {
			t.Errorf("v = %v with a clipped gradient, want %v", v[i], want[i])
		}
	}
}

// TestErrors proves that an error names what is at fault, and leaves values and
// gradients as they were, to the bit.
func TestErrors(t *testing.T) {
	n := small[float64]()
	boom := errors.New("boom")
	calls := 0
	flaky := func() error { // at the second point of the differences
		if calls++; calls == 4 {
			return boom
		}
		return n.compute()
	}
	dropout := func() error {
		calls++
		n.see(rand.New(rand.NewPCG(2, uint64(calls))))
		return n.compute()
	}
	with := func(f func(c *Config)) *AdaHessian {
		c := NewDefaultConfig()
		f(&c)
		return n.optimizer(c)
	}
	for want, o := range map[string]*AdaHessian{
		"LR = -1":           with(func(c *Config) { c.StepSize = -1 }),
		"Beta1 = 1":         with(func(c *Config) { c.Beta1 = 1 }),
		"Beta2 = 2":         with(func(c *Config) { c.Beta2 = 2 }),
		"Eps = -1":          with(func(c *Config) { c.Epsilon = -1 }),
		"WeightDecay = -1":  with(func(c *Config) { c.Lambda = -1 }),
		"HessianPower = 3":  with(func(c *Config) { c.HessianPower = 3 }),
		"MaxUpdate = -1":    with(func(c *Config) { c.MaxUpdate = -1 }),
		"UpdateEach = 0":    with(func(c *Config) { c.UpdateEach = 0 }),
		"Samples = 0":       with(func(c *Config) { c.Samples = 0 }),
		"parameter 0: adah": with(func(c *Config) { c.Average = func(int, *nn.Param) []int { return []int{5} } }),
		"boom":              New(nn.StreamParams(n.params), NewDefaultConfig(), flaky),
		"dropout":           New(nn.StreamParams(n.params), NewDefaultConfig(), dropout),
		"no parameters":     New(nn.StreamParams(nil), NewDefaultConfig(), n.compute),
		"float32":           New(nn.StreamParams(append(n.params[:1:1], small[float32]().params...)), NewDefaultConfig(), n.compute),
	} {
		calls = 0
		n.see(rand.New(rand.NewPCG(1, 2)))
		for _, p := range n.params {
			p.State = nil
			p.ZeroGrad()
		}
		if err := n.compute(); err != nil {
			t.Fatal(err)
		}
		before := n.values(t)
		var grads, after [][]float64
		for _, p := range n.params {
			grads = append(grads, append([]float64(nil), memory[float64](t, p.Grad())...))
		}
		err := o.Optimize()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
		if want == "boom" && !errors.Is(err, boom) || want == "dropout" && !errors.Is(err, ErrRandom) {
			t.Errorf("error %v does not wrap its cause", err)
		}
		for _, p := range n.params {
			after = append(after, memory[float64](t, p.Grad()))
		}
		same(t, want+": values", n.values(t), before)
		same(t, want+": gradients", after, grads)
	}
	o := n.optimizer(NewDefaultConfig())
	for _, p := range n.params {
		p.State = nil
		p.ZeroGrad()
	}
	if err := o.Optimize(); err == nil {
		t.Error("a step without gradients is not an error")
	}
}
