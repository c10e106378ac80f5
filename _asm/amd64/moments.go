package amd64

import (
	"slices"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"github.com/adahessian-go/adahessian/_asm/table"
)

// The bodies that all kernels of the step share, in the order of the generic
// definition: secondMoment, raise, denominator, firstMoment and
// the rest of parameter.

// flush sets the subnormal elements of x to +0. A comparison of integers sees
// no subnormal number, and takes one cycle where one of floats takes four.
func (c *scalars) flush(x reg.VecVirtual) {
	if c.k.wide() {
		normal := K()
		c.k.masks.test(c.exponent, x, normal)
		c.k.masks.loadZeroing(x, normal, x)
		return
	}
	subnormal := c.k.vec()
	c.k.and(c.abs, x, subnormal)
	c.k.masks.greater(subnormal, c.minNormal, subnormal) // minNormal > |x|; false for NaN
	c.k.andNot(x, subnormal, x)
}

// divide divides the sums a of |h| by the divisor, unless that is 1.
func (c *scalars) divide(a []reg.VecVirtual) {
	Comment("d = the sum / div, unless div is 1.")
	label := c.k.label("undivided")
	CMPQ(c.hasDiv, I8(0))
	JEQ(LabelRef(label))
	for _, a := range a {
		c.k.div(c.div, a, a)
	}
	Label(label)
}

// secondMoment returns v' from d and from v, an operand.
func (c *scalars) secondMoment(d reg.VecVirtual, v Op) reg.VecVirtual {
	t, next := c.square(d), c.k.vec()
	c.k.mul(v, c.b2, next)
	c.k.add(t, next, next)
	c.flush(next)
	return next
}

// square returns (c2·d)·d, what d adds to v'.
func (c *scalars) square(d reg.VecVirtual) reg.VecVirtual {
	t := c.k.vec()
	c.k.mul(c.c2, d, t)
	c.k.mul(d, t, t)
	return t
}

// denominators returns den from each v'. The branch on the power is the same for the
// whole call, so it is predicted, and the case of k = 1 falls through.
func (c *scalars) denominators(v []reg.VecVirtual) []reg.VecVirtual {
	k := c.k
	den := make([]reg.VecVirtual, len(v))
	for i := range v {
		den[i] = k.vec()
	}
	each := func(f func(i int)) {
		for i := range v {
			f(i)
		}
	}
	Comment("den = v'^(k/2)*r + e, straight on for k = 1.")
	other, half, two, raised := k.label("other"), k.label("half"), k.label("two"), k.label("raised")
	CMPQ(mem("power"), I8(table.PowerOne))
	JNE(LabelRef(other))
	each(func(i int) { k.sqrt(v[i], den[i]) })
	Label(raised)
	each(func(i int) {
		k.mul(c.r, den[i], den[i])
		k.add(c.e, den[i], den[i])
	})
	k.outOfLine = append(k.outOfLine, func() {
		Comment("The powers 0, 1/2 and 2.")
		Label(other)
		JG(LabelRef(two))
		CMPQ(mem("power"), I8(table.PowerHalf))
		JE(LabelRef(half))
		each(func(i int) { k.mov(c.one, den[i]) })
		JMP(LabelRef(raised))
		Label(half)
		each(func(i int) {
			k.sqrt(v[i], den[i])
			k.sqrt(den[i], den[i])
		})
		JMP(LabelRef(raised))
		Label(two)
		each(func(i int) { k.copy(v[i], den[i]) })
		JMP(LabelRef(raised))
	})
	return den
}

// secondMoments is secondMoment for vectors of d, and for those of v at an index.
func (c *scalars) secondMoments(d []reg.VecVirtual, v, index reg.GPVirtual, part *tail) (next []reg.VecVirtual) {
	Comment("v' = flush(b2*v + (c2*d)*d).")
	for i := range d {
		next = append(next, c.secondMoment(d[i], c.k.operand(c.k.at(v, index, i), part)))
	}
	return next
}

