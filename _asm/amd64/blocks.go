package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Contiguous blocks are taken in groups of as many as a vector has lanes. The
// sums of a group are folded into one vector, in which the curvature and the
// denominators are worked out; then each vector of the group's elements takes
// its denominators from there by one permutation. Nothing goes through memory,
// and all streams flow at once.

// sums adds |x| over the blocks of a group.
type sums struct {
	k     *kernel
	abs   reg.VecVirtual
	x     reg.GPVirtual // the next block
	full  reg.GPVirtual // bytes of a block in whole pairs of vectors
	rest  reg.GPVirtual // bytes of a block beyond
	masks [2]reg.VecVirtual
	slots Mem // a vector for each block of a group, in the frame
}

// newSums prepares for blocks of the argument block's length.
func (k *kernel) newSums(abs reg.VecVirtual, slots Mem) *sums {
	s := &sums{k: k, abs: abs, slots: slots, full: arg("block"), rest: GP64()}
	k.toBytes(s.full)
	MOVQ(s.full, s.rest)
	ANDQ(I8(2*k.bytes()-1), s.rest)
	SUBQ(s.rest, s.full)
	for i := range s.masks {
		s.masks[i] = k.vec()
		k.tailMaskInto(s.rest, i, s.masks[i])
	}
	return s
}

// group returns the sums of n blocks, 1 to lanes, in a vector; its further
// lanes are of no meaning.
//
// The lanes of a pair of vectors are the partial sums p[0] … p[L−1] of the
// contract, and adding the one vector to the other is its first folding. The
// vectors then meet in pairs: each shuffle brings the two halves to be added
// of two vectors face to face.
func (s *sums) group(n reg.GPVirtual) reg.VecVirtual {
	k := s.k
	slot, left := GP64(), GP64()
	LEAQ(s.slots, slot)
	MOVQ(n, left)
	block, step, rest, done := k.label("block"), k.label("step"), k.label("rest"), k.label("summed")
	Label(block)
	p := [2]reg.VecVirtual{k.vec(), k.vec()}
	for _, p := range p {
		VPXOR(p, p, p)
	}
	bytes := GP64()
	MOVQ(s.full, bytes)
	TESTQ(bytes, bytes)
	JZ(LabelRef(rest))
	Label(step)
	for i, p := range p {
		h := k.vec()
		VPAND(k.at(s.x, nil, i), s.abs, h)
		k.add(h, p, p)
	}
	ADDQ(U8(2*k.bytes()), s.x)
	SUBQ(U8(2*k.bytes()), bytes)
	JNZ(LabelRef(step))
	Label(rest)
	TESTQ(s.rest, s.rest)
	JZ(LabelRef(done))
	for i, p := range p {
		h := k.load(k.at(s.x, nil, i), s.masks[i])
		VPAND(h, s.abs, h)
		k.add(h, p, p)
	}
	ADDQ(s.rest, s.x)
	Label(done)
	k.add(p[1], p[0], p[0])
	k.mov(p[0], Mem{Base: slot})
	ADDQ(U8(k.bytes()), slot)
	DECQ(left)
	JNZ(LabelRef(block))
	return s.fold()
}

// fold adds up the lanes of each slot.
func (s *sums) fold() reg.VecVirtual {
	k := s.k
	// Fold the halves of blocks i and i + lanes/2, which come to lie in the
	// lower and the upper half of a vector: the shuffles below stay in halves.
	half := func(slot, part int) Mem { return s.slots.Offset(slot*k.bytes() + part*16) }
	var v []reg.VecVirtual
	for i := range k.lanes() / 2 {
		var parts [2]reg.VecVirtual
		for part := range parts {
			parts[part] = k.vec()
			VBROADCASTF128(half(i, part), parts[part]) // VMOVUPS would leave the upper half undefined to avo
			VINSERTF128(U8(1), half(i+k.lanes()/2, part), parts[part], parts[part])
		}
		k.add(parts[1], parts[0], parts[0])
		v = append(v, parts[0])
	}
	if k.elem == 8 {
		return k.meet(v[0], v[1], func(a, b, low, high reg.VecVirtual) {
			VUNPCKLPD(b, a, low)
			VUNPCKHPD(b, a, high)
		})
	}
	pairs := func(a, b, low, high reg.VecVirtual) {
		VSHUFPS(U8(0x44), b, a, low)
		VSHUFPS(U8(0xee), b, a, high)
	}
	evens := func(a, b, low, high reg.VecVirtual) {
		VSHUFPS(U8(0x88), b, a, low)
		VSHUFPS(U8(0xdd), b, a, high)
	}
	return k.meet(k.meet(v[0], v[1], pairs), k.meet(v[2], v[3], pairs), evens)
}

