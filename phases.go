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

// sumPiece is how many signs are drawn again at a time: they stay in the L1
// cache.
const sumPiece = 2 << 10

// addDrawn adds z⊙hz to sum, or sets it for the first probe, where z is the
// present draw from the given index on. It draws z again, into scratch: hvp was
// given the other copy, and may have written to it, or have computed its
// product in place there.
func (o *Optimizer[T]) addDrawn(sum, hz []T, offset uint64, scratch []T) {
	noteWrite(sum)
	noteRead(hz)
	if o.fresh {
		clear(sum)
	}
	for len(sum) > 0 {
		n := min(len(sum), sumPiece)
		if !o.opts.SkipFiniteCheck && !allFinite(hz[:n]) {
			o.nonFinite.Store(true)
			return
		}
		z := scratch[:n]
		Rademacher(z, o.opts.Seed, o.draw, offset)
		addProbe(sum[:n], z, hz[:n])
		sum, hz, offset = sum[n:], hz[n:], offset+uint64(n)
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

// inspectChain is inspect for a chain.
func (o *Optimizer[T]) inspectChain(c *chain[T]) (finite bool) {
	finite = true
	fresh := o.due && o.opts.Samples == 1
	if fresh && !o.replaced {
		finite = finiteRange(c.hz)
		fresh = false
	}
	grads := o.grads[c.first : c.last+1]
	noteReads(grads)
	finite = allFiniteEach(grads) && finite
	if fresh {
		products := o.hzView[c.first : c.last+1]
		noteReads(products)
		finite = allFiniteEach(products) && finite
	}
	return finite
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

// stepChain makes the step of a chain.
func (o *Optimizer[T]) stepChain(c *chain[T], scratch []T) {
	coef := &o.groups[c.group].coef
	end := c.last + 1
	theta, grads, products := o.values[c.first:end], o.grads[c.first:end], o.h[c.first:end]
	if c.d == nil && coef.power != powerAny {
		noteUpdates(theta, c.m, c.v, grads, products)
		updateEach(theta, c.m, c.v, grads, products, &coef.scalars, coef.power)
		return
	}
	at := 0
	for i, t := range theta {
		var hz, d []T
		if o.due {
			hz = products[i]
		}
		if c.d != nil {
			d = c.d[at:]
		}
		updatePanel(t, c.m[at:], c.v[at:], grads[i], hz, d, panel{len(t), 1, 1, 1}, coef, scratch)
		at += len(t)
	}
}
