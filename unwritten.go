package adahessian

import (
	"fmt"
	"unsafe"
)

// If hvp forgets to write an element, the product of the last step is still there, and
// looks like any other. So some elements of each product are marked before the call,
// with a NaN that no arithmetic produces. The search for values that are not finite
// then finds the marks that are left, at no extra cost. Only if that search is turned
// off are they looked for separately.

// The bits of a mark: a quiet NaN, which loads and stores leave as it is.
const (
	mark32 = 0x7fc0_5a1d
	mark64 = 0x7ff8_5a1d_0c0d_e5e7
)

// markEach is how far apart the marks of a long product lie.
const markEach = 8 << 10

// marks are the marked elements of the products.
type marks[T Float] struct {
	single  []*T    // in the optimizer's own slices
	pairs   []*[2]T // where one tensor of a bucket ends and the next begins: one store for both
	at      []elementIndex
	tensors int  // that have elements
	left    bool // hvp has replaced all slices with its own, so the marks are still there
}

type elementIndex struct{ tensor, element int }

// addBucket chooses the first and the last element of each product from first to
// last, and some in between. The products follow one another in hz, from its start.
func (m *marks[T]) addBucket(tensors []tensor[T], first, last int, hz []T) {
	var chosen []int // of hz
	start := 0
	for i := first; i <= last; i++ {
		n := len(tensors[i].value)
		if n > 0 {
			m.tensors++
		}
		each := min(max(n/2, 1), markEach)
		for e := 0; e < n; e += each {
			m.at = append(m.at, elementIndex{i, e})
			chosen = append(chosen, start+e)
			if last := n - 1; e < last && last < e+each {
				m.at = append(m.at, elementIndex{i, last})
				chosen = append(chosen, start+last)
			}
		}
		start += n
	}
	for len(chosen) > 0 {
		e := chosen[0]
		if len(chosen) > 1 && chosen[1] == e+1 {
			m.pairs = append(m.pairs, (*[2]T)(hz[e:]))
			chosen = chosen[2:]
		} else {
			m.single = append(m.single, &hz[e])
			chosen = chosen[1:]
		}
	}
	m.left = false
}

// set marks the optimizer's own slices. If hvp uses slices of its own, the marks are
// still there, and not touching them again saves room in the cache.
func (m *marks[T]) set() {
	if m.left {
		m.left = false // unless it does so again
		return
	}
	for _, x := range m.single {
		setMark(x)
	}
	for _, x := range m.pairs {
		setMarks(x)
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

func setMarks[T Float](x *[2]T) {
	if unsafe.Sizeof(x[0]) == 4 {
		*(*[2]uint32)(unsafe.Pointer(x)) = [2]uint32{mark32, mark32}
	} else {
		*(*[2]uint64)(unsafe.Pointer(x)) = [2]uint64{mark64, mark64}
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
