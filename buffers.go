package adahessian

import (
	"slices"
	"unsafe"
)

// A run is a tensor, or several small ones that follow each other. What the
// optimizer has of them lies together, in one array of each kind: a stage then
// takes them in one piece, or at least finds the next where it has already
// fetched from.
type run[T Float] struct {
	first, last int
	z, hz       []T
	m, v, d     []T // d is nil when UpdateEach = 1
}

// smallLen is the length below which tensors share a run.
const smallLen = 1024

// runs divides the tensors into runs, which have no memory yet.
func (o *Optimizer[T]) runs() (runs []run[T]) {
	length := 0 // of the last run
	for i := range o.tensors {
		t := &o.tensors[i]
		n := len(t.value)
		if i > 0 && n < smallLen && len(o.tensors[i-1].value) < smallLen {
			r := &runs[len(runs)-1]
			if length+n <= itemLen && o.tensors[r.first].offset+uint64(length) == t.offset {
				r.last = i
				length += n
				continue
			}
		}
		runs = append(runs, run[T]{first: i, last: i})
		length = n
	}
	return runs
}

// makeState makes the moments and the buffers.
func (o *Optimizer[T]) makeState() (runs []run[T]) {
	runs = o.runs()
	for k := range runs {
		r := &runs[k]
		tensors := o.tensors[r.first : r.last+1]
		n, blocks, means := 0, 0, 0
		for i := range tensors {
			t := &tensors[i]
			n += len(t.value)
			blocks += t.layout.Blocks()
			if o.keepsMeans(t) {
				means += t.layout.Blocks()
			}
		}
		r.m, r.v = newArray[T](n, 1), newArray[T](blocks, 2)
		r.z, r.hz = newArray[T](n, 4), newArray[T](n, 5)
		var sum []T
		if o.opts.UpdateEach > 1 {
			r.d = newArray[T](blocks, 3)
		}
		if o.opts.Samples > 1 {
			sum = newArray[T](n, 6)
		}
		next := newArray[T](means, 8)
		rest := *r // what the tensors have not taken yet
		for i := range tensors {
			t := &tensors[i]
			n, blocks := len(t.value), t.layout.Blocks()
			t.m, t.v = cut(&rest.m, n), cut(&rest.v, blocks)
			o.z, o.hz = append(o.z, cut(&rest.z, n)), append(o.hz, cut(&rest.hz, n))
			if rest.d != nil {
				t.d = cut(&rest.d, blocks)
			}
			if sum != nil {
				o.sum = append(o.sum, cut(&sum, n))
			}
			if o.keepsMeans(t) {
				t.next = cut(&next, blocks)
			}
		}
	}
	o.zView, o.hzView = slices.Clone(o.z), slices.Clone(o.hz)
	o.h = o.hzView
	if o.opts.Samples > 1 {
		o.h = o.sum
	}
	return runs
}

// newArray makes n zeros. Long arrays start on a page, and arrays that one
// kernel reads and writes together would then compete for the same cache sets
// and look to the store buffer like the same addresses; each role therefore
// starts some cache lines further into its page.
func newArray[T Float](n, role int) []T {
	const lines, pageBytes = 9, 4096
	if n < 1024 {
		return make([]T, n)
	}
	skip := role * lines * lanes512[T]()
	a := make([]T, skip+n)
	for i := 0; i < len(a); i += pageBytes / int(unsafe.Sizeof(a[0])) {
		a[i] = 0 // have the page now, and not in the first step
	}
	return a[skip : skip+n : skip+n]
}

// cut takes the first n elements of an array.
func cut[T Float](array *[]T, n int) []T {
	part := (*array)[:n:n]
	*array = (*array)[n:]
	return part
}
