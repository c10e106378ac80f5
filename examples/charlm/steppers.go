package main

import (
	"time"

	"github.com/adahessian-go/adahessian"
)

// adaHessian trains a model with the package that this example is about.
type adaHessian[T float] struct {
	model     *model[T]
	optimizer *adahessian.Optimizer[T]
	biases    *adahessian.Hyper // the group without weight decay
	hvp       adahessian.HVP[T]

	loss   float64       // of the last call of hvp
	inside time.Duration // hvp, in this step
}

// newAdaHessian takes the package's defaults but for what opts has. Biases get
// no weight decay, through a group of their own.
func newAdaHessian[T float](m *model[T], opts adahessian.Options) (*adaHessian[T], error) {
	biases := opts.Hyper
	biases.WeightDecay = 0
	a := &adaHessian[T]{model: m, biases: &biases}
	params, err := m.params(a.biases)
	if err != nil {
		return nil, err
	}
	if a.optimizer, err = adahessian.New(opts, params...); err != nil {
		return nil, err
	}
	a.hvp = func(hz, z [][]T) error {
		start := time.Now()
		a.loss = m.hessianVector(hz, z)
		a.inside += time.Since(start)
		return nil
	}
	return a, nil
}

func (a *adaHessian[T]) step(lr float64) (loss float64, own time.Duration, err error) {
	if err := a.optimizer.SetLR(lr); err != nil {
		return 0, 0, err
	}
	a.biases.LR = lr
	if !a.optimizer.NeedsHessian() {
		a.loss = a.model.gradient()
	}
	a.inside = 0
	start := time.Now()
	// Step reads the gradient after it has called hvp, which sets it.
	err = a.optimizer.Step(a.model.grads[:], a.hvp)
	return a.loss, time.Since(start) - a.inside, err
}

// firstOrder trains a model with a rule that needs gradients alone.
type firstOrder[T float] struct {
	model *model[T]
	rule  interface {
		update(values, grads [][]T, lr float64)
	}
}

func (f *firstOrder[T]) step(lr float64) (loss float64, own time.Duration, err error) {
	loss = f.model.gradient()
	start := time.Now()
	f.rule.update(f.model.values[:], f.model.grads[:], lr)
	return loss, time.Since(start), nil
}
