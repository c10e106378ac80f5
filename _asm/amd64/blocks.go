package main

import (
	"github.com/mmcloughlin/avo/attr"
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
		k.maskInto(s.rest, i, s.masks[i])
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
//
// A whole group of blocks that are shorter than a pair of vectors, which small
// kernels of convolutions are, has so little arithmetic for each block that a
// loop over the blocks would cost more; its code is straight.
func (s *sums) group(n reg.GPVirtual) reg.VecVirtual {
	k := s.k
	total := k.vec()
	slots, summed := k.label("slots"), k.label("summed")
	CMPQ(n, U8(k.lanes()))
	JNE(LabelRef(slots))
	TESTQ(s.full, s.full)
	JNZ(LabelRef(slots))
	var first, v []reg.VecVirtual
	for i := range k.lanes() {
		p := s.short()
		if i < k.lanes()/2 {
			first = append(first, p)
			continue
		}
		// Blocks i and i + lanes/2 share a vector, one in each half: the
		// shuffles of fold stay in halves.
		f := first[i-k.lanes()/2]
		low := k.vec()
		VINSERTF128(U8(1), p.AsX(), f, low)
		VPERM2F128(U8(0x31), p, f, p)
		k.add(p, low, low)
		v = append(v, low)
	}
	VMOVDQA(k.fold(v), total)
	Label(summed)
	k.outOfLine = append(k.outOfLine, func() {
		Label(slots)
		s.intoSlots(n)
		var v []reg.VecVirtual
		half := func(slot, part int) Mem { return s.slots.Offset(slot*k.bytes() + part*16) }
		for i := range k.lanes() / 2 {
			var parts [2]reg.VecVirtual
			for part := range parts {
				parts[part] = k.vec()
				VBROADCASTF128(half(i, part), parts[part])
				VINSERTF128(U8(1), half(i+k.lanes()/2, part), parts[part], parts[part])
			}
			k.add(parts[1], parts[0], parts[0])
			v = append(v, parts[0])
		}
		VMOVDQA(k.fold(v), total)
		JMP(LabelRef(summed))
	})
	return total
}

// prefetchBlocks is how many bytes ahead of the masked loads of short blocks
// memory is asked for: they do not set off the processor's own prefetchers.
const prefetchBlocks = 2048

// short returns the partial sums of a block of less than a pair of vectors,
// after their first folding.
func (s *sums) short() reg.VecVirtual {
	k := s.k
	var p [2]reg.VecVirtual
	for i := range p {
		p[i] = k.load(k.at(s.x, nil, i), &tail{mask: s.masks[i]})
		VPAND(p[i], s.abs, p[i])
	}
	PREFETCHT0(Mem{Base: s.x, Disp: prefetchBlocks})
	ADDQ(s.rest, s.x)
	k.add(p[1], p[0], p[0])
	return p[0]
}

// intoSlots leaves the partial sums of n blocks of any length in the slots,
// after their first folding.
func (s *sums) intoSlots(n reg.GPVirtual) {
	k := s.k
	slot, left, bytes := GP64(), GP64(), GP64()
	LEAQ(s.slots, slot)
	MOVQ(n, left)
	block, pair, rest, done := k.label("block"), k.label("pair"), k.label("rest"), k.label("done")
	var p, h [2]reg.VecVirtual
	for i := range p {
		p[i], h[i] = k.vec(), k.vec()
	}
	Label(block)
	for i := range p {
		VPXOR(p[i], p[i], p[i])
	}
	MOVQ(s.full, bytes)
	TESTQ(bytes, bytes)
	JZ(LabelRef(rest))
	Label(pair)
	for i := range p {
		VPAND(k.at(s.x, nil, i), s.abs, h[i])
		k.add(h[i], p[i], p[i])
	}
	ADDQ(U8(2*k.bytes()), s.x)
	SUBQ(U8(2*k.bytes()), bytes)
	JNZ(LabelRef(pair))
	TESTQ(s.rest, s.rest)
	JZ(LabelRef(done))
	Label(rest)
	for i := range p {
		k.loadInto(k.at(s.x, nil, i), &tail{mask: s.masks[i]}, h[i])
		VPAND(h[i], s.abs, h[i])
		k.add(h[i], p[i], p[i])
	}
	ADDQ(s.rest, s.x)
	Label(done)
	k.add(p[1], p[0], p[0])
	k.mov(p[0], Mem{Base: slot})
	ADDQ(U8(k.bytes()), slot)
	DECQ(left)
	JNZ(LabelRef(block))
}

// fold adds up the partial sums of a group. Each vector has those of two
// blocks, of one of the first lanes/2 and of one of the others.
func (k *kernel) fold(v []reg.VecVirtual) reg.VecVirtual {
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

// blockOf tells which block of its group each lane of a vector belongs to, as
// the vectors of a group pass: an index for VPERMPS, whose lanes are of 32 bits
// for float64 too. Element x of the group belongs to block
//
//	x/block = x·reciprocal >> 28, with reciprocal = ⌈2²⁸/block⌉,
//
// which is exact for x < lanes·block and block up to maxCall/lanes, and for
// x < block up to maxCall: the reciprocal is too large by less than 1, so the
// product by less than x, and x·block < 2²⁸ keeps that from reaching the next
// multiple. It needs no table, and of its few instructions only the addition
// depends on the vector before.
type blockOf struct {
	k          *kernel
	x          reg.VecVirtual // the lanes' elements
	reciprocal Mem
	step       Mem // lanes
	parity     Mem // float64: 0 and 1 for the two halves of an element
}

const reciprocalBits = 28

// blockOfFrame is the size of the frame for blockOf.
func (k *kernel) blockOfFrame() int { return k.bytes() }

func (k *kernel) newBlockOf(frame Mem) *blockOf {
	b := &blockOf{k: k, x: k.vec(), reciprocal: frame}
	lanes := laneTable(k.elem)
	b.step, b.parity = lanes.Offset(k.bytes()), lanes.Offset(2*k.bytes())
	block := GP64()
	Load(Param("block"), block)
	LEAQ(Mem{Base: block, Disp: 1<<reciprocalBits - 1}, reg.RAX)
	XORL(reg.EDX, reg.EDX)
	DIVQ(block)
	t := k.vec()
	VMOVD(reg.EAX, t.AsX())
	VPBROADCASTD(t.AsX(), t)
	VMOVDQU(t, b.reciprocal)
	return b
}

// laneTable is a table of vectors of 32-bit lanes: the elements of a group's
// first vector, the elements of a vector, and for float64 the halves of
// elements.
func laneTable(elem int) Mem {
	name := map[int]string{4: "lanes32", 8: "lanes64"}[elem]
	if m, ok := laneTables[name]; ok {
		return m
	}
	m := GLOBL(name, attr.RODATA|attr.NOPTR)
	words := elem / 4
	for l := range 8 {
		DATA(l*4, U32(l/words))
	}
	for l := range 8 {
		DATA(32+l*4, U32(8/words))
	}
	for l := 0; l < 8 && words == 2; l++ {
		DATA(64+l*4, U32(l%words))
	}
	laneTables[name] = m
	return m
}

var laneTables = map[string]Mem{}

// reset goes to the first vector of a group.
func (b *blockOf) reset() { VMOVDQU(laneTable(b.k.elem), b.x) }

// take returns the denominators of the vector's elements out of the group's.
func (b *blockOf) take(den reg.VecVirtual) reg.VecVirtual {
	index := b.k.vec()
	VPMULLD(b.reciprocal, b.x, index)
	VPSRLD(U8(reciprocalBits), index, index)
	if b.k.elem == 8 {
		VPADDD(index, index, index)
		VPOR(b.parity, index, index)
	}
	VPERMPS(den, index, index)
	return index
}

// advance goes to the next vector.
func (b *blockOf) advance() { VPADDD(b.step, b.x, b.x) }

// descendGroup updates n bytes of elements, those of a group of blocks, and
// moves the pointers on past its whole vectors. A rest occurs in the last
// group only.
func (c *scalars) descendGroup(b *blockOf, den reg.VecVirtual, theta, m, g, n reg.GPVirtual) {
	k := c.k
	b.reset()
	loop, rest, end := k.label("loop"), k.label("rest"), k.label("end")
	index := GP64()
	MOVQ(n, index)
	ANDQ(I8(-k.bytes()), index)
	SUBQ(index, n)
	for _, p := range []reg.GPVirtual{theta, m, g} {
		ADDQ(index, p)
	}
	NEGQ(index) // counts up to 0
	JZ(LabelRef(rest))
	vector := func(part *tail) {
		c.descend(part, func(int) reg.VecVirtual { return b.take(den) },
			element{k.at(theta, index, 0), k.at(m, index, 0), k.at(g, index, 0)})
	}
	Label(loop)
	vector(nil)
	b.advance()
	ADDQ(U8(k.bytes()), index)
	JNZ(LabelRef(loop))
	Label(rest)
	TESTQ(n, n)
	JZ(LabelRef(end))
	vector(k.newTail(n))
	Label(end)
}

// partial emits body for a whole vector of blocks, or for the part of it
// that the n blocks of the last group are.
func (k *kernel) partial(n reg.GPVirtual, body func(part *tail)) {
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
		body(k.newTail(bytes))
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
	b := k.newBlockOf(slots.Offset(k.lanes() * k.bytes()))
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
	c.divide([]reg.VecVirtual{d})
	k.partial(n, func(part *tail) {
		next := c.secondMoment(d, k.operand(Mem{Base: v}, part))
		VMOVDQA(next, ahead)
		k.store(next, Mem{Base: v}, part)
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
	b := k.newBlockOf(frame.Offset(k.scalarsFrame()))
	theta, m, g, den, left := arg("theta"), arg("m"), arg("grad"), arg("den"), arg("blocks")
	n, bytes := GP64(), GP64()
	group := k.vec()
	Label("group")
	TESTQ(left, left)
	JZ(LabelRef("done"))
	k.atMost(left, n)
	k.partial(n, func(part *tail) { k.loadInto(Mem{Base: den}, part, group) })
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
	k.partial(n, func(part *tail) { k.store(sum, Mem{Base: d}, part) })
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
		k.maskInto(n, i, mask)
		h := k.load(k.at(x, index, i), &tail{mask: mask})
		VPAND(h, abs, h)
		k.add(h, s, s)
		k.store(s, k.at(p, nil, i), nil)
	}
	k.ret()
}
