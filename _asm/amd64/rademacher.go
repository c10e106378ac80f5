package amd64

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Blocks of Philox are made two vectors at a time, with a block in each 64 bits, so
// that their multiplications hide each other's latency. That is a batch of 8 or 16
// blocks, 1,024 or 2,048 signs.
const batchVectors = 2

func (k *kernel) batch() int      { return batchVectors * k.bits / 64 }
func (k *kernel) batchBytes() int { return k.batch() * 16 }

// philox holds a vector's blocks: c[i] has word i of each in the lower half of
// a 64-bit lane. What the upper half holds does not matter, because the multiplication
// ignores it. So a product is at once the low word of the next state and, shifted down,
// the high word.
type philox struct {
	k     *kernel
	c     [4]reg.VecVirtual
	spare [2]reg.VecVirtual
}

// philoxConstants are what all batches share: the multipliers, the Weyl increments of
// the key, the blocks' numbers within a vector and how many there are, and the words of
// the key and of the draw. AVX2 has too few registers for them.
type philoxConstants struct {
	mul0, mul1, weyl0, weyl1, lane, count Op
	key, draw                             func() [2]reg.VecVirtual
	odd                                   reg.OpmaskVirtual // AVX-512: the upper halves
}

func (k *kernel) newPhiloxConstants() *philoxConstants {
	table := GP64()
	LEAQ(k.philoxTable(), table)
	at := 0
	next := func() Op {
		m := Mem{Base: table, Disp: at}
		at += k.bytes()
		return k.constant(m)
	}
	c := &philoxConstants{mul0: next(), mul1: next(), weyl0: next(), weyl1: next(), lane: next(), count: next()}
	words := func(name string) func() [2]reg.VecVirtual { // of an argument, in each lane
		return func() [2]reg.VecVirtual {
			low, high := k.vec(), k.vec()
			VPBROADCASTQ(mem(name), low)
			VPSRLQ(U8(32), low, high)
			return [2]reg.VecVirtual{low, high}
		}
	}
	c.key, c.draw = words("seed"), words("draw")
	if k.wide() {
		key, draw := c.key(), c.draw()
		copied := func(words [2]reg.VecVirtual) func() [2]reg.VecVirtual {
			return func() [2]reg.VecVirtual {
				low, high := k.vec(), k.vec()
				k.copy(words[0], low)
				k.copy(words[1], high)
				return [2]reg.VecVirtual{low, high}
			}
		}
		c.key, c.draw = copied(key), copied(draw)
		c.odd = K()
		bits := GP32()
		MOVL(U32(0xaaaa), bits)
		KMOVW(bits, c.odd)
	}
	return c
}

// constant returns the vector at m as an operand. AVX2 has no registers left for it.
func (k *kernel) constant(m Mem) Op {
	if k.wide() {
		return k.load(m, nil)
	}
	return m
}

// philoxTable is a table of the constants, as vectors of 64-bit lanes.
//
// The blocks are numbered so that the lower and the upper halves of the 128-bit lanes,
// which store separates, are runs of blocks.
func (k *kernel) philoxTable() Mem {
	return data(fmt.Sprintf("philox%d", k.bits), func(add func(Constant)) {
		lanes := k.bits / 64
		each := func(x func(lane int) int) {
			for l := range lanes {
				add(U64(x(l)))
			}
		}
		for _, c := range []int{0xD2511F53, 0xCD9E8D57, 0x9E3779B9, 0xBB67AE85} {
			each(func(int) int { return c })
		}
		each(func(l int) int { return l/2 + l%2*lanes/2 })
		each(func(int) int { return lanes })
	})
}

