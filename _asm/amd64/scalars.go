package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

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
)

// scalars holds the scalars of a step as vectors. Sixteen registers do not
// suffice for them and the data. Those that are multiplied by a stream stay in
// registers, so that the stream can be the memory operand; the others, which
// are used once for each vector, are expanded into the frame and are memory
// operands themselves. The divider is busy for longer than the loads.
type scalars struct {
	k              *kernel
	abs, minNormal reg.VecVirtual
	b1, c1, b2, w  reg.VecVirtual
	c2, s, r, e    Mem
	limit, negated Mem
	hasLimit       Mem // is the limit finite?
	div, one       Mem
	hasDiv         Mem // is the divisor other than 1?
}

// A kernel uses the scalars of the curvature, those of the parameters, or
// both.
const (
	ofCurvature = 1 << iota
	ofParameters
)

// frameScalars is the number of vectors that scalars keep in the frame.
const frameScalars = 10

// scalarsFrame is the size of the frame for scalars, with room to align it.
func (k *kernel) scalarsFrame() int { return (frameScalars + 1) * k.bytes() }

// loadScalars expands the scalars that ptr points to.
func (k *kernel) loadScalars(ptr reg.GPVirtual, frame Mem, which int) *scalars {
	c := &scalars{k: k, abs: k.absMask(), minNormal: k.minNormal()}
	base := GP64()
	LEAQ(frame.Offset(k.bytes()-1), base)
	ANDQ(I8(-k.bytes()), base)
	next := 0
	slot := func() Mem {
		next++
		return Mem{Base: base, Disp: (next - 1) * k.bytes()}
	}
	field := func(f int) reg.VecVirtual {
		v := k.vec()
		k.broadcast(Mem{Base: ptr, Disp: f * k.elem}, v)
		return v
	}
	spill := func(f int) Mem {
		m := slot()
		k.mov(field(f), m)
		return m
	}
	if which&ofCurvature != 0 {
		c.b2 = field(fieldB2)
		c.c2, c.r, c.e, c.div = spill(fieldC2), spill(fieldR), spill(fieldE), spill(fieldDiv)
		c.one = slot()
		one := k.one()
		k.mov(one, c.one)
		c.hasDiv = slot()
		VPXOR(c.div, one, one)
		VMOVDQA(one, c.hasDiv)
	}
	if which&ofParameters != 0 {
		c.b1, c.c1, c.w = field(fieldB1), field(fieldC1), field(fieldW)
		c.s, c.limit = spill(fieldS), spill(fieldLimit)
		c.negated = slot()
		sign := k.signBit()
		VPXOR(c.limit, sign, sign)
		k.mov(sign, c.negated)
		c.hasLimit = slot()
		infinity := k.infinity()
		VPXOR(c.limit, infinity, infinity)
		k.mov(infinity, c.hasLimit)
	}
	return c
}

// mem is the memory of an argument.
func mem(name string) Mem {
	c, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return c.Addr
}
