package amd64

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A separate loop for inputs that vanish: gradients that are subnormal, and curvatures
// whose square is 0. A multiplication with a subnormal result waits for the divider,
// which a step keeps busy (AMD Zen 3). Yet such a product hardly ever changes the sum
// to which it is added, and then it can be left out. Looking for that in every pair of
// vectors takes as long as what is left out, and other inputs should not pay for it. So
// a call chooses its loop by its first two vectors. Both loops give the same results.

// subnormal holds the constants of that loop. c1 and c2 are 1−β1 and 1−β2, at most 1.
type subnormal struct {
	// normal is the exponent: a number that has none of its bits is subnormal or 0.
	normal Op

	// felt is the upper three bits of the exponent: a d that has none of them is
	// smaller than 2⁻⁹⁵, or 2⁻⁷⁶⁷ in float64. Then (c2·d)·d is +0, since it is at most
	// d², which is less than half of the smallest subnormal number. What remains of v'
	// is flush(b2·v): adding +0 changes only −0, which flush changes too.
	felt Op

	// If |x|, as an integer, is greater than hiding, x = b1·m hides the product c1·g of
	// a subnormal g. That holds from 2^(e+p+1) on, where 2^e is the smallest normal
	// number, which is greater than the product, and p is the number of digits. The
	// neighbours of such an x are at least 2^(e+2) away, except for the one below a
	// power of two, which is 2^(e+1) away. So the sum is rounded to x, which flush
	// leaves alone. Infinity and NaN stay what they are. And if x is 0, the sum is not
	// a normal number, and m' is +0.
	hiding Op
}

// subnormalLeast is the number of bytes from which on a call looks at its first
// vectors. With hundreds of small tensors, even that would cost something.
const subnormalLeast = 1024

// newSubnormal emits the constants, which are in registers with AVX-512. It emits them
// only where they are needed, so that other inputs do not wait for them.
func (c *scalars) newSubnormal() *subnormal {
	k := c.k
	constant := func(name string, of32, of64 int) Op {
		m := data(fmt.Sprintf("%s%d", name, k.elem*8), func(add func(Constant)) {
			for range 32 / k.elem {
				add(integer(k.elem, map[int]int{4: of32, 8: of64}[k.elem]))
			}
		})
		if !k.wide() {
			return m
		}
		all := k.vec()
		k.broadcast(m, all)
		return all
	}
	v := &subnormal{normal: c.exponent}
	if !k.wide() {
		v.normal = constant("normalBits", 0x7f800000, 0x7ff<<52)
	}
	v.felt = constant("feltBits", 0x70000000, 0x7<<60)
	v.hiding = constant("hiding", (1+24+1)<<23-1, (1+53+1)<<52-1)
	return v
}

// subnormalPairs emits the loop, and the test that chooses it: in the first two vectors
// of g, or of hz, everything vanishes but not everything is 0. Products of zeros take
// no longer than others. body is for a pair of vectors. The rest is left to the
// ordinary loops, which follow.
func (c *scalars) subnormalPairs(g, hz, n, index reg.GPVirtual, body func(c *scalars)) {
	k := c.k
	look, vanish, ordinary := k.label("look"), k.label("subnormal"), k.label("ordinary")
	pair := U32(2 * k.bytes())
	CMPQ(n, U32(subnormalLeast))
	JGE(LabelRef(look))
	Label(ordinary)
	k.outOfLine = append(k.outOfLine, func() {
		Comment("Do the first two vectors of grad, or of hz, vanish?")
		Label(look)
		other := *c
		other.subnormal = c.newSubnormal()
		inHz := k.label("look")
		for _, s := range []struct {
			x         reg.GPVirtual
			bits      Op
			otherwise string
		}{{g, other.subnormal.normal, inHz}, {hz, other.subnormal.felt, ordinary}} {
			x := k.load(k.at(s.x, index, 0), nil)
			k.or(k.at(s.x, index, 1), x, x)
			k.haveBits(s.bits, x)
			JNE(LabelRef(s.otherwise))
			k.haveBits(x, x)
			JNE(LabelRef(vanish))
			if s.otherwise == inHz {
				Label(inHz)
			}
		}
		JMP(LabelRef(ordinary))
		Comment("Pairs of vectors, without the products that vanish.")
		Label(vanish)
		body(&other)
		ADDQ(pair, index)
		SUBQ(pair, n)
		CMPQ(n, pair)
		JGE(LabelRef(vanish))
		JMP(LabelRef(ordinary))
	})
}

