package ahgorgonia

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/adahessian-go/adahessian"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// TestAgreement compares Step with adahessian.Optimizer.StepGradient, which gets the
// gradients of another machine. Both give the same bits, on fresh batches, while a
// parameter is not in the model in some steps.
func TestAgreement(t *testing.T) {
	t.Run("float32", testAgreement[float32])
	t.Run("float64", testAgreement[float64])
}

func testAgreement[T adahessian.Float](t *testing.T) {
	a, b := newNetwork[T](t, 1, gorgonia.Tanh, 2, 8, 3), newNetwork[T](t, 1, gorgonia.Tanh, 2, 8, 3)
	s := NewAdaHessianSolver(a.machine, WithLearnRate(0.1), WithBeta1(0.8), WithBeta2(0.99), WithEps(1e-3), WithWeightDecay(0.1),
		WithHessianPower(0.5), WithMaxUpdate(2), WithUpdateEach(2), WithSamples(2), WithSeed(9), WithAverage(perUnit))
	opts := adahessian.Options{Samples: 2, UpdateEach: 2, Seed: 9, Hyper: adahessian.Hyper{
		LR: 0.1, Beta1: 0.8, Beta2: 0.99, Eps: 1e-3, WeightDecay: 0.1, HessianPower: 0.5, MaxUpdate: 2,
	}}
	var params []adahessian.Param[T]
	for _, node := range b.nodes {
		l, err := adahessian.AverageAxes(node.Shape(), perUnit(node.Name(), nil)...)
		if err != nil {
			t.Fatal(err)
		}
		params = append(params, adahessian.Param[T]{Name: node.Name(), Value: memory[T](t, node.Value()), Layout: l})
	}
	opt, err := adahessian.New(opts, params...)
	if err != nil {
		t.Fatal(err)
	}
	r, q := rand.New(rand.NewPCG(4, 4)), rand.New(rand.NewPCG(4, 4))
	var left []T
	for i := range 9 {
		a.see(t, r)
		b.see(t, q)
		model, frozen := a.model(), i%3 == 1
		if frozen {
			model = model[:3] // without b1
		}
		if i%3 == 2 { // as with Gorgonia's own solvers: otherwise the machine adds to it
			grad, err := a.nodes[3].Grad()
			if err != nil {
				t.Fatal(err)
			}
			if got := slices.Clone(memory[T](t, grad)); !slices.Equal(got, left) {
				t.Errorf("the gradient of b1 is %v after a step without it, want %v", got, left)
			}
			gorgonia.ZeroValue(grad)
		}
		a.run(t)
		left = a.grads(t)[3]
		if err := s.Step(model); err != nil {
			t.Fatal(err)
		}
		err := opt.StepGradient(func(grads [][]T) error {
			for _, node := range b.nodes {
				grad, err := node.Grad()
				if err != nil && i > 0 { // there is none before the first run
					return err
				}
				if err == nil && grad != nil {
					clear(memory[T](t, grad))
				}
			}
			b.run(t)
			for j, grad := range b.grads(t) {
				copy(grads[j], grad)
			}
			if frozen {
				grads[3] = nil
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	same(t, "Step", a.values(t), b.values(t))
}

// TestGradient compares the solver's gradients with differences of the cost. It does so
// twice, since a machine adds to some of the gradients that it finds. It also tests the
// products made of their differences with CheckHVP.
func TestGradient(t *testing.T) {
	n := small[float64](t)
	s := NewAdaHessianSolver(n.machine)
	n.run(t)
	if err := s.bind(n.model()); err != nil {
		t.Fatal(err)
	}
	b := s.bound.(*boundTo[float64])
	if err := b.begin(n.model()); err != nil {
		t.Fatal(err)
	}
	var params []adahessian.Param[float64]
	var grads [][]float64
	for i, p := range b.params {
		params = append(params, adahessian.Param[float64]{Name: p.name, Value: b.values[i]})
		grads = append(grads, make([]float64, len(p.grad)))
	}
	gradient := func(grads [][]float64) error { return b.run(s, grads) }
	cost := func() float64 {
		if err := gradient(grads); err != nil {
			t.Fatal(err)
		}
		return n.cost.Data().(float64)
	}
	for range 2 {
		for i, p := range params {
			cost()
			at := len(p.Value) / 2
			old, got := p.Value[at], grads[i][at]
			const h = 1e-5
			p.Value[at] = old + h
			plus := cost()
			p.Value[at] = old - h
			minus := cost()
			p.Value[at] = old
			if want := (plus - minus) / (2 * h); math.Abs(got-want) > 1e-8 {
				t.Errorf("%s[%d]: gradient %v, differences of the cost give %v", p.Name, at, got, want)
			}
		}
	}
	if err := adahessian.CheckHVP(params, gradient, adahessian.FiniteDifference(params, gradient, 0), 1); err != nil {
		t.Error(err)
	}
}

// TestDefaults proves that with its defaults the solver trains a network of two hidden layers, smooth or
// not, to at most 1.2 times the loss that Adam reaches with its own defaults. A network that has died has
// a loss of ln 3 = 1.1.
func TestDefaults(t *testing.T) {
	for name, activation := range map[string]activationFunc{"tanh": gorgonia.Tanh, "ReLU": gorgonia.Rectify} {
		t.Run(name+"/float32", func(t *testing.T) { testDefaults[float32](t, activation) })
		t.Run(name+"/float64", func(t *testing.T) { testDefaults[float64](t, activation) })
	}
}

func testDefaults[T adahessian.Float](t *testing.T, activation activationFunc) {
	train := func(newSolver func(n *network[T]) gorgonia.Solver) (mean float64) {
		n := newNetwork[T](t, 1, activation, 2, 24, 24, 3)
		s := newSolver(n)
		r := rand.New(rand.NewPCG(3, 4))
		for i := range 150 {
			n.see(t, r)
			cost := step(t, s, n)
			if i >= 140 {
				mean += cost / 10
			}
		}
		return mean
	}
	got := train(func(n *network[T]) gorgonia.Solver { return NewAdaHessianSolver(n.machine) })
	want := train(func(*network[T]) gorgonia.Solver { return gorgonia.NewAdamSolver() })
	t.Logf("loss %.3f, Adam's %.3f", got, want)
	if got > 1.2*want {
		t.Errorf("loss %.3f, Adam's %.3f: want at most 1.2 times that", got, want)
	}
}

// TestScalars proves that parameters can be scalars, which the solver changes in place,
// and that a new one starts with a first step of its own.
func TestScalars(t *testing.T) {
	g := gorgonia.NewGraph()
	scalar := func(name string, value float64) *gorgonia.Node {
		return gorgonia.NewScalar(g, gorgonia.Float64, gorgonia.WithName(name), gorgonia.WithValue(value))
	}
	x, y := scalar("x", 3), scalar("y", -2)
	cost := gorgonia.Must(gorgonia.Add(gorgonia.Must(gorgonia.Square(x)), gorgonia.Must(gorgonia.Square(y))))
	if _, err := gorgonia.Grad(cost, x, y); err != nil {
		t.Fatal(err)
	}
	machine := gorgonia.NewTapeMachine(g, gorgonia.BindDualValues(x, y))
	defer machine.Close()
	// The cost is quadratic, so the first step of a parameter is Newton's times the
	// learning rate, which is the learning rate times g/|H|.
	s := NewAdaHessianSolver(machine, WithLearnRate(0.01), WithMaxUpdate(0), WithEps(0), WithBeta1(0))
	for i, model := range [][]gorgonia.ValueGrad{{x}, {x, y}} {
		machine.Reset()
		if err := machine.RunAll(); err != nil {
			t.Fatal(err)
		}
		value := y.Value()
		if err := s.Step(model); err != nil {
			t.Fatal(err)
		}
		if y.Value() != value {
			t.Error("the value has been replaced")
		}
		if i == 0 { // as with any solver: otherwise the machine adds to it
			grad, err := y.Grad()
			if err != nil {
				t.Fatal(err)
			}
			gorgonia.ZeroValue(grad)
		}
		want := []float64{-2, -2 + 0.02}[i]
		if got := y.Value().Data().(float64); math.Abs(got-want) > 1e-9 {
			t.Errorf("y = %v after step %d, want %v", got, i+1, want)
		}
	}
	if got, want := x.Value().Data().(float64), 3*0.99*0.99; math.Abs(got-want) > 1e-9 {
		t.Errorf("x = %v, want %v", got, want)
	}
}

// TestNewValue proves that Step uses a value that Let has replaced.
func TestNewValue(t *testing.T) {
	n := small[float32](t)
	s := NewAdaHessianSolver(n.machine)
	step(t, s, n)
	old := memory[float32](t, n.nodes[0].Value())
	before := slices.Clone(old)
	zeros := tensor.New(tensor.WithShape(2, 5), tensor.WithBacking(make([]float32, 10)))
	if err := gorgonia.Let(n.nodes[0], zeros); err != nil {
		t.Fatal(err)
	}
	WithLearnRate(1e-6)(s)
	step(t, s, n)
	if !slices.Equal(old, before) {
		t.Error("Step has written to the value that was there before")
	}
	for _, x := range memory[float32](t, n.nodes[0].Value()) {
		if x == 0 || math.Abs(float64(x)) > 1.001e-6 {
			t.Errorf("a weight is %v a step of 1e-6 after it was set to 0", x)
		}
	}
}

// TestClip proves that gradients are clipped and the curvature is not.
func TestClip(t *testing.T) {
	n := small[float64](t)
	s := NewAdaHessianSolver(n.machine, WithClip(1e-3), WithBeta1(0), WithEps(0), WithMaxUpdate(0), WithLearnRate(1))
	free := NewAdaHessianSolver(n.machine, WithBeta1(0), WithEps(0), WithMaxUpdate(0), WithLearnRate(1))
	before := n.values(t)
	step(t, s, n)
	for i, p := range s.bound.(*boundTo[float64]).params {
		m, _ := s.bound.(*boundTo[float64]).State(i)
		for j, g := range p.grad {
			if want := min(max(g, -1e-3), 1e-3); m[j] != want {
				t.Errorf("%s[%d]: the step was made of a gradient of %v, want %v", p.name, j, m[j], want)
			}
		}
		copy(memory[float64](t, n.nodes[i].Value()), before[i])
	}
	step(t, free, n)
	for i := range n.nodes {
		_, clipped := s.bound.(*boundTo[float64]).State(i)
		_, want := free.bound.(*boundTo[float64]).State(i)
		if !slices.Equal(clipped, want) {
			t.Errorf("%s: clipping changes the curvature", n.nodes[i].Name())
		}
	}
}

// TestErrors proves that an error names what is at fault, and leaves values and
// gradients as they were, to the bit.
func TestErrors(t *testing.T) {
	n, other := small[float64](t), small[float32](t)
	other.run(t)
	boom := errors.New("boom")
	runs := 0
	for want, s := range map[string]*AdaHessianSolver{
		"LR = -1":           NewAdaHessianSolver(n.machine, WithLearnRate(-1)),
		"Beta1 = 1":         NewAdaHessianSolver(n.machine, WithBeta1(1)),
		"Beta2 = 2":         NewAdaHessianSolver(n.machine, WithBeta2(2)),
		"Eps = -1":          NewAdaHessianSolver(n.machine, WithEps(-1)),
		"WeightDecay = -1":  NewAdaHessianSolver(n.machine, WithWeightDecay(-1)),
		"HessianPower = 3":  NewAdaHessianSolver(n.machine, WithHessianPower(3)),
		"MaxUpdate = -1":    NewAdaHessianSolver(n.machine, WithMaxUpdate(-1)),
		"UpdateEach = 0":    NewAdaHessianSolver(n.machine, WithUpdateEach(0)),
		"Samples = 0":       NewAdaHessianSolver(n.machine, WithSamples(0)),
		"clip = -1":         NewAdaHessianSolver(n.machine, WithClip(-1)),
		"w0: adahessian":    NewAdaHessianSolver(n.machine, WithAverage(func(string, tensor.Shape) []int { return []int{5} })),
		"neither a machine": NewAdaHessianSolver(nil),
		"boom": NewAdaHessianSolver(nil, WithGradient(func() error { // at the second point of the differences
			if runs++; runs == 4 {
				return boom
			}
			n.machine.Reset()
			return n.machine.RunAll()
		})),
		"Dropout": NewAdaHessianSolver(nil, WithGradient(func() error {
			if runs++; runs%2 == 0 {
				n.see(t, rand.New(rand.NewPCG(2, uint64(runs))))
			}
			n.machine.Reset()
			return n.machine.RunAll()
		})),
	} {
		n.see(t, rand.New(rand.NewPCG(1, 2)))
		for _, node := range n.nodes {
			if grad, err := node.Grad(); err == nil && grad != nil {
				clear(memory[float64](t, grad))
			}
		}
		runs = 0
		n.run(t)
		before, grads := n.values(t), n.grads(t)
		err := s.Step(n.model())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
		if want == "boom" && !errors.Is(err, boom) || want == "Dropout" && !errors.Is(err, ErrRandom) {
			t.Errorf("error %v does not wrap its cause", err)
		}
		same(t, want+": values", n.values(t), before)
		same(t, want+": gradients", n.grads(t), grads)
	}
	s := NewAdaHessianSolver(n.machine)
	step(t, s, n)
	if err := s.Step(other.model()); err == nil || !strings.Contains(err.Error(), "float32") {
		t.Errorf("error %v, want one that names the float32 parameters of a float64 model", err)
	}
	if err := s.Step(nil); err == nil {
		t.Error("a step without parameters is not an error")
	}
}

// TestDropout proves that Step detects Gorgonia's own Dropout.
func TestDropout(t *testing.T) {
	half := func(x *gorgonia.Node) (*gorgonia.Node, error) { return gorgonia.Dropout(x, 0.5) }
	n := newNetwork[float64](t, 1, half, 2, 24, 3)
	n.see(t, rand.New(rand.NewPCG(1, 2)))
	n.run(t)
	if err := NewAdaHessianSolver(n.machine).Step(n.model()); !errors.Is(err, ErrRandom) {
		t.Errorf("error %v, want ErrRandom", err)
	}
}
