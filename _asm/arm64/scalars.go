package arm64

import (
	"math"

	"github.com/adahessian-go/adahessian/_asm/table"
)

// A kernel uses the scalars of the curvature, those of the parameters, or both.
const (
	ofCurvature = 1 << iota
	ofParameters
)

// scalars holds the scalars of a step as vectors. Of the 32 registers they leave twenty
// for the data, which is enough.
type scalars struct {
	k              *kernel
	b1, c1, b2, c2 vec
	s, w, r, e     vec
	limit, negated vec
	div            vec
	minNormal      vec
	hasDiv         gp // not 0: the divisor is not 1
	hasLimit       gp // not 0: the limit is finite
	power          gp
}

// loadScalars expands the scalars that ptr points to, and moves ptr on.
func (k *kernel) loadScalars(ptr gp, which int) *scalars {
	c := &scalars{k: k, minNormal: k.fill(k.bits(k.minNormal()))}
	for _, use := range []struct {
		v  *vec
		of int
	}{
		table.B1: {&c.b1, ofParameters}, table.C1: {&c.c1, ofParameters},
		table.B2: {&c.b2, ofCurvature}, table.C2: {&c.c2, ofCurvature},
		table.S: {&c.s, ofParameters}, table.W: {&c.w, ofParameters},
		table.R: {&c.r, ofCurvature}, table.E: {&c.e, ofCurvature},
		table.Limit: {&c.limit, ofParameters}, table.Div: {&c.div, ofCurvature},
	} {
		if use.of&which == 0 {
			k.ins("ADD $%d, %v", k.elem, ptr)
			continue
		}
		*use.v = k.vec()
		k.ins("VLD1R.P %d(%v), [%s]", k.elem, ptr, use.v.as(k.goa))
	}
	if which&ofParameters != 0 {
		c.negated = k.vec()
		k.neg(c.negated, c.limit)
		c.hasLimit = k.differs(c.limit, math.Inf(1))
	}
	if which&ofCurvature != 0 {
		c.hasDiv = k.differs(c.div, 1)
	}
	return c
}

// differs returns a register that is not 0 if the lanes of v, which are all the same, are not
// the given number.
func (k *kernel) differs(v vec, from float64) gp {
	r := k.gp()
	k.ins("VMOV %s[0], %v", v.as(k.letter()), r)
	k.scope(func() { k.ins("EOR %v, %v", k.constant(k.bits(from)), r) })
	return r
}
