package adahessian

import "fmt"

// usage says whether an Optimizer can be used.
type usage[T Float] struct {
	self   *Optimizer[T] // the Optimizer that New made; nil in the zero Optimizer, and the original in a copy
	within string        // what errors call the caller's code that is running; "": none
}

// made reports an Optimizer that was not made by New or is a copy: the tasks of a copy
// would use the options and counters of the original.
func (o *Optimizer[T]) made(method string) error {
	switch o.usage.self {
	case o:
		return nil
	case nil:
		return fmt.Errorf("%w: %s called on an Optimizer that was not made by New: call New first", ErrState, method)
	}
	return fmt.Errorf("%w: %s called on a copy of an Optimizer: use the pointer that New returned", ErrState, method)
}

// idle reports what made reports, and also a call from the caller's own code while
// another method runs that code: the method would go on with values that have changed.
func (o *Optimizer[T]) idle(method string) error {
	if err := o.made(method); err != nil {
		return err
	}
	if o.usage.within != "" {
		return fmt.Errorf("%w: %s called within %s, which must not change the optimizer: call it afterwards", ErrState, method, o.usage.within)
	}
	return nil
}

// enter notes that the caller's code runs, until leave is called.
func (u *usage[T]) enter(what string) (leave func()) {
	before := u.within
	u.within = what
	return func() { u.within = before }
}
