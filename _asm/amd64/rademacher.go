package main

import (
	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// batch is the number of blocks of Philox that are made together: two vectors
// of four, whose multiplications hide each other's latency. They are 1,024
// signs.
const (
	batch      = 8
	batchBytes = batch * 16
)

// philoxTable holds the constants of Philox4x32-10 as vectors of 64-bit lanes:
// the multipliers, the Weyl increments of the key, and the lanes' numbers.
var philoxTable Mem

const (
	philoxMul0 = 32 * iota
	philoxMul1
	philoxWeyl0
	philoxWeyl1
	philoxLane
	philoxFour
)

func philoxConstants() Mem {
	if philoxTable.Base == nil {
		philoxTable = GLOBL("philoxConstants", attr.RODATA|attr.NOPTR)
		for i, c := range []uint64{0xD2511F53, 0xCD9E8D57, 0x9E3779B9, 0xBB67AE85} {
			for lane := range 4 {
				DATA(i*32+lane*8, U64(c))
			}
		}
		for lane := range 4 {
			DATA(philoxLane+lane*8, U64(lane))
		}
		for lane := range 4 {
			DATA(philoxFour+lane*8, U64(4))
		}
	}
	return philoxTable
}

// philox holds four blocks: c[i] has word i of each in the lower half of a
// 64-bit lane. What the upper half has does not matter, for the multiplication
// ignores it; so a product is at once the low word of the next state, and,
// shifted down, the high word.
type philox struct{ c [4]reg.VecVirtual }

// round does a round with the key k0, k1.
func (p *philox) round(mul0, mul1, k0, k1 Op) {
	low0, low1 := YMM(), YMM()
	VPMULUDQ(mul0, p.c[0], low0)
	VPMULUDQ(mul1, p.c[2], low1)
	high0, high1 := YMM(), YMM()
	VPSRLQ(U8(32), low0, high0)
	VPSRLQ(U8(32), low1, high1)
	VPXOR(p.c[1], high1, high1)
	VPXOR(k0, high1, high1)
	VPXOR(p.c[3], high0, high0)
	VPXOR(k1, high0, high0)
	p.c = [4]reg.VecVirtual{high1, low1, high0, low0}
}

// store writes the four blocks, each of its words in order.
func (p *philox) store(dst Mem) {
	for _, i := range []int{0, 2} { // join words i and i + 1
		VPSLLQ(U8(32), p.c[i+1], p.c[i+1])
		VPBLENDD(U8(0xaa), p.c[i+1], p.c[i], p.c[i])
	}
	even, odd := YMM(), YMM()
	VPUNPCKLQDQ(p.c[2], p.c[0], even) // blocks 0 and 2
	VPUNPCKHQDQ(p.c[2], p.c[0], odd)  // blocks 1 and 3
	VMOVDQU(even.AsX(), dst)
	VMOVDQU(odd.AsX(), dst.Offset(16))
	VEXTRACTI128(U8(1), even, dst.Offset(32))
	VEXTRACTI128(U8(1), odd, dst.Offset(48))
}

// fillBatch makes a batch of blocks from block on, which it moves on, into dst.
func fillBatch(dst Mem, block reg.GPVirtual) {
	table := GP64()
	LEAQ(philoxConstants(), table)
	constant := func(at int) Mem { return Mem{Base: table, Disp: at} }
	words := func(name string) (low, high reg.VecVirtual) { // of an argument, in each lane
		low, high = YMM(), YMM()
		VPBROADCASTQ(mem(name), low)
		VPSRLQ(U8(32), low, high)
		return low, high
	}
	drawLow, drawHigh := words("draw")
	var groups [2]*philox
	first := YMM()
	VMOVQ(block, first.AsX())
	VPBROADCASTQ(first.AsX(), first)
	VPADDQ(constant(philoxLane), first, first)
	for i := range groups {
		c0, c1 := first, YMM()
		if i > 0 {
			c0 = YMM()
			VPADDQ(constant(philoxFour), first, c0)
		}
		VPSRLQ(U8(32), c0, c1)
		groups[i] = &philox{[4]reg.VecVirtual{c0, c1, drawLow, drawHigh}}
	}
	k0, k1 := words("seed")
	for range 10 {
		for _, p := range groups {
			p.round(constant(philoxMul0), constant(philoxMul1), k0, k1)
		}
		// The carry out of the lower half goes where nobody looks.
		VPADDQ(constant(philoxWeyl0), k0, k0)
		VPADDQ(constant(philoxWeyl1), k1, k1)
	}
	for i, p := range groups {
		p.store(dst.Offset(i * batchBytes / 2))
	}
	ADDQ(U8(batch), block)
}

// signs turns bits into signs, a byte at a time.
type signs struct {
	k            *kernel
	shifts       []reg.VecVirtual // for each vector of 8 elements: brings a lane's bit to the sign
	signBit, one reg.VecVirtual
}

func (k *kernel) newSigns() *signs {
	s := &signs{k: k, signBit: k.signBit(), one: k.one()}
	table := signShifts(k.elem)
	for v := range 8 / k.lanes() {
		shift := k.vec()
		VMOVDQU(table.Offset(v*k.bytes()), shift)
		s.shifts = append(s.shifts, shift)
	}
	return s
}

// signShifts is a table of the shift that brings bit l to the sign of lane l.
func signShifts(elem int) Mem {
	m := GLOBL(map[int]string{4: "signShifts32", 8: "signShifts64"}[elem], attr.RODATA|attr.NOPTR)
	for l := range 8 {
		if elem == 4 {
			DATA(l*4, U32(31-l))
		} else {
			DATA(l*8, U64(63-l))
		}
	}
	return m
}

// of returns the signs of vector v of the byte in the low bits of every lane.
func (s *signs) of(bits reg.VecVirtual, v int) reg.VecVirtual {
	t := s.k.vec()
	s.k.shiftLeftBy(s.shifts[v], bits, t)
	VPAND(s.signBit, t, t)
	VPOR(s.one, t, t)
	return t
}

// rademacher makes a batch of blocks at a time into the frame and turns its
// bits into signs. Whole bytes make vectors; a part of a byte, in front or at
// the end, is stored in parts.
func (k *kernel) rademacher() {
	const beyond = 8 // a byte is read as the first of a vector's lane
	frame := k.text("rademacher", "func(z *float, n int, seed, draw, offset uint64)", batchBytes+beyond,
		"sets z[i] = 1 - 2*bit(offset+i) for i < n, with the bits of Philox4x32-10.",
		"It requires that offset+n does not exceed 2^64.")
	z, n := arg("z"), arg("n")
	s := k.newSigns()
	block, bit := arg("offset"), GP64()
	MOVQ(block, bit)
	ANDQ(U32(127), bit)
	SHRQ(U8(7), block)
	from, bytes, whole, count := GP64(), GP64(), GP64(), GP64()

	Label("batch")
	TESTQ(n, n)
	JZ(LabelRef("done"))
	fillBatch(frame, block)
	LEAQ(frame, from)
	MOVQ(bit, count)
	SHRQ(U8(3), count)
	ADDQ(count, from) // the byte of the first sign
	MOVQ(U32(batchBytes), bytes)
	SUBQ(count, bytes)
	ANDQ(U8(7), bit)
	JZ(LabelRef("whole"))
	MOVQ(U32(8), count)
	SUBQ(bit, count)
	CMPQ(n, count)
	CMOVQLT(n, count)
	JMP(LabelRef("part"))

	Label("whole")
	MOVQ(n, whole)
	SHRQ(U8(3), whole)
	CMPQ(bytes, whole)
	CMOVQLT(bytes, whole)
	SUBQ(whole, bytes)
	LEAQ(Mem{Base: whole, Index: whole, Scale: 1}, count)
	SHLQ(U8(2), count)
	SUBQ(count, n)
	for _, unroll := range []int{4, 1} {
		loop, rest := k.label("bytes"), k.label("rest")
		SUBQ(U8(unroll), whole)
		JL(LabelRef(rest))
		Label(loop)
		for b := range unroll {
			bits := k.vec()
			k.broadcast(Mem{Base: from, Disp: b}, bits)
			for v := range s.shifts {
				k.mov(s.of(bits, v), k.at(z, nil, b*len(s.shifts)+v))
			}
		}
		ADDQ(U8(unroll), from)
		ADDQ(U32(unroll*8*k.elem), z)
		SUBQ(U8(unroll), whole)
		JGE(LabelRef(loop))
		Label(rest)
		ADDQ(U8(unroll), whole)
	}
	TESTQ(bytes, bytes)
	JZ(LabelRef("batch"))
	MOVQ(n, count) // fewer than 8
	TESTQ(n, n)
	JZ(LabelRef("done"))

	Label("part") // count signs from bit of a byte on
	SUBQ(count, n)
	k.toBytes(count)
	shift, bits := XMM(), k.vec()
	k.broadcast(Mem{Base: from}, bits)
	VMOVQ(bit, shift)
	k.shiftRight(shift, bits, bits)
	part := s.of(bits, 0)
	at := GP64()
	MOVQ(z, at)
	if len(s.shifts) == 2 { // the first vector may be whole
		only := k.label("only")
		TESTB(U8(k.bytes()), count.As8())
		JZ(LabelRef(only))
		k.mov(part, Mem{Base: at})
		ADDQ(U8(k.bytes()), at)
		VMOVDQA(s.of(bits, 1), part)
		Label(only)
	}
	k.store(part, Mem{Base: at}, &tail{bytes: count})
	ADDQ(count, z)
	INCQ(from)
	DECQ(bytes)
	XORQ(bit, bit)
	TESTQ(bytes, bytes)
	JZ(LabelRef("batch"))
	JMP(LabelRef("whole"))

	Label("done")
	k.ret()
}
