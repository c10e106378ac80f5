package ahgorgonia

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/adahessian-go/adahessian"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// elements returns the memory of a value.
func elements[T adahessian.Float](v gorgonia.Value) ([]T, error) {
	var data any
	switch v := v.(type) {
	case nil:
		return nil, errors.New("it has no value")
	case *gorgonia.F64:
		data = unsafe.Slice((*float64)(v), 1)
	case *gorgonia.F32:
		data = unsafe.Slice((*float32)(v), 1)
	case *tensor.Dense:
		if v.RequiresIterator() || v.DataOrder().IsColMajor() {
			return nil, errors.New("it is a view, or not row-major")
		}
		data = v.Data()
	default:
		return nil, fmt.Errorf("it is a %T, want a scalar or a dense tensor", v)
	}
	x, ok := data.([]T)
	if !ok {
		return nil, fmt.Errorf("it holds %T, want %T", data, x)
	}
	return x, nil
}

// read copies a value.
func read[T adahessian.Float](to []T, v gorgonia.Value) error {
	x, err := elements[T](v)
	if err != nil {
		return err
	}
	if len(x) != len(to) {
		return fmt.Errorf("it has %d elements, want %d", len(x), len(to))
	}
	copy(to, x)
	return nil
}

// write sets a value to x, or to zeros if x is nil.
func write[T adahessian.Float](v gorgonia.Value, x []T) error {
	to, err := elements[T](v)
	if err != nil {
		return err
	}
	if x == nil {
		clear(to)
	}
	copy(to, x)
	return nil
}
