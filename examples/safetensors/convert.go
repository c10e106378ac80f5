package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unsafe"

	"github.com/adahessian-go/adahessian"
	"github.com/nlpodyssey/safetensors"
)

// The names in the state of the published optimizer. There the number of steps is part
// of the state; here it is in the file's metadata.
const (
	firstMoment  = "exp_avg"
	secondMoment = "exp_hessian_diag_sq"
	stepCount    = "step"
)

// Tensor describes a parameter as it was given to the optimizer.
type Tensor struct {
	Param  string
	Shape  []int
	Layout adahessian.Layout // as it was given; zero: Elementwise
}

// described returns the tensors, with zero layouts replaced by what they stand for. It
// is an error if the tensors differ from those of opt in number or size.
func described[T adahessian.Float](opt *adahessian.Optimizer[T], tensors []Tensor) ([]Tensor, error) {
	tensors, err := complete(tensors)
	if err != nil {
		return nil, err
	}
	n, err := parameters(opt)
	if err != nil {
		return nil, err
	}
	for i, t := range tensors {
		if i >= n {
			return nil, fmt.Errorf("tensor %d %q: the optimizer has %d parameters", i, t.Param, n)
		}
		if m, v := opt.State(i); len(m) != t.Layout.Len() || len(v) != t.Layout.Blocks() {
			return nil, fmt.Errorf("tensor %d %q has Layout %+v, and the optimizer's parameter has %d elements in %d blocks",
				i, t.Param, t.Layout, len(m), len(v))
		}
	}
	if len(tensors) < n {
		return nil, fmt.Errorf("%d tensors, and the optimizer has %d parameters", len(tensors), n)
	}
	return tensors, nil
}

// parameters returns how many parameters opt has. An opt that was not made by New, or is
// a copy, is an error.
func parameters[T adahessian.Float](opt *adahessian.Optimizer[T]) (n int, err error) {
	if opt == nil {
		return 0, errors.New("the optimizer is nil")
	}
	for { // Rebind with values that all stay where they are only checks their number
		err := opt.Rebind(make([][]T, n))
		if !errors.Is(err, adahessian.ErrShape) {
			return n, err
		}
		n++
	}
}

// complete returns the tensors, with zero layouts replaced by what they stand for. Two
// tensors with the same name are an error, since a file has only one tensor of each
// name.
func complete(tensors []Tensor) ([]Tensor, error) {
	tensors = slices.Clone(tensors)
	seen := map[string]int{}
	for i := range tensors {
		t := &tensors[i]
		if first, twice := seen[t.Param]; twice {
			return nil, fmt.Errorf("tensors %d and %d are both named %q", first, i, t.Param)
		}
		seen[t.Param] = i
		each, err := adahessian.AverageAxes(t.Shape) // Elementwise, if the shape is one
		if err != nil {
			return nil, fmt.Errorf("tensor %d %q: %w", i, t.Param, err)
		}
		if t.Layout == (adahessian.Layout{}) {
			t.Layout = each
		}
		if l := t.Layout; l.Outer < 0 || l.Block < 1 || l.Inner < 0 || l.Len() != each.Len() {
			return nil, fmt.Errorf("%s has Layout %+v, which does not describe the shape %v", t.Param, t.Layout, t.Shape)
		}
	}
	return tensors, nil
}

// Export returns a safetensors file with the moments and the number of steps, which must
// be the same for every parameter. The second moment is expanded, so that each element
// has the value of its block. tensors describes all parameters that opt was made with,
// in its order. It is an error if their number, elements or blocks differ from those of
// opt. The names need not be those of opt.
func Export[T adahessian.Float](opt *adahessian.Optimizer[T], tensors []Tensor) ([]byte, error) {
	tensors, err := described(opt, tensors)
	if err != nil {
		return nil, err
	}
	views := map[string]safetensors.TensorView{}
	for i, t := range tensors {
		m, v := opt.State(i)
		expanded := make([]T, len(m))
		for e := range expanded {
			expanded[e] = v[t.blockOf(e)]
		}
		for name, x := range map[string][]T{firstMoment: m, secondMoment: expanded} {
			view, err := newView(t.Shape, x)
			if err != nil {
				return nil, fmt.Errorf("%s.%s: %w", t.Param, name, err)
			}
			views[t.Param+"."+name] = view
		}
	}
	return safetensors.Serialize(views, map[string]string{stepCount: strconv.FormatUint(opt.Steps(), 10)})
}

