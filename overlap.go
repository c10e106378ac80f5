package adahessian

import (
	"cmp"
	"fmt"
	"slices"
	"unsafe"
)

// memoryMap knows where slices lie. It finds the caller's slices that share memory with
// what a step writes, because from these a step would read what it has just written.
type memoryMap[T Float] struct {
	values  [][]T     // of the tensors
	written []region  // what a step writes, in rising order, without overlap
	spare   []region  // room for as many
	apart   []uintptr // for each tensor: where its last gradient lay that overlapped none of these
	own     []uintptr // the same for the last slice that hvp put into hz
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

// checkOverlap reports two parameters that share memory: each would undo the step of
// the other.
func checkOverlap[T Float](tensors []tensor[T]) error {
	var values []region
	for i := range tensors {
		values = appendRegion(values, tensors[i].value, value, i)
	}
	sortRegions(values)
	return checkApart(values, tensors)
}

// checkApart reports a Value that shares memory with another of the sorted regions.
func checkApart[T Float](regions []region, tensors []tensor[T]) error {
	for k := 1; k < len(regions); k++ {
		a, b := regions[k-1], regions[k]
		if b.start >= a.end {
			continue
		}
		if a.what == value && (b.what != value || a.tensor > b.tensor) {
			a, b = b, a
		}
		advice := ""
		if a.what == value {
			advice = ": make tied weights one parameter"
		}
		return fmt.Errorf("%w: parameter %d %q: Value shares memory with %s of parameter %d %q%s",
			ErrShape, b.tensor, tensors[b.tensor].name, a.what, a.tensor, tensors[a.tensor].name, advice)
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

// find returns the first region of written that overlaps x, or nil.
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

// check reports where x shares memory with what a step writes. The error calls x the
// what of tensor i.
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

// checkInputs checks x, one slice for each parameter. It reports the first that has the
// wrong length or shares memory with what the step writes. A slice may be the
// parameter's own, which is in mine; others counts the slices that are not. Parameters
// without a gradient are left out. apart holds the addresses of slices that were found
// to share nothing, which stays true until Rebind.
func (o *Optimizer[T]) checkInputs(x, mine [][]T, apart []uintptr, what string) (others int, err error) {
	for i, value := range o.memory.values {
		if len(x[i]) != len(value) {
			if o.call.grads[i] == nil {
				continue
			}
			return others, fmt.Errorf("%w: parameter %d %q: %s has %d elements, want %d, as many as Value%s",
				ErrShape, i, o.tensors[i].name, what, len(x[i]), len(value), skipAdvice(what, x[i]))
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

// skipAdvice says how to skip a parameter if its gradient is empty but not nil.
func skipAdvice[T Float](what string, x []T) string {
	if what == gradient && len(x) == 0 {
		return ": only a nil gradient skips a parameter"
	}
	return ""
}

// checkGradients is checkInputs for the gradients. A gradient may be the Value of its
// own parameter, as it is for ½|θ|²: every element is read before it is written.
func (o *Optimizer[T]) checkGradients() error {
	_, err := o.checkInputs(o.call.grads, o.memory.values, o.memory.apart, gradient)
	return err
}

// checkProducts is checkInputs for the slices that hvp leaves in hz.
func (o *Optimizer[T]) checkProducts() error {
	others, err := o.checkInputs(o.probes.hzView, o.probes.hz, o.memory.own, product)
	o.call.replaced = others > 0
	o.probes.marks.left = err == nil && others == o.probes.marks.tensors
	return err
}

// Rebind makes values[i] the Value of parameter i, for a framework whose tensors move;
// a nil slice leaves that parameter's Value where it is. values has one slice for each
// parameter, each as long as the Value it replaces. Nothing is copied: the state
// stays, values[i] holds the parameter from now on, and the old memory is not touched
// again. Parameters may exchange their slices.
//
// The error wraps ErrShape for the wrong number of slices or a wrong length, and if
// the Values would overlap one another or the optimizer's moments. On an error nothing
// has changed. Rebind allocates nothing. Within hvp the error wraps ErrState.
func (o *Optimizer[T]) Rebind(values [][]T) error {
	if err := o.idle("Rebind"); err != nil {
		return err
	}
	if len(values) != len(o.tensors) {
		return fmt.Errorf("%w: Rebind: values has %d slices, want %d, one for each parameter (nil leaves it where it is)",
			ErrShape, len(values), len(o.tensors))
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

// rebind replaces the regions of Values that move. It forgets which slices shared no
// memory with the old ones, since they may share some with the new.
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
