package adahessian

import (
	"cmp"
	"fmt"
	"slices"
	"unsafe"
)

// memoryMap is what the optimizer knows of where slices lie. It finds those of the
// caller's that share memory with what a step writes: there a step would read what
// it has written already.
type memoryMap[T Float] struct {
	values  [][]T     // of the tensors
	written []region  // what a step writes, in rising order, and apart
	apart   []uintptr // where the last gradient of each tensor lay that was found to be so
	own     []uintptr // and the last product that hvp has put in the place of ours
}

// extent is the memory of a slice.
type extent struct{ start, end uintptr }

// region is memory that a step writes.
type region struct {
	extent
	what   string
	tensor int
}

// extentOf returns the memory of x, which is not empty.
func extentOf[T Float](x []T) extent {
	start := uintptr(unsafe.Pointer(unsafe.SliceData(x)))
	return extent{start, start + uintptr(len(x))*unsafe.Sizeof(T(0))}
}

// regions appends a region for x, unless it is empty.
func appendRegion[T Float](regions []region, x []T, what string, tensor int) []region {
	if len(x) == 0 {
		return regions
	}
	return append(regions, region{extentOf(x), what, tensor})
}

func sortRegions(regions []region) {
	slices.SortFunc(regions, func(a, b region) int { return cmp.Compare(a.start, b.start) })
}

// checkOverlap reports two parameters that share memory: each would undo the
// other's step.
func checkOverlap[T Float](tensors []tensor[T]) error {
	var values []region
	for i := range tensors {
		values = appendRegion(values, tensors[i].value, "Value", i)
	}
	sortRegions(values)
	for k := 1; k < len(values); k++ {
		if a, b := values[k-1], values[k]; b.start < a.end {
			i, j := min(a.tensor, b.tensor), max(a.tensor, b.tensor)
			return fmt.Errorf("%w: parameter %d %q: Value shares memory with that of parameter %d %q",
				ErrShape, j, tensors[j].name, i, tensors[i].name)
		}
	}
	return nil
}

// makeMemoryMap lists what a step of the tensors writes.
func makeMemoryMap[T Float](tensors []tensor[T]) memoryMap[T] {
	m := memoryMap[T]{apart: make([]uintptr, len(tensors)), own: make([]uintptr, len(tensors))}
	for i := range tensors {
		t := &tensors[i]
		m.values = append(m.values, t.value)
		m.written = appendRegion(m.written, t.value, "Value", i)
		m.written = appendRegion(m.written, t.m, "m", i)
		m.written = appendRegion(m.written, t.v, "v", i)
	}
	sortRegions(m.written)
	return m
}

// find returns what is written first of the memory of x, or nil.
func (m *memoryMap[T]) find(x extent) *region {
	k, _ := slices.BinarySearchFunc(m.written, x.start, func(w region, start uintptr) int {
		if w.end <= start {
			return -1
		}
		return 1
	})
	if k < len(m.written) && m.written[k].start < x.end {
		return &m.written[k]
	}
	return nil
}

// checkInputs reports the first of x, one slice for each parameter, that has the
// wrong length or shares memory with what the step writes; and how many but mine
// are among them, which may. No memory moves, so what was apart still is: apart says
// where the latest lay that were.
func (o *Optimizer[T]) checkInputs(x, mine [][]T, apart []uintptr, what string) (others int, err error) {
	for i, value := range o.memory.values {
		if len(x[i]) != len(value) {
			return others, fmt.Errorf("%w: parameter %d %q: %s has %d elements, want %d",
				ErrShape, i, o.tensors[i].name, what, len(x[i]), len(value))
		}
		start := unsafe.SliceData(x[i])
		if start == unsafe.SliceData(mine[i]) {
			continue
		}
		if len(value) == 0 {
			continue
		}
		others++
		if uintptr(unsafe.Pointer(start)) == apart[i] {
			continue
		}
		if w := o.memory.find(extentOf(x[i])); w != nil {
			return others, fmt.Errorf("%w: parameter %d %q: %s shares memory with %s of parameter %d %q",
				ErrShape, i, o.tensors[i].name, what, w.what, w.tensor, o.tensors[w.tensor].name)
		}
		apart[i] = uintptr(unsafe.Pointer(start))
	}
	return others, nil
}

// checkGradients is checkInputs for the gradients. One may be its own parameter's
// Value, as that of ½|θ|² is: every element is read before it is written.
func (o *Optimizer[T]) checkGradients() error {
	_, err := o.checkInputs(o.call.grads, o.memory.values, o.memory.apart, "gradient")
	return err
}

// checkProducts is checkInputs for what hvp has left.
func (o *Optimizer[T]) checkProducts() error {
	others, err := o.checkInputs(o.probes.hzView, o.probes.hz, o.memory.own, product)
	o.call.replaced = others > 0
	o.probes.marks.left = err == nil && others == o.probes.marks.tensors
	return err
}
