package arm64

import "slices"

// updateElements is the step if each element is a block.
func (k *kernel) updateElements() {
	k.begin(k.typ.Named("updateElements"), 0)
	e := k.newElements()
	v, hz, n := k.arg("v"), k.arg("hz"), k.count("n")
	c := k.loadScalars(k.arg("s"), ofCurvature|ofParameters)
	c.power = k.arg("power")
	k.newConversion(true)
	k.vectors(n, 2, func(nv, width int) {
		d, next, den := k.some(nv), k.some(nv), k.some(nv)
		theta, m, g := k.some(nv), k.some(nv), k.some(nv)
		k.nextInputs(d, hz, width)
		k.next(next, v, width)
		k.next(m, e.m, width)
		k.nextInputs(g, e.g, width)
		k.next(theta, e.theta, width)
		k.scale(slices.Concat(d, g)...)
		c.divide(d) // without |…|, since d is only squared
		c.secondMoment(next, d, den)
		c.denominators(den, next)
		c.descend(theta, m, g, den)
		k.storeBack(next, v, width)
		k.storeElements(e, theta, m, g, width)
	})
	k.ret()
}

// curvature is the first of the two passes of a step.
func (k *kernel) curvature() {
	k.begin("curvature", 0)
	v, den, d, n := k.arg("v"), k.arg("den"), k.arg("d"), k.count("n")
	c := k.loadScalars(k.arg("s"), ofCurvature)
	c.power = k.arg("power")
	k.vectors(n, 2, func(nv, width int) { c.curvature(v, den, d, false, nv, width) })
	k.ret()
}

// addProbe adds the product with one probe to the sum over the probes.
func (k *kernel) addProbe() {
	k.begin("addProbe", 0)
	acc, z, hz, n := k.arg("acc"), k.arg("z"), k.arg("hz"), k.count("n")
	k.vectors(n, 4, func(nv, width int) {
		x, y, sum := k.some(nv), k.some(nv), k.some(nv)
		k.next(x, z, width)
		k.next(y, hz, width)
		k.next(sum, acc, width)
		each(nv, func(i int) { k.mul(x[i], x[i], y[i]) })
		each(nv, func(i int) { k.add(sum[i], sum[i], x[i]) })
		k.storeBack(sum, acc, width)
	})
	k.ret()
}

// allFinite gathers the bits of x − x, which is +0 if x is finite and NaN otherwise, in
// four chains.
func (k *kernel) allFinite() {
	k.begin("allFinite", 0)
	x, n := k.arg("x"), k.count("n")
	found := k.some(4)
	for _, f := range found {
		k.zero(f)
	}
	k.vectors(n, len(found), func(nv, width int) {
		t := k.some(nv)
		k.next(t, x, width)
		each(nv, func(i int) { k.sub(t[i], t[i], t[i]) })
		each(nv, func(i int) { k.or(found[i], found[i], t[i]) })
	})
	k.noBit(found)
	k.ret()
}

// noBit sets the result to true if no bit is set in the vectors.
func (k *kernel) noBit(found []vec) {
	for _, f := range found[1:] {
		k.or(found[0], found[0], f)
	}
	low, high := k.gp(), k.gp()
	k.ins("VMOV %s[0], %v", found[0].as("D"), low)
	k.ins("VMOV %s[1], %v", found[0].as("D"), high)
	k.ins("ORR %v, %v", high, low)
	k.ins("CMP $0, %v", low)
	k.ins("CSET EQ, %v", low)
	k.ins("MOVB %v, %s", low, k.mem("ret"))
}
