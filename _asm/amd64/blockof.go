package amd64

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// blockOf tells to which block of its group each lane of a vector belongs, for one
// vector of the group after another, as an index for a permutation. Element x of the
// group belongs to block
//
//	x/block = x·reciprocal >> 28, with reciprocal = ⌈2²⁸/block⌉,
//
// which is exact for the x of a call, below maxCall = 2¹⁴. The reciprocal is too large
// by less than 1, so the product is too large by less than x, and since x·block < 2²⁸,
// that does not reach the next multiple. A group has at most 16 blocks, so the product
// has 32 bits. This needs no table, and of its few instructions only the addition
// depends on the vector before.
type blockOf struct {
	k          *kernel
	x          reg.VecVirtual // the lanes' elements
	reciprocal Op
	step       Op  // lanes
	parity     Mem // AVX2, float64: 0 and 1 for the two halves of an element
}

const reciprocalBits = 28

// AVX2 permutes only lanes of 32 bits, so a float64 element is two of them. A
// permutation of AVX-512 has lanes and indices as wide as the elements.

// indexBytes is the size of an index.
func (k *kernel) indexBytes() int {
	if k.wide() {
		return k.elem
	}
	return 4
}

// blockOfFrame is the size of the frame for blockOf.
func (k *kernel) blockOfFrame() int {
	if k.wide() {
		return 0
	}
	return k.bytes()
}

func (k *kernel) newBlockOf(frame Mem) *blockOf {
	Comment("The reciprocal of a block's length, 2^28/block rounded up.")
	b := &blockOf{k: k, x: k.vec()}
	block := GP64()
	Load(Param("block"), block)
	LEAQ(Mem{Base: block, Disp: 1<<reciprocalBits - 1}, reg.RAX)
	XORL(reg.EDX, reg.EDX)
	DIVQ(block)
	reciprocal := k.vec()
	lanes := k.laneTable()
	if k.wide() {
		if k.elem == 4 {
			VPBROADCASTD(reg.EAX, reciprocal)
		} else {
			VPBROADCASTQ(reg.RAX, reciprocal)
		}
		b.reciprocal, b.step = reciprocal, k.load(lanes.Offset(k.bytes()), nil)
		return b
	}
	k.broadcast32(reg.EAX, reciprocal)
	VMOVDQU(reciprocal, frame)
	b.reciprocal, b.step, b.parity = frame, lanes.Offset(k.bytes()), lanes.Offset(2*k.bytes())
	return b
}

// laneTable is a table of vectors of indices: the elements of a group's first
// vector, the elements of a vector, and for float64 in AVX2 the halves of
// elements.
func (k *kernel) laneTable() Mem {
	name := fmt.Sprintf("lanes%d%s", k.elem*8, map[bool]string{true: "Wide"}[k.wide()])
	return data(name, func(add func(Constant)) {
		index := k.indexBytes()
		indices := k.bytes() / index
		words := k.elem / index // for each element
		for l := range indices {
			add(integer(index, l/words))
		}
		for range indices {
			add(integer(index, k.lanes()))
		}
		for l := 0; l < indices && words == 2; l++ {
			add(integer(index, l%words))
		}
	})
}

// reset goes to the first vector of a group.
func (b *blockOf) reset() { b.k.mov(b.k.laneTable(), b.x) }

// take returns the denominators of the vector's elements, taken from those of the
// group.
func (b *blockOf) take(den reg.VecVirtual) reg.VecVirtual {
	index := b.k.vec()
	if b.k.indexBytes() == 8 {
		VPMULUDQ(b.reciprocal, b.x, index)
		VPSRLQ(U8(reciprocalBits), index, index)
		VPERMPD(den, index, index)
		return index
	}
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
func (b *blockOf) advance() {
	if b.k.indexBytes() == 8 {
		VPADDQ(b.step, b.x, b.x)
	} else {
		VPADDD(b.step, b.x, b.x)
	}
}
