package main

import (
	"encoding/gob"
	"errors"
	"fmt"
	"sync"

	"github.com/adahessian-go/adahessian"
	"github.com/nlpodyssey/spago/mat"
	"github.com/nlpodyssey/spago/mat/float"
	"github.com/nlpodyssey/spago/nn"
	"github.com/nlpodyssey/spago/optimizers"
)

// State is what AdaHessian keeps in nn.Param.State: the moments of one
// parameter, and the number of the strategy's steps that led to them. spaGO saves
// it with the model.
type State[T float.DType] struct {
	M, V  []T
	Steps uint64
}

func init() {
	gob.Register(&State[float32]{})
	gob.Register(&State[float64]{})
}

// Strategy is an optimizers.OptimizationStrategy. spaGO calls OptimizeParams
// for several parameters at once, so everything that belongs to a step is made
// before, in Step, and only read there.
type Strategy[T float.DType] struct {
	Hyper adahessian.Hyper
	Seed  uint64

	params  []*nn.Param
	views   []adahessian.Param[T]
	index   map[*nn.Param]int
	compute func() error // gradients at the present values
	hvp     adahessian.HVP[T]

	steps   uint64
	coef    adahessian.Coefficients[T] // of the present step
	z, hz   [][]T
	pending sync.WaitGroup // parameters that are still to be optimized
	mu      sync.Mutex
	errs    []error
}

var _ optimizers.OptimizationStrategy = (*Strategy[float32])(nil)

// NewStrategy returns a strategy for the parameters. compute adds the
// gradients at their present values to them: forward and ag.Backward, on the
// batch of this step. layouts[i] is that of params[i]; zero averages nothing. With
// parameters that were saved with their State, it goes on where that was; Hyper
// and Seed are the caller's to set again.
func NewStrategy[T float.DType](params []*nn.Param, layouts []adahessian.Layout, compute func() error) *Strategy[T] {
	s := &Strategy[T]{Hyper: adahessian.DefaultHyper(), params: params, index: map[*nn.Param]int{}, compute: compute}
	for i, p := range params {
		value := elements[T](p.Value())
		l := layouts[i]
		if l == (adahessian.Layout{}) {
			l = adahessian.Elementwise(len(value))
		}
		s.views = append(s.views, adahessian.Param[T]{Name: fmt.Sprint("parameter ", i), Value: value, Layout: l})
		s.index[p] = i
		if state, ok := p.State.(*State[T]); ok {
			s.steps = max(s.steps, state.Steps)
		}
		s.z, s.hz = append(s.z, make([]T, len(value))), append(s.hz, make([]T, len(value)))
	}
	// spaGO does not differentiate a gradient.
	s.hvp = adahessian.FiniteDifference(s.views, s.gradient, 0)
	return s
}

// elements returns a tensor's own memory, if it holds T.
func elements[T float.DType](t mat.Tensor) []T { return float.SliceValueOf[T](t.Data()) }

// gradient fills grads.
func (s *Strategy[T]) gradient(grads [][]T) error {
	for _, p := range s.params {
		p.ZeroGrad()
	}
	if err := s.compute(); err != nil {
		return err
	}
	for i, p := range s.params {
		if p.HasGrad() {
			copy(grads[i], elements[T](p.Grad()))
		}
	}
	return nil
}

// Step makes a step of all parameters through o, an Optimizer of this strategy.
//
// Optimize starts a goroutine for each parameter and returns without waiting
// for them, and an error that comes after that is a panic (TestOptimizeDoesNotWait).
// So Step waits itself, and errors do not go through Optimize.
func (s *Strategy[T]) Step(o *optimizers.Optimizer) error {
	var err error
	if s.coef, err = adahessian.NewCoefficients[T](s.Hyper, s.steps+1, 1); err != nil {
		return err
	}
	offset := uint64(0)
	for _, z := range s.z {
		adahessian.Rademacher(z, s.Seed, s.steps, offset)
		offset += uint64(len(z))
	}
	if err := s.hvp(s.hz, s.z); err != nil {
		return err
	}
	// The differences have left the gradient of another point.
	for _, p := range s.params {
		p.ZeroGrad()
	}
	if err := s.compute(); err != nil {
		return err
	}
	s.steps++
	for _, p := range s.params {
		if p.HasGrad() { // Optimize leaves out the others
			s.pending.Add(1)
		}
	}
	s.errs = nil
	err = o.Optimize()
	s.pending.Wait()
	return errors.Join(append(s.errs, err)...)
}

// OptimizeParams makes the step of one parameter. spaGO calls it, in a
// goroutine for each.
func (s *Strategy[T]) OptimizeParams(p *nn.Param) error {
	defer s.pending.Done()
	if err := s.optimize(p); err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.errs = append(s.errs, err)
	}
	return nil
}

func (s *Strategy[T]) optimize(p *nn.Param) error {
	i, ok := s.index[p]
	if !ok {
		return errors.New("strategy: a parameter that NewStrategy was not given")
	}
	layout := s.views[i].Layout
	if p.State == nil {
		p.State = &State[T]{M: make([]T, layout.Len()), V: make([]T, layout.Blocks())}
	}
	state, ok := p.State.(*State[T])
	if !ok || len(state.M) != layout.Len() || len(state.V) != layout.Blocks() {
		return fmt.Errorf("strategy: %s: the state of type %T is not of this strategy", s.views[i].Name, p.State)
	}
	state.Steps = s.steps
	adahessian.Update(s.views[i].Value, state.M, state.V, elements[T](p.Grad()), s.hz[i], layout, &s.coef)
	p.ZeroGrad()
	return nil
}
