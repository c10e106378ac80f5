package adahessian

import (
	"runtime"
)

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
