package main

import (
	"math/rand/v2"

	"github.com/adahessian-go/adahessian"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/gobackend"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train"
	"github.com/gomlx/gomlx/ml/train/optimizer"
	"github.com/nlpodyssey/spago/mat"
	"github.com/nlpodyssey/spago/nn"
	"github.com/nlpodyssey/spago/optimizers/adam"
	gg "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

func nothing() {}

// normal returns n normal random numbers, which repeat after some thousands.
func normal(n int, seed uint64) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	x := make([]float32, n)
	for i := range x {
		if i < 4093 {
			x[i] = float32(r.NormFloat64())
		} else {
			x[i] = x[i-4093]
		}
	}
	return x
}

// ours is a step of this package: a whole step, with the probe's signs and the search for
// values that are not finite, or the update alone, which uses one thread.
func ours(what string) contender {
	if what == "update" {
		return contender{name: "`Update` alone", single: true, prepare: func(n, _ int) (turn, func(), error) {
			c, err := adahessian.NewCoefficients[float32](adahessian.DefaultHyper(), 10, 1)
			if err != nil {
				return nil, nil, err
			}
			theta, m, v, g, hz := normal(n, 1), make([]float32, n), make([]float32, n), normal(n, 2), normal(n, 3)
			l := adahessian.Elementwise(n)
			return turnOf(func() error {
				adahessian.Update(theta, m, v, g, hz, l, &c)
				return nil
			}), nothing, nil
		}}
	}
	return contender{name: "`Step`, with the signs and the finite check", prepare: func(n, threads int) (turn, func(), error) {
		opts := adahessian.DefaultOptions()
		opts.Workers = threads
		o, err := adahessian.New(opts, adahessian.Param[float32]{Value: normal(n, 1)})
		if err != nil {
			return nil, nil, err
		}
		grads, product := [][]float32{normal(n, 2)}, normal(n, 3)
		hvp := func(hz, _ [][]float32) error {
			hz[0] = product
			return nil
		}
		return turnOf(func() error { return o.Step(grads, hvp) }), nothing, nil
	}}
}

// gomlx is Adam of GoMLX on its Go backend, in a training step whose loss is the sum of
// the parameters. So the step also includes that sum, and the gradients, which are ones.
func gomlx() contender {
	return contender{name: "GoMLX 0.28.2, Go backend, Adam, with the sum of θ as the loss", prepare: func(n, _ int) (turn, func(), error) {
		backend := gobackend.GetBackend()
		store := model.NewStore()
		sum := func(scope *model.Scope, x *graph.Node) *graph.Node {
			w := scope.VariableWithValue("w", normal(n, 1)).NodeValue(x.Graph())
			return graph.ReduceAllSum(w)
		}
		loss := func(_, predictions []*graph.Node) *graph.Node { return predictions[0] }
		trainer := train.NewTrainer(backend, store, sum, loss, optimizer.Adam().Done(), nil, nil)
		return turnOf(func() error {
			x := tensors.FromShape(shapes.Make(dtypes.Float32, 1))
			_, err := trainer.TrainStep(train.Batch{Inputs: []*tensors.Tensor{x}})
			return err
		}), store.Finalize, nil
	}}
}

// given is a parameter of Gorgonia with its gradient.
type given struct{ value, grad *tensor.Dense }

func (g given) Value() gg.Value         { return g.value }
func (g given) Grad() (gg.Value, error) { return g.grad, nil }

func gorgonia() contender {
	return contender{name: "Gorgonia 0.9.18, AdamSolver", single: true, prepare: func(n, _ int) (turn, func(), error) {
		dense := func(x []float32) *tensor.Dense { return tensor.New(tensor.WithShape(n), tensor.WithBacking(x)) }
		p := given{dense(normal(n, 1)), dense(normal(n, 2))}
		solver := gg.NewAdamSolver()
		g := normal(n, 2)
		return turnOf(func() error {
			copy(p.grad.Data().([]float32), g) // Step sets the gradient to zero
			return solver.Step([]gg.ValueGrad{p})
		}), nothing, nil
	}}
}

func spago() contender {
	return contender{name: "spaGO 1.1.0, Adam", single: true, prepare: func(n, _ int) (turn, func(), error) {
		dense := func(x []float32) *mat.Dense[float32] {
			return mat.NewDense[float32](mat.WithShape(n), mat.WithBacking(x))
		}
		p := nn.NewParam(dense(normal(n, 1)))
		g := dense(normal(n, 2))
		a := adam.New(adam.NewDefaultConfig())
		return turnOf(func() error {
			p.AccGrad(g) // a step ends with ZeroGrad
			return a.OptimizeParams(p)
		}), nothing, nil
	}}
}