// round makes a round with the key k0, k1. After two rounds every word is back in its
// register.
func (p *philox) round(c *philoxConstants, k0, k1 reg.VecVirtual) {
	low0, low1 := p.spare[0], p.spare[1]
	VPMULUDQ(c.mul0, p.c[0], low0)
	VPMULUDQ(c.mul1, p.c[2], low1)
	VPSRLQ(U8(32), low1, p.c[0])
	VPSRLQ(U8(32), low0, p.c[2])
	p.k.xor3(p.c[1], k0, p.c[0])
	p.k.xor3(p.c[3], k1, p.c[2])
	p.spare = [2]reg.VecVirtual{p.c[3], p.c[1]}
	p.c = [4]reg.VecVirtual{p.c[0], low1, p.c[2], low0}
}

// xor3 adds x and y, modulo 2, to z.
func (k *kernel) xor3(x, y, z reg.VecVirtual) {
	if k.wide() {
		VPTERNLOGD(U8(0x96), x, y, z)
	} else {
		VPXOR(x, z, z)
		VPXOR(y, z, z)
	}
}

// store writes the blocks, each of its words in order.
func (p *philox) store(c *philoxConstants, dst Mem) {
	for _, i := range []int{0, 2} { // join words i and i + 1
		if p.k.wide() {
			VPSHUFD(U8(0xa0), p.c[i+1], c.odd, p.c[i])
		} else {
			VPSLLQ(U8(32), p.c[i+1], p.c[i+1])
			VPBLENDD(U8(0xaa), p.c[i+1], p.c[i], p.c[i])
		}
	}
	first, second := p.k.vec(), p.k.vec()
	VPUNPCKLQDQ(p.c[2], p.c[0], first)
	VPUNPCKHQDQ(p.c[2], p.c[0], second)
	p.k.mov(first, dst)
	p.k.mov(second, dst.Offset(p.k.bytes()))
}

// philoxBatch is a batch that is being made.
type philoxBatch struct {
	constants *philoxConstants
	groups    [batchVectors]*philox
	key       [2]reg.VecVirtual
}

// newBatch begins a batch of blocks, from block on, and moves block on to the next
// batch.
func (k *kernel) newBatch(c *philoxConstants, block reg.GPVirtual, next int) *philoxBatch {
	Comment("A batch of blocks: their numbers, the draw and the key.")
	p := &philoxBatch{constants: c}
	number := k.vec()
	if k.wide() {
		VPBROADCASTQ(block, number)
	} else {
		VMOVQ(block, number.AsX())
		VPBROADCASTQ(number.AsX(), number)
	}
	VPADDQ(c.lane, number, number)
	for i := range p.groups {
		low, high := number, k.vec()
		if i+1 < len(p.groups) {
			number = k.vec()
			VPADDQ(c.count, low, number)
		}
		VPSRLQ(U8(32), low, high)
		draw := c.draw()
		p.groups[i] = &philox{k, [4]reg.VecVirtual{low, high, draw[0], draw[1]}, [2]reg.VecVirtual{k.vec(), k.vec()}}
	}
	p.key = c.key()
	ADDQ(U8(next), block)
	return p
}

// rounds makes some of the ten rounds.
func (p *philoxBatch) rounds(n int) {
	Comment(map[int]string{10: "The ten rounds of Philox.", 2: "Two rounds of the next batch."}[n])
	for range n {
		for _, g := range p.groups {
			g.round(p.constants, p.key[0], p.key[1])
		}
		// The carry out of the lower half goes into bits that are not used.
		VPADDQ(p.constants.weyl0, p.key[0], p.key[0])
		VPADDQ(p.constants.weyl1, p.key[1], p.key[1])
	}
}

func (p *philoxBatch) store(dst Mem) {
	Comment("The words of the blocks, in order.")
	for i, g := range p.groups {
		g.store(p.constants, dst.Offset(i*2*g.k.bytes()))
	}
}

// signs turns bits into signs.
//
// AVX2's blend looks only at the upper bit of a lane, so a vector of signs takes two
// instructions, a shift and the blend. AVX-512 has a single VPTERNLOGD instead of a
// comparison and a blend.
type signs struct {
	k          *kernel
	shifts     []reg.VecVirtual // for each vector of a chunk: brings a lane's bit to the sign
	one, other reg.VecVirtual   // other is -1, or for AVX-512 the sign bit
}

