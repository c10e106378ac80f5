package amd64

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"github.com/adahessian-go/adahessian/_asm/table"
)

// kernel is what distinguishes the variants of a kernel: the size of an element in
// bytes, the size of a vector in bits, and the instructions that follow from these.
type kernel struct {
	elem, bits int
	vl         bool // 256 bits of AVX-512
	set        table.Set
	typ        table.Type
	pow        *powConstants

	add, sub, mul, div, min, max func(ops ...Op) // Go's order: source 2, source 1, destination
	sqrt, mov, stream            func(ops ...Op) // stream writes past the caches, to aligned memory
	and, or, xor, andNot, copy   func(ops ...Op) // copy is from a register
	broadcast                    func(ops ...Op)
	shiftLeft, shiftRight        func(ops ...Op) // of elements as integers, all by one count
	shiftLeftBy                  func(ops ...Op) // each by a count of its own
	blend                        func(ops ...Op) // AVX2, by the sign of the first
	masks                        maskInsns
	conversion                   *conversion // where inputs are halves

	outOfLine []func() // code to be placed after the kernel's RET
	labels    int
}

func newKernel(elem, bits int) *kernel {
	k := &kernel{elem: elem, bits: bits, masks: newMaskInsns(elem, bits)}
	if elem == 4 {
		k.add, k.sub, k.mul, k.div, k.min, k.max = insn(VADDPS), insn(VSUBPS), insn(VMULPS), insn(VDIVPS), insn(VMINPS), insn(VMAXPS)
		k.sqrt, k.mov, k.broadcast = insn(VSQRTPS), insn(VMOVUPS), insn(VBROADCASTSS)
		k.shiftLeft, k.shiftRight = insn(VPSLLD), insn(VPSRLD)
		k.shiftLeftBy, k.blend, k.stream = insn(VPSLLVD), insn(VBLENDVPS), insn(VMOVNTPS)
	} else {
		k.add, k.sub, k.mul, k.div, k.min, k.max = insn(VADDPD), insn(VSUBPD), insn(VMULPD), insn(VDIVPD), insn(VMINPD), insn(VMAXPD)
		k.sqrt, k.mov, k.broadcast = insn(VSQRTPD), insn(VMOVUPD), insn(VBROADCASTSD)
		k.shiftLeft, k.shiftRight = insn(VPSLLQ), insn(VPSRLQ)
		k.shiftLeftBy, k.blend, k.stream = insn(VPSLLVQ), insn(VBLENDVPD), insn(VMOVNTPD)
	}
	if k.wide() {
		k.and, k.or, k.xor, k.andNot, k.copy = insn(VPANDD), insn(VPORD), insn(VPXORD), insn(VPANDND), insn(VMOVDQA64)
	} else {
		k.and, k.or, k.xor, k.andNot, k.copy = insn(VPAND), insn(VPOR), insn(VPXOR), insn(VPANDN), insn(VMOVDQA)
	}
	return k
}

// insn gives avo's functions, some with two to four arguments and some
// variadic, one type.
func insn(f any) func(...Op) {
	switch f := f.(type) {
	case func(a, b Op):
		return func(o ...Op) { f(o[0], o[1]) }
	case func(a, b, c Op):
		return func(o ...Op) { f(o[0], o[1], o[2]) }
	case func(a, b, c, d Op):
		return func(o ...Op) { f(o[0], o[1], o[2], o[3]) }
	}
	return f.(func(...Op))
}

// maxNoSplit is the largest frame of a kernel that does not check the bound of the
// stack. The linker allows 792 bytes, including those of the callers.
const maxNoSplit = 512

// wide reports whether the kernel is of AVX-512.
func (k *kernel) wide() bool { return k.bits == 512 }

// with256 returns the kernel with vectors of 256 bits and AVX-512's instructions, which
// reach all registers.
func (k *kernel) with256() *kernel {
	n := newKernel(k.elem, 256)
	n.vl = true
	return n
}

// vec returns a vector register; bytes and lanes are its size.
func (k *kernel) vec() reg.VecVirtual {
	if k.wide() {
		return ZMM()
	}
	return YMM()
}
func (k *kernel) bytes() int { return k.bits / 8 }
func (k *kernel) lanes() int { return k.bits / 8 / k.elem }

// begin begins the kernel of that name in the table, with a frame of the given number
// of bytes.
func (k *kernel) begin(name string, frame int) Mem {
	row := table.Row(name)
	flags := attr.NOSPLIT
	if frame > maxNoSplit {
		flags = 0
	}
	TEXT(row.Symbol(k.set, k.typ), flags, "func"+row.Signature(k.set, k.typ))
	k.outOfLine, k.labels, k.conversion = nil, 0, nil
	if frame == 0 {
		return Mem{}
	}
	return AllocLocal(frame)
}

