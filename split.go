package adahessian

import (
	"sync"
	"sync/atomic"
)

// A step is made in stages, and a stage is a list of items that any number of
// goroutines take one after the other. The items depend on the tensors alone,
// and each writes memory of its own, so the number of goroutines changes
// nothing but the time.

// stage is what is done to the items.
type stage int

const (
	stageSigns   stage = iota // ranges: draw the probe
	stageFinite               // ranges: look for values that are not finite
	stageSum                  // ranges: add the probe's product to the sum, with signs drawn again
	stageRefresh              // spans: step from the new product
	stageRepeat               // spans: step from the kept curvature
)

const (
	itemLen   = 64 << 10 // elements of an item, about
	workerLen = 32 << 10 // elements for which another goroutine is worth its start
)

// span is a panel of a tensor; range_ is a range of its elements.
type (
	span struct {
		tensor         int
		panel          panel
		element, block int // where the panel starts in the tensor, and its blocks in v
	}
	range_ struct{ tensor, lo, hi int }
)

// split is the division of a step into items, and the stage under way.
type split[T Float] struct {
	spans   []span
	ranges  []range_
	scratch [][]T  // for each worker
	worker  func() // the goroutine: made once, so that starting it allocates nothing

	stage     stage
	next      atomic.Int64 // item
	workers   atomic.Int64 // started
	done      sync.WaitGroup
	draw      uint64 // stageSigns
	checked   [][]T  // stageFinite
	nonFinite atomic.Bool
	first     bool // stageSum: the first probe of a refresh
}

func (o *Optimizer[T]) makeSplit() {
	total := 0
	for i := range o.tensors {
		n := len(o.tensors[i].value)
		total += n
		for lo := 0; lo < n; lo += itemLen {
			o.ranges = append(o.ranges, range_{i, lo, min(lo+itemLen, n)})
		}
		p := o.tensors[i].layout.panel()
		outer, width := p.grain(itemLen, scratchLen)
		for at := 0; at < p.outer; at += outer {
			for col := 0; col < p.width; col += width {
				q, e, b := p.piece(at, col, outer, width)
				o.spans = append(o.spans, span{i, q, e, b})
			}
		}
	}
	workers := min(o.opts.Workers, max(1, total/workerLen))
	for w := range workers {
		o.scratch = append(o.scratch, newArray[T](scratchLen, 7+w))
	}
	o.worker = func() {
		o.drain(int(o.workers.Add(1)))
		o.done.Done()
	}
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
	if o.stage >= stageRefresh {
		items = len(o.spans)
	}
	for {
		i := int(o.next.Add(1)) - 1
		if i >= items {
			return
		}
		if o.stage >= stageRefresh {
			o.step(&o.spans[i], o.scratch[worker])
		} else {
			o.elementwise(&o.ranges[i], o.scratch[worker])
		}
	}
}

// elementwise makes the present stage of a range.
func (o *Optimizer[T]) elementwise(r *range_, scratch []T) {
	i := r.tensor
	switch o.stage {
	case stageSigns:
		Rademacher(o.z[i][r.lo:r.hi], o.opts.Seed, o.draw, o.tensors[i].offset+uint64(r.lo))
	case stageFinite:
		if firstNonFinite(o.checked[i][r.lo:r.hi]) >= 0 {
			o.nonFinite.Store(true)
		}
	case stageSum:
		sum := o.sum[i][r.lo:r.hi]
		if o.first {
			clear(sum)
		}
		o.addDrawn(sum, o.hzView[i][r.lo:r.hi], o.tensors[i].offset+uint64(r.lo), scratch)
	}
}

// step makes the step of a span.
func (o *Optimizer[T]) step(sp *span, scratch []T) {
	t := &o.tensors[sp.tensor]
	c := &o.groups[t.group].coef
	theta, m, v := t.value[sp.element:], t.m[sp.element:], t.v[sp.block:]
	g := o.grads[sp.tensor][sp.element:]
	var hz, kept []T
	if o.stage == stageRefresh {
		hz = o.h[sp.tensor][sp.element:]
	}
	if t.d != nil {
		kept = t.d[sp.block:]
	}
	updatePanel(theta, m, v, g, hz, kept, sp.panel, c, scratch)
}
