package adahessian

import "fmt"

// StepGradient makes one step from gradients alone. It gives the same bits as Step with
// the Hessian-vector product of FiniteDifference(params, grad, 0) for the optimizer's
// own parameters. A program that has gradients needs only this:
//
//	opt, err := adahessian.New(adahessian.DefaultOptions(), params...)
//	for range steps {
//		err := opt.StepGradient(grad)
//	}
//
// grad is as for FiniteDifference: it fills grads[i], which holds zeros, with the
// gradient of the loss for parameter i at the present values, and uses the same loss at
// each call within one StepGradient. It is called once and, if a refresh is due, twice
// more for each probe with the parameters moved. They are then restored to the bit. (If
// their scales differ widely, it is called more often: see FiniteDifference.)
//
// In its first call of a step, grad may set grads[i] to nil. This skips parameter i, as
// in Step, and the parameter is not moved in the later calls either.
//
// The errors are those of Step and of FiniteDifference. An error of grad is wrapped
// together with ErrHVP. On an error nothing has changed. grad must not call the methods
// that hvp must not call (see Step). The first StepGradient allocates four vectors, each
// as large as all parameters together; later ones allocate nothing.
func (o *Optimizer[T]) StepGradient(grad func(grads [][]T) error) error {
	if err := o.idle("StepGradient"); err != nil {
		return err
	}
	if grad == nil {
		return fmt.Errorf("%w: StepGradient: grad is nil: pass a function that fills grads with the gradient", ErrOption)
	}
	if o.gradient == nil {
		o.gradient = o.newGradientStep()
	}
	s := o.gradient
	s.grad = grad
	defer s.letGo()
	for i, value := range o.memory.values {
		s.fd.params[i].Value = value // Rebind moves it
	}
	if err := o.firstGradient(); err != nil {
		return err
	}
	return o.Step(s.grads, s.hvp)
}

// firstGradient takes the gradient at the parameters' values.
func (o *Optimizer[T]) firstGradient() error {
	defer o.usage.enter("grad")()
	return o.gradient.first()
}

// gradientStep is what StepGradient keeps from call to call.
type gradientStep[T Float] struct {
	grad  func(grads [][]T) error // the argument
	own   [][]T                   // room for the gradient at the parameters' values
	grads [][]T                   // that gradient: own[i], or nil where grad has set nil
	given [][]T                   // what is passed to grad
	fd    *finiteDifference[T]
	hvp   HVP[T]
}

func (o *Optimizer[T]) newGradientStep() *gradientStep[T] {
	params := make([]Param[T], len(o.tensors))
	for i := range params {
		params[i] = Param[T]{Name: o.tensors[i].name, Value: o.tensors[i].value}
	}
	s := &gradientStep[T]{
		own:   vectorsLike(params),
		grads: make([][]T, len(params)),
		given: make([][]T, len(params)),
	}
	s.fd = newFiniteDifference(params, s.moved, 0)
	s.hvp = s.product
	return s
}

// first implements firstGradient.
func (s *gradientStep[T]) first() error {
	for _, x := range s.own {
		clear(x)
	}
	copy(s.given, s.own)
	if err := s.grad(s.given); err != nil {
		return fmt.Errorf("%w: StepGradient: gradient: %w", ErrHVP, err)
	}
	copy(s.grads, s.given)
	for i, g := range s.given {
		if g == nil {
			s.given[i] = s.own[i] // of the right length, and not read
		}
	}
	if err := take(s.fd.params, "grads", s.own, s.given); err != nil {
		return err
	}
	for i, g := range s.grads {
		if g != nil {
			s.grads[i] = s.own[i]
		}
	}
	return nil
}

// moved computes the gradient where the parameters have been moved. For a skipped
// parameter it has no meaning.
func (s *gradientStep[T]) moved(grads [][]T) error {
	copy(s.given, grads)
	err := s.grad(grads)
	for i, g := range grads {
		if g == nil && s.grads[i] == nil {
			grads[i] = s.given[i]
		}
	}
	return err
}

// product is the HVP. It does not move skipped parameters.
func (s *gradientStep[T]) product(hz, z [][]T) error {
	for i, g := range s.grads {
		if g == nil {
			clear(z[i])
		}
	}
	return s.fd.product(hz, z)
}

// letGo drops what belongs to the caller.
func (s *gradientStep[T]) letGo() {
	s.grad = nil
	clear(s.given)
}