// chunk is the number of signs made at a time if they begin or end at any bit: one
// vector of them, but at least as many as a byte has bits.
func (k *kernel) chunk() int { return max(8, k.lanes()) }

func (k *kernel) newSigns() *signs {
	s := &signs{k: k, one: k.one(), other: k.signBit()}
	if !k.wide() {
		VPOR(s.one, s.other, s.other)
	}
	for range k.chunk() / k.lanes() {
		s.shifts = append(s.shifts, k.vec())
	}
	return s
}

// from sets the shifts for chunks that begin at the given bit of a byte.
func (s *signs) from(bit reg.GPVirtual) {
	for v, shift := range s.shifts {
		s.k.mov(s.k.signShifts(v*s.k.lanes()), shift)
	}
	s.k.startAt(bit, s.shifts...)
}

// startAt makes shifts for bits whose first ones are to be left out.
func (k *kernel) startAt(bit reg.GPVirtual, shifts ...reg.VecVirtual) {
	first := k.vec()
	if k.elem == 4 {
		k.broadcast32(bit.As32(), first)
	} else if k.wide() {
		VPBROADCASTQ(bit, first)
	} else {
		VMOVQ(bit, first.AsX())
		VPBROADCASTQ(first.AsX(), first)
	}
	for _, shift := range shifts {
		if k.elem == 4 {
			VPSUBD(first, shift, shift)
		} else {
			VPSUBQ(first, shift, shift)
		}
	}
}

// signShifts are the shifts that bring bit first + l of a word to the sign of
// lane l.
func (k *kernel) signShifts(first int) Mem {
	return data(fmt.Sprintf("signShifts%d", k.elem*8), func(add func(Constant)) {
		for l := range 32 {
			add(integer(k.elem, k.elem*8-1-l))
		}
	}).Offset(first * k.elem)
}

// of returns the signs of vector v of the chunk whose bits begin in the lowest
// byte of every lane.
func (s *signs) of(bits reg.VecVirtual, v int) reg.VecVirtual {
	t := s.k.vec()
	s.k.shiftLeftBy(s.shifts[v], bits, t)
	s.top(t)
	return t
}

// top turns the upper bits of the lanes into signs.
func (s *signs) top(t reg.VecVirtual) {
	if s.k.wide() {
		const bits, one, signBit = 0xf0, 0xcc, 0xaa // the operands' columns of the truth table
		VPTERNLOGD(U8(bits&signBit|one), s.other, s.one, t)
	} else {
		s.k.blend(t, s.other, s.one, t)
	}
}

// run stores n signs, a multiple of the lanes. Every lane of bits has the bits of all
// of them. last brings the bits of the last vector to the top of the lanes. From there,
// those of the other vectors need a shift by a constant, which takes neither a register
// nor a load.
func (s *signs) run(bits reg.VecVirtual, n int, last Op, store func(ops ...Op), dst Mem) {
	s.k.shiftLeftBy(last, bits, bits)
	for v := 0; v < n; v += s.k.lanes() {
		t := bits
		if left := n - s.k.lanes() - v; left > 0 {
			t = s.k.vec()
			s.k.shiftLeft(U8(left), bits, t)
		}
		s.top(t)
		store(t, dst.Offset(v*s.k.elem))
	}
}