// curvature takes nv vectors of blocks from their curvature d, or from sums
// that are still to be divided, to v' and den.
func (c *scalars) curvature(v, den, d, index reg.GPVirtual, divide bool, nv int, part *tail) {
	k := c.k
	var curvature []reg.VecVirtual
	for i := range nv {
		curvature = append(curvature, k.load(k.at(d, index, i), part))
	}
	if divide {
		c.divide(curvature)
	}
	next := c.secondMoments(curvature, v, index, part)
	q := c.denominators(next)
	for i := range nv {
		k.store(next[i], k.at(v, index, i), part)
		k.store(q[i], k.at(den, index, i), part)
	}
}

// firstMoment returns m' from the operands m and g.
func (c *scalars) firstMoment(m, g Op) reg.VecVirtual {
	next := c.k.vec()
	c.k.mul(m, c.b1, next)
	c.addGradient(next, g)
	return next
}

// addGradient turns b1·m into m' with the operand g.
func (c *scalars) addGradient(next reg.VecVirtual, g Op) {
	t := c.k.vec()
	c.k.mul(g, c.c1, t)
	c.k.add(t, next, next)
	c.flush(next)
}

// update returns u, not yet clamped, from m' and den.
func (c *scalars) update(m, den reg.VecVirtual) reg.VecVirtual {
	u := c.k.vec()
	c.k.mul(c.s, m, u)
	c.k.div(den, u, u)
	return u
}

// clamp bounds each u if there is a limit. The branch is the same for the whole call,
// so it costs less than the loads would. MIN and MAX return their second source if one
// is NaN, so a NaN stays NaN.
func (c *scalars) clamp(u []reg.VecVirtual) {
	Comment("u within its bound, straight on where there is none.")
	clamp, clamped := c.k.label("clamp"), c.k.label("clamped")
	CMPQ(c.hasLimit, I8(0))
	JNE(LabelRef(clamp))
	Label(clamped)
	c.k.outOfLine = append(c.k.outOfLine, func() {
		Label(clamp)
		bound := c.k.vec()
		c.k.mov(c.limit, bound)
		for _, u := range u {
			c.k.min(u, bound, u)
		}
		c.k.mov(c.negated, bound)
		for _, u := range u {
			c.k.max(u, bound, u)
		}
		JMP(LabelRef(clamped))
	})
}

// element is one vector of the streams that descend reads and writes, out of halves. If it is
// late, descend leaves out to be written later.
type element struct {
	theta, m, g, out Mem
	late             bool
}

// descend updates vectors of elements that all have the same denominators, or each its
// own: den(i) returns those of the i-th. All loads come before the first store, because
// addresses with the same low bits look equal to a load that follows a store.
func (c *scalars) descend(part *tail, den func(i int) reg.VecVirtual, elements ...element) {
	k := c.k
	Comment("m' = flush(b1*m + c1*grad), u = (s*m')/den.")
	var theta, m, u []reg.VecVirtual
	firstMoment := func(i int) reg.VecVirtual {
		return c.firstMoment(k.operand(elements[i].m, part), k.inputOperand(elements[i].g, part))
	}
	if c.subnormal != nil {
		moments := c.subnormalFirstMoments(elements)
		firstMoment = func(i int) reg.VecVirtual { return moments[i] }
	}
	for i, e := range elements {
		next := firstMoment(i)
		scaled := k.vec()
		k.mul(k.operand(e.theta, part), c.w, scaled)
		m, theta, u = append(m, next), append(theta, scaled), append(u, c.update(next, den(i)))
	}
	c.clamp(u)
	Comment("theta' = w*theta - u; all loads come before the stores.")
	narrowed := k.ofHalves() && !elements[0].late
	out := slices.Clone(theta)
	for i, e := range elements {
		k.sub(u[i], theta[i], theta[i])
		if narrowed && part != nil { // which AVX2 consumes when it stores it
			out[i] = u[i]
			k.copy(theta[i], out[i])
		}
		k.store(m[i], e.m, part)
		k.store(theta[i], e.theta, part)
	}
	if narrowed {
		k.storeNarrowed(out, part, func(i int) Mem { return elements[i].out })
	}
}
