package main

import (
	"slices"
	"testing"

	"github.com/adahessian-go/adahessian/contrib/gomlx"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train/optimizer"
)

// TestTraining proves that both networks learn to read, with the step in the graph and
// with the kernels, and that two runs from the same seed give the same bits.
func TestTraining(t *testing.T) {
	config := func() *ahgomlx.Config { return ahgomlx.New().LearningRate(0.1).Average(average) }
	for name, network := range map[string]func(*model.Scope, *graph.Node) *graph.Node{"perceptron": perceptron, "attention": attention} {
		for form, opt := range map[string]func() optimizer.Interface{
			"graph":   func() optimizer.Interface { return config().Done() },
			"kernels": func() optimizer.Interface { return config().Kernels() },
		} {
			store, loss, accuracy, err := fit(network, opt(), 5)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s, %s: loss %.3f, test accuracy %.3f", name, form, loss, accuracy)
			if loss > 0.25 || accuracy < 0.85 {
				t.Errorf("%s, %s: loss %.3f, want at most 0.25; test accuracy %.3f, want at least 0.85", name, form, loss, accuracy)
			}
			again, _, _, err := fit(network, opt(), 5)
			if err != nil {
				t.Fatal(err)
			}
			for v := range store.IterVariables() {
				if v.Trainable && !slices.Equal(values(v), values(again.GetVariable(v.Path()))) {
					t.Errorf("%s, %s: %s: two runs from the same seed differ", name, form, v.Path())
				}
			}
		}
	}
}

// TestAverage checks how many curvatures dense weights [in, out] and HWIO weights have.
func TestAverage(t *testing.T) {
	store, _, _, err := fit(attention, ahgomlx.New().Average(average).Done(), 1)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]int{
		"patch": {1, 1, 1, 16}, // 16 filters of 1×8
		"out":   {1, 10},       // 10 classes
		"bias":  {1, 10},       // each its own
		"query": {1, 16},
	} {
		v := store.GetVariable("/" + ahgomlx.DefaultScope + "/" + name + "_2nd_moment")
		if v == nil || !slices.Equal(v.Shape().Dimensions, want) {
			t.Errorf("%s: second moment %v, want dimensions %v", name, v.Shape(), want)
		}
	}
}

// values returns a copy of a variable's elements.
func values(v *model.Variable) (x []float32) {
	tensors.MustConstFlatData(v.MustValue(), func(flat []float32) { x = slices.Clone(flat) })
	return x
}
