package amd64

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Contiguous blocks are taken in groups, as many blocks as a vector has lanes. The sums
// of a group are folded into one vector, in which the curvature and the denominators
// are computed. Then each vector of the group's elements takes its denominators from
// there by one permutation. Nothing goes through memory, and all streams are read and
// written at the same time.

// sums adds |x| over the blocks of a group.
type sums struct {
	k     *kernel
	abs   reg.VecVirtual
	x     reg.GPVirtual // the next block
	full  reg.GPVirtual // bytes of a block in whole runs of 64 bytes
	rest  reg.GPVirtual // bytes of a block after these
	slots Mem           // a vector for each block of a group, in the frame
	ahead int           // how many bytes ahead to prefetch; 0: no prefetch

	part   *tail                // AVX-512: of the rest
	halves [2]reg.OpmaskVirtual // AVX-512, floats: of the rest in each half of 64 bytes
	masks  []reg.VecVirtual     // AVX2: the absolute values of the rest, for each vector of 64 bytes
	last   Mem                  // AVX2: where the last group begins of which every block has 64 readable bytes
	near   Mem                  // AVX2: where the last 64 bytes begin
}

// sumsFrame is the size of the frame for sums.
func (k *kernel) sumsFrame() int { return k.lanes()*k.bytes() + 8*k.scale() }

// newSums prepares for the blocks in the argument x, whose length is the argument
// block.
func (k *kernel) newSums(x string, abs reg.VecVirtual, frame Mem) *sums {
	Comment("The length of a block, in whole runs of 64 bytes and the rest.")
	s := &sums{k: k, x: arg(x), abs: abs, slots: frame, full: arg("block"), rest: GP64()}
	k.toBytes(s.full)
	if k.wide() {
		s.divideBlock()
		s.part, s.ahead = k.partOf(s.rest, 0), prefetchWideBlocks
		if !k.ofHalves() {
			s.halves = [2]reg.OpmaskVirtual{s.part.lanes, K()}
			KSHIFTRW(U8(k.lanes()/2), s.halves[0], s.halves[1])
		}
		return s
	}
	// The last block of such a group begins 64 bytes before the end.
	s.last = frame.Offset(k.lanes() * k.bytes())
	s.near = s.last.Offset(8)
	end, group := arg("blocks"), GP64()
	IMULQ(s.full, end)
	ADDQ(s.x, end)
	MOVQ(s.full, group)
	IMUL3Q(U8(k.lanes()-1), group, group)
	SUBQ(group, end)
	SUBQ(I8(s.bytes()), end)
	MOVQ(end, s.last)
	if k.ofHalves() {
		ADDQ(group, end)
		MOVQ(end, s.near)
	}
	s.divideBlock()
	for _, part := range s.parts() {
		k.and(abs, part.mask, part.mask)
		s.masks = append(s.masks, part.mask)
	}
	return s
}

// divideBlock divides the bytes of a block.
func (s *sums) divideBlock() {
	MOVQ(s.full, s.rest)
	ANDQ(I8(s.bytes()-1), s.rest)
	SUBQ(s.rest, s.full)
}

// parts returns the part that the rest has in each vector of 64 bytes.
func (s *sums) parts() (parts []*tail) {
	for i := range s.k.sumsVectors() {
		parts = append(parts, s.k.partOf(s.rest, i))
	}
	return parts
}

// sumsBytes is the size of the partial sums p[0] … p[L−1] of the contract: a pair of
// vectors of 256 bits, whose addition is the first folding, or one vector of 512 bits.
const sumsBytes = 64

// bytes is the size of what is added to them.
func (s *sums) bytes() int { return sumsBytes / s.k.scale() }

func (k *kernel) sumsVectors() int { return sumsBytes / k.bytes() }

// folded adds up the vectors of the partial sums in the first of them.
func (k *kernel) folded(p []reg.VecVirtual) reg.VecVirtual {
	for _, q := range p[1:] {
		k.add(q, p[0], p[0])
	}
	return p[0]
}

