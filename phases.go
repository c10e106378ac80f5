package adahessian

// phase is a part of a step. It is done for every chunk, or for every task, before the
// next phase begins.
type phase int

const (
	phaseSigns   phase = iota // chunks: draw the probe
	phaseSum                  // chunks: draw the signs again, and add the probe's product to the sum
	phaseInspect              // tasks: look for values that are not finite
	phaseStep                 // tasks: step from the new product, or from the kept curvature
	phaseCount
)

// makePhases tells the pool what each phase does.
func (o *Optimizer[T]) makePhases() {
	p := &o.plan
	o.pool.phases = [phaseCount]work{
		phaseSigns: {len(p.chunks), func(i, _ int) { o.drawSigns(&p.chunks[i]) }},
		phaseSum:   {len(p.chunks), func(i, worker int) { o.addProducts(&p.chunks[i], o.call.scratch[worker]) }},
		// Backwards: what hvp wrote last is still in the cache, and what is read last
		// here is what the step reads first.
		phaseInspect: {len(p.tasks), func(i, _ int) { o.inspect(len(p.tasks) - 1 - i) }},
		phaseStep:    {len(p.tasks), func(i, worker int) { o.step(i, o.call.scratch[worker]) }},
	}
}

// run runs the phases from the first to the last. It reports whether all were run: a
// phase that finds a value that is not finite is the last.
func (o *Optimizer[T]) run(first, last phase) (through bool) {
	workers := o.pool.workers
	if last == phaseSigns {
		workers = 1 + o.plan.elements/signsLen
	}
	return o.pool.run(first, last, workers)
}

// drawSigns draws a chunk of the probe.
func (o *Optimizer[T]) drawSigns(c *chunk[T]) {
	offset := o.tensors[c.first].offset + uint64(c.lo)
	fillSigns(c.z[c.lo:c.hi], o.options.Seed, o.call.draw, offset, o.plan.stream)
}

// addProducts adds the products with a chunk of the probe to the sum.
func (o *Optimizer[T]) addProducts(c *chunk[T], scratch []T) {
	if c.first == c.last {
		i := c.first
		if o.call.skipped[i] {
			return
		}
		o.addDrawn(o.probes.sum[i][c.lo:c.hi], o.probes.hzView[i][c.lo:c.hi], o.tensors[i].offset+uint64(c.lo), scratch)
		return
	}
	for i := c.first; i <= c.last; i++ { // a chunk of several tensors is a whole bucket
		if o.call.skipped[i] {
			continue
		}
		o.addDrawn(o.probes.sum[i], o.probes.hzView[i], o.tensors[i].offset, scratch)
	}
}

// sumTile is how many signs are drawn again at a time, few enough to stay in the L1
// cache.
const sumTile = 2 << 10

// addDrawn adds z⊙hz to sum, or sets sum for the first probe, where z is the present
// draw from the given index on. It draws z again, into scratch, because hvp may have
// changed the copy that it was given, for example by computing the product in place.
func (o *Optimizer[T]) addDrawn(sum, hz []T, offset uint64, scratch []T) {
	noteWrite(sum)
	noteRead(hz)
	if o.call.firstProbe {
		clear(sum)
	}
	for len(sum) > 0 {
		n := min(len(sum), sumTile)
		if !o.options.SkipFiniteCheck && !allFinite(hz[:n]) {
			o.pool.stop()
			return
		}
		z := scratch[:n]
		Rademacher(z, o.options.Seed, o.call.draw, offset)
		addProbe(sum[:n], z, hz[:n])
		sum, hz, offset = sum[n:], hz[n:], offset+uint64(n)
	}
}

// inspect looks for values that are not finite. All values must be checked before the
// first parameter changes, so they are read once more than the step itself needs. But
// if the step makes two passes, the first one is made here. It reads the products
// anyway, and if one of them is not finite, neither is the mean.
func (o *Optimizer[T]) inspect(i int) {
	k := &o.plan.tasks[i]
	finite := true
	if k.tiles == nil {
		finite = o.inspectList(&k.tensorList, o.call.lists[i])
	}
	for i := range k.tiles {
		if tl := &k.tiles[i]; !o.call.skipped[tl.tensor] {
			finite = o.inspectTile(tl) && finite
		}
	}
	if !finite {
		o.pool.stop()
	}
}

