package lm

import (
	"fmt"
	"time"

	"github.com/adahessian-go/adahessian"
)

// Stepper makes the training steps of one optimizer on one model.
type Stepper interface {
	// Step makes one step at learning rate lr on the batch that the model
	// holds. It returns the loss of that batch before the step, and the time
	// that the optimizer itself took, without the model's differentiation.
	Step(lr float64) (loss float64, own time.Duration, err error)
}

// AdaHessian trains a model with package adahessian.
type AdaHessian[T Float] struct {
	Optimizer *adahessian.Optimizer[T]

	// CurvatureBatch is the number of sequences, from the start of the batch, over
	// which the exact products are taken; 0 means all. The gradient is always that of
	// all.
	CurvatureBatch int

	model  *Model[T]
	biases *adahessian.Hyper // the group without weight decay
	hvp    adahessian.HVP[T]
	grads  [][]T // for Optimizer.Step

	known  bool          // loss and gradient of this step
	loss   float64       // of this step
	inside time.Duration // hvp and the gradient, in this step
}

// NewAdaHessian makes an AdaHessian with the given options and layouts. Without layouts
// it uses those of OverKernel. Tensors without weight decay are a group of their own.
func NewAdaHessian[T Float](m *Model[T], opts adahessian.Options, layouts []adahessian.Layout) (*AdaHessian[T], error) {
	a, _, err := newAdaHessian(m, opts, layouts)
	if err != nil {
		return nil, err
	}
	a.grads = m.grads
	a.hvp = func(hz, z [][]T) error {
		start := time.Now()
		a.gradient()
		part := a.CurvatureBatch
		if part == 0 {
			part = m.Batch
		}
		if part < 0 || part > m.Batch {
			return fmt.Errorf("CurvatureBatch = %d, want 0 to %d sequences", part, m.Batch)
		}
		m.product(hz, z, part)
		a.inside += time.Since(start)
		return nil
	}
	return a, nil
}

// NewAdaHessianDifferences is NewAdaHessian, but each Hessian-vector product is the
// difference of two gradients instead of exact.
func NewAdaHessianDifferences[T Float](m *Model[T], opts adahessian.Options, layouts []adahessian.Layout) (*AdaHessian[T], error) {
	a, params, err := newAdaHessian(m, opts, layouts)
	if err != nil {
		return nil, err
	}
	// The differences leave the gradient at another point in the model.
	a.grads = zerosLike(m.grads)
	differences := adahessian.FiniteDifference(params, func(grads [][]T) error {
		m.gradient()
		for i := range grads {
			copy(grads[i], m.grads[i])
		}
		return nil
	}, 0)
	a.hvp = func(hz, z [][]T) error {
		start := time.Now()
		a.gradient()
		err := differences(hz, z)
		a.inside += time.Since(start)
		return err
	}
	return a, nil
}

func newAdaHessian[T Float](m *Model[T], opts adahessian.Options, layouts []adahessian.Layout) (*AdaHessian[T], []adahessian.Param[T], error) {
	biases := opts.Hyper
	biases.WeightDecay = 0
	a := &AdaHessian[T]{model: m, biases: &biases}
	params, err := m.forOptimizer(layouts, a.biases)
	if err != nil {
		return nil, nil, err
	}
	a.Optimizer, err = adahessian.New(opts, params...)
	return a, params, err
}

// forOptimizer returns the parameters for adahessian.New. Those without weight
// decay belong to the group of biasHyper.
func (m *Model[T]) forOptimizer(layouts []adahessian.Layout, biasHyper *adahessian.Hyper) ([]adahessian.Param[T], error) {
	if layouts != nil && len(layouts) != len(m.params) {
		return nil, fmt.Errorf("%d layouts for %d parameters", len(layouts), len(m.params))
	}
	params := make([]adahessian.Param[T], len(m.params))
	for i, p := range m.params {
		params[i] = adahessian.Param[T]{Name: p.Name, Value: p.value}
		if layouts != nil {
			params[i].Layout = layouts[i]
		} else {
			var err error
			if params[i].Layout, err = overKernel(p.Shape); err != nil {
				return nil, fmt.Errorf("layout of %s: %w", p.Name, err)
			}
		}
		if !p.decays() {
			params[i].Hyper = biasHyper
		}
	}
	return params, nil
}

// decays returns the weight decay of each parameter.
func (m *Model[T]) decays(decay float64) []float64 {
	all := make([]float64, len(m.params))
	for i, p := range m.params {
		if p.decays() {
			all[i] = decay
		}
	}
	return all
}

// gradient sets the loss and the gradient of this step, once for all its
// Hessian-vector products.
func (a *AdaHessian[T]) gradient() {
	if a.known {
		return
	}
	a.known = true
	a.loss = a.model.gradient()
	for i, g := range a.model.grads {
		if &a.grads[i][0] != &g[0] {
			copy(a.grads[i], g)
		}
	}
}

// Step implements Stepper.
func (a *AdaHessian[T]) Step(lr float64) (loss float64, own time.Duration, err error) {
	if err := a.Optimizer.SetLR(lr); err != nil {
		return 0, 0, err
	}
	a.biases.LR = lr
	a.known = false
	if !a.Optimizer.NeedsHessian() {
		a.gradient()
	}
	a.inside = 0
	start := time.Now()
	// Step reads the gradient after it has called hvp, which sets it.
	err = a.Optimizer.Step(a.grads, a.hvp)
	return a.loss, time.Since(start) - a.inside, err
}

// firstOrder trains a model with a rule that needs only gradients.
type firstOrder[T Float] struct {
	model *Model[T]
	rule  interface {
		update(values, grads [][]T, lr float64)
	}
}

// NewAdamW trains m with AdamW. Biases and gains do not decay.
func NewAdamW[T Float](m *Model[T], h AdamWHyper) Stepper {
	return &firstOrder[T]{m, newAdamWRule(m.Values, m.decays(h.Decay), h)}
}

// NewSGD trains m with SGD with momentum, and the given weight decay for all but biases
// and gains.
func NewSGD[T Float](m *Model[T], decay float64) Stepper {
	return &firstOrder[T]{m, newSGDRule(m.Values, m.decays(decay))}
}

func (f *firstOrder[T]) Step(lr float64) (loss float64, own time.Duration, err error) {
	loss = f.model.gradient()
	start := time.Now()
	f.rule.update(f.model.Values, f.model.grads, lr)
	return loss, time.Since(start), nil
}