// meet adds the two vectors that shuffle makes of a and b.
func (k *kernel) meet(a, b reg.VecVirtual, shuffle func(a, b, low, high reg.VecVirtual)) reg.VecVirtual {
	low, high := k.vec(), k.vec()
	shuffle(a, b, low, high)
	k.add(high, low, low)
	return low
}

// blockOf follows which block of its group each lane of a vector belongs to,
// as the vectors of a group pass: an index for VPERMPS, whose lanes are of 32
// bits for float64 too. It is made by additions, and needs no table.
type blockOf struct {
	k                 *kernel
	index, position   reg.VecVirtual
	index0, position0 Mem // of the first vector of a group
	indexStep, step   Mem // lanes / block, in index's unit, and lanes % block
	block, last       Mem // and block − 1
	carry             Mem // what index gains in the next block
}

// blockOfFrame is the size of the frame for blockOf.
func (k *kernel) blockOfFrame() int { return 7 * k.bytes() }

func (k *kernel) newBlockOf(block reg.GPVirtual, frame Mem) *blockOf {
	b := &blockOf{k: k, index: k.vec(), position: k.vec()}
	slots := []*Mem{&b.index0, &b.position0, &b.indexStep, &b.step, &b.block, &b.last, &b.carry}
	for i, m := range slots {
		*m = frame.Offset(i * k.bytes())
	}
	// Count the lanes of the first vector; what the next lane would have is
	// the step from vector to vector.
	words := k.elem / 4 // 32-bit lanes of an element
	index, position, zero := GP32(), GP32(), GP32()
	XORL(index, index)
	XORL(position, position)
	XORL(zero, zero)
	for lane := range k.lanes() {
		for w := range words {
			at := (lane*words + w) * 4
			MOVL(position, b.position0.Offset(at))
			MOVL(index, b.index0.Offset(at))
			if w+1 < words {
				INCL(index)
			} else if w > 0 {
				DECL(index)
			}
		}
		next := GP32()
		LEAL(Mem{Base: index, Disp: words}, next)
		INCL(position)
		CMPL(position, block.As32())
		CMOVLEQ(next, index)
		CMOVLEQ(zero, position)
	}
	spread := func(v reg.GPVirtual, m Mem) {
		t := k.vec()
		VMOVD(v, t.AsX())
		VPBROADCASTD(t.AsX(), t)
		VMOVDQU(t, m)
	}
	spread(index, b.indexStep)
	spread(position, b.step)
	MOVL(U32(words), index)
	spread(index, b.carry)
	MOVL(block.As32(), index)
	spread(index, b.block)
	DECL(index)
	spread(index, b.last)
	return b
}

// reset goes to the first vector of a group.
func (b *blockOf) reset() {
	VMOVDQU(b.index0, b.index)
	VMOVDQU(b.position0, b.position)
}

// take returns the denominators of the vector's elements out of the group's.
func (b *blockOf) take(den reg.VecVirtual) reg.VecVirtual {
	v := b.k.vec()
	VPERMPS(den, b.index, v)
	return v
}

// advance goes to the next vector.
func (b *blockOf) advance() {
	VPADDD(b.indexStep, b.index, b.index)
	VPADDD(b.step, b.position, b.position)
	over, t := b.k.vec(), b.k.vec()
	VPCMPGTD(b.last, b.position, over)
	VPAND(b.carry, over, t)
	VPADDD(t, b.index, b.index)
	VPAND(b.block, over, over)
	VPSUBD(over, b.position, b.position)
}

