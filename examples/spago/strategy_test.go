package main

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/adahessian-go/adahessian"
	"github.com/adahessian-go/adahessian/examples/digits"
	"github.com/nlpodyssey/spago/mat"
	"github.com/nlpodyssey/spago/nn"
	"github.com/nlpodyssey/spago/optimizers"
)

// blocked is a strategy that waits.
type blocked chan struct{}

func (b blocked) OptimizeParams(*nn.Param) error { <-b; return nil }

// TestOptimizeDoesNotWait shows why Strategy.Step waits itself: Optimize of
// spaGO v1.1.0 returns while its strategy is still at work.
func TestOptimizeDoesNotWait(t *testing.T) {
	p := nn.NewParam(mat.Scalar(1.0))
	p.AccGrad(mat.Scalar(1.0))
	b := make(blocked)
	if err := optimizers.New(nn.Parameters(&struct {
		nn.Module
		P *nn.Param
	}{P: p}), b).Optimize(); err != nil {
		t.Fatal(err)
	}
	close(b) // had Optimize waited, the test would not have come here
}

// TestGradient holds gradients against differences of the loss, and products
// against CheckHVP.
func TestGradient(t *testing.T) {
	train, _ := digits.Load[float64]()
	n := newNetwork(1)
	n.see(train.Slice(0, 20))
	s := NewStrategy[float64](n.params(), layouts(), n.compute)
	loss := func() float64 {
		if err := s.gradient(s.hz); err != nil {
			t.Fatal(err)
		}
		return n.loss
	}
	for i, p := range s.views {
		at := len(p.Value) / 2
		loss()
		got, old := s.hz[i][at], p.Value[at]
		const h = 1e-5
		p.Value[at] = old + h
		plus := loss()
		p.Value[at] = old - h
		minus := loss()
		p.Value[at] = old
		if want := (plus - minus) / (2 * h); math.Abs(got-want) > 1e-8 {
			t.Errorf("%s[%d]: gradient %v, differences of the loss give %v", p.Name, at, got, want)
		}
	}
	if err := adahessian.CheckHVP(s.views, s.gradient, s.hvp, 1); err != nil {
		t.Error(err)
	}
}

// TestTraining trains, with parameters optimized concurrently, and holds the
// result against adahessian.Optimizer: the same bits.
func TestTraining(t *testing.T) {
	train, test := digits.Load[float64]()
	n := newNetwork(1)
	s := NewStrategy[float64](n.params(), layouts(), n.compute)
	s.Hyper.LR = 0.1

	other := newNetwork(1)
	view := NewStrategy[float64](other.params(), layouts(), other.compute)
	opts := adahessian.DefaultOptions()
	opts.LR = 0.1
	opt, err := adahessian.New(opts, view.views...)
	if err != nil {
		t.Fatal(err)
	}
	grads := make([][]float64, len(view.views))
	for i, p := range view.views {
		grads[i] = make([]float64, len(p.Value))
	}
	loss := 0.0
	for range 5 {
		if loss, err = n.train(s, train, 64); err != nil {
			t.Fatal(err)
		}
		for lo := 0; lo < train.Len(); lo += 64 {
			other.see(train.Slice(lo, lo+64))
			if err := view.gradient(grads); err != nil {
				t.Fatal(err)
			}
			if err := opt.Step(grads, view.hvp); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range s.views {
		if !slices.Equal(s.views[i].Value, view.views[i].Value) {
			t.Errorf("%s: the strategy and the Optimizer do not give the same bits", s.views[i].Name)
		}
	}
	accuracy := n.accuracy(test)
	t.Logf("loss %.3f, test accuracy %.3f", loss, accuracy)
	if loss > 0.3 || accuracy < 0.7 {
		t.Errorf("loss %.3f, want at most 0.3; test accuracy %.3f, want at least 0.7", loss, accuracy)
	}
}

// TestResume saves a network with its states and goes on with what was read: the
// same bits as without the interruption.
func TestResume(t *testing.T) {
	train, _ := digits.Load[float64]()
	train = train.Slice(0, 320)
	epoch := func(n *network) *Strategy[float64] {
		s := NewStrategy[float64](n.params(), layouts(), n.compute)
		s.Seed = 5
		if _, err := n.train(s, train, 64); err != nil {
			t.Fatal(err)
		}
		return s
	}
	n := newNetwork(1)
	s := epoch(n)
	var saved bytes.Buffer
	if err := nn.Dump(n.params(), &saved); err != nil {
		t.Fatal(err)
	}
	params, err := nn.Load[[]*nn.Param](&saved)
	if err != nil {
		t.Fatal(err)
	}
	resumed := &network{W1: params[0], B1: params[1], W2: params[2], B2: params[3]}
	epoch(resumed)
	if _, err := n.train(s, train, 64); err != nil {
		t.Fatal(err)
	}
	for i, p := range n.params() {
		if !slices.Equal(elements[float64](p.Value()), elements[float64](resumed.params()[i].Value())) {
			t.Errorf("parameter %d of the resumed run differs", i)
		}
	}
}

// TestForeignState: the error of a goroutine comes out of Step.
func TestForeignState(t *testing.T) {
	train, _ := digits.Load[float64]()
	n := newNetwork(1)
	n.W2.State = "Adam was here"
	n.see(train.Slice(0, 20))
	s := NewStrategy[float64](n.params(), layouts(), n.compute)
	err := s.Step(optimizers.New(nn.Parameters(n), s))
	if err == nil || !strings.Contains(err.Error(), "parameter 2") {
		t.Errorf("error %v, want one that names parameter 2", err)
	}
}
