package main

import (
	"fmt"

	"github.com/adahessian-go/adahessian"
	g "gorgonia.org/gorgonia"
)

// Solver is a gorgonia.Solver that makes the steps of AdaHessian, with
// Hessian-vector products from central differences of gradients: Gorgonia's
// Grad of a Grad is wrong (see TestSecondGradIsWrong). Each product costs two
// more runs of the machine.
type Solver[T adahessian.Float] struct {
	// run computes the gradients at the present values: the machine's Reset
	// and RunAll, on the batch of this step.
	run     func() error
	opts    adahessian.Options
	layouts map[string]adahessian.Layout // by the name of the node; none: Elementwise

	model []g.ValueGrad
	opt   *adahessian.Optimizer[T]
	hvp   adahessian.HVP[T]
	grads [][]T
}

var _ g.Solver = (*Solver[float32])(nil)

// NewSolver returns a Solver; the first Step tells it the parameters. run
// computes the gradients at the present values.
func NewSolver[T adahessian.Float](run func() error, opts adahessian.Options, layouts map[string]adahessian.Layout) *Solver[T] {
	return &Solver[T]{run: run, opts: opts, layouts: layouts}
}

// SetLR sets the learning rate of the following steps.
func (s *Solver[T]) SetLR(lr float64) error {
	if s.opt == nil {
		s.opts.LR = lr
		return nil
	}
	return s.opt.SetLR(lr)
}

// Step makes a step of the model, whose gradients the machine has computed at
// the present values. The model must be the same at each call.
func (s *Solver[T]) Step(model []g.ValueGrad) error {
	if s.opt == nil {
		if err := s.begin(model); err != nil {
			return err
		}
	}
	if len(model) != len(s.model) {
		return fmt.Errorf("solver: %d parameters, want the %d of the first step", len(model), len(s.model))
	}
	for i := range model {
		if model[i] != s.model[i] {
			return fmt.Errorf("solver: parameter %d is not that of the first step", i)
		}
	}
	// The products run the machine again, which overwrites its gradients.
	if err := s.copyGradients(s.grads); err != nil {
		return err
	}
	if err := s.opt.Step(s.grads, s.hvp); err != nil {
		return err
	}
	return s.zeroGradients()
}

// zeroGradients is what Gorgonia's own solvers do after a step: a machine adds
// to some of the gradients that it finds.
func (s *Solver[T]) zeroGradients() error {
	for i, n := range s.model {
		grad, err := n.Grad()
		if err != nil {
			return fmt.Errorf("solver: parameter %d: %w", i, err)
		}
		data, err := elements[T](grad)
		if err != nil {
			return fmt.Errorf("solver: gradient of parameter %d: %w", i, err)
		}
		clear(data)
	}
	return nil
}

// begin makes the optimizer, on the memory of the model's own values.
func (s *Solver[T]) begin(model []g.ValueGrad) error {
	s.model = append([]g.ValueGrad(nil), model...)
	params, err := paramsOf[T](model, s.layouts)
	if err != nil {
		return err
	}
	opt, err := adahessian.New(s.opts, params...)
	if err != nil {
		return err
	}
	s.grads = nil
	for _, p := range params {
		s.grads = append(s.grads, make([]T, len(p.Value)))
	}
	s.opt, s.hvp = opt, adahessian.FiniteDifference(params, s.gradient, 0)
	return nil
}

// gradient runs the machine and fills grads.
func (s *Solver[T]) gradient(grads [][]T) error {
	if err := s.zeroGradients(); err != nil {
		return err
	}
	if err := s.run(); err != nil {
		return err
	}
	return s.copyGradients(grads)
}

func (s *Solver[T]) copyGradients(grads [][]T) error {
	for i, n := range s.model {
		grad, err := n.Grad()
		if err != nil {
			return fmt.Errorf("solver: parameter %d: %w", i, err)
		}
		data, err := elements[T](grad)
		if err != nil {
			return fmt.Errorf("solver: gradient of parameter %d: %w", i, err)
		}
		copy(grads[i], data)
	}
	return nil
}

// paramsOf returns the model as the optimizer sees it.
func paramsOf[T adahessian.Float](model []g.ValueGrad, layouts map[string]adahessian.Layout) ([]adahessian.Param[T], error) {
	params := make([]adahessian.Param[T], len(model))
	for i, n := range model {
		data, err := elements[T](n.Value())
		if err != nil {
			return nil, fmt.Errorf("solver: parameter %d: %w", i, err)
		}
		params[i].Value = data
		if named, ok := n.(g.Namer); ok {
			params[i].Name = named.Name()
			params[i].Layout = layouts[named.Name()]
		}
	}
	return params, nil
}

// elements returns the memory of a tensor. A scalar has none to write to: make
// it a vector of one.
func elements[T adahessian.Float](v g.Value) ([]T, error) {
	data, ok := v.Data().([]T)
	if !ok {
		return nil, fmt.Errorf("it holds %T, want %T", v.Data(), data)
	}
	return data, nil
}