// Import sets the moments and the number of steps to those of a safetensors file.
// tensors describes the parameters that opt was made with. On an error opt is as it
// was.
//
// The values of a block must all be the same. So a file of an optimizer that averaged
// over other axes is an error. With UpdateEach > 1, the file must be of a step after
// which a refresh is due, since the file does not have the curvature that is kept
// between refreshes.
func Import[T adahessian.Float](opt *adahessian.Optimizer[T], tensors []Tensor, data []byte) error {
	tensors, err := described(opt, tensors)
	if err != nil {
		return err
	}
	file, err := safetensors.Deserialize(data)
	if err != nil {
		return err
	}
	steps, err := stepsOf(data)
	if err != nil {
		return err
	}
	type moments struct{ m, v []T }
	var read []moments
	for _, t := range tensors {
		m, err := readTensor[T](file, t.Param+"."+firstMoment, t.Shape)
		if err != nil {
			return err
		}
		expanded, err := readTensor[T](file, t.Param+"."+secondMoment, t.Shape)
		if err != nil {
			return err
		}
		v := make([]T, t.Layout.Blocks())
		seen := make([]bool, len(v))
		for e, x := range expanded {
			b := t.blockOf(e)
			if seen[b] && x != v[b] {
				return fmt.Errorf("%s.%s[%d] = %v, and another element of its block has %v", t.Param, secondMoment, e, x, v[b])
			}
			v[b], seen[b] = x, true
		}
		read = append(read, moments{m, v})
	}
	if err := opt.SetSteps(steps); err != nil { // before anything changes
		return err
	}
	for i, x := range read {
		m, v := opt.State(i)
		copy(m, x.m)
		copy(v, x.v)
	}
	return nil
}

// blockOf returns the block of an element.
func (t Tensor) blockOf(element int) int {
	l := t.Layout
	return element/(l.Block*l.Inner)*l.Inner + element%l.Inner
}

func newView[T adahessian.Float](shape []int, x []T) (safetensors.TensorView, error) {
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, x); err != nil {
		return safetensors.TensorView{}, err
	}
	return safetensors.NewTensorView(dtype[T](), dims(shape), b.Bytes())
}

func readTensor[T adahessian.Float](file safetensors.SafeTensors, name string, shape []int) ([]T, error) {
	view, ok := file.Tensor(name)
	if !ok {
		return nil, fmt.Errorf("no tensor %s", name)
	}
	if got, want := fmt.Sprint(view.DType(), view.Shape()), fmt.Sprint(dtype[T](), dims(shape)); got != want {
		return nil, fmt.Errorf("%s is %s, want %s", name, got, want)
	}
	x := make([]T, view.DataLen()/uint64(unsafe.Sizeof(T(0))))
	return x, binary.Read(bytes.NewReader(view.Data()), binary.LittleEndian, x)
}

// stepsOf reads the number of steps in the file's metadata.
func stepsOf(data []byte) (uint64, error) {
	_, metadata, err := safetensors.ReadMetadata(data)
	if err != nil {
		return 0, err
	}
	steps, err := strconv.ParseUint(metadata.Metadata()[stepCount], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("metadata %q: %w", stepCount, err)
	}
	return steps, nil
}

func dtype[T adahessian.Float]() safetensors.DType {
	if unsafe.Sizeof(T(0)) == 4 {
		return safetensors.F32
	}
	return safetensors.F64
}

func dims(shape []int) []uint64 {
	var d []uint64
	for _, n := range shape {
		d = append(d, uint64(n))
	}
	return d
}