// descendGroup updates n bytes of elements, those of a group of blocks; n and
// the pointers are moved on.
func (c *scalars) descendGroup(b *blockOf, den reg.VecVirtual, theta, m, g, n reg.GPVirtual) {
	k := c.k
	b.reset()
	loop, rest, end := k.label("loop"), k.label("rest"), k.label("end")
	SUBQ(U8(k.bytes()), n)
	JL(LabelRef(rest))
	Label(loop)
	c.descend(nil, func(int) reg.VecVirtual { return b.take(den) }, element{k.at(theta, nil, 0), k.at(m, nil, 0), k.at(g, nil, 0)})
	b.advance()
	for _, p := range []reg.GPVirtual{theta, m, g} {
		ADDQ(U8(k.bytes()), p)
	}
	SUBQ(U8(k.bytes()), n)
	JGE(LabelRef(loop))
	Label(rest)
	ADDQ(U8(k.bytes()), n)
	JZ(LabelRef(end))
	c.descend(k.tailMask(n), func(int) reg.VecVirtual { return b.take(den) }, element{k.at(theta, nil, 0), k.at(m, nil, 0), k.at(g, nil, 0)})
	Label(end)
}

// partial emits body for a whole vector of blocks, or with a mask for the n
// blocks of the last group.
func (k *kernel) partial(n reg.GPVirtual, body func(mask reg.VecVirtual)) {
	some, done := k.label("some"), k.label("done")
	CMPQ(n, U8(k.lanes()))
	JNE(LabelRef(some))
	body(nil)
	Label(done)
	k.outOfLine = append(k.outOfLine, func() {
		Label(some)
		bytes := GP64()
		MOVQ(n, bytes)
		k.toBytes(bytes)
		body(k.tailMask(bytes))
		JMP(LabelRef(done))
	})
}

// atMost sets n to the smaller of left and the lanes, and takes it from left.
func (k *kernel) atMost(left, n reg.GPVirtual) {
	MOVQ(U64(k.lanes()), n)
	CMPQ(left, n)
	CMOVQLT(left, n)
	SUBQ(n, left)
}

// updateBlocks is the step where blocks are runs of elements. The curvature of
// a group is worked out before the elements of the group in front of it are
// updated: the long chain from the sums to the denominators then has those
// elements' arithmetic to hide behind.
func (k *kernel) updateBlocks() {
	frame := k.text("updateBlocks", "func(theta, m, v, grad, hz *float, blocks, block int, s *float, power int)",
		k.scalarsFrame()+k.lanes()*k.bytes()+k.blockOfFrame(),
		"makes a step of contiguous blocks of block elements each:",
		"v[j], den = curvature(v[j], sum of |hz| over block j / s.div); for its elements i: m[i], theta[i] = descend(m[i], grad[i], theta[i], den).",
		"It requires block of at least 1.")
	c := k.loadScalars(arg("s"), frame, ofCurvature|ofParameters)
	slots := frame.Offset(k.scalarsFrame())
	b := k.newBlockOf(arg("block"), slots.Offset(k.lanes()*k.bytes()))
	s := k.newSums(c.abs, slots)
	s.x = arg("hz")
	theta, m, v, g, left := arg("theta"), arg("m"), arg("v"), arg("grad"), arg("blocks")
	ahead, den := k.vec(), k.vec()
	n, bytes := GP64(), GP64()
	XORQ(bytes, bytes)
	Label("group")
	k.atMost(left, n)
	TESTQ(n, n)
	JZ(LabelRef("elements"))
	d := s.group(n)
	c.curvatureOf([]reg.VecVirtual{d})
	k.partial(n, func(mask reg.VecVirtual) {
		next := c.secondMoment(d, k.operand(Mem{Base: v}, mask))
		k.store(next, Mem{Base: v}, mask)
		VMOVDQA(next, ahead)
	})
	VMOVDQA(c.denominators([]reg.VecVirtual{ahead})[0], ahead)
	ADDQ(U8(k.bytes()), v)
	Label("elements")
	c.descendGroup(b, den, theta, m, g, bytes)
	VMOVDQA(ahead, den)
	// The group in hand comes next, and is the last one if it is empty.
	MOVQ(n, bytes)
	IMULQ(mem("block"), bytes)
	k.toBytes(bytes)
	JNZ(LabelRef("group"))
	k.ret()
}

