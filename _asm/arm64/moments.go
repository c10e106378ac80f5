package arm64

import "github.com/adahessian-go/adahessian/_asm/table"

// The bodies that all kernels of the step share, in the order of the generic
// definition: secondMoment, raise, denominator, firstMoment and the rest of
// parameter. They work on several vectors at once, operation by operation.

// flush sets the subnormal elements of x to +0. mask is overwritten.
func (c *scalars) flush(x, mask vec) {
	c.k.absGreater(mask, c.minNormal, x) // minNormal > |x|; not for NaN
	c.k.andNot(x, x, mask)
}

// divide divides the sums a of |h| by the divisor, unless that is 1, since the divider
// is what the step waits for.
func (c *scalars) divide(a []vec) {
	label := c.k.label("undivided")
	c.k.ins("CBZ %v, %s", c.hasDiv, label)
	for _, a := range a {
		c.k.div(a, a, c.div)
	}
	c.k.at(label)
}

// secondMoment sets v to v', from the curvature d. d and t are overwritten.
func (c *scalars) secondMoment(v, d, t []vec) {
	k := c.k
	each(len(v), func(i int) { k.mul(t[i], c.c2, d[i]) })
	each(len(v), func(i int) { k.mul(d[i], t[i], d[i]) })
	each(len(v), func(i int) { k.mul(v[i], c.b2, v[i]) })
	each(len(v), func(i int) { k.add(v[i], v[i], d[i]) })
	each(len(v), func(i int) { c.flush(v[i], t[i]) })
}

// denominators sets den from each v'. The branch on the power is the same for the whole
// call, so it is predicted, and the case of k = 1 falls through.
func (c *scalars) denominators(den, v []vec) {
	k := c.k
	other, half, two, raised := k.label("other"), k.label("half"), k.label("two"), k.label("raised")
	k.ins("CMP $%d, %v", table.PowerOne, c.power)
	k.ins("BNE %s", other)
	each(len(v), func(i int) { k.sqrt(den[i], v[i]) })
	k.at(raised)
	c.denominatorsOf(den)
	k.later(func() {
		k.at(other)
		k.ins("BGT %s", two)
		k.ins("CMP $%d, %v", table.PowerHalf, c.power)
		k.ins("BEQ %s", half)
		each(len(v), func(i int) { k.fillInto(den[i], k.bits(1)) })
		k.ins("B %s", raised)
		k.at(half)
		each(len(v), func(i int) { k.sqrt(den[i], v[i]) })
		each(len(v), func(i int) { k.sqrt(den[i], den[i]) })
		k.ins("B %s", raised)
		k.at(two)
		each(len(v), func(i int) { k.move(den[i], v[i]) })
		k.ins("B %s", raised)
	})
}

// denominatorsOf turns powers of v' into denominators.
func (c *scalars) denominatorsOf(q []vec) {
	each(len(q), func(i int) { c.k.mul(q[i], q[i], c.r) })
	each(len(q), func(i int) { c.k.add(q[i], q[i], c.e) })
}

// descend sets m to m' and theta to θ'. g is overwritten.
//
// If there is no limit, the clamp is left out, by a branch that is the same for the
// whole call. MIN and MAX return NaN for a NaN, which therefore stays one. They treat
// −0 as less than +0, so a bound of 0 leaves zeros as the definition does.
func (c *scalars) descend(theta, m, g, den []vec) {
	k := c.k
	each(len(m), func(i int) { k.mul(m[i], c.b1, m[i]) })
	each(len(m), func(i int) { k.mul(g[i], c.c1, g[i]) })
	each(len(m), func(i int) { k.add(m[i], m[i], g[i]) })
	each(len(m), func(i int) { c.flush(m[i], g[i]) })
	each(len(m), func(i int) { k.mul(g[i], c.s, m[i]) })
	each(len(m), func(i int) { k.div(g[i], g[i], den[i]) })
	clamp, clamped := k.label("clamp"), k.label("clamped")
	k.ins("CBNZ %v, %s", c.hasLimit, clamp)
	k.at(clamped)
	k.later(func() {
		k.at(clamp)
		each(len(m), func(i int) { k.min(g[i], g[i], c.limit) })
		each(len(m), func(i int) { k.max(g[i], g[i], c.negated) })
		k.ins("B %s", clamped)
	})
	each(len(m), func(i int) { k.mul(theta[i], c.w, theta[i]) })
	each(len(m), func(i int) { k.sub(theta[i], theta[i], g[i]) })
}

// curvature takes nv vectors of the given width from their curvature, at d, or
// from sums that are still to be divided, to v' and den. The pointers move on; d
// and den may be one register.
func (c *scalars) curvature(v, den, d gp, divide bool, nv, width int) {
	k := c.k
	x, t, q := k.some(nv), k.some(nv), k.some(nv)
	if d == den {
		k.load(x, d, width)
	} else {
		k.next(x, d, width)
	}
	k.next(q, v, width)
	if divide {
		c.divide(x)
	}
	c.secondMoment(q, x, t)
	c.denominators(t, q)
	k.storeBack(q, v, width)
	k.store(t, den, width)
}

// descendNext updates nv vectors of the given width and moves the pointers on.
// All loads come before the first store, because addresses in different arrays with the
// same low bits look the same to a load that follows a store.
func (c *scalars) descendNext(e elements, den []vec, width int) {
	k, nv := c.k, len(den)
	theta, m, g := k.some(nv), k.some(nv), k.some(nv)
	k.next(m, e.m, width)
	k.nextInputs(g, e.g, width)
	k.next(theta, e.theta, width)
	k.scale(g...)
	c.descend(theta, m, g, den)
	k.storeElements(e, theta, m, g, width)
}
