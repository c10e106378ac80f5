package amd64

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// How a part of a vector is represented, and how a comparison chooses lanes: with
// vectors of masks in AVX2, and with mask registers in AVX-512.

// maskInsns are the instructions that differ, AVX2's first.
type maskInsns struct {
	load    func(ops ...Op) // source, mask, destination
	greater func(ops ...Op) // of signed integers as wide as an element

	loadZeroing, andZeroing func(ops ...Op) // sources, mask register, destination
	above                   func(ops ...Op) // greater, into a mask register
	test                    func(ops ...Op) // into a mask register: do the two have a bit in common?
}

func newMaskInsns(elem, bits int) maskInsns {
	switch {
	case bits == 256 && elem == 4:
		return maskInsns{load: insn(VMASKMOVPS), greater: insn(VPCMPGTD)}
	case bits == 256:
		return maskInsns{load: insn(VMASKMOVPD), greater: insn(VPCMPGTQ)}
	case elem == 4:
		return maskInsns{loadZeroing: insn(VMOVUPS_Z), andZeroing: insn(VPANDD_Z), test: insn(VPTESTMD), above: insn(VPCMPGTD)}
	}
	return maskInsns{loadZeroing: insn(VMOVUPD_Z), andZeroing: insn(VPANDQ_Z), test: insn(VPTESTMQ), above: insn(VPCMPGTQ)}
}

// tail is a part of a vector. In AVX2 it is a mask, for loads, and a length in bytes,
// for stores. A masked store would do too, but it takes some twenty cycles on AMD's
// processors, where it is microcode. AVX-512's mask registers do both at no cost.
type tail struct {
	mask  reg.VecVirtual
	bytes reg.GPVirtual
	lanes reg.OpmaskVirtual
}

// newTail returns the tail of n bytes, less than a vector.
func (k *kernel) newTail(n reg.GPVirtual) *tail { return k.partOf(n, 0) }

// maskLen is the number of bytes of ones in the mask table, and the limit of partOf.
const maskLen = 64

// leadingOnes is a table of maskLen bytes of ones and as many zeros.
func leadingOnes() Mem {
	return data("leadingOnes", func(add func(Constant)) {
		for i := range 2 * maskLen / 8 {
			add(U64(uint64(math.MaxUint64) * uint64(1-i*8/maskLen)))
		}
	})
}

// partOf returns the part of vector v that lies in the first n bytes of some vectors. n
// is less than maskLen, and counts bytes as an index does.
func (k *kernel) partOf(n reg.GPVirtual, v int) *tail {
	if k.wide() { // v = 0: a vector has maskLen bytes
		t := &tail{lanes: K()}
		lanes, ones := GP64(), GP64()
		MOVQ(n, lanes)
		SHRQ(U8(k.elementShift()), lanes)
		XORL(ones.As32(), ones.As32())
		BTSQ(lanes, ones)
		DECQ(ones)
		KMOVW(ones.As32(), t.lanes)
		return t
	}
	t := &tail{mask: k.vec(), bytes: n}
	p := GP64()
	LEAQ(leadingOnes().Offset(maskLen+v*k.bytes()), p)
	for range k.scale() {
		SUBQ(n, p)
	}
	VMOVDQU(Mem{Base: p}, t.mask)
	return t
}

// storeTail is newTail for stores alone.
func (k *kernel) storeTail(n reg.GPVirtual) *tail {
	if k.wide() {
		return k.newTail(n)
	}
	return &tail{bytes: n}
}

// load loads a vector, or its tail with +0 in the rest.
func (k *kernel) load(src Mem, t *tail) reg.VecVirtual {
	v := k.vec()
	k.loadInto(src, t, v)
	return v
}

func (k *kernel) loadInto(src Mem, t *tail, dst reg.VecVirtual) {
	switch {
	case t == nil:
		k.mov(src, dst)
	case k.wide():
		k.masks.loadZeroing(src, t.lanes, dst)
	default:
		k.masks.load(src, t.mask, dst)
	}
}

// loadAbs loads the absolute values of a vector or its tail.
func (k *kernel) loadAbs(src Mem, abs reg.VecVirtual, t *tail) reg.VecVirtual {
	v := k.vec()
	k.loadAbsInto(src, abs, t, v)
	return v
}

func (k *kernel) loadAbsInto(src Mem, abs reg.VecVirtual, t *tail, dst reg.VecVirtual) {
	if t != nil && k.wide() {
		k.masks.andZeroing(src, abs, t.lanes, dst)
	} else {
		k.and(k.operand(src, t), abs, dst)
	}
}

// operand returns src if it can be an operand as it is, and loads it otherwise.
func (k *kernel) operand(src Mem, t *tail) Op {
	if t == nil {
		return src
	}
	return k.load(src, t)
}

// store stores a vector, or its tail. Without mask registers it stores a tail as a
// half, a quarter and an eighth of the vector, according to the bits of the length. v
// is consumed.
func (k *kernel) store(v reg.VecVirtual, dst Mem, t *tail) {
	switch {
	case t == nil:
		k.mov(v, dst)
		return
	case k.wide():
		k.mov(v, t.lanes, dst)
		return
	}
	p := GP64()
	LEAQ(dst, p)
	part := func(size int, store func(), next func()) {
		skip := k.label("no")
		TESTB(U8(size/k.scale()), t.bytes.As8())
		JZ(LabelRef(skip))
		store()
		if next != nil {
			next()
			ADDQ(U8(size), p)
		}
		Label(skip)
	}
	part(16, func() { VMOVUPS(v.AsX(), Mem{Base: p}) }, func() { VEXTRACTF128(U8(1), v, v.AsX()) })
	if k.elem == 8 {
		part(8, func() { VMOVLPD(v.AsX(), Mem{Base: p}) }, nil)
		return
	}
	part(8, func() { VMOVLPS(v.AsX(), Mem{Base: p}) }, func() { VPSRLDQ(U8(8), v, v) })
	part(4, func() { VMOVSS(v.AsX(), Mem{Base: p}) }, nil)
}
