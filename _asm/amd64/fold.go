package amd64

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// fold adds up the partial sums of a group's blocks and returns the sums in a vector.
// next returns the partial sums of a block, and is called for the blocks in order.
func (k *kernel) fold(next func(block int) reg.VecVirtual) reg.VecVirtual {
	if k.wide() {
		return k.foldWide(next)
	}
	var first, v []reg.VecVirtual
	for i := range k.lanes() {
		p := next(i)
		if i < k.lanes()/2 {
			first = append(first, p)
			continue
		}
		// Blocks i and i + lanes/2 share a vector, one in each half, because the
		// shuffles of foldLanes stay within halves.
		f := first[i-k.lanes()/2]
		low := k.vec()
		if k.vl {
			VSHUFF64X2(U8(0), p, f, low)
			VSHUFF64X2(U8(3), p, f, p)
		} else {
			VINSERTF128(U8(1), p.AsX(), f, low)
			VPERM2F128(U8(0x31), p, f, p)
		}
		k.add(p, low, low)
		v = append(v, low)
	}
	return k.foldLanes(v)
}

// foldOne is fold for one block. In its vector only the first element has a meaning.
func (k *kernel) foldOne(p reg.VecVirtual) reg.VecVirtual {
	high := k.vec()
	if k.wide() {
		VEXTRACTF64X4(U8(1), p, high.AsY())
		k.add(high.AsY(), p.AsY(), p.AsY())
	}
	if k.wide() { // the upper registers too
		VEXTRACTF32X4(U8(1), p.AsY(), high.AsX())
	} else {
		VEXTRACTF128(U8(1), p.AsY(), high.AsX())
	}
	k.add(high.AsX(), p.AsX(), p.AsX())
	VPERMILPD(U8(1), p.AsX(), high.AsX())
	k.add(high.AsX(), p.AsX(), p.AsX())
	if k.elem == 4 {
		VPERMILPS(U8(1), p.AsX(), high.AsX())
		k.add(high.AsX(), p.AsX(), p.AsX())
	}
	return p
}

// foldSlots is fold for partial sums in memory, a vector for each block.
func (k *kernel) foldSlots(slots Mem) reg.VecVirtual {
	if k.wide() {
		return k.foldWide(func(i int) reg.VecVirtual { return k.load(slots.Offset(i*k.bytes()), nil) })
	}
	var v []reg.VecVirtual
	half := func(slot, part int) Mem { return slots.Offset(slot*k.bytes() + part*16) }
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
	return k.foldLanes(v)
}

// foldWide is fold for 512 bits. A vector that holds the partial sums of one block is
// halved, so that two blocks share a vector, and then halved again: the partial sums of
// four neighbours take a quarter of a vector each. Neighbours then lie a quarter apart,
// so a permutation puts them in order.
func (k *kernel) foldWide(next func(block int) reg.VecVirtual) reg.VecVirtual {
	quarters := func(low, high int) func(a, b, l, h reg.VecVirtual) {
		return func(a, b, l, h reg.VecVirtual) {
			VSHUFF64X2(U8(low), b, a, l)
			VSHUFF64X2(U8(high), b, a, h)
		}
	}
	halves, evens := quarters(0x44, 0xee), quarters(0x88, 0xdd)
	var v []reg.VecVirtual
	quarter := k.lanes() / 4
	for i := range quarter {
		first := k.meet(next(4*i), next(4*i+1), halves)
		v = append(v, k.meet(first, k.meet(next(4*i+2), next(4*i+3), halves), evens))
	}
	order := k.load(data(fmt.Sprintf("neighbours%d", k.elem*8), func(add func(Constant)) {
		for block := range k.lanes() {
			add(integer(k.elem, block%4*quarter+block/4))
		}
	}), nil)
	sums := k.foldLanes(v)
	if k.elem == 4 {
		VPERMPS(sums, order, sums)
	} else {
		VPERMPD(sums, order, sums)
	}
	return sums
}

// foldLanes adds up the partial sums in the 128-bit lanes of v: lane q of v[i]
// belongs to the block of lane len(v)*q + i of the result.
func (k *kernel) foldLanes(v []reg.VecVirtual) reg.VecVirtual {
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
