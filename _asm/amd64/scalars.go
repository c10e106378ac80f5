package amd64

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"github.com/adahessian-go/adahessian/_asm/table"
)

// scalars holds the scalars of a step as vectors. AVX2's sixteen registers are not
// enough for them and the data. Scalars that are multiplied by a stream stay in
// registers, so that the stream can be the memory operand. The others, which are used
// once for each vector, are expanded into the frame, and are memory operands
// themselves. These loads take less time than the divider does. AVX-512 has enough
// registers for all scalars but, with halves, those that most steps do not use.
type scalars struct {
	k              *kernel
	abs            reg.VecVirtual // AVX2; see absMask
	minNormal      reg.VecVirtual // AVX2
	exponent       reg.VecVirtual // AVX-512: ones in the exponent
	b1, c1, b2, w  reg.VecVirtual
	c2, s, r, e    Op
	limit, negated Op
	hasLimit       Mem // is the limit finite?
	div, one       Op
	hasDiv         Mem // is the divisor other than 1?

	subnormal *subnormal // where code is for vanishing inputs
}

// A kernel uses the scalars of the curvature, those of the parameters, or
// both.
const (
	ofCurvature = 1 << iota
	ofParameters
)

// frameScalars is the number of vectors of scalars in the frame.
const frameScalars = 10

// rareScalars is the number of scalars that AVX-512 keeps in the frame with halves.
const rareScalars = 3

// scalarsFrame is the size of the frame for scalars, with room to align it. AVX-512
// keeps two flags there and, with halves, the rare scalars.
func (k *kernel) scalarsFrame() int {
	switch {
	case k.wide() && k.ofHalves():
		return 2*8 + rareScalars*k.bytes()
	case k.wide():
		return 2 * 8
	}
	return (frameScalars+1)*k.bytes() + k.conversionFrame()
}

// loadScalars expands the scalars that ptr points to.
func (k *kernel) loadScalars(ptr reg.GPVirtual, frame Mem, which int) *scalars {
	c := &scalars{k: k}
	Comment("The scalars of the step, each in every lane of a vector.")
	next := 0
	slot := func(base Mem, size int) Mem {
		next += size
		return base.Offset(next - size)
	}
	var keep, rare func(v reg.VecVirtual) Op
	var flag func(v reg.VecVirtual) Mem // eight bytes of v
	if k.wide() {
		c.exponent = k.infinity()
		keep = func(v reg.VecVirtual) Op { return v }
		rare = func(v reg.VecVirtual) Op {
			if !k.ofHalves() {
				return v
			}
			m := slot(frame, k.bytes())
			k.mov(v, m)
			return m
		}
		flag = func(v reg.VecVirtual) Mem {
			m := slot(frame, 8)
			VMOVQ(v.AsX(), m)
			return m
		}
	} else {
		c.abs, c.minNormal = k.absMask(), k.minNormal()
		base := GP64()
		LEAQ(frame.Offset(k.bytes()-1), base)
		ANDQ(I8(-k.bytes()), base)
		flag = func(v reg.VecVirtual) Mem {
			m := slot(Mem{Base: base}, k.bytes())
			k.mov(v, m)
			return m
		}
		keep = func(v reg.VecVirtual) Op { return flag(v) }
		rare = keep
	}
	field := func(f int) reg.VecVirtual {
		v := k.vec()
		k.broadcast(Mem{Base: ptr, Disp: f * k.elem}, v)
		return v
	}
	difference := func(x Op, y reg.VecVirtual) reg.VecVirtual {
		v := k.vec()
		k.xor(x, y, v)
		return v
	}
	if which&ofCurvature != 0 {
		c.b2 = field(table.B2)
		c.c2, c.r, c.e, c.div = keep(field(table.C2)), keep(field(table.R)), keep(field(table.E)), keep(field(table.Div))
		one := k.one()
		c.one = rare(one)
		c.hasDiv = flag(difference(c.div, one))
	}
	if which&ofParameters != 0 {
		c.b1, c.c1, c.w = field(table.B1), field(table.C1), field(table.W)
		c.s, c.limit = keep(field(table.S)), rare(field(table.Limit))
		c.negated = rare(difference(c.limit, k.signBit()))
		c.hasLimit = flag(difference(c.limit, k.infinity()))
	}
	k.newConversion(frame.Offset((frameScalars+1)*k.bytes()), which&ofParameters != 0)
	return c
}

// absMask is a vector of all bits except the sign, for sums of |h|. AVX2 already has
// one for flush.
func (c *scalars) absMask() reg.VecVirtual {
	if c.k.wide() {
		return c.k.absMask()
	}
	return c.abs
}

// mem is the memory of an argument.
func mem(name string) Mem {
	c, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return c.Addr
}
