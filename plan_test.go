package adahessian

import (
	"fmt"
	"testing"
	"unsafe"
)

// splitLayouts are tensors that a step divides in all of its ways, into ranges of
// elements, groups of blocks, columns of one slice, and slices, and blocks that are not
// divided.
func splitLayouts[T Float]() []Param[T] {
	params := []Param[T]{
		{Layout: Layout{2*taskLen + 3001, 1, 1}},
		{Layout: Layout{10007, 9, 1}},
		{Layout: Layout{1, taskLen + 999, 1}},
		{Layout: Layout{2, 3, 30011}},
		{Layout: Layout{1, taskLen/2 + 10, 3}},
		{Layout: Layout{300, 9, 31}},
		{Layout: Layout{1, 33, scratchLen - 3}},   // by several workers only
		{Layout: Layout{1, 5, longSlice/4/5 + 1}}, // long rows
		{Layout: Layout{1, 3, longSlice/4/3 + 1}}, // and few of them
	}
	for i := range 90 { // and many small tensors
		params = append(params, Param[T]{Layout: []Layout{{i, 1, 1}, {i, 9, 1}, {i % 3, 3, 11}}[i%3]})
	}
	return params
}

// TestWorkers compares a step by one goroutine with the model, and steps by several
// goroutines with that one.
func TestWorkers(t *testing.T) {
	t.Run("float32", testWorkers[float32])
	if !brief() {
		t.Run("float64", testWorkers[float64])
	}
}

func testWorkers[T Float](t *testing.T) {
	for _, c := range []struct {
		samples, each int
		power         float64
	}{{2, 2, 0.75}, {1, 1, 1}} {
		if c.samples == 1 && unsafe.Sizeof(T(0)) == 8 {
			continue // to save time
		}
		t.Run(fmt.Sprintf("%d probes, each %d, power %v", c.samples, c.each, c.power), func(t *testing.T) {
			opts := DefaultOptions()
			opts.Samples, opts.UpdateEach, opts.HessianPower = c.samples, c.each, c.power
			opts.Workers = 1
			one := newTrial(t, opts, splitLayouts[T]()...)
			var several []runner[T]
			for _, workers := range []int{2, 3, 8} {
				opts.Workers = workers
				several = append(several, newRunner(t, opts, splitLayouts[T]()...))
			}
			if got := len(several[2].opt.call.scratch); got != 8 {
				t.Fatalf("want 8 workers, got %d", got)
			}
			if got := len(one.opt.plan.tasks); got < 12 {
				t.Fatalf("the step is divided into only %d tasks", got)
			}
			for range 2 * c.each {
				one.step(t)
				want := takeSnapshot(one.opt)
				for _, r := range several {
					r.step(t)
					want.require(t, r.opt)
				}
			}
		})
	}
}

// TestSplitCovers proves that the tasks of a step cover every element and every block
// once, and that each tensor longer than a task is divided if its blocks allow it.
func TestSplitCovers(t *testing.T) {
	t.Run("one worker", func(t *testing.T) { testSplitCovers(t, 1, scratchLen) })
	t.Run("two workers", func(t *testing.T) { testSplitCovers(t, 2, scratchLen/2) })
}

// testSplitCovers expects that tensors of at most the given number of columns are not
// divided between columns.
func testSplitCovers(t *testing.T, workers, columns int) {
	opts := DefaultOptions()
	opts.Workers, opts.UpdateEach = workers, 2 // so that the curvature is kept
	o := newRunner(t, opts, append(splitLayouts[float32](), longLayouts[float32]()...)...).opt
	elements, blocks := make([][]int, len(o.tensors)), make([][]int, len(o.tensors))
	signs := make([][]int, len(o.tensors))
	for i, x := range o.tensors {
		elements[i], blocks[i], signs[i] = make([]int, len(x.value)), make([]int, len(x.v)), make([]int, len(x.value))
	}
	for _, r := range o.plan.chunks {
		at := 0 // in the bucket
		for i := r.first; i <= r.last; i++ {
			for e := range signs[i] {
				if r.lo <= at && at < r.hi {
					signs[i][e]++
				}
				at++
			}
		}
		if r.hi-r.lo > taskLen {
			t.Errorf("a chunk has %d elements", r.hi-r.lo)
		}
	}
	items := make([]int, len(o.tensors))
	var tiles []tile
	for _, b := range o.plan.tasks {
		tiles = append(tiles, b.tiles...)
		if b.tiles == nil {
			at := 0 // in the list
			for i := b.first; i <= b.last; i++ {
				x := &o.tensors[i]
				if l := x.layout; l.Block > 1 && l.Len() > 0 || x.group != b.group {
					t.Fatalf("parameter %d %+v of group %d is in a list of group %d", i, l, x.group, b.group)
				}
				for e := range x.value {
					elements[i][e]++
					blocks[i][e]++
					if &b.m[at] != &x.m[e] || &b.v[at] != &x.v[e] || &b.hz[at] != &o.probes.hz[i][e] || &b.d[at] != &x.d[e] {
						t.Fatalf("parameter %d: element %d is not where the list has it", i, e)
					}
					at++
				}
			}
			if len(b.m) != at || len(b.v) != at || len(b.hz) != at || len(b.d) != at {
				t.Fatalf("a list of %d elements has arrays of %d, %d, %d and %d", at, len(b.hz), len(b.m), len(b.v), len(b.d))
			}
		}
	}
	for _, s := range tiles {
		items[s.tensor]++
		for outer := range s.panel.outer {
			for i := range s.panel.width {
				blocks[s.tensor][s.block+outer*s.panel.stride+i]++
				for b := range s.panel.block {
					elements[s.tensor][s.element+(outer*s.panel.block+b)*s.panel.stride+i]++
				}
			}
		}
	}
	for i := range o.tensors {
		for what, counts := range map[string][]int{"chunk": signs[i], "element": elements[i], "block": blocks[i]} {
			for at, n := range counts {
				if n != 1 {
					t.Fatalf("parameter %d %+v: %s %d is done %d times", i, o.tensors[i].layout, what, at, n)
				}
			}
		}
	}
	for i, x := range o.tensors {
		l := x.layout
		whole := l.Outer == 1 && l.Block > 1 && l.Inner <= columns // one slice of few columns
		limit := taskLen
		if l.Block > 1 && l.Inner > 1 {
			limit = columnsLen
		}
		if divided := items[i] > 1; divided != (l.Len() > limit && !whole) {
			t.Errorf("parameter %d %+v has %d tasks", i, l, items[i])
		}
	}
}
