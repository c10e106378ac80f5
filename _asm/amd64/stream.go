package amd64

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// streamRademacher is rademacher for arrays that do not stay in the caches. Its stores
// do not fetch the line that they write to.
//
// z begins with a whole vector, so the bits begin anywhere, but at the same bit of a
// block for each batch. Therefore the last block of a batch is also the first of the
// next. Its bits are made twice, which costs no time while memory takes the stores.
func (k *kernel) streamRademacher() {
	const (
		beyond = 8  // bits are read as a vector's lane
		run    = 16 // signs, whose bits all fit a lane wherever they begin in a byte
		pairs  = 4  // of rounds, along with which the batch before is turned into signs
	)
	frame := k.begin("streamRademacher", k.batchBytes()+beyond+k.bytes())
	shared := k.batch() / 8 // blocks of a batch that the next has too: at least the start of one block
	blocks := k.batch() - shared
	z, n := arg("z"), arg("n")
	c := k.newPhiloxConstants()
	s := k.newSigns()
	block, start := arg("offset"), GP64()
	MOVQ(block, start)
	SHRQ(U8(7), block)
	bit := GP64()
	MOVQ(start, bit)
	ANDQ(U8(7), bit)
	SHRQ(U8(3), start)
	ANDQ(U8(15), start) // the byte of the first sign
	Comment("The bit of a block that every batch begins at.")
	first := k.vec()
	k.mov(k.signShifts(run-k.lanes()), first)
	k.startAt(bit, first)
	last := frame.Offset(k.batchBytes() + beyond)
	k.mov(first, last)

	batch := k.newBatch(c, block, blocks)
	batch.rounds(10)
	batch.store(frame)
	Label("batch")
	next := k.newBatch(c, block, blocks)
	from, count := GP64(), GP64()
	LEAQ(frame.Idx(start, 1), from)
	MOVQ(U32(pairs), count)
	Label("pair")
	next.rounds(2)
	Comment("Signs of the batch before, past the caches.")
	part := blocks * 128 / pairs
	for at := 0; at < part; at += run {
		bits := k.vec()
		k.broadcast(Mem{Base: from, Disp: at / 8}, bits)
		s.run(bits, run, last, k.stream, Mem{Base: z, Disp: at * k.elem})
	}
	ADDQ(U8(part/8), from)
	ADDQ(U32(part*k.elem), z)
	DECQ(count)
	JNZ(LabelRef("pair"))
	next.rounds(10 - 2*pairs)
	next.store(frame)
	SUBQ(U32(blocks*128), n)
	JNZ(LabelRef("batch"))
	SFENCE() // nothing else orders these stores
	k.ret()
}
