// Command gomlx trains two networks on handwritten digits with GoMLX's trainer
// and AdaHessian: a perceptron, and a block of attention over the rows of
// the images.
package main

import (
	"fmt"
	"log"
	"math/rand"
	"sync"

	"github.com/adahessian-go/adahessian/contrib/gomlx"
	"github.com/adahessian-go/adahessian/examples/digits"
	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/gobackend"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/dataset"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/model/initializer"
	"github.com/gomlx/gomlx/ml/train"
	"github.com/gomlx/gomlx/ml/train/loss"
	"github.com/gomlx/gomlx/ml/train/metric"
	"github.com/gomlx/gomlx/ml/train/optimizer"
)

// backend returns the pure-Go backend, which executes the operations of a graph one
// after the other. In parallel, which is the default, several matrix products can each
// wait for workers that the others hold. On a machine with two cores the attention
// block then stops with "all goroutines are asleep".
var backend = sync.OnceValue(func() compute.Backend {
	b, err := gobackend.New("ops_sequential")
	if err != nil {
		log.Fatal(err)
	}
	return b
})

const (
	hidden = 16
	rows   = 8 // of an image: the tokens of the attention
	width  = 16
)

// weight makes a variable with random values of the given scale.
func weight(scope *model.Scope, g *graph.Graph, name string, scale float64, dims ...int) *graph.Node {
	return scope.WithInitializer(initializer.RandomNormalFn(scope, scale)).
		VariableWithShape(name, shapes.Make(dtypes.Float32, dims...)).NodeValue(g)
}

// average returns the axes over which the curvature of a weight is averaged: the inputs
// of each unit for weights [in, out], and the patch for HWIO weights.
func average(v *model.Variable) []int {
	switch v.Name() {
	case "patch":
		return []int{0, 1}
	case "bias", "position":
		return nil
	}
	return []int{0}
}

// perceptron is a network with one hidden layer.
func perceptron(scope *model.Scope, x *graph.Node) *graph.Node {
	g := x.Graph()
	layer := func(scope *model.Scope, x *graph.Node, scale float64, in, out int) *graph.Node {
		return graph.Add(graph.MatMul(x, weight(scope, g, "weight", scale, in, out)), weight(scope, g, "bias", 0, 1, out))
	}
	h := graph.Tanh(layer(scope.In("hidden"), x, 0.2, digits.Pixels, hidden))
	return layer(scope.In("out"), h, 0.3, hidden, digits.Classes)
}

// attention is one head over the rows of an image, each a token, with a
// residual connection.
func attention(scope *model.Scope, x *graph.Node) *graph.Node {
	g, batch := x.Graph(), x.Shape().Dimensions[0]
	linear := func(x, w *graph.Node) *graph.Node { // of every token
		y := graph.MatMul(graph.Reshape(x, batch*rows, x.Shape().Dimensions[x.Rank()-1]), w)
		return graph.Reshape(y, batch, rows, width)
	}
	// The convolution of patches that do not overlap, written as a product, since GoMLX
	// has no second derivative of Convolve. The weight holds 1×8 pixels for each
	// output.
	patch := weight(scope, g, "patch", 0.4, 1, digits.Pixels/rows, 1, width)
	h := linear(graph.Reshape(x, batch, rows, digits.Pixels/rows), graph.Reshape(patch, digits.Pixels/rows, width))
	h = graph.Add(h, weight(scope, g, "position", 0.1, 1, rows, width))
	q := linear(h, weight(scope, g, "query", 0.25, width, width))
	k := linear(h, weight(scope, g, "key", 0.25, width, width))
	v := linear(h, weight(scope, g, "value", 0.25, width, width))
	scores := graph.MulScalar(graph.Einsum("bqd,bkd->bqk", q, k), 0.25) // 1/√width
	h = graph.Add(h, graph.Einsum("bqk,bkd->bqd", graph.Softmax(scores, -1), v))
	h = graph.Tanh(graph.Reshape(h, batch, rows*width))
	out := graph.MatMul(h, weight(scope, g, "out", 0.1, rows*width, digits.Classes))
	return graph.Add(out, weight(scope, g, "bias", 0, 1, digits.Classes))
}

// newDataset holds the images, and their digits as labels.
func newDataset(name string, set digits.Set[float32]) (*dataset.InMemoryDataset, error) {
	labels := make([]int32, set.Len())
	for i, y := range set.Y {
		labels[i] = int32(y)
	}
	return dataset.InMemoryFromData(backend(), name,
		[]any{tensors.FromFlatDataAndDimensions(set.X, set.Len(), digits.Pixels)},
		[]any{tensors.FromFlatDataAndDimensions(labels, set.Len(), 1)})
}

// fit trains a network for some epochs. It returns the store, the last training loss,
// and the share of the test digits that the network reads correctly.
func fit(network func(scope *model.Scope, x *graph.Node) *graph.Node, opt optimizer.Interface, epochs int) (*model.Store, float64, float64, error) {
	learn, test := digits.Load[float32]()
	training, err := newDataset("training", learn)
	if err != nil {
		return nil, 0, 0, err
	}
	testing, err := newDataset("testing", test)
	if err != nil {
		return nil, 0, 0, err
	}
	store := model.NewStore()
	if err := store.SetRNGStateFromSeed(1); err != nil {
		return nil, 0, 0, err
	}
	accuracy := metric.NewSparseCategoricalAccuracy("accuracy", "acc")
	trainer := train.NewTrainer(backend(), store, network, loss.SparseCategoricalCrossEntropyLogits, opt,
		nil, []metric.Interface{accuracy})
	loop := train.NewLoop(trainer)
	if k, ok := opt.(*ahgomlx.Kernels); ok {
		k.AttachToLoop(loop)
	}
	training.WithRand(rand.New(rand.NewSource(1))).Shuffle().BatchSize(64, true)
	if _, err := loop.RunEpochs(training, epochs); err != nil {
		return nil, 0, 0, err
	}
	lossOf, err := trainer.Eval(training.Copy().BatchSize(64, true))
	if err != nil {
		return nil, 0, 0, err
	}
	of, err := trainer.Eval(testing.BatchSize(test.Len(), false))
	if err != nil {
		return nil, 0, 0, err
	}
	return store, float64(tensors.ToScalar[float32](lossOf[0])), float64(tensors.ToScalar[float32](of[1])), nil
}

func main() {
	for _, task := range []struct {
		name    string
		network func(scope *model.Scope, x *graph.Node) *graph.Node
	}{{"perceptron", perceptron}, {"attention", attention}} {
		opt := ahgomlx.New().LearningRate(0.1).Average(average).Done()
		_, loss, accuracy, err := fit(task.network, opt, 5)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: loss %.4f, test accuracy %.3f\n", task.name, loss, accuracy)
	}
}
