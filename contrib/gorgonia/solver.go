package ahgorgonia

import (
	"errors"
	"fmt"
	"io"

	"github.com/adahessian-go/adahessian"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// AdaHessianSolver is a gorgonia.Solver that uses the AdaHessian algorithm. It is like
// Adam, but its second moment averages the squared diagonal of the Hessian, estimated
// by Rademacher probes, instead of the squared gradient.
type AdaHessianSolver struct {
	gradient func() error
	opts     adahessian.Options
	clip     float64
	average  func(name string, shape tensor.Shape) []int
	bound    bound // nil before the first Step
}

var _ gorgonia.Solver = (*AdaHessianSolver)(nil)

// bound is an optimizer of the model's element type, with its parameters.
type bound interface {
	bind(s *AdaHessianSolver, model []gorgonia.ValueGrad) error
	step(s *AdaHessianSolver, model []gorgonia.ValueGrad) error
	io.WriterTo
	io.ReaderFrom
}

// NewAdaHessianSolver creates an AdaHessian solver for the gradients that a machine
// computes, with these default values:
//
//	learn rate           : 0.02 (published: 0.15)
//	beta1                : 0.9
//	beta2                : 0.999
//	eps                  : 1e-4
//	weight decay         : 0
//	Hessian power        : 1
//	max update           : 1 (published: no bound)
//	samples, update each : 1
//
// Before each Step, RunAll of the machine must have computed the gradients. The machine
// may be nil if WithGradient is given.
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
// to zero, as the other solvers do. The gradients must be those at the present values.
// On an error no parameter has changed.
//
// The nodes of a model are told apart by their identity. Their values are row-major,
// and all float32 or all float64.
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

// bind makes the optimizer, if there is none, and adds new parameters.
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

// Save writes the moments of all parameters, their numbers of steps and the position in
// the sequence of probes. It does not write the parameters or the options. It is an
// error to call it before the first Step.
func (s *AdaHessianSolver) Save(w io.Writer) error {
	if s.bound == nil {
		return errors.New("ahgorgonia: Save: no Step has been made")
	}
	if _, err := s.bound.WriteTo(w); err != nil {
		return fmt.Errorf("ahgorgonia: Save: %w", err)
	}
	return nil
}

// Load reads what Save wrote for a model with the same names and shapes. The parameters
// must be in the order in which they were added to the solver that was saved. If the
// options are the same, the next steps give the same bits as without the interruption.
// On an error nothing has changed.
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
