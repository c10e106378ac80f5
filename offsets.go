package adahessian

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// place sets the index of the tensor's first element, where none is given, to
// next, and returns the one directly after its last. It reports elements whose
// indices exceed 64 bits; i is the tensor's number.
func (t *tensor[T]) place(i int, next uint64) (after uint64, err error) {
	if t.offset == 0 {
		t.offset = next
	}
	n := uint64(len(t.value))
	if n > 0 && n-1 > math.MaxUint64-t.offset {
		return 0, fmt.Errorf("%w: parameter %d %q: Offset %d and %d elements exceed 64 bits",
			ErrOption, i, t.name, t.offset, n)
	}
	if n > 0 && t.offset+n == 0 {
		// None is left. What follows gets the last, and is refused, unless it
		// has no elements: that index is taken.
		return math.MaxUint64, nil
	}
	return t.offset + n, nil
}

// checkIndices reports two tensors that have an index in common. They would draw
// the same signs there, and the products of their cross terms would not average
// to 0.
func checkIndices[T Float](tensors []tensor[T]) error {
	last := func(i int) uint64 { return tensors[i].offset + uint64(len(tensors[i].value)) - 1 }
	var order []int
	for i := range tensors {
		if len(tensors[i].value) > 0 {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(tensors[i].offset, tensors[j].offset) })
	for k := 1; k < len(order); k++ {
		a, b := order[k-1], order[k]
		if from, to := tensors[b].offset, min(last(a), last(b)); from <= to {
			i, j := min(a, b), max(a, b)
			return fmt.Errorf("%w: parameter %d %q and parameter %d %q: their Offsets give both the indices %d to %d",
				ErrOption, i, tensors[i].name, j, tensors[j].name, from, to)
		}
	}
	return nil
}
