// A perceptron with one hidden layer learns sin x.
package main

import (
	"fmt"
	"log"
	"math"

	ahgomlx "github.com/adahessian-go/adahessian/contrib/gomlx"
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

func perceptron(scope *model.Scope, x *graph.Node) *graph.Node {
	variable := func(name string, rows, columns int) *graph.Node {
		return scope.VariableWithShape(name, shapes.Make(dtypes.Float32, rows, columns)).NodeValue(x.Graph())
	}
	hidden := graph.Tanh(graph.Add(graph.MatMul(x, variable("w1", 1, 8)), variable("b1", 1, 8)))
	return graph.Add(graph.MatMul(hidden, variable("w2", 8, 1)), variable("b2", 1, 1))
}

func main() {
	var x, y [][]float32
	for i := range 16 {
		angle := float64(i-8) / 4
		x = append(x, []float32{float32(angle)})
		y = append(y, []float32{float32(math.Sin(angle))})
	}
	points, err := dataset.InMemoryFromData(gobackend.GetBackend(), "points", []any{x}, []any{y})
	if err != nil {
		log.Fatal(err)
	}
	store := model.NewStore()
	if err := store.SetRNGStateFromSeed(1); err != nil {
		log.Fatal(err)
	}
	trainer := train.NewTrainer(gobackend.GetBackend(), store, perceptron, loss.MeanSquaredError,
		ahgomlx.New().Done(), nil, nil)
	loop := train.NewLoop(trainer)
	train.EveryNSteps(loop, 1, "print", 0, func(_ *train.Loop, metrics []*tensors.Tensor) error {
		_, err := fmt.Println(metrics[0].Value())
		return err
	})
	if _, err := loop.RunSteps(points.BatchSize(16, false).Infinite(true), 100); err != nil {
		log.Fatal(err)
	}
}
