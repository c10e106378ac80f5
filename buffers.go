package adahessian

import (
	"slices"
	"unsafe"
)

// A bucket is a tensor, or several small ones that follow each other. What the
// optimizer has of them lies together, in one array of each kind: a phase then
// takes them in one call, or at least finds the next where it has already fetched
// from.
type bucket[T Float] struct {
	first, last int
	z, hz       []T
	m, v, d     []T // d is nil when UpdateEach = 1
}

// smallLen is the length below which tensors share a bucket.
const smallLen = 1024

// probes are a probe and its products, tensor by tensor.
type probes[T Float] struct {
	z, hz [][]T // the probe, and room for its Hessian-vector product
	sum   [][]T // of z⊙Hz over the probes; nil when Samples = 1

	zView, hzView [][]T // what hvp gets: it may change these headers
	products      [][]T // what the step reads: hzView or sum
	marks         marks[T]
}

// reset forgets what hvp has put in the place of the optimizer's own slices.
func (p *probes[T]) reset() {
	copy(p.zView, p.z)
	copy(p.hzView, p.hz)
}

// makeBuckets divides the tensors from the given one on into buckets, which have no
// memory yet.
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
	p.marks = makeMarks(p.hz)
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

// keepsMeans reports whether the inspection of a tensor may leave the curvature
// for the step, and so needs room for it. Whether it does depends on the power,
// which may change (see settle).
func (o *Optimizer[T]) keepsMeans(t *tensor[T]) bool {
	return t.layout.panel().block > 1 && !o.options.SkipFiniteCheck
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
