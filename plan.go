package adahessian

const (
	itemLen    = 16 << 10      // elements of an item, about: no more, or all wait for the last
	columnsLen = 64 << 10      // and of one of several columns, since short rows cost time in memory
	workerLen  = 32 << 10      // elements for which another goroutine is worth its start
	signsLen   = 8 * workerLen // and of a stage that only draws signs
)

// range_ is an item: a range of a run's elements.
type range_[T Float] struct {
	run[T]
	lo, hi int
}

// batch is an item: a span of a tensor, those of several small ones, or a chain
// of small ones, which has no spans.
type batch[T Float] struct {
	spans []span
	chain[T]
}

// span is a panel of a tensor.
type span struct {
	tensor         int
	panel          panel
	element, block int // where the panel starts in the tensor, and its blocks in v
}

// A chain is tensors of a run, all of one group and without blocks of several
// elements. They may be hundreds, and so small that what is done for each
// counts more than what is done for its elements.
type chain[T Float] struct {
	first, last, group int
	hz, m, v, d        []T // theirs of the run's
}

func (o *Optimizer[T]) makeSplit(runs []run[T]) {
	total := 0
	for _, r := range runs {
		total += len(r.m)
	}
	o.stream = streams[T](total)
	o.length = total
	workers := min(o.opts.Workers, max(1, total/workerLen))
	columns := scratchLen
	if workers > 1 {
		columns /= 2 // one slice of so many is then work for two
	}
	for _, r := range runs {
		n := len(r.m)
		for lo := 0; lo < n; lo += itemLen {
			o.ranges = append(o.ranges, range_[T]{r, lo, min(lo+itemLen, n)})
		}
		if r.first < r.last {
			o.splitRun(r, columns)
			continue
		}
		for _, sp := range o.spans(r.first, columns) {
			o.batches = append(o.batches, batch[T]{spans: []span{sp}})
		}
	}
	for w := range workers {
		o.scratch = append(o.scratch, newArray[T](scratchLen, 7+w))
	}
	o.worker = func() {
		o.work(int(o.workers.Add(1)))
		o.done.Done()
	}
}

// splitRun divides the tensors of a run into chains and others.
func (o *Optimizer[T]) splitRun(r run[T], columns int) {
	for i := r.first; i <= r.last; {
		var b batch[T]
		first := &o.tensors[i]
		chained := first.layout.panel().block == 1
		if chained {
			b.chain = chain[T]{first: i, group: first.group}
		}
		elements, blocks := 0, 0
		for ; i <= r.last; i++ {
			t := &o.tensors[i]
			if chains := t.layout.panel().block == 1; chains != chained || chained && t.group != first.group {
				break
			}
			elements += len(t.value)
			blocks += t.layout.Blocks()
			if !chained {
				b.spans = append(b.spans, o.spans(i, columns)...)
			}
		}
		hz, m, v := cut(&r.hz, elements), cut(&r.m, elements), cut(&r.v, blocks)
		var d []T
		if r.d != nil {
			d = cut(&r.d, blocks)
		}
		if chained {
			b.chain.last = i - 1
			b.hz, b.m, b.v, b.d = hz, m, v, d
		}
		if elements > 0 {
			o.batches = append(o.batches, b)
		}
	}
}

// spans divides a tensor, of columns not fewer than the given number together.
func (o *Optimizer[T]) spans(tensor, columns int) (spans []span) {
	p := o.tensors[tensor].layout.panel()
	limit := itemLen
	if !p.contiguous() {
		limit = columnsLen
	}
	outer, width := p.grain(limit, columns)
	for at := 0; at < p.outer; at += outer {
		for col := 0; col < p.width; col += width {
			q, e, b := p.piece(at, col, outer, width)
			spans = append(spans, span{tensor, q, e, b})
		}
	}
	return spans
}

// keepsMeans reports whether the inspection of a tensor may leave the curvature
// for the step (see newCurvature): the power, which decides, may change.
func (o *Optimizer[T]) keepsMeans(t *tensor[T]) bool {
	return t.layout.panel().block > 1 && !o.opts.SkipFiniteCheck
}
