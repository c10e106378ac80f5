package adahessian

import "fmt"

// StepGradient makes one step from gradients alone: Step, with the Hessian-vector
// product that FiniteDifference(params, grad, 0) computes for the optimizer's own
// parameters, and with its bits. Three lines train any program that has gradients:
//
//	opt, err := adahessian.New(adahessian.DefaultOptions(), params...)
//	for range steps {
//		err := opt.StepGradient(grad)
//
// grad is as for FiniteDifference: it fills grads[i], which holds zeros, with the
// gradient of the loss for parameter i at the present values, and has the same loss at
// each call of one StepGradient. It is called once, and where a refresh is due twice
// more for each probe, with the parameters moved; they are restored after it, to the bit.
//
// grad may set grads[i] to nil in its first call of a step, which skips parameter i as
// Step does: it then does not move in the later calls either.
//
// The errors are those of Step and of FiniteDifference; grad's own error is wrapped too,
// with ErrHVP. On an error nothing has changed. grad must not call what hvp must not
// (see Step). The first StepGradient makes four vectors as large as all parameters
// together; the later ones allocate nothing.
func (o *Optimizer[T]) StepGradient(grad func(grads [][]T) error) error {
	if err := o.idle("StepGradient"); err != nil {
		return err
	}
	if grad == nil {
		return fmt.Errorf("%w: StepGradient: grad is nil", ErrOption)
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

// gradientStep is what StepGradient keeps.
type gradientStep[T Float] struct {
	grad  func(grads [][]T) error // the argument
	own   [][]T                   // room for the gradient at the parameters' values
	grads [][]T                   // that gradient: own, or nil
	given [][]T                   // what grad is given
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

// first is firstGradient.
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

// moved is the gradient where the parameters have been moved. That of a skipped one
// means nothing.
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

// product is the HVP. Skipped parameters stay where they are.
func (s *gradientStep[T]) product(hz, z [][]T) error {
	for i, g := range s.grads {
		if g == nil {
			clear(z[i])
		}
	}
	return s.fd.product(hz, z)
}

// letGo forgets what is the caller's.
func (s *gradientStep[T]) letGo() {
	s.grad = nil
	clear(s.given)
}
