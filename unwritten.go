package adahessian

import (
	"fmt"
	"unsafe"
)

// If hvp forgets to write an element, the product of the last step would still be
// there, and look like any other. So some elements of each product are marked before
// the call, with a NaN that no arithmetic produces. The search for values that are not
// finite then finds the marks that are left, at no extra cost; only without that
// search are they looked for.

// The bits of a mark: a quiet NaN, which loads and stores leave as it is.
const (
	mark32 = 0x7fc0_5a1d
	mark64 = 0x7ff8_5a1d_0c0d_e5e7
)

// markEach is how far apart the marks of a long product lie.
const markEach = 8 << 10

// marks are the marked elements of the products.
type marks[T Float] struct {
	own     []*T // in the optimizer's own slices
	at      []elementIndex
	tensors int  // that have elements
	left    bool // hvp has replaced all slices by its own, so the marks are still there
}

type elementIndex struct{ tensor, element int }

// makeMarks chooses the first and the last element of each product, and some in
// between.
func makeMarks[T Float](hz [][]T) (m marks[T]) {
	for i, x := range hz {
		if len(x) > 0 {
			m.tensors++
		}
		each := min(max(len(x)/2, 1), markEach)
		for e := 0; e < len(x); e += each {
			m.add(hz, i, e)
			if last := len(x) - 1; e < last && last < e+each {
				m.add(hz, i, last)
			}
		}
	}
	return m
}

func (m *marks[T]) add(hz [][]T, tensor, element int) {
	m.own = append(m.own, &hz[tensor][element])
	m.at = append(m.at, elementIndex{tensor, element})
}

// set marks the optimizer's own slices. If hvp uses slices of its own, the marks are
// still there, and not touching them again saves room in the cache.
func (m *marks[T]) set() {
	if m.left {
		m.left = false // unless it does so again
		return
	}
	for _, x := range m.own {
		setMark(x)
	}
}

// find returns the first element of hz that hvp has left marked, of the tensors that
// are not skipped.
func (m *marks[T]) find(hz [][]T, skipped []bool) (at elementIndex, found bool) {
	for _, at := range m.at {
		if !skipped[at.tensor] && isMark(&hz[at.tensor][at.element]) {
			return at, true
		}
	}
	return at, false
}

func setMark[T Float](x *T) {
	if unsafe.Sizeof(*x) == 4 {
		*(*uint32)(unsafe.Pointer(x)) = mark32
	} else {
		*(*uint64)(unsafe.Pointer(x)) = mark64
	}
}

func isMark[T Float](x *T) bool {
	if unsafe.Sizeof(*x) == 4 {
		return *(*uint32)(unsafe.Pointer(x)) == mark32
	}
	return *(*uint64)(unsafe.Pointer(x)) == mark64
}

// unwritten reports an element that hvp has not written.
func (o *Optimizer[T]) unwritten() error {
	at, found := o.probes.marks.find(o.probes.hzView, o.call.skipped)
	if !found {
		return nil
	}
	return fmt.Errorf("%w: step %d: parameter %d %q: hvp has not written hz[%d][%d], or has only added to it: it must set every element, zeros included",
		ErrHVP, o.steps+1, at.tensor, o.tensors[at.tensor].name, at.tensor, at.element)
}