// group returns the sums of n blocks, from 1 block to as many as there are lanes, in a
// vector. The other lanes have no meaning.
//
// The vectors of partial sums are added in pairs: each shuffle puts the halves of two
// vectors that are to be added into the same lanes.
//
// Blocks that are shorter than the partial sums, such as small kernels of convolutions,
// need so little arithmetic that a loop over the blocks would cost more. So the code
// for a whole group of them is straight, and loads 64 bytes for each block. Near the
// end there may not be that many. With AVX-512 the code is straight for longer blocks
// as well.
func (s *sums) group(n reg.GPVirtual) reg.VecVirtual {
	k := s.k
	total := k.vec()
	Comment("The sums of |x| of a group of blocks, folded into one vector.")
	slots, summed := k.label("slots"), k.label("summed")
	CMPQ(n, U8(k.lanes()))
	JNE(LabelRef(slots))
	long := k.label("long")
	TESTQ(s.full, s.full)
	if k.wide() {
		JNZ(LabelRef(long))
		s.shortWide(total)
	} else {
		JNZ(LabelRef(slots))
		CMPQ(s.x, s.last)
		JHI(LabelRef(slots))
		k.copy(k.fold(func(int) reg.VecVirtual { return s.short() }), total)
	}
	Label(summed)
	if k.wide() {
		k.outOfLine = append(k.outOfLine, func() {
			Comment("A group of longer blocks.")
			Label(long)
			k.copy(k.fold(func(int) reg.VecVirtual { return s.straight() }), total)
			JMP(LabelRef(summed))
		})
	}
	k.outOfLine = append(k.outOfLine, func() {
		Comment("A group of longer blocks, or of fewer: one block after the other.")
		Label(slots)
		if k.wide() {
			many := k.label("many")
			CMPQ(n, U8(1))
			JNE(LabelRef(many))
			TESTQ(s.full, s.full)
			JZ(LabelRef(many))
			Comment("One block, as a run of a longer one is.")
			k.copy(k.foldOne(s.straight()), total)
			JMP(LabelRef(summed))
			Label(many)
		}
		s.intoSlots(n)
		if !k.wide() {
			many := k.label("many")
			CMPQ(n, U8(1))
			JNE(LabelRef(many))
			Comment("One block, as a run of a longer one is.")
			k.copy(k.foldOne(k.load(s.slots, nil)), total)
			JMP(LabelRef(summed))
			Label(many)
		}
		Comment("The blocks' partial sums, folded into one vector.")
		k.copy(k.foldSlots(s.slots), total)
		JMP(LabelRef(summed))
	})
	return total
}

// prefetchBlocks is how many bytes ahead of the sums updateBlocks prefetches the
// products. With the other streams, the processor's own prefetchers do not keep up. If
// the products are the only stream, those do better. AVX-512 was measured on another
// processor, where the masked loads of short blocks did not start them at all.
const (
	prefetchBlocks     = 1024
	prefetchWideBlocks = 2048
)

// prefetch prefetches the line that is ahead.
func (s *sums) prefetch() {
	if s.ahead > 0 {
		PREFETCHT0(Mem{Base: s.x, Disp: s.ahead})
	}
}

// short returns the partial sums of a block that is shorter than they are. What lies
// after the block is loaded too. The AND that clears the sign also clears that, at no
// cost, while a masked load (VMASKMOV) would take an instruction more.
func (s *sums) short() reg.VecVirtual {
	k := s.k
	var p []reg.VecVirtual
	for i, mask := range s.masks {
		v := k.vec()
		k.loadInputAbsInto(k.input(s.x, nil, i), mask, nil, v)
		p = append(p, v)
	}
	s.prefetch()
	ADDQ(s.rest, s.x)
	return k.folded(p)
}

// shortWide sets total to the sums of a group of blocks that are shorter than their
// partial sums, for AVX-512. Four blocks have addresses from the same pointer.
func (s *sums) shortWide(total reg.VecVirtual) {
	k, thrice := s.k, GP64()
	LEAQ(Mem{Base: s.rest, Index: s.rest, Scale: 2}, thrice)
	following := func(load func(at Mem) reg.VecVirtual) func(block int) reg.VecVirtual {
		return func(block int) reg.VecVirtual {
			at := [...]Mem{{Base: s.x}, {Base: s.x, Index: s.rest, Scale: 1}, {Base: s.x, Index: s.rest, Scale: 2}, {Base: s.x, Index: thrice, Scale: 1}}[block%4]
			p := load(at)
			if !k.ofHalves() || block%2 == 0 { // two blocks of halves are shorter than a line
				PREFETCHT0(at.Offset(s.ahead))
			}
			if block%4 == 3 {
				LEAQ(Mem{Base: s.x, Index: s.rest, Scale: 4}, s.x)
			}
			return p
		}
	}
	if k.ofHalves() {
		k.copy(k.fold(following(func(at Mem) reg.VecVirtual {
			p := k.vec()
			k.loadInputAbsInto(at, s.abs, s.part, p)
			return p
		})), total)
		return
	}
	narrow := k.with256()
	next := following(func(at Mem) reg.VecVirtual { return s.shortFloats(narrow, at) })
	first, second := narrow.fold(next), narrow.fold(next)
	VINSERTF64X4(U8(1), second, first.AsZ(), total)
}

