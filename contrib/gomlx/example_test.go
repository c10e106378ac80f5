package ahgomlx_test

import (
	"fmt"
	"log"

	"github.com/adahessian-go/adahessian/contrib/gomlx"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/gobackend"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/dataset"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train"
	"github.com/gomlx/gomlx/ml/train/loss"
)

// line is the model y = x·w + b.
func line(scope *model.Scope, x *graph.Node) *graph.Node {
	g := x.Graph()
	w := scope.VariableWithShape("w", shapes.Make(dtypes.Float32, 1, 1)).NodeValue(g)
	b := scope.VariableWithShape("b", shapes.Make(dtypes.Float32, 1, 1)).NodeValue(g)
	return graph.Add(graph.MatMul(x, w), b)
}

// points returns points of y = 2x + 1.
func points() *dataset.InMemoryDataset {
	ds, err := dataset.InMemoryFromData(gobackend.GetBackend(), "points",
		[]any{[][]float32{{-1}, {0}, {1}, {2}}}, []any{[][]float32{{-1}, {1}, {3}, {5}}})
	if err != nil {
		log.Fatal(err)
	}
	return ds.BatchSize(4, false).Infinite(true)
}

func print(store *model.Store) {
	for _, name := range []string{"/w", "/b"} {
		fmt.Printf("%s = %.2f\n", name, store.GetVariable(name).MustValue().Value().([][]float32)[0][0])
	}
}

func Example() {
	store := model.NewStore()
	trainer := train.NewTrainer(gobackend.GetBackend(), store, line, loss.MeanSquaredError,
		ahgomlx.New().LearningRate(0.1).Done(), nil, nil)
	if _, err := train.NewLoop(trainer).RunSteps(points(), 200); err != nil {
		log.Fatal(err)
	}
	print(store)
	// Output:
	// /w = 2.00
	// /b = 1.00
}

func ExampleConfig_Kernels() {
	store := model.NewStore()
	opt := ahgomlx.New().LearningRate(0.1).Kernels()
	loop := train.NewLoop(train.NewTrainer(gobackend.GetBackend(), store, line, loss.MeanSquaredError, opt, nil, nil))
	opt.AttachToLoop(loop)
	// Your own schedule sets the learning rate's variable.
	train.EveryNSteps(loop, 100, "halve", 0, func(*train.Loop, []*tensors.Tensor) error {
		return store.GetVariable("/optimizers/learning_rate").SetValue(tensors.FromScalar(float32(0.05)))
	})
	if _, err := loop.RunSteps(points(), 200); err != nil {
		log.Fatal(err)
	}
	print(store)
	// Output:
	// /w = 2.00
	// /b = 1.00
}
