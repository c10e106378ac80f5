package ahgorgonia

import (
	"errors"
	"fmt"
	"io"

	"github.com/adahessian-go/adahessian"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// AdaHessianSolver is a gorgonia.Solver that uses the AdaHessian algorithm: Adam whose
// second moment holds the diagonal of the Hessian, as Rademacher probes estimate it,
// in place of the squared gradient.
type AdaHessianSolver struct {
	gradient func() error
	opts     adahessian.Options
	clip     float64
	average  func(name string, shape tensor.Shape) []int
	bound    bound // nil before the first Step
}

var _ gorgonia.Solver = (*AdaHessianSolver)(nil)

// bound is an optimizer of the type of the model, with the parameters that it has.
type bound interface {
	bind(s *AdaHessianSolver, model []gorgonia.ValueGrad) error
	step(s *AdaHessianSolver, model []gorgonia.ValueGrad) error
	io.WriterTo
	io.ReaderFrom
}

// NewAdaHessianSolver creates an AdaHessian solver of what a machine computes, with
// these default values:
//
//	learn rate           : 0.02, where 0.15 is published
//	beta1                : 0.9
//	beta2                : 0.999
//	eps                  : 1e-4
//	weight decay         : 0
//	Hessian power        : 1
//	max update           : 1, where none is published
//	samples, update each : 1
//
// The machine, on which RunAll has computed the gradients that a Step begins with, may
// be nil where there is WithGradient.
func NewAdaHessianSolver(machine gorgonia.VM, opts ...Option) *AdaHessianSolver {
	s := &AdaHessianSolver{opts: adahessian.DefaultOptions()}
	s.opts.LR, s.opts.MaxUpdate = DefaultLearnRate, DefaultMaxUpdate
	if machine != nil {
		s.gradient = func() error {
			machine.Reset()
			return machine.RunAll()
		}
	}
	for _, opt := range opts {
		opt(s)
	}
	return s
}

// Step makes one step of the parameters of a model, in place, and sets their gradients
// to zero, as the other solvers do. The gradients are those at the present values. On an
// error no parameter has changed.
//
// The nodes of a model are told apart by their identity. Their values hold what the
// first one's does, float32 or float64, row-major.
func (s *AdaHessianSolver) Step(model []gorgonia.ValueGrad) error {
	err := s.bind(model)
	if err == nil {
		err = s.bound.step(s, model)
	}
	if err != nil {
		return fmt.Errorf("ahgorgonia: %w", err)
	}
	return nil
}

// bind makes the optimizer, if there is none, and takes in parameters that are new.
func (s *AdaHessianSolver) bind(model []gorgonia.ValueGrad) error {
	if s.gradient == nil {
		return errors.New("neither a machine nor WithGradient")
	}
	if !(s.clip >= 0) {
		return fmt.Errorf("clip = %v, want above 0", s.clip)
	}
	if s.bound != nil {
		return s.bound.bind(s, model)
	}
	if len(model) == 0 {
		return errors.New("the model has no parameters")
	}
	var b bound
	var err error
	if value := model[0].Value(); value != nil && value.Dtype() == tensor.Float32 {
		b, err = newBound[float32](s)
	} else {
		b, err = newBound[float64](s)
	}
	if err == nil {
		err = b.bind(s, model)
	}
	if err == nil {
		s.bound = b
	}
	return err
}

// Save writes the moments of all parameters, their numbers of steps and the place in
// the sequence of probes, after a Step. It writes neither the parameters nor what the
// options say.
func (s *AdaHessianSolver) Save(w io.Writer) error {
	if s.bound == nil {
		return errors.New("ahgorgonia: Save: no Step has been made")
	}
	if _, err := s.bound.WriteTo(w); err != nil {
		return fmt.Errorf("ahgorgonia: Save: %w", err)
	}
	return nil
}

// Load reads what Save has written of a model with the same names and shapes, in the
// order in which the parameters had come. Steps then give the bits that they would have
// given without the interruption, where the options are as they were. On an error
// nothing has changed.
func (s *AdaHessianSolver) Load(model []gorgonia.ValueGrad, r io.Reader) error {
	before := s.bound
	s.bound = nil
	err := s.bind(model)
	if err == nil {
		_, err = s.bound.ReadFrom(r)
	}
	if err != nil {
		s.bound = before
		return fmt.Errorf("ahgorgonia: Load: %w", err)
	}
	return nil
}