// shortFloats returns the partial sums of a block of floats. It is loaded in halves of 64 bytes
// and folded with 256 bits: a load of 64 bytes that does not begin a line takes two, and two
// shuffles of 256 bits take no longer than one of 512.
func (s *sums) shortFloats(narrow *kernel, at Mem) reg.VecVirtual {
	var p []reg.VecVirtual
	for i, mask := range s.halves {
		v := YMM()
		s.k.masks.andZeroing(at.Offset(i*narrow.bytes()), s.abs.AsY(), mask, v)
		p = append(p, v)
	}
	return narrow.folded(p)
}

// straight returns the partial sums of a block of 64 bytes or more, for AVX-512. To take
// several together would hide the latency of their additions, but memory is read faster in
// order.
func (s *sums) straight() reg.VecVirtual {
	k := s.k
	p, left := k.vec(), GP64()
	at := k.input(s.x, nil, 0)
	loop, end, summed := k.label("loop"), k.label("rest"), k.label("summed")
	MOVQ(s.full, left)
	k.loadInputAbsInto(at, s.abs, nil, p)
	Label(loop)
	ADDQ(U8(s.bytes()), s.x)
	SUBQ(U8(s.bytes()), left)
	JZ(LabelRef(end))
	s.add(at, nil, p)
	JMP(LabelRef(loop))
	Label(end)
	TESTQ(s.rest, s.rest)
	JZ(LabelRef(summed))
	s.add(at, s.part, p)
	ADDQ(s.rest, s.x)
	Label(summed)
	return p
}

// add adds the absolute values of a vector to p.
func (s *sums) add(at Mem, part *tail, p reg.VecVirtual) {
	v := s.k.vec()
	s.k.loadInputAbsInto(at, s.abs, part, v)
	s.k.add(v, p, p)
}

// addRest adds those of the rest of a block. AVX2 has no masked loads of halves, so it
// also loads what lies after the block or, near the end, loads a copy.
func (s *sums) addRest(parts []*tail, p []reg.VecVirtual) {
	k := s.k
	if k.wide() || !k.ofHalves() {
		for i, part := range parts {
			s.add(k.input(s.x, nil, i), part, p[i])
		}
		return
	}
	at, near, there := GP64(), k.label("near"), k.label("there")
	MOVQ(s.x, at)
	CMPQ(at, s.near)
	JHI(LabelRef(near))
	Label(there)
	for i, mask := range s.masks {
		v := k.vec()
		k.loadInputAbsInto(k.input(at, nil, i), mask, nil, v)
		k.add(v, p[i], p[i])
	}
	k.outOfLine = append(k.outOfLine, func() {
		Label(near)
		k.copyHalves(s.rest, s.bytes()/2, s.x, at, false)
		LEAQ(k.conversion.buffer, at)
		JMP(LabelRef(there))
	})
}

// intoSlots leaves the partial sums of n blocks of any length in the slots.
func (s *sums) intoSlots(n reg.GPVirtual) {
	k := s.k
	slot, left, bytes := GP64(), GP64(), GP64()
	parts := []*tail{s.part}
	if !k.wide() && !k.ofHalves() {
		parts = s.parts()
	}
	LEAQ(s.slots, slot)
	MOVQ(n, left)
	block, pair, rest, done := k.label("block"), k.label("pair"), k.label("rest"), k.label("done")
	p := make([]reg.VecVirtual, k.sumsVectors())
	for i := range p {
		p[i] = k.vec()
	}
	Label(block)
	for i := range p {
		k.zero(p[i])
	}
	MOVQ(s.full, bytes)
	TESTQ(bytes, bytes)
	JZ(LabelRef(rest))
	Label(pair)
	for i := range p {
		s.add(k.input(s.x, nil, i), nil, p[i])
	}
	s.prefetch()
	ADDQ(U8(s.bytes()), s.x)
	SUBQ(U8(s.bytes()), bytes)
	JNZ(LabelRef(pair))
	TESTQ(s.rest, s.rest)
	JZ(LabelRef(done))
	Label(rest)
	s.addRest(parts, p)
	ADDQ(s.rest, s.x)
	Label(done)
	k.mov(k.folded(p), Mem{Base: slot})
	ADDQ(U8(k.bytes()), slot)
	DECQ(left)
	JNZ(LabelRef(block))
}

