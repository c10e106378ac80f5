package amd64

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"github.com/adahessian-go/adahessian/_asm/table"
)

// Steps and means are written once, for gradients and products of floats and of halves.
// Halves are widened in registers. In the following, the gradients and the products are
// called the inputs. With halves a step also has the stream out, of narrowed parameters.

// ofHalves reports whether the kernel's inputs are halves, and bfloat16 whether they are
// bfloat16.
func (k *kernel) ofHalves() bool { return k.typ.Half() }
func (k *kernel) bfloat16() bool { return k.typ == table.BF16 }

// conversion holds what a kernel of halves needs for conversions.
type conversion struct {
	factor   Op        // what inputs are multiplied by, or nil for 1
	rounding *rounding // of out

	// AVX2: memory of conversionBytes, for parts of vectors, since loads and stores of
	// halves have no masks.
	buffer Mem

	// AVX-512 and bfloat16: a permutation and its mask, which put halves into their
	// words.
	spread reg.VecVirtual
	odd    reg.OpmaskVirtual
}

// conversionBytes is the size of the buffer, which holds half a vector of halves, or the rest
// of a block. conversionFrame is the size of the frame for a conversion.
const conversionBytes = sumsBytes / floatScale

func (k *kernel) conversionFrame() int {
	if k.wide() || !k.ofHalves() {
		return 0
	}
	return conversionBytes + k.bytes()
}

// newConversion prepares for inputs of halves, which are multiplied by the argument factor,
// and for out, if the kernel has it.
func (k *kernel) newConversion(frame Mem, out bool) {
	if !k.ofHalves() {
		return
	}
	factor := k.vec()
	k.broadcast(mem("factor"), factor)
	k.conversion = &conversion{factor: factor, buffer: frame}
	if !k.wide() {
		kept := frame.Offset(conversionBytes)
		k.mov(factor, kept)
		k.conversion.factor = kept
	}
	if k.wide() && k.bfloat16() {
		c := k.conversion
		c.spread, c.odd = k.load(k.laneTable(), nil), K()
		VPSLLD(U8(bf16Shift), c.spread, c.spread)
		odd := GP32()
		MOVL(U32(0xaaaaaaaa), odd)
		KMOVD(odd, c.odd)
	}
	if out {
		k.conversion.rounding = k.newRounding()
	}
}

// byFactor emits body. For halves it emits it twice: with a multiplication by the
// factor, and without one for a factor of 1.
func (k *kernel) byFactor(body func()) {
	if !k.ofHalves() {
		body()
		return
	}
	without := *k.conversion
	without.factor = nil
	k.unlessOne(func() { k.converting(k.conversion, body) }, func() { k.converting(&without, body) })
}

// unlessOne emits what is done with the argument factor, and what if it is 1.
func (k *kernel) unlessOne(scaled, plain func()) {
	one, done := k.label("plain"), k.label("done")
	CMPL(mem("factor"), U32(0x3f800000))
	JE(LabelRef(one))
	scaled()
	JMP(LabelRef(done))
	Label(one)
	plain()
	Label(done)
}

// converting emits body with a conversion. The conversion also applies to the code that body
// leaves to be emitted out of line.
func (k *kernel) converting(c *conversion, body func()) {
	from := len(k.outOfLine)
	old := k.conversion
	k.conversion = c
	body()
	k.conversion = old
	for i, f := range k.outOfLine[from:] {
		k.outOfLine[from+i] = func() { k.converting(c, f) }
	}
}

// input is at for an input.
func (k *kernel) input(base, index reg.Register, v int) Mem {
	if k.ofHalves() {
		return k.half(base, index, v)
	}
	return k.at(base, index, v)
}

// inputOperand, loadInput and loadInputAbsInto are operand, load and loadAbsInto for an input.
// With halves, a part is a part of a vector, not the rest of a block.
func (k *kernel) inputOperand(src Mem, t *tail) Op {
	if k.ofHalves() {
		return k.loadInput(src, t)
	}
	return k.operand(src, t)
}

func (k *kernel) loadInput(src Mem, t *tail) reg.VecVirtual {
	if !k.ofHalves() {
		return k.load(src, t)
	}
	v := k.vec()
	k.loadInputInto(src, t, v)
	return v
}

func (k *kernel) loadInputInto(src Mem, t *tail, dst reg.VecVirtual) {
	var lanes reg.Register
	switch {
	case t == nil:
	case k.wide():
		lanes = t.lanes
	default:
		k.zero(dst)
		VMOVDQU(dst.AsX(), k.conversion.buffer)
		p := GP64()
		LEAQ(src, p)
		k.copyHalves(t.bytes, k.step()/2, p, GP64(), false)
		src = k.conversion.buffer
	}
	k.loadWide(src, lanes, dst)
	k.applyFactor(dst)
}

// applyFactor multiplies widened halves by the factor.
func (k *kernel) applyFactor(v reg.VecVirtual) {
	if k.conversion.factor != nil {
		k.mul(k.conversion.factor, v, v)
	}
}