// inspectTile is inspect for a tile.
func (o *Optimizer[T]) inspectTile(tl *tile) (finite bool) {
	t, p := &o.tensors[tl.tensor], tl.panel
	g := o.call.grads[tl.tensor][tl.element:]
	seen := o.options.Samples > 1 // the products were inspected when they were added
	fromMeans := o.call.fromMeans[tl.tensor]
	if !o.call.due || seen && !fromMeans {
		return panelFinite(g, p)
	}
	hz := o.probes.products[tl.tensor][tl.element:]
	if !fromMeans {
		before := 0
		if o.plan.far {
			before = tl.element
		}
		return panelsFinite(g, hz, p, before)
	}
	finite = panelFinite(g, p)
	d := t.next[tl.block:][:p.blocks()]
	noteMean(d, hz, p)
	meanPanel(d, hz, p, o.cohorts[t.cohort].coef.scalarsFor(p.block).div, 0)
	return (seen || finiteRange(d)) && finite
}

// inspectList is inspect for a list of tensors of a cohort.
func (o *Optimizer[T]) inspectList(l *tensorList[T], cohort int) (finite bool) {
	if cohort == mixed {
		return o.inspectMixed(l)
	}
	if o.cohorts[cohort].skipped {
		return true
	}
	finite = true
	products := o.call.due && o.options.Samples == 1
	if products && !o.call.replaced {
		finite = finiteRange(l.hz)
		products = false
	}
	finite = eachFinite(o.call.grads[l.first:l.last+1]) && finite
	if products {
		finite = eachFinite(o.probes.hzView[l.first:l.last+1]) && finite
	}
	return finite
}

// inspectMixed is inspectList for tensors of several cohorts.
func (o *Optimizer[T]) inspectMixed(l *tensorList[T]) (finite bool) {
	finite = true
	for i := l.first; i <= l.last; i++ {
		if o.call.skipped[i] {
			continue
		}
		finite = finiteRange(o.call.grads[i]) && finite
		if o.call.due && o.options.Samples == 1 {
			finite = finiteRange(o.probes.hzView[i]) && finite
		}
	}
	return finite
}

// step makes the step of a task.
func (o *Optimizer[T]) step(i int, scratch []T) {
	k := &o.plan.tasks[i]
	if k.tiles == nil {
		o.stepList(&k.tensorList, o.call.lists[i], scratch)
	}
	for i := range k.tiles {
		if tl := &k.tiles[i]; !o.call.skipped[tl.tensor] {
			o.stepTile(tl, scratch)
		}
	}
}

// stepTile is step for a tile.
func (o *Optimizer[T]) stepTile(tl *tile, scratch []T) {
	t := &o.tensors[tl.tensor]
	c := &o.cohorts[t.cohort].coef
	theta, m, v := t.value[tl.element:], t.m[tl.element:], t.v[tl.block:]
	g := o.call.grads[tl.tensor][tl.element:]
	var hz, d []T
	if t.d != nil {
		d = t.d[tl.block:]
	}
	switch {
	case !o.call.due:
	case !o.call.fromMeans[tl.tensor]:
		hz = o.probes.products[tl.tensor][tl.element:]
	case d == nil:
		d = t.next[tl.block:]
	default:
		copy(d, t.next[tl.block:][:tl.panel.blocks()])
	}
	updatePanel(theta, m, v, g, hz, d, tl.panel, c, scratch)
}

// stepList is step for a list of tensors of a cohort.
func (o *Optimizer[T]) stepList(l *tensorList[T], cohort int, scratch []T) {
	if cohort != mixed {
		c := &o.cohorts[cohort]
		if c.skipped {
			return
		}
		if l.d == nil && c.coef.power != powerAny {
			end := l.last + 1
			updateList(o.memory.values[l.first:end], l.m, l.v, o.call.grads[l.first:end], o.probes.products[l.first:end], &c.coef)
			return
		}
	}
	for i := l.first; i <= l.last; i++ {
		t := &o.tensors[i]
		if o.call.skipped[i] {
			continue
		}
		var hz []T
		if o.call.due {
			hz = o.probes.products[i]
		}
		updatePanel(t.value, t.m, t.v, o.call.grads[i], hz, t.d, panel{len(t.value), 1, 1, 1}, &o.cohorts[t.cohort].coef, scratch)
	}
}
