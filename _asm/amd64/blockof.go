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
// has 32 bits. This needs no table, and from one vector to the next the product grows by
// lanes·reciprocal.
type blockOf struct {
	k       *kernel
	product reg.VecVirtual // of the lanes' elements
	first   Op             // the product of the group's first vector
	step    Op
	parity  Mem // AVX2, float64: 0 and 1 for the two halves of an element
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
	return 2 * k.bytes()
}

func (k *kernel) newBlockOf(frame Mem) *blockOf {
	Comment("The reciprocal of a block's length, 2^28/block rounded up.")
	b := &blockOf{k: k, product: k.vec()}
	block := GP64()
	Load(Param("block"), block)
	LEAQ(Mem{Base: block, Disp: 1<<reciprocalBits - 1}, reg.RAX)
	XORL(reg.EDX, reg.EDX)
	DIVQ(block)
	reciprocal := k.vec()
	if k.indexBytes() == 8 {
		VPBROADCASTQ(reg.RAX, reciprocal)
	} else {
		k.broadcast32(reg.EAX, reciprocal)
	}
	lanes := k.laneTable()
	times := func(v int) reg.VecVirtual {
		product := k.vec()
		if k.indexBytes() == 8 {
			VPMULUDQ(lanes.Offset(v*k.bytes()), reciprocal, product)
		} else {
			VPMULLD(lanes.Offset(v*k.bytes()), reciprocal, product)
		}
		return product
	}
	if k.wide() {
		b.first, b.step = times(0), times(1)
		return b
	}
	step := frame.Offset(k.bytes())
	VMOVDQU(times(0), frame)
	VMOVDQU(times(1), step)
	b.first, b.step, b.parity = frame, step, lanes.Offset(2*k.bytes())
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
func (b *blockOf) reset() {
	if b.k.wide() {
		b.k.copy(b.first, b.product)
	} else {
		b.k.mov(b.first, b.product)
	}
}

// take returns the denominators of the vector's elements, taken from those of the
// group.
func (b *blockOf) take(den reg.VecVirtual) reg.VecVirtual {
	index := b.k.vec()
	if b.k.indexBytes() == 8 {
		VPSRLQ(U8(reciprocalBits), b.product, index)
		VPERMPD(den, index, index)
		return index
	}
	VPSRLD(U8(reciprocalBits), b.product, index)
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
		VPADDQ(b.step, b.product, b.product)
	} else {
		VPADDD(b.step, b.product, b.product)
	}
}