// haveBits compares. The result "equal" means that nothing in x has any of the bits.
func (k *kernel) haveBits(bits Op, x reg.VecVirtual) {
	if k.wide() {
		lanes := K()
		k.masks.test(bits, x, lanes)
		KORTESTW(lanes, lanes)
		return
	}
	VPTEST(bits, x)
}

// subnormalSecondMoments returns v' from a pair of d, without their products if
// all of them vanish.
func (c *scalars) subnormalSecondMoments(d []reg.VecVirtual, v, index reg.GPVirtual) []reg.VecVirtual {
	k := c.k
	Comment("v' = flush(b2*v + (c2*d)*d), or flush(b2*v) for a d that vanishes.")
	next := make([]reg.VecVirtual, len(d))
	for i := range d {
		next[i] = k.vec()
		k.mul(k.at(v, index, i), c.b2, next[i])
	}
	all := k.vec()
	k.or(d[0], d[1], all)
	vanished := k.label("zeros")
	k.haveBits(c.subnormal.felt, all)
	JEQ(LabelRef(vanished))
	for i, d := range d {
		k.add(c.square(d), next[i], next[i])
	}
	Label(vanished)
	for i := range next {
		c.flush(next[i])
	}
	return next
}

// subnormalFirstMoments returns m' of a pair of elements, without the products with g
// if all of them vanish.
func (c *scalars) subnormalFirstMoments(elements []element) []reg.VecVirtual {
	k := c.k
	Comment("b1*m hides c1*grad where that is subnormal, or else is 0.")
	next := make([]reg.VecVirtual, len(elements))
	for i, e := range elements {
		next[i] = k.vec()
		k.mul(e.m, c.b1, next[i])
	}
	all := k.load(elements[0].g, nil)
	k.or(elements[1].g, all, all)
	felt, done := k.label("felt"), k.label("done")
	k.haveBits(c.subnormal.normal, all)
	JNE(LabelRef(felt))
	for _, x := range next {
		c.hide(x, felt)
	}
	Label(done)
	k.outOfLine = append(k.outOfLine, func() {
		Comment("It does not: c1*grad counts.")
		Label(felt)
		for i, e := range elements {
			c.addGradient(next[i], e.g)
		}
		JMP(LabelRef(done))
	})
	return next
}

// hide turns x = b1·m into m' if each number in it hides its product or is 0, and jumps
// otherwise. If the second vector of a pair jumps, −0 has already become +0 in the
// first. Only sums that are flushed to +0 depend on that.
func (c *scalars) hide(x reg.VecVirtual, label string) {
	k := c.k
	size := k.vec()
	if k.wide() {
		hides, others := K(), K()
		k.shiftLeft(U8(1), x, size)
		k.shiftRight(U8(1), size, size)
		k.masks.above(c.subnormal.hiding, size, hides)
		k.masks.test(size, size, others)
		KANDNW(others, hides, others)
		KORTESTW(others, others)
		JNE(LabelRef(label))
		k.masks.loadZeroing(x, hides, x)
		return
	}
	hides := k.vec()
	k.and(c.abs, x, size)
	k.masks.greater(c.subnormal.hiding, size, hides)
	VPTEST(size, hides) // carry: size has no bit where hides has none
	JCC(LabelRef(label))
	k.and(hides, x, x)
}
