package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/adahessian-go/adahessian"
	"github.com/adahessian-go/adahessian/examples/digits"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

var networks = []struct {
	name string
	make func() *network
}{{"perceptron", perceptron}, {"attention", attention}}

// run trains a network and returns it with its last loss.
func run(t *testing.T, n *network, epochs int) float64 {
	t.Helper()
	learn, _ := digits.Load[float32]()
	tr, err := newTrainer(backend(), n.weights, n.loss)
	if err != nil {
		t.Fatal(err)
	}
	tr.Hyper.LR = 0.1
	loss := 0.0
	for range epochs {
		if loss, err = train(tr, learn, 64); err != nil {
			t.Fatal(err)
		}
	}
	return loss
}

// values returns a copy of a tensor's elements.
func values(x *tensors.Tensor) (v []float32) {
	tensors.MustConstFlatData(x, func(flat []float32) { v = slices.Clone(flat) })
	return v
}

func TestTraining(t *testing.T) {
	_, test := digits.Load[float32]()
	for _, task := range networks {
		a, b := task.make(), task.make()
		loss := run(t, a, 5)
		accuracy, err := a.accuracy(test)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: loss %.3f, test accuracy %.3f", task.name, loss, accuracy)
		if loss > 0.25 || accuracy < 0.85 {
			t.Errorf("%s: loss %.3f, want at most 0.25; test accuracy %.3f, want at least 0.85", task.name, loss, accuracy)
		}
		run(t, b, 5)
		for i := range a.weights {
			if !slices.Equal(values(a.weights[i].tensor), values(b.weights[i].tensor)) {
				t.Errorf("%s: %s: two runs from the same seed differ", task.name, a.weights[i].name)
			}
		}
	}
}

// TestCheckHVP holds the products of both networks against CheckHVP.
func TestCheckHVP(t *testing.T) {
	learn, _ := digits.Load[float32]()
	x, y := tensorsOf(learn.Slice(0, 32))
	for _, task := range networks {
		n := task.make()
		tr, err := newTrainer(backend(), n.weights, n.loss)
		if err != nil {
			t.Fatal(err)
		}
		var params []adahessian.Param[float32]
		for _, w := range n.weights {
			params = append(params, adahessian.Param[float32]{Name: w.name, Value: values(w.tensor), Layout: w.layout})
		}
		// CheckHVP moves the parameters, and the tensors follow.
		execute := func(z [][]float32) (g, hz []*tensors.Tensor, err error) {
			for i, w := range n.weights {
				tensors.MustMutableFlatData(w.tensor, func(flat []float32) { copy(flat, params[i].Value) })
			}
			_, g, hz, err = tr.execute(z, x, y)
			return g, hz, err
		}
		take := func(dst [][]float32, from []*tensors.Tensor) {
			for i := range dst {
				copy(dst[i], values(from[i]))
			}
		}
		gradient := func(grads [][]float32) error {
			g, _, err := execute(tr.z)
			if err == nil {
				take(grads, g)
			}
			return err
		}
		hvp := func(hz, z [][]float32) error {
			_, out, err := execute(z)
			if err == nil {
				take(hz, out)
			}
			return err
		}
		if err := adahessian.CheckHVP(params, gradient, hvp, 1); err != nil {
			t.Errorf("%s: %v", task.name, err)
		}
	}
}

// TestLayouts says how many curvatures the layouts leave of dense [in, out]
// weights and of HWIO ones.
func TestLayouts(t *testing.T) {
	for name, want := range map[string]string{
		"w1":    "{1 64 16}",  // 16 units
		"patch": "{1 8 16}",   // 16 filters of 1×8
		"out":   "{1 128 10}", // 10 classes
		"b2":    "{10 1 1}",   // each its own
	} {
		found := false
		for _, task := range networks {
			for _, w := range task.make().weights {
				if w.name == name {
					found = true
					l := w.layout
					if got := fmt.Sprint(l); got != want {
						t.Errorf("%s: layout %s, want %s", name, got, want)
					}
				}
			}
		}
		if !found {
			t.Errorf("no weight %s", name)
		}
	}
}

// TestConvolvePanics: GoMLX differentiates Convolve once and not twice, with any
// channels, kernel and padding that a network would have, so a loss with it has
// no exact product here. If this test fails, it can.
func TestConvolvePanics(t *testing.T) {
	for _, shape := range [][]int{{3, 3, 1, 2}, {3, 3, 2, 2}, {1, 1, 2, 3}, {5, 5, 3, 1}} {
		for _, padded := range []bool{false, true} {
			name := fmt.Sprintf("kernel %v, padded %v", shape, padded)
			loss := func(w, batch []*graph.Node) *graph.Node {
				c := graph.Convolve(batch[0], w[0])
				if padded {
					c = c.PadSame()
				}
				y := graph.Tanh(c.Done())
				return graph.ReduceAllSum(graph.Mul(y, y))
			}
			w := mustWeight(t, "kernel", shape)
			image := tensors.FromFlatDataAndDimensions(make([]float32, 2*8*8*shape[2]), 2, 8, 8, shape[2])
			once, err := graph.NewExec(backend(), func(in []*graph.Node) *graph.Node {
				return graph.Gradient(loss(in[:1], in[1:]), in[0])[0]
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := once.Call1(w.tensor, image); err != nil {
				t.Errorf("%s: the first derivative: %v", name, err)
			}
			tr, err := newTrainer(backend(), []*weight{w}, loss)
			if err != nil {
				t.Fatal(err)
			}
			if _, err = tr.step(image); err == nil {
				t.Errorf("%s: the second derivative has become possible: use it", name)
			} else if !strings.Contains(err.Error(), "panicked") || !strings.Contains(err.Error(), "ConvGeneral") {
				t.Errorf("%s: another error: %v", name, err)
			}
		}
	}
}

func mustWeight(t *testing.T, name string, shape []int) *weight {
	t.Helper()
	size := 1
	for _, d := range shape {
		size *= d
	}
	w, err := newWeight(name, make([]float32, size), shape, nil)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// TestNoFiniteLoss: such a step changes nothing.
func TestNoFiniteLoss(t *testing.T) {
	n := perceptron()
	tr, err := newTrainer(backend(), n.weights, n.loss)
	if err != nil {
		t.Fatal(err)
	}
	learn, _ := digits.Load[float32]()
	bad := digits.Set[float32]{X: slices.Clone(learn.X[:digits.Pixels]), Y: learn.Y[:1]}
	bad.X[5] = float32(math.NaN())
	before := values(n.weights[0].tensor)
	x, y := tensorsOf(bad)
	if _, err := tr.step(x, y); err == nil {
		t.Error("a NaN in the data was taken")
	}
	if !slices.Equal(before, values(n.weights[0].tensor)) || tr.steps != 0 {
		t.Error("the weights have changed")
	}
}
