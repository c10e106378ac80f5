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
	spare   []region  // room for as many
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

// appendRegion appends a region for x, unless it is empty.
func appendRegion[T Float](regions []region, x []T, what string, tensor int) []region {
	if len(x) == 0 {
		return regions
	}
	return append(regions, region{extentOf(x), what, tensor})
}

func sortRegions(regions []region) {
	slices.SortFunc(regions, func(a, b region) int { return cmp.Compare(a.start, b.start) })
}

// value is what errors call a Value.
const value = "Value"

// checkOverlap reports two parameters that share memory: each would undo the
// other's step.
func checkOverlap[T Float](tensors []tensor[T]) error {
	var values []region
	for i := range tensors {
		values = appendRegion(values, tensors[i].value, value, i)
	}
	sortRegions(values)
	return checkApart(values, tensors)
}

// checkApart reports a Value that shares memory with another region, which are sorted.
func checkApart[T Float](regions []region, tensors []tensor[T]) error {
	for k := 1; k < len(regions); k++ {
		a, b := regions[k-1], regions[k]
		if b.start >= a.end {
			continue
		}
		if a.what == value && (b.what != value || a.tensor > b.tensor) {
			a, b = b, a
		}
		return fmt.Errorf("%w: parameter %d %q: Value shares memory with %s of parameter %d %q",
			ErrShape, b.tensor, tensors[b.tensor].name, a.what, a.tensor, tensors[a.tensor].name)
	}
	return nil
}

// makeMemoryMap lists what a step of the tensors writes.
func makeMemoryMap[T Float](tensors []tensor[T]) memoryMap[T] {
	m := memoryMap[T]{apart: make([]uintptr, len(tensors)), own: make([]uintptr, len(tensors))}
	for i := range tensors {
		t := &tensors[i]
		m.values = append(m.values, t.value)
		m.written = appendRegion(m.written, t.value, value, i)
		m.written = appendRegion(m.written, t.m, "m", i)
		m.written = appendRegion(m.written, t.v, "v", i)
	}
	sortRegions(m.written)
	m.spare = make([]region, 0, len(m.written))
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

// check reports where x shares memory with what a step writes. what says what x is, of
// tensor i.
func (m *memoryMap[T]) check(tensors []tensor[T], i int, x []T, what string) error {
	if len(x) == 0 {
		return nil
	}
	if w := m.find(extentOf(x)); w != nil {
		return fmt.Errorf("%w: parameter %d %q: %s shares memory with %s of parameter %d %q",
			ErrShape, i, tensors[i].name, what, w.what, w.tensor, tensors[w.tensor].name)
	}
	return nil
}

// checkInputs reports the first of x, one slice for each parameter, that has the
// wrong length or shares memory with what the step writes; and how many but mine
// are among them, which may. Those of parameters without a gradient do not count. apart
// says where the latest lay that shared nothing: they still do, until Rebind.
func (o *Optimizer[T]) checkInputs(x, mine [][]T, apart []uintptr, what string) (others int, err error) {
	for i, value := range o.memory.values {
		if len(x[i]) != len(value) {
			if o.call.grads[i] == nil {
				continue
			}
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
		if uintptr(unsafe.Pointer(start)) == apart[i] || o.call.grads[i] == nil {
			continue
		}
		if err := o.memory.check(o.tensors, i, x[i], what); err != nil {
			return others, err
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

// Rebind makes values[i] the Value of parameter i, for a framework whose tensors move;
// nil leaves it where it is. It has as many elements as before, and one slice for each
// parameter. Nothing is copied: the state stays, values[i] holds what the parameter is
// from now on, and the old memory is not touched again. Slices may change places.
//
// The error wraps ErrShape for a number or length of slices that does not fit, and where
// the Values would overlap one another or the optimizer's moments. On an error nothing
// has changed. Rebind allocates nothing. Within hvp it is an error that wraps ErrState.
func (o *Optimizer[T]) Rebind(values [][]T) error {
	if err := o.idle("Rebind"); err != nil {
		return err
	}
	if len(values) != len(o.tensors) {
		return fmt.Errorf("%w: Rebind: %d values for %d parameters", ErrShape, len(values), len(o.tensors))
	}
	moved := false
	for i, own := range o.memory.values {
		if values[i] == nil {
			continue
		}
		if len(values[i]) != len(own) {
			return fmt.Errorf("%w: Rebind: parameter %d %q: Value has %d elements, want %d",
				ErrShape, i, o.tensors[i].name, len(values[i]), len(own))
		}
		moved = moved || unsafe.SliceData(values[i]) != unsafe.SliceData(own)
	}
	if !moved {
		return nil
	}
	if err := o.memory.rebind(o.tensors, values); err != nil {
		return err
	}
	for i := range values {
		if values[i] != nil {
			o.tensors[i].value, o.memory.values[i] = values[i], values[i]
		}
	}
	return nil
}

// rebind replaces the regions of Values that move. What was apart from the old ones may
// not be from the new.
func (m *memoryMap[T]) rebind(tensors []tensor[T], values [][]T) error {
	next := m.spare[:0]
	for _, w := range m.written {
		if w.what == value && values[w.tensor] != nil {
			w.extent = extentOf(values[w.tensor])
		}
		next = append(next, w)
	}
	sortRegions(next)
	if err := checkApart(next, tensors); err != nil {
		return fmt.Errorf("Rebind: %w", err)
	}
	m.written, m.spare = next, m.written
	clear(m.apart)
	clear(m.own)
	return nil
}
