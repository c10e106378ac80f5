package adahessian

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// nextIndex returns the index directly after the last tensor's. If none is left, it
// returns the last possible index, which is taken: only a tensor without elements fits.
func nextIndex[T Float](tensors []tensor[T]) uint64 {
	if len(tensors) == 0 {
		return 0
	}
	t := &tensors[len(tensors)-1]
	next := t.offset + uint64(len(t.value))
	if next < t.offset {
		return math.MaxUint64
	}
	return next
}

// place sets the index of the tensor's first element to next if none is given. It
// reports indices that exceed 64 bits; i is the number of the tensor.
func (t *tensor[T]) place(i int, next uint64) error {
	if t.offset == 0 {
		t.offset = next
	}
	if n := uint64(len(t.value)); n > 0 && n-1 > math.MaxUint64-t.offset {
		return fmt.Errorf("%w: parameter %d %q: Offset %d and %d elements exceed 64 bits",
			ErrOption, i, t.name, t.offset, n)
	}
	return nil
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
			return fmt.Errorf("%w: parameter %d %q and parameter %d %q: by their Offsets both have the indices %d to %d: move one of them",
				ErrOption, i, tensors[i].name, j, tensors[j].name, from, to)
		}
	}
	return nil
}