// descendBlocks is the second of the two stages of a step, for contiguous
// blocks.
func (k *kernel) descendBlocks() {
	frame := k.text("descendBlocks", "func(theta, m, grad, den *float, blocks, block int, s *float)", k.scalarsFrame()+k.blockOfFrame(),
		"makes the second stage of a step of contiguous blocks, with one denominator for each:",
		"for the elements i of block j: m[i] = flush(b1*m[i] + c1*grad[i]); theta[i] = w*theta[i] - clamp((s*m[i])/den[j], -limit, limit).",
		"It requires block of at least 1.")
	c := k.loadScalars(arg("s"), frame, ofParameters)
	b := k.newBlockOf(arg("block"), frame.Offset(k.scalarsFrame()))
	theta, m, g, den, left := arg("theta"), arg("m"), arg("grad"), arg("den"), arg("blocks")
	n, bytes := GP64(), GP64()
	group := k.vec()
	Label("group")
	TESTQ(left, left)
	JZ(LabelRef("done"))
	k.atMost(left, n)
	k.partial(n, func(mask reg.VecVirtual) { k.loadInto(Mem{Base: den}, mask, group) })
	ADDQ(U8(k.bytes()), den)
	MOVQ(n, bytes)
	IMULQ(mem("block"), bytes)
	k.toBytes(bytes)
	c.descendGroup(b, group, theta, m, g, bytes)
	JMP(LabelRef("group"))
	Label("done")
	k.ret()
}

// blockMeans is the mean over contiguous blocks.
func (k *kernel) blockMeans() {
	slots := k.text("blockMeans", "func(d, x *float, blocks, block int, div float)", k.lanes()*k.bytes(),
		"sets d[j] to the sum of |x| over the j-th run of block elements, in the contract's order, divided by div.",
		"It requires block of at least 1.")
	s := k.newSums(k.absMask(), slots)
	s.x = arg("x")
	d, left := arg("d"), arg("blocks")
	div := k.vec()
	k.broadcast(mem("div"), div)
	n := GP64()
	Label("group")
	TESTQ(left, left)
	JZ(LabelRef("done"))
	k.atMost(left, n)
	sum := s.group(n)
	k.div(div, sum, sum)
	k.partial(n, func(mask reg.VecVirtual) { k.store(sum, Mem{Base: d}, mask) })
	ADDQ(U8(k.bytes()), d)
	JMP(LabelRef("group"))
	Label("done")
	k.ret()
}

// addAbs adds a piece of a long block to its partial sums.
func (k *kernel) addAbs() {
	k.text("addAbs", "func(p, x *float, n int)", 0,
		"adds |x[i]| to p[i mod L], i < n, where L is the number of elements in 64 bytes.")
	p, x := arg("p"), arg("x")
	n, index := k.count("n")
	abs := k.absMask()
	var sums [2]reg.VecVirtual
	for i := range sums {
		sums[i] = k.load(k.at(p, nil, i), nil)
	}
	SUBQ(U8(2*k.bytes()), n)
	JL(LabelRef("rest"))
	Label("loop")
	for i, s := range sums {
		h := k.vec()
		VPAND(k.at(x, index, i), abs, h)
		k.add(h, s, s)
	}
	ADDQ(U8(2*k.bytes()), index)
	SUBQ(U8(2*k.bytes()), n)
	JGE(LabelRef("loop"))
	Label("rest")
	ADDQ(U8(2*k.bytes()), n)
	for i, s := range sums {
		mask := k.vec()
		k.tailMaskInto(n, i, mask)
		h := k.load(k.at(x, index, i), mask)
		VPAND(h, abs, h)
		k.add(h, s, s)
		k.store(s, k.at(p, nil, i), nil)
	}
	k.ret()
}
