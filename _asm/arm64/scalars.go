package arm64

import "math"

// The fields of the Go struct scalars, in its order.
const (
	fieldB1 = iota
	fieldC1
	fieldB2
	fieldC2
	fieldS
	fieldW
	fieldR
	fieldE
	fieldLimit
	fieldDiv
	fields
)

// A kernel uses the scalars of the curvature, those of the parameters, or both.
const (
	ofCurvature = 1 << iota
	ofParameters
)

var fieldUses = [fields]int{
	fieldB1: ofParameters, fieldC1: ofParameters, fieldB2: ofCurvature, fieldC2: ofCurvature, fieldS: ofParameters,
	fieldW: ofParameters, fieldR: ofCurvature, fieldE: ofCurvature, fieldLimit: ofParameters, fieldDiv: ofCurvature,
}

// scalars holds the scalars of a step as vectors. Of 32 registers they leave
// twenty for the data, which is enough.
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

// loadScalars expands the scalars that ptr points to, and moves that on.
func (k *kernel) loadScalars(ptr gp, which int) *scalars {
	c := &scalars{k: k, minNormal: k.fill(k.bits(k.minNormal()))}
	for f, v := range [fields]*vec{&c.b1, &c.c1, &c.b2, &c.c2, &c.s, &c.w, &c.r, &c.e, &c.limit, &c.div} {
		if fieldUses[f]&which == 0 {
			k.ins("ADD $%d, %v", k.elem, ptr)
			continue
		}
		*v = k.vec()
		k.ins("VLD1R.P %d(%v), [%s]", k.elem, ptr, v.as(k.goa))
	}
	differs := func(v vec, from float64) gp {
		r := k.gp()
		k.ins("VMOV %s[0], %v", v.as(k.letter()), r)
		k.scope(func() { k.ins("EOR %v, %v", k.constant(k.bits(from)), r) })
		return r
	}
	if which&ofParameters != 0 {
		c.negated = k.vec()
		k.neg(c.negated, c.limit)
		c.hasLimit = differs(c.limit, math.Inf(1))
	}
	if which&ofCurvature != 0 {
		c.hasDiv = differs(c.div, 1)
	}
	return c
}