// descendGroup updates n bytes of elements, those of a group of blocks, and moves the
// pointers past its whole vectors. Only the last group can have a rest. With halves it
// narrows the parameters of the group before, and leaves those of this one to the
// next call or to narrow.
func (c *scalars) descendGroup(b *blockOf, den reg.VecVirtual, e *streams, n reg.GPVirtual) {
	k := c.k
	e.narrow()
	Comment("The elements of a group, each with its block's denominator.")
	b.reset()
	loop, rest, end := k.label("loop"), k.label("rest"), k.label("end")
	index := GP64()
	MOVQ(n, index)
	ANDQ(I8(-k.step()), index)
	SUBQ(index, n)
	k.move(index, e.floats()...)
	for _, p := range e.inputs {
		ADDQ(index, p)
	}
	NEGQ(index) // counts up to 0
	if e.late != nil {
		MOVQ(index, e.late)
	}
	JZ(LabelRef(rest))
	vector := func(part *tail) {
		one := e.elements(index, 1)
		if part == nil {
			e.prefetch(index, 1)
			one[0].late = e.late != nil
		}
		c.descend(part, func(int) reg.VecVirtual { return b.take(den) }, one...)
	}
	Label(loop)
	vector(nil)
	b.advance()
	ADDQ(U8(k.step()), index)
	JNZ(LabelRef(loop))
	Label(rest)
	TESTQ(n, n)
	JZ(LabelRef(end))
	vector(k.newTail(n))
	Label(end)
}

// narrowLate makes descendGroup narrow a group later. Each θ' waits for a division, and what
// waits for it takes up room in the processor's queues, so that the next sums cannot begin.
func (s *streams) narrowLate() {
	if s.k.ofHalves() {
		s.late = GP64()
		XORQ(s.late, s.late)
	}
}

// narrow stores the narrowed parameters that are late. Their lines are prefetched here, since
// memory would have nothing to do otherwise.
func (s *streams) narrow() {
	if s.late == nil {
		return
	}
	const atOnce = 4
	k, index := s.k, s.late
	Comment("The narrowed parameters of the last group.")
	vectors := func(nv int) {
		k.prefetchInputs(index, nv, prefetchStreams, s.inputs[1])
		var f []reg.VecVirtual
		for i := range nv {
			f = append(f, k.load(k.at(s.theta, index, i), nil))
		}
		k.storeNarrowed(f, nil, func(i int) Mem { return k.half(s.inputs[1], index, i) })
	}
	loop, one, done := k.label("loop"), k.label("one"), k.label("done")
	most := I8(-atOnce * k.step())
	CMPQ(index, most)
	JG(LabelRef(one))
	Label(loop)
	vectors(atOnce)
	SUBQ(most, index)
	CMPQ(index, most)
	JLE(LabelRef(loop))
	Label(one)
	TESTQ(index, index)
	JZ(LabelRef(done))
	vectors(1)
	ADDQ(U8(k.step()), index)
	JMP(LabelRef(one))
	Label(done)
}

// partial emits body for a whole vector of blocks, and for the part of one that the n
// blocks of the last group fill.
func (k *kernel) partial(n reg.GPVirtual, body func(part *tail)) {
	some, done := k.label("some"), k.label("done")
	CMPQ(n, U8(k.lanes()))
	JNE(LabelRef(some))
	body(nil)
	Label(done)
	k.outOfLine = append(k.outOfLine, func() {
		Comment("The last group, of fewer blocks.")
		Label(some)
		bytes := GP64()
		MOVQ(n, bytes)
		k.toBytes(bytes)
		body(k.newTail(bytes))
		JMP(LabelRef(done))
	})
}

// atMost sets n to the number of lanes or, if that is smaller, to left, and subtracts n
// from left.
func (k *kernel) atMost(left Op, n reg.GPVirtual) {
	MOVQ(U64(k.lanes()), n)
	CMPQ(left, n)
	CMOVQLT(left, n)
	SUBQ(n, left)
}