// ret ends the kernel.
func (k *kernel) ret() {
	VZEROUPPER()
	RET()
	for i := 0; i < len(k.outOfLine); i++ { // one may add others
		k.outOfLine[i]()
	}
}

// label returns a label that is unique within the kernel.
func (k *kernel) label(word string) string {
	k.labels++
	return fmt.Sprintf("%s%d", word, k.labels)
}

// arg loads an argument into a general register.
func arg(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }

// at is the vector v vectors after base + index. An index counts bytes of halves in a
// kernel that reads halves, and otherwise bytes of elements.
func (k *kernel) at(base, index reg.Register, v int) Mem {
	m := Mem{Base: base, Disp: v * k.bytes()}
	if index != nil {
		m.Index, m.Scale = index, uint8(k.scale())
	}
	return m
}

// scale is the number of bytes in a vector for each byte of an index, and step is how
// far an index moves for a vector.
func (k *kernel) scale() int {
	if k.ofHalves() {
		return floatScale
	}
	return 1
}
func (k *kernel) step() int { return k.bytes() / k.scale() }

// zero and ones set all bits of v.
func (k *kernel) zero(v reg.VecVirtual) { k.xor(v, v, v) }

func (k *kernel) ones(v reg.VecVirtual) {
	if k.wide() {
		k.zero(v) // VPTERNLOGD reads v
		VPTERNLOGD(U8(0xff), v, v, v)
	} else {
		VPCMPEQD(v, v, v)
	}
}

// broadcast32 puts 32 bits into each 32 bits of v.
func (k *kernel) broadcast32(bits reg.Register, v reg.VecVirtual) {
	if k.wide() {
		VPBROADCASTD(bits, v)
	} else {
		VMOVD(bits, v.AsX())
		VPBROADCASTD(v.AsX(), v)
	}
}

// absMask returns a vector with all bits but the sign. With AVX-512 halves lose it before
// they are widened.
func (k *kernel) absMask() reg.VecVirtual {
	v := k.vec()
	k.ones(v)
	if k.wide() && k.ofHalves() {
		VPSRLW(U8(1), v, v)
	} else {
		k.shiftRight(U8(1), v, v)
	}
	return v
}

// signBit returns a vector of only the sign, and one a vector of 1.0, which is seven or
// ten ones below the two upper bits.
func (k *kernel) signBit() reg.VecVirtual {
	v := k.vec()
	k.ones(v)
	k.shiftLeft(U8(k.elem*8-1), v, v)
	return v
}

func (k *kernel) one() reg.VecVirtual {
	v := k.vec()
	k.ones(v)
	k.shiftLeft(U8(k.elem*8-map[int]int{4: 7, 8: 10}[k.elem]), v, v)
	k.shiftRight(U8(2), v, v)
	return v
}

// infinity returns a vector of +Inf: all ones in the exponent.
func (k *kernel) infinity() reg.VecVirtual {
	v := k.vec()
	k.ones(v)
	k.shiftLeft(U8(map[int]int{4: 24, 8: 53}[k.elem]), v, v)
	k.shiftRight(U8(1), v, v)
	return v
}

// minNormal returns a vector of the smallest normal number.
func (k *kernel) minNormal() reg.VecVirtual {
	v := k.vec()
	k.ones(v)
	k.shiftRight(U8(k.elem*8-1), v, v)
	k.shiftLeft(U8(map[int]int{4: 23, 8: 52}[k.elem]), v, v)
	return v
}

// vectors emits body for n bytes, counted down: for strides of unroll vectors, then for
// single vectors, then for the masked rest. body gets the number of vectors and the
// tail. It need not advance anything, since vectors moves the index.
func (k *kernel) vectors(n, index reg.GPVirtual, unroll int, body func(nv int, part *tail)) {
	for _, nv := range []int{unroll, 1} {
		loop, done := k.label("loop"), k.label("done")
		Comment(map[bool]string{true: "One vector at a time.", false: fmt.Sprintf("%d vectors at a time.", nv)}[nv == 1])
		SUBQ(U32(nv*k.step()), n)
		JL(LabelRef(done))
		Label(loop)
		body(nv, nil)
		ADDQ(U32(nv*k.step()), index)
		SUBQ(U32(nv*k.step()), n)
		JGE(LabelRef(loop))
		Label(done)
		ADDQ(U32(nv*k.step()), n)
		if unroll == 1 {
			break
		}
	}
	end := k.label("end")
	Comment("The rest, a part of a vector.")
	TESTQ(n, n)
	JZ(LabelRef(end))
	body(1, k.newTail(n))
	Label(end)
}
