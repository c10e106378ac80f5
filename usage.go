package adahessian

import "fmt"

// usage tells whether an Optimizer can be used.
type usage[T Float] struct {
	self   *Optimizer[T] // as New has made it: not of the zero Optimizer, nor of a copy
	within string        // what calls the caller's code at present
}

// made reports an Optimizer that New has not made, or a copy of one: its tasks
// would use the options and counters of the other.
func (o *Optimizer[T]) made(method string) error {
	switch o.usage.self {
	case o:
		return nil
	case nil:
		return fmt.Errorf("%w: %s of an Optimizer that New has not made", ErrState, method)
	}
	return fmt.Errorf("%w: %s of a copy of an Optimizer: use the pointer that New returned", ErrState, method)
}

// idle reports what made does, and a call from within the caller's own code that
// another method runs: what that method has begun would go on with other values.
func (o *Optimizer[T]) idle(method string) error {
	if err := o.made(method); err != nil {
		return err
	}
	if o.usage.within != "" {
		return fmt.Errorf("%w: %s called within %s", ErrState, method, o.usage.within)
	}
	return nil
}

// enter notes that the caller's code is called, until the returned function is.
func (u *usage[T]) enter(what string) (leave func()) {
	before := u.within
	u.within = what
	return func() { u.within = before }
}
