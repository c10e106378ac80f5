package adahessian

// phase is a part of a step: what is done to every chunk, or to every task, before
// the next phase begins.
type phase int

const (
	phaseSigns   phase = iota // chunks: draw the probe
	phaseSum                  // chunks: add the probe's product to the sum, with signs drawn again
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
		// From the end: what hvp has written last, and what the step will
		// read first, is then still in the cache.
		phaseInspect: {len(p.tasks), func(i, _ int) { o.inspect(&p.tasks[len(p.tasks)-1-i]) }},
		phaseStep:    {len(p.tasks), func(i, worker int) { o.step(&p.tasks[i], o.call.scratch[worker]) }},
	}
}

// run makes the phases from the first to the last. It returns whether all were made:
// one that has seen a value that is not finite is the last.
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
		o.addDrawn(o.probes.sum[i][c.lo:c.hi], o.probes.hzView[i][c.lo:c.hi], o.tensors[i].offset+uint64(c.lo), scratch)
		return
	}
	for i := c.first; i <= c.last; i++ { // the chunk is the whole bucket
		o.addDrawn(o.probes.sum[i], o.probes.hzView[i], o.tensors[i].offset, scratch)
	}
}

// sumTile is how many signs are drawn again at a time: they stay in the L1
// cache.
const sumTile = 2 << 10

// addDrawn adds z⊙hz to sum, or sets it for the first probe, where z is the
// present draw from the given index on. It draws z again, into scratch: hvp was
// given the other copy, and may have written to it, or have computed its
// product in place there.
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

// inspect looks for values that are not finite. All of them must have been seen
// before the first parameter changes, so they are read once more than a step
// needs them; but where the step makes two passes, the first is made here: it reads
// the products, and where one is not finite, neither is the mean.
func (o *Optimizer[T]) inspect(k *task[T]) {
	finite := true
	if k.tiles == nil {
		finite = o.inspectList(&k.tensorList)
	}
	for i := range k.tiles {
		finite = o.inspectTile(&k.tiles[i]) && finite
	}
	if !finite {
		o.pool.stop()
	}
}

// inspectTile is inspect for a tile.
func (o *Optimizer[T]) inspectTile(tl *tile) (finite bool) {
	p := tl.panel
	finite = panelFinite(o.call.grads[tl.tensor][tl.element:], p)
	seen := o.options.Samples > 1 // probe by probe, when they were added
	fromMeans := o.call.fromMeans[tl.tensor]
	if !o.call.due || seen && !fromMeans {
		return finite
	}
	hz := o.probes.products[tl.tensor][tl.element:]
	if !fromMeans {
		return panelFinite(hz, p) && finite
	}
	t := &o.tensors[tl.tensor]
	d := t.next[tl.block:][:p.blocks()]
	noteMean(d, hz, p)
	meanPanel(d, hz, p, o.groups[t.group].coef.scalarsFor(p.block).div)
	return (seen || finiteRange(d)) && finite
}

// inspectList is inspect for a list.
func (o *Optimizer[T]) inspectList(l *tensorList[T]) (finite bool) {
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

// step makes the step of a task.
func (o *Optimizer[T]) step(k *task[T], scratch []T) {
	if k.tiles == nil {
		o.stepList(&k.tensorList, scratch)
	}
	for i := range k.tiles {
		o.stepTile(&k.tiles[i], scratch)
	}
}

// stepTile is step for a tile.
func (o *Optimizer[T]) stepTile(tl *tile, scratch []T) {
	t := &o.tensors[tl.tensor]
	c := &o.groups[t.group].coef
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

// stepList is step for a list.
func (o *Optimizer[T]) stepList(l *tensorList[T], scratch []T) {
	c := &o.groups[l.group].coef
	end := l.last + 1
	theta, grads, products := o.memory.values[l.first:end], o.call.grads[l.first:end], o.probes.products[l.first:end]
	if l.d == nil && c.power != powerAny {
		updateList(theta, l.m, l.v, grads, products, c)
		return
	}
	at := 0
	for i, t := range theta {
		var hz, d []T
		if o.call.due {
			hz = products[i]
		}
		if l.d != nil {
			d = l.d[at:]
		}
		updatePanel(t, l.m[at:], l.v[at:], grads[i], hz, d, panel{len(t), 1, 1, 1}, c, scratch)
		at += len(t)
	}
}
