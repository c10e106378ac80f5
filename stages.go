package adahessian

import "unsafe"

// What the stages of a step do to their items.

// together returns elements lo to hi of the slices of a run, which lie one
// behind the other in one array.
func together[T Float](x [][]T, r run, lo, hi int) []T {
	if r.first == r.last {
		return x[r.first][lo:hi]
	}
	for i := r.first; i <= r.last; i++ {
		if len(x[i]) > 0 { // the first that has an address
			return unsafe.Slice(unsafe.SliceData(x[i]), hi)[lo:]
		}
	}
	return nil
}

// drawSigns draws the probe.
func (o *Optimizer[T]) drawSigns(r *range_) {
	z := together(o.z, r.run, r.lo, r.hi)
	drawSigns(z, o.opts.Seed, o.draw, o.tensors[r.first].offset+uint64(r.lo), o.stream)
}

// addProducts adds the products with a probe to the sum.
func (o *Optimizer[T]) addProducts(r *range_, scratch []T) {
	if r.first == r.last {
		i := r.first
		o.addDrawn(o.sum[i][r.lo:r.hi], o.hzView[i][r.lo:r.hi], o.tensors[i].offset+uint64(r.lo), scratch)
		return
	}
	for i := r.first; i <= r.last; i++ {
		o.addDrawn(o.sum[i], o.hzView[i], o.tensors[i].offset, scratch)
	}
}

// inspect looks for values that are not finite. All of them must have been seen
// before the first parameter changes, so they are read once more than a step
// needs them; but for blocks of several elements the products are not: their
// means are, and the step goes on from there. Where a product is not finite,
// neither is the mean.
func (o *Optimizer[T]) inspect(b *batch) {
	ok := true
	// The products of a run lie together, unless hvp has put in its own.
	seen := !o.due || o.opts.Samples > 1
	whole := b.first < b.last // tensors of a run, which are small
	if !seen && whole && o.filledInPlace(b.run) {
		ok = finiteRange(together(o.hz, b.run, 0, b.len))
		seen = true
	}
	for i := b.first; i <= b.last && whole; i++ {
		ok = finiteRange(o.grads[i]) && ok
	}
	for i := range b.spans {
		sp := &b.spans[i]
		if !whole {
			ok = panelFinite(o.grads[sp.tensor][sp.element:], sp.panel) && ok
		}
		if !o.due || seen && sp.panel.block == 1 {
			continue
		}
		hz := o.h[sp.tensor][sp.element:]
		if d := o.newCurvature(sp); d != nil {
			c := &o.groups[o.tensors[sp.tensor].group].coef
			noteMean(d, hz, sp.panel)
			meanPanel(d, hz, sp.panel, c.scalarsFor(sp.panel.block).div)
			ok = (seen || finiteRange(d)) && ok
		} else {
			ok = panelFinite(hz, sp.panel) && ok
		}
	}
	if !ok {
		o.nonFinite.Store(true)
	}
}

// filledInPlace reports whether the products of a run are where the optimizer
// had room for them.
func (o *Optimizer[T]) filledInPlace(r run) bool {
	for i := r.first; i <= r.last; i++ {
		if unsafe.SliceData(o.hzView[i]) != unsafe.SliceData(o.hz[i]) {
			return false
		}
	}
	return true
}

// newCurvature is where inspect leaves a span's curvature for the step, or nil
// if it does not work it out.
func (o *Optimizer[T]) newCurvature(sp *span) []T {
	if next := o.tensors[sp.tensor].next; next != nil {
		return next[sp.block:][:sp.panel.blocks()]
	}
	return nil
}

// panelFinite reports whether all elements of a panel are finite.
func panelFinite[T Float](x []T, p panel) bool {
	if p.width == p.stride {
		return finiteRange(x[:p.len()])
	}
	for b := range p.block { // of one slice
		if !finiteRange(x[b*p.stride:][:p.width]) {
			return false
		}
	}
	return true
}

// finiteRange is allFinite in calls of at most maxCall elements.
func finiteRange[T Float](x []T) bool {
	noteRead(x)
	for len(x) > maxCall {
		if !allFinite(x[:maxCall]) {
			return false
		}
		x = x[maxCall:]
	}
	return allFinite(x)
}

// step makes the step of a span.
func (o *Optimizer[T]) step(sp *span, scratch []T) {
	t := &o.tensors[sp.tensor]
	c := &o.groups[t.group].coef
	theta, m, v := t.value[sp.element:], t.m[sp.element:], t.v[sp.block:]
	g := o.grads[sp.tensor][sp.element:]
	var hz, d []T
	if t.d != nil {
		d = t.d[sp.block:]
	}
	if o.stage == stageRefresh {
		if fresh := o.newCurvature(sp); fresh == nil {
			hz = o.h[sp.tensor][sp.element:]
		} else if t.d == nil {
			d = fresh
		} else {
			copy(d, fresh)
		}
	}
	updatePanel(theta, m, v, g, hz, d, sp.panel, c, scratch)
}
