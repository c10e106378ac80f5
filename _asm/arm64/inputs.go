package arm64

import "github.com/adahessian-go/adahessian/_asm/table"

// Steps and means are written once, for gradients and products of floats and of halves.
// Halves are widened in registers. In the following, the gradients and the products are
// called the inputs. With halves a step also has the stream out, of narrowed parameters.
//
// All lengths are in bytes of float32, also those of inputs, of which there are half as
// many.

// ofHalves reports whether the kernel's inputs are halves, and bfloat16 whether they are
// bfloat16.
func (k *kernel) ofHalves() bool { return k.typ.Half() }
func (k *kernel) bfloat16() bool { return k.typ == table.BF16 }

// conversion holds what a kernel of halves needs for conversions.
type conversion struct {
	factor    vec       // what inputs are multiplied by
	hasFactor gp        // not 0: the factor is not 1
	rounding  *rounding // of out
}

// newConversion prepares for inputs of halves, which are multiplied by the argument factor,
// and for out, if the kernel has it.
func (k *kernel) newConversion(out bool) {
	if !k.ofHalves() {
		return
	}
	factor := k.broadcastArg("factor")
	k.conversion = &conversion{factor: factor, hasFactor: k.differs(factor, 1)}
	if out {
		k.conversion.rounding = k.newRounding()
	}
}

// nextInputs, loadInputs and nextSomeInput are next, load and nextSome for inputs, which they
// widen. scale comes after them.
func (k *kernel) nextInputs(v []vec, p gp, width int) {
	if k.ofHalves() {
		k.nextHalves(v, p, width)
	} else {
		k.next(v, p, width)
	}
}

func (k *kernel) loadInputs(v []vec, p gp, width int) {
	if k.ofHalves() {
		k.loadHalves(v, p, width)
	} else {
		k.load(v, p, width)
	}
}

func (k *kernel) nextSomeInput(v vec, p, n gp) {
	if k.ofHalves() {
		k.nextSomeHalves(v, p, n)
	} else {
		k.nextSome(v, p, n)
	}
}

// scale multiplies inputs of halves by the factor, unless that is 1. The branch is the same
// for the whole call, so it is predicted.
func (k *kernel) scale(v ...vec) {
	if !k.ofHalves() {
		return
	}
	scale, scaled, c := k.label("scale"), k.label("scaled"), k.conversion
	k.ins("CBNZ %v, %s", c.hasFactor, scale)
	k.at(scaled)
	k.later(func() {
		k.at(scale)
		each(len(v), func(i int) { k.mul(v[i], v[i], c.factor) })
		k.ins("B %s", scaled)
	})
}

// inputBytes is the bytes of inputs for that many bytes of floats.
func (k *kernel) inputBytes(n int) int {
	if k.ofHalves() {
		return n / 2
	}
	return n
}

// moveInput moves a pointer to inputs on by n bytes of floats.
func (k *kernel) moveInput(n, p gp) {
	if k.ofHalves() {
		k.ins("ADD %v>>1, %v", n, p)
	} else {
		k.ins("ADD %v, %v", n, p)
	}
}

// elements are the streams that descend reads and writes.
type elements struct {
	theta, m, g gp
	out         gp // only with halves
}

// newElements loads the streams' arguments.
func (k *kernel) newElements() elements {
	e := elements{theta: k.arg("theta"), m: k.arg("m"), g: k.arg("grad")}
	if k.ofHalves() {
		e.out = k.arg("out")
	}
	return e
}

// skip moves the pointers on by n bytes of floats.
func (k *kernel) skip(e elements, n gp) {
	k.ins("ADD %v, %v", n, e.theta)
	k.ins("ADD %v, %v", n, e.m)
	k.moveInput(n, e.g)
	if k.ofHalves() {
		k.moveInput(n, e.out)
	}
}

// storeElements stores m' and θ' where they have just been loaded, and θ' also to out. It
// consumes theta, and t.
func (k *kernel) storeElements(e elements, theta, m, t []vec, width int) {
	k.storeBack(m, e.m, width)
	k.storeBack(theta, e.theta, width)
	if k.ofHalves() {
		k.conversion.rounding.narrow(theta, t)
		k.storeHalves(theta, e.out, width)
	}
}
