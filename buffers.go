package adahessian

import (
	"slices"
	"unsafe"
)

// A bucket is a tensor, or several small ones that follow each other. The optimizer
// keeps one array of each kind for the whole bucket. So a phase can take all its tensors
// in one call or, if it cannot, finds the next one in memory that is already being
// fetched.
type bucket[T Float] struct {
	first, last int
	z, hz       []T
	m, v, d     []T // d is nil when UpdateEach = 1
}

// smallLen is the length below which tensors share a bucket.
const smallLen = 1024

// probes holds a probe and its products, tensor by tensor.
type probes[T Float] struct {
	z, hz [][]T // the probe, and room for its Hessian-vector product
	sum   [][]T // of z⊙Hz over the probes; nil when Samples = 1

	zView, hzView [][]T // passed to hvp, which may replace the slices
	products      [][]T // what the step reads: hzView or sum
	marks         marks[T]
}

// reset drops the slices with which hvp has replaced the optimizer's own.
func (p *probes[T]) reset() {
	copy(p.zView, p.z)
	copy(p.hzView, p.hz)
}

// makeBuckets divides the tensors, from the given one on, into buckets. They do not
// have memory yet.
func makeBuckets[T Float](tensors []tensor[T], from int) (buckets []bucket[T]) {
	length := 0 // of the last bucket
	for i := from; i < len(tensors); i++ {
		t := &tensors[i]
		n := len(t.value)
		if i > from && n < smallLen && len(tensors[i-1].value) < smallLen {
			b := &buckets[len(buckets)-1]
			if length+n <= taskLen && tensors[b.first].offset+uint64(length) == t.offset {
				b.last = i
				length += n
				continue
			}
		}
		buckets = append(buckets, bucket[T]{first: i, last: i})
		length = n
	}
	return buckets
}

// makeState makes the moments and the probes of buckets of new tensors, and returns
// the buckets.
func (o *Optimizer[T]) makeState(buckets []bucket[T]) []bucket[T] {
	p := &o.probes
	for k := range buckets {
		b := &buckets[k]
		tensors := o.tensors[b.first : b.last+1]
		n, blocks, means := 0, 0, 0
		for i := range tensors {
			t := &tensors[i]
			n += len(t.value)
			blocks += t.layout.Blocks()
			if o.keepsMeans(t) {
				means += t.layout.Blocks()
			}
		}
		b.m, b.v = newArray[T](n, 1), newArray[T](blocks, 2)
		b.z, b.hz = newArray[T](n, 4), newArray[T](n, 5)
		var sum []T
		if o.options.UpdateEach > 1 {
			b.d = newArray[T](blocks, 3)
		}
		if o.options.Samples > 1 {
			sum = newArray[T](n, 6)
		}
		next := newArray[T](means, 8)
		p.marks.addBucket(o.tensors, b.first, b.last, b.hz)
		rest := *b // what the tensors have not taken yet
		for i := range tensors {
			t := &tensors[i]
			n, blocks := len(t.value), t.layout.Blocks()
			t.m, t.v = cut(&rest.m, n), cut(&rest.v, blocks)
			p.z, p.hz = append(p.z, cut(&rest.z, n)), append(p.hz, cut(&rest.hz, n))
			if rest.d != nil {
				t.d = cut(&rest.d, blocks)
			}
			if sum != nil {
				p.sum = append(p.sum, cut(&sum, n))
			}
			if o.keepsMeans(t) {
				t.next = cut(&next, blocks)
			}
		}
	}
	p.zView, p.hzView = slices.Clone(p.z), slices.Clone(p.hz)
	p.products = p.hzView
	if o.options.Samples > 1 {
		p.products = p.sum
	}
	return buckets
}

// keepCurvature makes room for the curvature of the last refresh, or drops it.
func (o *Optimizer[T]) keepCurvature(keep bool) {
	for k := range o.plan.buckets {
		b := &o.plan.buckets[k]
		b.d = nil
		if keep {
			b.d = newArray[T](len(b.v), 3)
		}
		rest := b.d
		for i := b.first; i <= b.last; i++ {
			t := &o.tensors[i]
			t.d, t.curved = nil, false
			if keep {
				t.d = cut(&rest, len(t.v))
			}
		}
	}
	o.plan = makePlan(o.tensors, o.plan.buckets, o.pool.workers)
}

// keepsMeans reports whether the inspection of a tensor may leave its curvature for the
// step, and so needs room for it. Whether it does depends on the Hessian power, which
// may change (see settle).
func (o *Optimizer[T]) keepsMeans(t *tensor[T]) bool {
	return t.layout.panel().block > 1 && !o.options.SkipFiniteCheck
}

// newArray makes n zeros. The runtime starts a long array on a page boundary. If all
// the arrays that a kernel reads and writes together began there, they would compete
// for the same cache sets, and the store buffer would confuse their addresses. So each
// role begins at a different cache line of its page.
func newArray[T Float](n, role int) []T {
	const lines, pageBytes = 9, 4096
	if n < 1024 {
		return make([]T, n)
	}
	skip := role * lines * lanes512[T]()
	a := make([]T, skip+n)
	for i := 0; i < len(a); i += pageBytes / int(unsafe.Sizeof(a[0])) {
		a[i] = 0 // touch the page now, not in the first step
	}
	return a[skip : skip+n : skip+n]
}

// cut takes the first n elements off an array.
func cut[T Float](array *[]T, n int) []T {
	part := (*array)[:n:n]
	*array = (*array)[n:]
	return part
}
