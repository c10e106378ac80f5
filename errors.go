package adahessian

import "errors"

// The errors of this package. Every error that New, Step and the other
// functions return wraps one of them, and names what is at fault, where it
// applies the parameter, the index and the value; test with errors.Is.
var (
	// ErrOption reports a hyperparameter or an option outside its range.
	ErrOption = errors.New("adahessian: invalid option")
	// ErrLayout reports a layout that does not describe its tensor.
	ErrLayout = errors.New("adahessian: invalid layout")
	// ErrShape reports slices whose number or length does not fit, or that
	// share memory where they must not.
	ErrShape = errors.New("adahessian: shape mismatch")
	// ErrNonFinite reports a NaN or an infinity where a finite value is needed.
	ErrNonFinite = errors.New("adahessian: value is not finite")
	// ErrState reports saved state that is damaged or belongs to another
	// configuration, or a stream of it that fails.
	ErrState = errors.New("adahessian: invalid state")
	// ErrHVP reports a Hessian-vector product that is missing, failed, or is
	// not one.
	ErrHVP = errors.New("adahessian: Hessian-vector product failed")
)
