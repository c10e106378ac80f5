package adahessian

// A chain is tensors of a run, all of one group and without blocks of several
// elements. They may be hundreds, and so small that what is done for each
// counts more than what is done for its elements.
type chain[T Float] struct {
	first, last, group int
	hz, m, v, d        []T // theirs of the run's
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

// updateEachOf is updateEach, which makes the step of each of several tensors
// without blocks, of maxCall elements in all at most, whose m and v lie together;
// where there is no kernel for that.
func updateEachOf[T Float](theta [][]T, m, v []T, g, hz [][]T, s *scalars[T], k power) {
	for i, t := range theta {
		n := len(t)
		update(t, m, v, g[i], hz[i], nil, panel{n, 1, 1, 1}, s, k)
		m, v = m[n:], v[n:]
	}
}

// allFiniteEachOf is allFiniteEach, allFinite for each of several slices, where
// there is no kernel for that.
func allFiniteEachOf[T Float](x [][]T) bool {
	for _, x := range x {
		if !allFinite(x) {
			return false
		}
	}
	return true
}
