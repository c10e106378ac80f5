package ahgomlx

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/adahessian-go/adahessian"
	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/gobackend"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train"
	"github.com/gomlx/gomlx/ml/train/optimizer"
)

// backend executes the operations of a graph one after the other. In parallel, which is
// the default, several matrix products can each wait for workers that the others hold.
// On a machine with two cores training then hangs.
var backend = sync.OnceValue(func() compute.Backend {
	b, err := gobackend.New("ops_sequential")
	if err != nil {
		panic(err)
	}
	return b
})()

// An activationFunc is applied to the outputs of a layer.
type activationFunc func(x *Node) *Node

func relu(x *Node) *Node { return Max(x, ZerosLike(x)) }

// dropout is tanh, with the store's random numbers.
func dropout(x *Node) *Node {
	keep := Scalar(x.Graph(), x.DType(), 0.75)
	return Mul(Tanh(x), model.GetStore(x).RandomBernoulli(keep, x.Shape()))
}

// dense is x·w + b, with weights [in, out] named w and biases named b.
func dense(scope *model.Scope, x *Node, width int) *Node {
	g, in := x.Graph(), x.Shape().Dimensions[1]
	w := scope.VariableWithShape("w", shapes.Make(x.DType(), in, width)).NodeValue(g)
	b := scope.VariableWithShape("b", shapes.Make(x.DType(), 1, width)).NodeValue(g)
	return Add(MatMul(x, w), b)
}

// perceptron is a model with the given widths of hidden layers.
func perceptron(act activationFunc, hidden []int, out int) train.ModelFn {
	return func(scope *model.Scope, _ any, inputs []*Node) []*Node {
		x := inputs[0]
		for i, width := range hidden {
			x = act(dense(scope.In("hidden_%d", i), x, width))
		}
		return []*Node{dense(scope.In("out"), x, out)}
	}
}

// crossEntropy of rows of logits, with labels that have a 1 in each row.
func crossEntropy(labels, logits []*Node) *Node {
	return Neg(ReduceAllMean(ReduceSum(Mul(labels[0], LogSoftmax(logits[0], -1)), -1)))
}

// spirals draws n points on three intertwined spiral arms.
func spirals[T float32 | float64](r *rand.Rand, n int) (points, arms *tensors.Tensor) {
	x, y := make([]T, 2*n), make([]T, 3*n)
	for i := range n {
		arm, radius := i%3, 0.1+0.9*r.Float64()
		angle := 2*math.Pi*(float64(arm)/3+0.8*radius) + 0.05*r.NormFloat64()
		x[2*i], x[2*i+1] = T(radius*math.Cos(angle)), T(radius*math.Sin(angle))
		y[3*i+arm] = 1
	}
	return tensors.FromFlatDataAndDimensions(x, n, 2), tensors.FromFlatDataAndDimensions(y, n, 3)
}

// newStore makes a store whose random numbers start from a seed.
func newStore(t testing.TB, seed int64) *model.Store {
	t.Helper()
	store := model.NewStore()
	if err := store.SetRNGStateFromSeed(seed); err != nil {
		t.Fatal(err)
	}
	return store
}

// newTrainer makes a trainer for a classifier of the spirals.
func newTrainer(store *model.Store, opt optimizer.Interface, act activationFunc, hidden ...int) *train.Trainer {
	return attach(train.NewTrainer(backend, store, perceptron(act, hidden, 3), crossEntropy, opt, nil, nil), opt)
}

// step makes a step on fresh tensors of a batch, and returns its loss.
func step[T float32 | float64](t testing.TB, trainer *train.Trainer, r *rand.Rand, n int) float64 {
	t.Helper()
	x, y := spirals[T](r, n)
	metrics, err := trainer.TrainStep(train.Batch{Inputs: []*tensors.Tensor{x}, Labels: []*tensors.Tensor{y}})
	if err != nil {
		t.Fatal(err)
	}
	return float64(tensors.ToScalar[T](metrics[0]))
}

// values returns a copy of a variable's elements.
func values[T float32 | float64 | int64](t testing.TB, store *model.Store, path string) (v []T) {
	t.Helper()
	variable := store.GetVariable(path)
	if variable == nil {
		t.Fatalf("no variable %s", path)
	}
	tensors.MustConstFlatData(variable.MustValue(), func(flat []T) { v = slices.Clone(flat) })
	return v
}

// trainable returns the paths of a store's trainable variables.
func trainable(store *model.Store) (paths []string) {
	for v := range store.IterVariables() {
		if v.Trainable {
			paths = append(paths, v.Path())
		}
	}
	return paths
}

// perUnit averages over the inputs of each unit.
func perUnit(v *model.Variable) []int {
	if v.Name() == "w" {
		return []int{0}
	}
	return nil
}

// distance returns the largest |a−b| divided by the largest |b|.
func distance[T float32 | float64](a, b []T) float64 {
	most, scale := 0.0, 0.0
	for i := range a {
		most = max(most, math.Abs(float64(a[i])-float64(b[i])))
		scale = max(scale, math.Abs(float64(b[i])))
	}
	return most / max(scale, math.SmallestNonzeroFloat64)
}

func dtypeOf[T float32 | float64]() dtypes.DType { return dtypes.FromGenericsType[T]() }

func layoutOf(t testing.TB, v *model.Variable, average func(v *model.Variable) []int) adahessian.Layout {
	t.Helper()
	var axes []int
	if average != nil {
		axes = average(v)
	}
	l, err := adahessian.AverageAxes(v.Shape().Dimensions, axes...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// optimizers returns the optimizers that a configuration makes, by name.
func optimizers(c *Config) map[string]func() optimizer.Interface {
	return map[string]func() optimizer.Interface{
		"in the graph": func() optimizer.Interface { return c.Done() },
		"kernels":      func() optimizer.Interface { return c.Kernels() },
	}
}

// attach attaches an optimizer to its trainer, if it needs that.
func attach(trainer *train.Trainer, opt optimizer.Interface) *train.Trainer {
	if k, ok := opt.(*Kernels); ok {
		k.AttachToTrainer(trainer)
	}
	return trainer
}
