package adahessian

// A step is made in stages, and a stage is a list of items that any number of
// goroutines take one after the other. Each item writes memory of its own, and no
// result depends on how a tensor is divided, so the number of goroutines changes
// nothing but the time.

// stage is what is done to the items.
type stage int

const (
	stageSigns   stage = iota // ranges: draw the probe
	stageSum                  // ranges: add the probe's product to the sum, with signs drawn again
	stageInspect              // batches: look for values that are not finite
	stageRefresh              // batches: step from the new product
	stageRepeat               // batches: step from the kept curvature
)

const (
	itemLen    = 16 << 10 // elements of an item, about: no more, or all wait for the last
	columnsLen = 64 << 10 // and of one of several columns, since short rows cost time in memory
	workerLen  = 32 << 10 // elements for which another goroutine is worth its start
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

func (o *Optimizer[T]) makeSplit(runs []run[T]) {
	total := 0
	for _, r := range runs {
		total += len(r.m)
	}
	o.stream = streams[T](total)
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
		o.drain(int(o.workers.Add(1)))
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

// run makes a stage, on several goroutines where that is worth while.
func (o *Optimizer[T]) run(s stage) {
	o.stage = s
	o.next.Store(0)
	o.workers.Store(0)
	others := len(o.scratch) - 1
	o.done.Add(others)
	for range others {
		go o.worker()
	}
	o.drain(0)
	o.done.Wait()
}

// drain takes items until none is left.
func (o *Optimizer[T]) drain(worker int) {
	items := len(o.ranges)
	if o.stage >= stageInspect {
		items = len(o.batches)
	}
	for {
		i := int(o.next.Add(1)) - 1
		if i >= items {
			return
		}
		if o.stage == stageInspect {
			// From the end: what hvp has written last, and what the step will
			// read first, is then still in the cache.
			i = items - 1 - i
		}
		switch o.stage {
		case stageSigns:
			o.drawSigns(&o.ranges[i])
		case stageSum:
			o.addProducts(&o.ranges[i], o.scratch[worker])
		case stageInspect:
			o.inspect(&o.batches[i])
		default:
			b := &o.batches[i]
			if b.spans == nil {
				o.stepChain(&b.chain, o.scratch[worker])
			}
			for s := range b.spans {
				o.step(&b.spans[s], o.scratch[worker])
			}
		}
	}
}
