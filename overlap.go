package adahessian

import (
	"fmt"
	"slices"
	"unsafe"
)

// extent is the memory of a slice.
type extent struct{ start, end uintptr }

// written is memory that a step writes.
type written struct {
	extent
	what   string
	tensor int
}

// extentOf returns the memory of x, which is not empty.
func extentOf[T Float](x []T) extent {
	start := uintptr(unsafe.Pointer(unsafe.SliceData(x)))
	return extent{start, start + uintptr(len(x))*unsafe.Sizeof(T(0))}
}

// overlap finds slices of the caller's that share memory with what a step
// writes: there a step would read what it has written already.
type overlap struct {
	written []written // in rising order, and apart
	apart   []uintptr // where the last gradient of each tensor lay that was found to be so
	own     []uintptr // and the last product that hvp has put in the place of ours
}

// makeOverlap lists what a step writes.
func (o *Optimizer[T]) makeOverlap() {
	for i := range o.tensors {
		t := &o.tensors[i]
		for _, x := range []struct {
			x    []T
			what string
		}{{t.value, "Value"}, {t.m, "m"}, {t.v, "v"}} {
			if len(x.x) > 0 {
				o.written = append(o.written, written{extentOf(x.x), x.what, i})
			}
		}
	}
	slices.SortFunc(o.written, func(a, b written) int {
		if a.start < b.start {
			return -1
		}
		return 1
	})
	o.apart = make([]uintptr, len(o.tensors))
	o.own = make([]uintptr, len(o.tensors))
}

// find returns what is written first of the memory of x, or nil.
func (l *overlap) find(x extent) *written {
	k, _ := slices.BinarySearchFunc(l.written, x.start, func(w written, start uintptr) int {
		if w.end <= start {
			return -1
		}
		return 1
	})
	if k < len(l.written) && l.written[k].start < x.end {
		return &l.written[k]
	}
	return nil
}

// check reports the first of x, one slice for each parameter, that has the wrong
// length or shares memory with what the step writes; and whether any but mine are
// among them, which may. No memory moves, so what was apart still is: apart says
// where the latest lay that were.
func (o *Optimizer[T]) check(x, mine [][]T, apart []uintptr, what string) (others bool, err error) {
	for i, value := range o.values {
		if len(x[i]) != len(value) {
			return others, fmt.Errorf("%w: parameter %d %q: %s has %d elements, want %d",
				ErrShape, i, o.tensors[i].name, what, len(x[i]), len(value))
		}
		start := unsafe.SliceData(x[i])
		if start == unsafe.SliceData(mine[i]) {
			continue
		}
		others = true
		if uintptr(unsafe.Pointer(start)) == apart[i] || len(value) == 0 {
			continue
		}
		if w := o.find(extentOf(x[i])); w != nil {
			return others, fmt.Errorf("%w: parameter %d %q: %s shares memory with %s of parameter %d %q",
				ErrShape, i, o.tensors[i].name, what, w.what, w.tensor, o.tensors[w.tensor].name)
		}
		apart[i] = uintptr(unsafe.Pointer(start))
	}
	return others, nil
}

// checkGradients is check for the gradients. One may be its own parameter's
// Value, as that of ½|θ|² is: every element is read before it is written.
func (o *Optimizer[T]) checkGradients() error {
	_, err := o.check(o.grads, o.values, o.apart, "gradient")
	return err
}

// checkProducts is check for what hvp has left.
func (o *Optimizer[T]) checkProducts() (err error) {
	o.replaced, err = o.check(o.hzView, o.hz, o.own, product)
	return err
}

// checkOverlap reports two parameters that share memory: each would undo the
// other's step.
func (o *Optimizer[T]) checkOverlap() error {
	var order []int
	for i := range o.tensors {
		if len(o.tensors[i].value) > 0 {
			order = append(order, i)
		}
	}
	start := func(i int) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(o.tensors[i].value))) }
	slices.SortFunc(order, func(a, b int) int {
		if start(a) < start(b) {
			return -1
		}
		return 1
	})
	for k := 1; k < len(order); k++ {
		i, j := order[k-1], order[k]
		if start(j)-start(i) < uintptr(len(o.tensors[i].value))*unsafe.Sizeof(T(0)) {
			i, j = min(i, j), max(i, j)
			return fmt.Errorf("%w: parameter %d %q: Value shares memory with that of parameter %d %q",
				ErrShape, j, o.tensors[j].name, i, o.tensors[i].name)
		}
	}
	return nil
}
