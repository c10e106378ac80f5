package adahessian

import "runtime"

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
	stageStep                 // batches: step from the new product, or from the kept curvature
	stages
)

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

// run makes the stages from the first to the last, each when that before it is
// through, on several goroutines where that is worth while. Where a stage has seen
// a value that is not finite, it is the last.
func (o *Optimizer[T]) run(first, last stage) {
	o.first, o.last = first, last
	for s := first; s <= last; s++ {
		o.taken[s].Store(0)
		o.left[s].Store(int64(o.items(s)))
	}
	o.nonFinite.Store(false)
	o.workers.Store(0)
	others := len(o.scratch) - 1
	if last == stageSigns {
		others = min(others, o.length/signsLen)
	}
	o.done.Add(others)
	for range others {
		go o.worker()
	}
	o.work(0)
	o.done.Wait()
}

// items returns how many items a stage has.
func (o *Optimizer[T]) items(s stage) int {
	if s <= stageSum {
		return len(o.ranges)
	}
	return len(o.batches)
}

// work takes part in the stages. A goroutine may take 70 µs to begin on a processor
// that was idle, as long as some stages. So it stays for all of them, and waits in
// between for the items that others are at, which is short, and not for goroutines
// that have not begun.
func (o *Optimizer[T]) work(worker int) {
	for s := o.first; s <= o.last; s++ {
		o.drain(s, worker)
		for s < o.last && o.left[s].Load() > 0 {
			runtime.Gosched()
		}
		if o.nonFinite.Load() {
			return
		}
	}
}

// drain takes items until none is left.
func (o *Optimizer[T]) drain(s stage, worker int) {
	items := o.items(s)
	took := 0
	for ; ; took++ {
		i := int(o.taken[s].Add(1)) - 1
		if i >= items {
			break
		}
		switch s {
		case stageSigns:
			o.drawSigns(&o.ranges[i])
		case stageSum:
			o.addProducts(&o.ranges[i], o.scratch[worker])
		case stageInspect:
			// From the end: what hvp has written last, and what the step will
			// read first, is then still in the cache.
			o.inspect(&o.batches[items-1-i])
		case stageStep:
			b := &o.batches[i]
			if b.spans == nil {
				o.stepChain(&b.chain, o.scratch[worker])
			}
			for sp := range b.spans {
				o.step(&b.spans[sp], o.scratch[worker])
			}
		}
	}
	o.left[s].Add(int64(-took))
}