// updateBlocks is the step for blocks that are runs of elements. Three groups are in
// progress: the elements of one are updated, the next is on its way from the sums to
// the denominators, and the third is summed up. So results are needed only a whole
// round later. This matters because the chain from the products to the denominators
// takes longer than updating the elements of a group, and a processor that retires in
// order cannot begin the next group before the chain is done.
func (k *kernel) updateBlocks() {
	frame := k.begin(k.typ.Named("updateBlocks"), k.scalarsFrame()+k.bytes()+k.sumsFrame()+k.blockOfFrame())
	c := k.loadScalars(arg("s"), frame, ofCurvature|ofParameters)
	sum := frame.Offset(k.scalarsFrame())
	frame = sum.Offset(k.bytes())
	s := k.newSums("hz", c.absMask(), frame)
	if !k.wide() {
		s.ahead = prefetchBlocks
	}
	b := k.newBlockOf(frame.Offset(k.sumsFrame()))
	theta, m, v, g, left := arg("theta"), arg("m"), k.spare("v"), arg("grad"), k.spare("blocks")
	e := k.newStreams(theta, m, g)
	ahead, den := k.vec(), k.vec()
	summed, n, bytes := GP64(), GP64(), GP64() // blocks of the third and the second group, bytes of the first
	XORQ(n, n)
	XORQ(bytes, bytes)
	e.narrowLate()
	k.byFactor(func() {
		group, sums, elements := k.label("group"), k.label("sums"), k.label("elements")
		Comment("The second group: from its sums to v' and the denominators.")
		Label(group)
		TESTQ(n, n)
		JZ(LabelRef(sums))
		d := k.load(sum, nil)
		c.divide([]reg.VecVirtual{d})
		k.partial(n, func(part *tail) {
			v := Mem{Base: k.inRegister(v)}
			next := c.secondMoment(d, k.operand(v, part))
			k.copy(next, ahead)
			k.store(next, v, part)
		})
		k.copy(c.denominators([]reg.VecVirtual{ahead})[0], ahead)
		ADDQ(U8(k.bytes()), v)
		Comment("The third group: its sums.")
		Label(sums)
		k.atMost(left, summed)
		TESTQ(summed, summed)
		JZ(LabelRef(elements))
		k.mov(s.group(summed), sum)
		Comment("The first group: its elements.")
		Label(elements)
		c.descendGroup(b, den, e, bytes)
		Comment("The groups move up.")
		k.copy(ahead, den)
		MOVQ(n, bytes)
		IMULQ(mem("block"), bytes)
		k.toBytes(bytes)
		MOVQ(summed, n)
		ORQ(bytes, summed)
		JNZ(LabelRef(group))
	})
	e.narrow()
	k.ret()
}

// descendBlocks is the second of the two passes of a step, for contiguous
// blocks.
func (k *kernel) descendBlocks() {
	frame := k.begin(k.typ.Named("descendBlocks"), k.scalarsFrame()+k.blockOfFrame())
	c := k.loadScalars(arg("s"), frame, ofParameters)
	b := k.newBlockOf(frame.Offset(k.scalarsFrame()))
	theta, m, g, den, left := arg("theta"), arg("m"), arg("grad"), arg("den"), arg("blocks")
	e := k.newStreams(theta, m, g)
	n, bytes := GP64(), GP64()
	group := k.vec()
	e.narrowLate()
	k.byFactor(func() {
		next, done := k.label("group"), k.label("done")
		Label(next)
		TESTQ(left, left)
		JZ(LabelRef(done))
		k.atMost(left, n)
		k.partial(n, func(part *tail) { k.loadInto(Mem{Base: den}, part, group) })
		ADDQ(U8(k.bytes()), den)
		MOVQ(n, bytes)
		IMULQ(mem("block"), bytes)
		k.toBytes(bytes)
		c.descendGroup(b, group, e, bytes)
		JMP(LabelRef(next))
		Label(done)
	})
	e.narrow()
	k.ret()
}

// blockMeans is the mean over contiguous blocks.
func (k *kernel) blockMeans() {
	frame := k.begin(k.typ.Named("blockMeans"), k.sumsFrame()+k.conversionFrame())
	k.newConversion(frame.Offset(k.sumsFrame()), false)
	s := k.newSums("x", k.absMask(), frame)
	d, left := arg("d"), arg("blocks")
	div := k.vec()
	k.broadcast(mem("div"), div)
	n := GP64()
	Label("group")
	TESTQ(left, left)
	JZ(LabelRef("done"))
	k.atMost(left, n)
	sum := s.group(n)
	Comment("Their means.")
	k.div(div, sum, sum)
	k.partial(n, func(part *tail) { k.store(sum, Mem{Base: d}, part) })
	ADDQ(U8(k.bytes()), d)
	JMP(LabelRef("group"))
	Label("done")
	k.ret()
}
