package adahessian

// What the stages of a step do to their items.

// drawSigns draws the probe.
func (o *Optimizer[T]) drawSigns(r *range_[T]) {
	drawSigns(r.z[r.lo:r.hi], o.opts.Seed, o.draw, o.tensors[r.first].offset+uint64(r.lo), o.stream)
}

// addProducts adds the products with a probe to the sum.
func (o *Optimizer[T]) addProducts(r *range_[T], scratch []T) {
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
// needs them; but where the step of blocks of several elements is made in stages,
// the first stage is made here: it reads the products, and where one is not
// finite, neither is the mean.
func (o *Optimizer[T]) inspect(b *batch[T]) {
	finite := true
	if b.spans == nil {
		finite = o.inspectChain(&b.chain)
	}
	for i := range b.spans {
		finite = o.inspectSpan(&b.spans[i]) && finite
	}
	if !finite {
		o.nonFinite.Store(true)
	}
}

// inspectSpan is inspect for a span.
func (o *Optimizer[T]) inspectSpan(sp *span) (finite bool) {
	finite = panelFinite(o.grads[sp.tensor][sp.element:], sp.panel)
	seen := o.opts.Samples > 1 // probe by probe, when they were added
	if !o.due || seen && sp.panel.block == 1 {
		return finite
	}
	hz := o.h[sp.tensor][sp.element:]
	d := o.newCurvature(sp)
	if d == nil {
		return panelFinite(hz, sp.panel) && finite
	}
	c := &o.groups[o.tensors[sp.tensor].group].coef
	noteMean(d, hz, sp.panel)
	meanPanel(d, hz, sp.panel, c.scalarsFor(sp.panel.block).div)
	return (seen || finiteRange(d)) && finite
}

// newCurvature is where inspect leaves a span's curvature for the step, or nil
// if it does not work it out: a step in one pass reads the products at less cost
// than a stage of its own does.
func (o *Optimizer[T]) newCurvature(sp *span) []T {
	t := &o.tensors[sp.tensor]
	if t.next == nil || t.d == nil && fuses(sp.panel, o.groups[t.group].coef.power) {
		return nil
	}
	return t.next[sp.block:][:sp.panel.blocks()]
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
	if o.due {
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