func (k *kernel) loadInputAbsInto(src Mem, abs reg.VecVirtual, t *tail, dst reg.VecVirtual) {
	switch {
	case !k.ofHalves():
		k.loadAbsInto(src, abs, t, dst)
	case k.wide():
		k.widenInto(k.loadAbsHalves(src, abs, t), dst)
		k.applyFactor(dst)
	default:
		k.loadInputInto(src, t, dst)
		k.and(abs, dst, dst)
	}
}

// loadAbsHalves loads the absolute values of a vector of halves, or of a part of one, for
// AVX-512. The sign is removed here because there are half as many bytes as later. The
// factor is positive.
func (k *kernel) loadAbsHalves(src Mem, abs reg.VecVirtual, t *tail) reg.VecVirtual {
	halves := YMM()
	if t == nil {
		VPANDD(src, abs.AsY(), halves)
		return halves
	}
	VMOVDQU16_Z(src, t.lanes, halves)
	VPANDD(abs.AsY(), halves, halves)
	return halves
}

// copyHalves copies n bytes of halves, at least one and less than twice most, between p and
// the conversion's buffer. It copies the two ends, which may overlap. word is lost.
func (k *kernel) copyHalves(n reg.GPVirtual, most int, p, word reg.GPVirtual, out bool) {
	copied := k.label("copied")
	piece := func(size int, atEnd bool) {
		from, to := Mem{Base: p}, k.conversion.buffer
		if atEnd {
			from, to = from.Idx(n, 1).Offset(-size), to.Idx(n, 1).Offset(-size)
		}
		if out {
			from, to = to, from
		}
		switch size {
		case 16:
			x := XMM()
			VMOVDQU(from, x)
			VMOVDQU(x, to)
		case 8:
			MOVQ(from, word)
			MOVQ(word, to)
		case 4:
			MOVL(from, word.As32())
			MOVL(word.As32(), to)
		default:
			MOVW(from, word.As16())
			MOVW(word.As16(), to)
		}
	}
	for size := most; size > halfSize; size /= 2 {
		less := k.label("less")
		CMPQ(n, U8(size))
		JL(LabelRef(less))
		piece(size, false)
		piece(size, true)
		JMP(LabelRef(copied))
		Label(less)
	}
	piece(halfSize, false)
	Label(copied)
}

// storeNarrowed stores vectors of θ' to out, or the part of a single one. It consumes them.
func (k *kernel) storeNarrowed(theta []reg.VecVirtual, part *tail, at func(i int) Mem) {
	r := k.conversion.rounding
	switch {
	case part == nil:
		r.store(theta, nil, at)
	case k.wide():
		r.store(theta, part.lanes, at)
	default:
		r.store(theta, nil, func(int) Mem { return k.conversion.buffer })
		p := GP64()
		LEAQ(at(0), p)
		k.copyHalves(part.bytes, k.step()/2, p, GP64(), true)
	}
}

// streams are the pointers to what a step reads and writes for each element, except v
// and hz.
type streams struct {
	k        *kernel
	theta, m reg.GPVirtual
	inputs   []reg.GPVirtual // g, and with halves out
	late     reg.GPVirtual   // where out is narrowed late: the index from which on it is missing, at most 0
}

func (k *kernel) newStreams(theta, m, g reg.GPVirtual) *streams {
	s := &streams{k: k, theta: theta, m: m, inputs: []reg.GPVirtual{g}}
	if k.ofHalves() {
		s.inputs = append(s.inputs, arg("out"))
	}
	return s
}

// floats are the other two.
func (s *streams) floats() []reg.GPVirtual { return []reg.GPVirtual{s.theta, s.m} }

// elements are nv vectors of the streams.
func (s *streams) elements(index reg.Register, nv int) (e []element) {
	k := s.k
	for i := range nv {
		e = append(e, element{k.at(s.theta, index, i), k.at(s.m, index, i), k.input(s.inputs[0], index, i), Mem{}, false})
		if k.ofHalves() {
			e[i].out = k.half(s.inputs[1], index, i)
		}
	}
	return e
}

// prefetch asks for nv vectors of each stream.
func (s *streams) prefetch(index reg.GPVirtual, nv int) {
	inputs := s.inputs
	if s.late != nil { // narrow asks for out
		inputs = inputs[:1]
	}
	s.k.prefetchInputs(index, nv, prefetchStreams, inputs...)
	s.k.prefetch(index, nv, prefetchStreams, s.m, s.theta)
}

// spare is an argument that stays in memory if halves need its register for out.
func (k *kernel) spare(name string) Op {
	if k.ofHalves() {
		return mem(name)
	}
	return arg(name)
}

// inRegister returns such an argument in a register, for its use.
func (k *kernel) inRegister(argument Op) reg.GPVirtual {
	r, ok := argument.(reg.GPVirtual)
	if !ok {
		r = GP64()
		MOVQ(argument, r)
	}
	return r
}

// move moves pointers to floats on by the given number of bytes of an index.
func (k *kernel) move(by reg.GPVirtual, floats ...reg.GPVirtual) {
	for _, p := range floats {
		if k.ofHalves() {
			LEAQ(Mem{Base: p, Index: by, Scale: floatScale}, p)
		} else {
			ADDQ(by, p)
		}
	}
}
