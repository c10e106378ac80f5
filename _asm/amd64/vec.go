package main

import (
	"fmt"
	"math"
	"regexp"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// kernel is what distinguishes the variants of a kernel: the element's size in
// bytes, the vector's in bits, and with them the instructions.
type kernel struct {
	elem, bits int

	add, sub, mul, div, min, max func(ops ...Op) // Go's order: source 2, source 1, destination
	sqrt, mov, maskMov           func(ops ...Op)
	greater                      func(ops ...Op) // of signed integers as wide as an element
	broadcast                    func(ops ...Op)
	shiftLeft, shiftRight        func(ops ...Op) // of elements as integers, all by one count
	shiftLeftBy                  func(ops ...Op) // each by a count of its own

	ones Mem // maskLen bytes of ones, then as many zeros

	outOfLine []func() // code to be placed behind the kernel's RET
	labels    int
}

// maskLen is the bytes of ones in the mask table: enough for a pair of 256-bit
// vectors.
const maskLen = 64

var maskTable Mem

func newKernel(elem, bits int) *kernel {
	k := &kernel{elem: elem, bits: bits}
	if maskTable.Base == nil {
		maskTable = GLOBL("leadingOnes", attr.RODATA|attr.NOPTR)
		for i := range 2 * maskLen / 8 {
			DATA(i*8, U64(uint64(math.MaxUint64)*uint64(1-i*8/maskLen)))
		}
	}
	k.ones = maskTable
	if elem == 4 {
		k.add, k.sub, k.mul, k.div, k.min, k.max = insn(VADDPS), insn(VSUBPS), insn(VMULPS), insn(VDIVPS), insn(VMINPS), insn(VMAXPS)
		k.sqrt, k.mov, k.maskMov = insn(VSQRTPS), insn(VMOVUPS), insn(VMASKMOVPS)
		k.greater, k.broadcast = insn(VPCMPGTD), insn(VBROADCASTSS)
		k.shiftLeft, k.shiftRight = insn(VPSLLD), insn(VPSRLD)
		k.shiftLeftBy = insn(VPSLLVD)
	} else {
		k.add, k.sub, k.mul, k.div, k.min, k.max = insn(VADDPD), insn(VSUBPD), insn(VMULPD), insn(VDIVPD), insn(VMINPD), insn(VMAXPD)
		k.sqrt, k.mov, k.maskMov = insn(VSQRTPD), insn(VMOVUPD), insn(VMASKMOVPD)
		k.greater, k.broadcast = insn(VPCMPGTQ), insn(VBROADCASTSD)
		k.shiftLeft, k.shiftRight = insn(VPSLLQ), insn(VPSRLQ)
		k.shiftLeftBy = insn(VPSLLVQ)
	}
	return k
}

// insn gives avo's functions, some with two or three arguments and some
// variadic, one type.
func insn(f any) func(...Op) {
	switch f := f.(type) {
	case func(a, b Op):
		return func(o ...Op) { f(o[0], o[1]) }
	case func(a, b, c Op):
		return func(o ...Op) { f(o[0], o[1], o[2]) }
	}
	return f.(func(...Op))
}

// floatWord is the word that stands for the element's type in a signature.
var floatWord = regexp.MustCompile(`\bfloat\b`)

// maxNoSplit is the largest frame of a kernel that is entered without a look
// at the stack's bound; the linker allows 792 bytes, those of the callers
// included.
const maxNoSplit = 512

// vec returns a vector register; bytes and lanes are its size.
func (k *kernel) vec() reg.VecVirtual { return YMM() }
func (k *kernel) bytes() int          { return k.bits / 8 }
func (k *kernel) lanes() int          { return k.bits / 8 / k.elem }

// text begins a kernel. The name tells type and instruction set, signature
// says float for the element's type, and doc is the mathematics and what the
// kernel requires.
func (k *kernel) text(name, signature string, frame int, doc ...string) Mem {
	typ := map[int]string{4: "float32", 8: "float64"}[k.elem]
	name = fmt.Sprintf("%sF%d%s", name, k.elem*8, map[int]string{256: "AVX2"}[k.bits])
	flags := attr.NOSPLIT
	if frame > maxNoSplit {
		flags = 0
	}
	TEXT(name, flags, floatWord.ReplaceAllString(signature, typ))
	doc[0] = name + " " + doc[0]
	Doc(doc...)
	Pragma("noescape")
	k.outOfLine, k.labels = nil, 0
	if frame == 0 {
		return Mem{}
	}
	return AllocLocal(frame)
}

// ret ends the kernel.
func (k *kernel) ret() {
	VZEROUPPER()
	RET()
	for _, f := range k.outOfLine {
		f()
	}
}

// label returns a label that is unique within the kernel.
func (k *kernel) label(word string) string {
	k.labels++
	return fmt.Sprintf("%s%d", word, k.labels)
}

// arg loads an argument into a general register.
func arg(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }

// at is the vector behind base + index, v vectors further on.
func (k *kernel) at(base, index reg.Register, v int) Mem {
	m := Mem{Base: base, Disp: v * k.bytes()}
	if index != nil {
		m.Index, m.Scale = index, 1
	}
	return m
}

// absMask returns a vector with all bits but the sign.
func (k *kernel) absMask() reg.VecVirtual {
	v := k.vec()
	VPCMPEQD(v, v, v)
	k.shiftRight(U8(1), v, v)
	return v
}

// signBit returns a vector of the sign alone, and one a vector of 1.0, which
// is seven or ten ones below the two upper bits.
func (k *kernel) signBit() reg.VecVirtual {
	v := k.vec()
	VPCMPEQD(v, v, v)
	k.shiftLeft(U8(k.elem*8-1), v, v)
	return v
}

func (k *kernel) one() reg.VecVirtual {
	v := k.vec()
	VPCMPEQD(v, v, v)
	k.shiftLeft(U8(k.elem*8-map[int]int{4: 7, 8: 10}[k.elem]), v, v)
	k.shiftRight(U8(2), v, v)
	return v
}

// infinity returns a vector of +Inf: all ones in the exponent.
func (k *kernel) infinity() reg.VecVirtual {
	v := k.vec()
	VPCMPEQD(v, v, v)
	k.shiftLeft(U8(map[int]int{4: 24, 8: 53}[k.elem]), v, v)
	k.shiftRight(U8(1), v, v)
	return v
}

// minNormal returns a vector of the smallest normal number.
func (k *kernel) minNormal() reg.VecVirtual {
	v := k.vec()
	VPCMPEQD(v, v, v)
	k.shiftRight(U8(k.elem*8-1), v, v)
	k.shiftLeft(U8(map[int]int{4: 23, 8: 52}[k.elem]), v, v)
	return v
}

// tail is a part of a vector: its mask, for loads, and its length in bytes, for
// stores. A masked store would do too, but takes some twenty cycles on AMD's
// processors, where it is microcode.
type tail struct {
	mask  reg.VecVirtual
	bytes reg.GPVirtual
}

// newTail returns the tail of n bytes, less than a vector.
func (k *kernel) newTail(n reg.GPVirtual) *tail {
	t := &tail{mask: k.vec(), bytes: n}
	k.maskInto(n, 0, t.mask)
	return t
}

// maskInto sets mask to that of vector v of the first n bytes, at most
// maskLen, of some vectors.
func (k *kernel) maskInto(n reg.GPVirtual, v int, mask reg.VecVirtual) {
	p := GP64()
	LEAQ(k.ones.Offset(maskLen+v*k.bytes()), p)
	SUBQ(n, p)
	VMOVDQU(Mem{Base: p}, mask)
}

// load loads a vector, or its tail, the rest being +0.
func (k *kernel) load(src Mem, t *tail) reg.VecVirtual {
	v := k.vec()
	k.loadInto(src, t, v)
	return v
}

func (k *kernel) loadInto(src Mem, t *tail, dst reg.VecVirtual) {
	if t == nil {
		k.mov(src, dst)
	} else {
		k.maskMov(src, t.mask, dst)
	}
}

// loadAbs loads the absolute values of a vector or its tail.
func (k *kernel) loadAbs(src Mem, abs reg.VecVirtual, t *tail) reg.VecVirtual {
	v := k.vec()
	VPAND(k.operand(src, t), abs, v)
	return v
}

// operand returns src where it may be an operand as it is, else loads it.
func (k *kernel) operand(src Mem, t *tail) Op {
	if t == nil {
		return src
	}
	return k.load(src, t)
}

// store stores a vector, or its tail: in a half, a quarter and an eighth of
// the vector, as the bits of the length say. v is consumed.
func (k *kernel) store(v reg.VecVirtual, dst Mem, t *tail) {
	if t == nil {
		k.mov(v, dst)
		return
	}
	p := GP64()
	LEAQ(dst, p)
	part := func(size int, store func(), next func()) {
		skip := k.label("no")
		TESTB(U8(size), t.bytes.As8())
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

// vectors emits body for n bytes, counted down: in strides of unroll vectors,
// then single vectors, then the masked rest. body gets the number of vectors
// and the tail, and advances nothing; index moves on by itself.
func (k *kernel) vectors(n, index reg.GPVirtual, unroll int, body func(nv int, part *tail)) {
	for _, nv := range []int{unroll, 1} {
		loop, done := k.label("loop"), k.label("done")
		SUBQ(U32(nv*k.bytes()), n)
		JL(LabelRef(done))
		Label(loop)
		body(nv, nil)
		ADDQ(U32(nv*k.bytes()), index)
		SUBQ(U32(nv*k.bytes()), n)
		JGE(LabelRef(loop))
		Label(done)
		ADDQ(U32(nv*k.bytes()), n)
		if unroll == 1 {
			break
		}
	}
	end := k.label("end")
	TESTQ(n, n)
	JZ(LabelRef(end))
	body(1, k.newTail(n))
	Label(end)
}
