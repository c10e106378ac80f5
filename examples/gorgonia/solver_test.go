package main

import (
	"math"
	"slices"
	"testing"

	"github.com/adahessian-go/adahessian"
	"github.com/adahessian-go/adahessian/examples/digits"
	g "gorgonia.org/gorgonia"
)

// small is a network with a batch in place.
func small(t *testing.T) *network {
	t.Helper()
	n, err := newNetwork(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.machine.Close() })
	train, _ := digits.Load[float64]()
	if err := n.see(train.Slice(0, batch)); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestGradient holds the solver's gradients against differences of the loss,
// for some elements of every parameter, twice: a machine adds to some of the
// gradients that it finds.
func TestGradient(t *testing.T) {
	n := small(t)
	s := NewSolver[float64](n.run, adahessian.DefaultOptions(), layouts())
	if err := n.run(); err != nil {
		t.Fatal(err)
	}
	model := g.NodesToValueGrads(n.params)
	if err := s.begin(model); err != nil {
		t.Fatal(err)
	}
	params, err := paramsOf[float64](model, layouts())
	if err != nil {
		t.Fatal(err)
	}
	loss := func() float64 {
		if err := s.gradient(s.grads); err != nil {
			t.Fatal(err)
		}
		return n.cost.Data().(float64)
	}
	for range 2 {
		loss()
		grads := make([][]float64, len(s.grads))
		for i := range grads {
			grads[i] = slices.Clone(s.grads[i])
		}
		for i, p := range params {
			at, old := len(p.Value)/2, p.Value[len(p.Value)/2]
			const h = 1e-5
			p.Value[at] = old + h
			plus := loss()
			p.Value[at] = old - h
			minus := loss()
			p.Value[at] = old
			if want := (plus - minus) / (2 * h); math.Abs(grads[i][at]-want) > 1e-8 {
				t.Errorf("%s[%d]: gradient %v, differences of the loss give %v", p.Name, at, grads[i][at], want)
			}
		}
	}
	if err := adahessian.CheckHVP(params, s.gradient, s.hvp, 1); err != nil {
		t.Error(err)
	}
}

func TestTraining(t *testing.T) {
	train, test := digits.Load[float64]()
	run := func() (*network, float64) {
		n := small(t)
		opts := adahessian.DefaultOptions()
		opts.LR = 0.1
		solver := NewSolver[float64](n.run, opts, layouts())
		loss := 0.0
		for range 5 {
			var err error
			if loss, err = n.train(solver, train); err != nil {
				t.Fatal(err)
			}
		}
		return n, loss
	}
	a, loss := run()
	accuracy, err := a.accuracy(test)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("loss %.3f, test accuracy %.3f", loss, accuracy)
	if loss > 0.25 || accuracy < 0.82 {
		t.Errorf("loss %.3f, want at most 0.25; test accuracy %.3f, want at least 0.82", loss, accuracy)
	}
	b, _ := run()
	for i := range a.params {
		if !slices.Equal(a.params[i].Value().Data().([]float64), b.params[i].Value().Data().([]float64)) {
			t.Errorf("%s: two runs from the same seed differ", a.params[i].Name())
		}
	}
}

// TestSolverFaults: a model of another type or another order is an error.
func TestSolverFaults(t *testing.T) {
	n := small(t)
	if err := n.run(); err != nil {
		t.Fatal(err)
	}
	model := g.NodesToValueGrads(n.params)
	if err := NewSolver[float32](n.run, adahessian.DefaultOptions(), nil).Step(model); err == nil {
		t.Error("a solver of float32 took a model of float64")
	}
	s := NewSolver[float64](n.run, adahessian.DefaultOptions(), nil)
	if err := s.Step(model); err != nil {
		t.Fatal(err)
	}
	if err := s.Step(model[1:]); err == nil {
		t.Error("a solver took a model without its first parameter")
	}
	slices.Reverse(model)
	if err := s.Step(model); err == nil {
		t.Error("a solver took the parameters in another order")
	}
}
