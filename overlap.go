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
	apart   []extent  // the last gradient of each tensor that was found to be so
	own     []extent  // and the last product that hvp has put in the place of ours
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
	o.apart = make([]extent, len(o.tensors))
	o.own = make([]extent, len(o.tensors))
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

// checkGradients reports the first gradient that shares memory with what the
// step writes. A gradient may be its own parameter's Value, as that of ½|θ|²
// is: every element is read before it is written.
func (o *Optimizer[T]) checkGradients(grads [][]T) error {
	for i, g := range grads {
		if unsafe.SliceData(g) == unsafe.SliceData(o.tensors[i].value) {
			continue
		}
		if err := o.checkApart(i, g, "gradient", &o.apart[i]); err != nil {
			return err
		}
	}
	return nil
}

// checkOwnProducts is checkGradients for products that hvp has put in the place
// of the optimizer's.
func (o *Optimizer[T]) checkOwnProducts() error {
	for i, h := range o.hzView {
		if unsafe.SliceData(h) == unsafe.SliceData(o.hz[i]) {
			continue
		}
		if err := o.checkApart(i, h, product, &o.own[i]); err != nil {
			return err
		}
	}
	return nil
}

// checkApart reports a slice for the i-th parameter that shares memory with what
// the step writes. No memory moves, so what was apart still is: last is the
// latest that was.
func (o *Optimizer[T]) checkApart(i int, x []T, what string, last *extent) error {
	if len(x) == 0 {
		return nil
	}
	e := extentOf(x)
	if e == *last {
		return nil
	}
	if w := o.find(e); w != nil {
		return fmt.Errorf("%w: parameter %d %q: %s shares memory with %s of parameter %d %q",
			ErrShape, i, o.tensors[i].name, what, w.what, w.tensor, o.tensors[w.tensor].name)
	}
	*last = e
	return nil
}