// rademacher makes a batch of blocks at a time in the frame and turns its bits into
// signs. If all of the next batch is wanted, it is made at the same time, since one
// waits for stores and the other for multiplications. What remains of a batch after its
// whole chunks is stored as a part of a chunk, even in the first batch, which may begin
// at any bit.
func (k *kernel) rademacher() {
	const beyond = 8 // since a chunk's bits are read as a vector's lane
	frame := k.begin("rademacher", k.batchBytes()+beyond)
	z, n := arg("z"), arg("n")
	c := k.newPhiloxConstants()
	s := k.newSigns()
	block, bit := arg("offset"), GP64()
	MOVQ(block, bit)
	ANDQ(U32(127), bit)
	SHRQ(U8(7), block)
	from, skip, count := GP64(), GP64(), GP64()

	const word = 32
	last := k.constant(k.signShifts(word - k.lanes()))
	words := func(n int) { // turns words of the batch into signs
		Comment("Words of bits into signs.")
		for w := range n {
			bits := k.vec()
			VPBROADCASTD(Mem{Base: from, Disp: 4 * w}, bits)
			s.run(bits, word, last, k.mov, Mem{Base: z, Disp: w * word * k.elem})
		}
		ADDQ(U8(4*n), from)
		ADDQ(U32(word*n*k.elem), z)
	}

	whole := func(name string, n int, body func()) { // emits body for each n of the count
		loop, rest := k.label(name), k.label("rest")
		SUBQ(U8(n), count)
		JL(LabelRef(rest))
		Label(loop)
		body()
		SUBQ(U8(n), count)
		JGE(LabelRef(loop))
		Label(rest)
		ADDQ(U8(n), count)
	}

	Label("batch")
	TESTQ(n, n)
	JZ(LabelRef("done"))
	batch := k.newBatch(c, block, k.batch())
	batch.rounds(10)
	batch.store(frame)

	Comment("Are all signs of the batch wanted, and more? Then while the next is made.")
	Label("made")
	TESTQ(bit, bit)
	JNZ(LabelRef("single"))
	CMPQ(n, U32(k.batchBytes()*8))
	JLE(LabelRef("single"))
	const pairs = 4 // of rounds, along with which the batch before is turned into signs
	next := k.newBatch(c, block, k.batch())
	LEAQ(frame, from)
	MOVQ(U32(pairs), count)
	Label("pair")
	next.rounds(2)
	words(k.batchBytes() / 4 / pairs)
	DECQ(count)
	JNZ(LabelRef("pair"))
	next.rounds(10 - 2*pairs)
	next.store(frame)
	SUBQ(U32(k.batchBytes()*8), n)
	JMP(LabelRef("made"))

	Comment("Else those of this batch alone.")
	Label("single")
	MOVQ(U32(k.batchBytes()*8), count)
	SUBQ(bit, count)
	CMPQ(n, count)
	CMOVQLT(n, count)
	SUBQ(count, n)
	LEAQ(frame, from)
	MOVQ(bit, skip)
	SHRQ(U8(3), skip)
	ADDQ(skip, from) // the byte of the first sign
	chunks := k.label("chunks")
	TESTQ(bit, bit)
	JNZ(LabelRef(chunks))
	const few = 2
	whole("words", 32*few, func() { words(few) })

	chunk := func() reg.VecVirtual {
		bits := k.vec()
		k.broadcast(Mem{Base: from}, bits)
		return bits
	}
	Comment("Signs that begin or end at any bit, bytes of bits at a time.")
	Label(chunks)
	ANDQ(U8(7), bit)
	s.from(bit)
	MOVQ(U32(0), bit) // the next batch begins here
	whole("chunk", k.chunk(), func() {
		bits := chunk()
		for v := range s.shifts {
			k.mov(s.of(bits, v), k.at(z, nil, v))
		}
		ADDQ(U8(k.chunk()/8), from)
		ADDQ(U8(k.chunk()*k.elem), z)
	})
	TESTQ(count, count)
	JZ(LabelRef("batch"))
	Comment("The last of them, a part of a vector.")
	k.toBytes(count)
	bits := chunk()
	part := s.of(bits, 0)
	at := GP64()
	MOVQ(z, at)
	if len(s.shifts) == 2 { // the first vector may be whole
		only := k.label("only")
		TESTB(U8(k.bytes()), count.As8())
		JZ(LabelRef(only))
		k.mov(part, Mem{Base: at})
		ADDQ(U8(k.bytes()), at)
		k.copy(s.of(bits, 1), part)
		Label(only)
	}
	k.store(part, Mem{Base: at}, k.storeTail(count))
	ADDQ(count, z)
	JMP(LabelRef("batch"))

	Label("done")
	k.ret()
}
