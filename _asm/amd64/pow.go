package main

import (
	"fmt"
	"math"

	"github.com/adahessian-go/adahessian/internal/fitpow/fit"
	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The power function of the Go file pow.go, operation by operation, on vectors
// of float64 whatever the type of the tensor. Its names and its order are the
// ones there, and so are the reasons. Where that branches, this computes both
// and chooses.

// powConstants is a table of vectors that hold one number in every lane, made
// of those that the kernels ask for.
type powConstants struct {
	mem          Mem
	offset       map[uint64]int
	coefficients map[string]float64
}

const powTable = "powConstants"

func newPowConstants() *powConstants {
	polynomials, err := fit.Polynomials()
	if err != nil {
		panic(err)
	}
	c := &powConstants{
		mem:          NewDataAddr(NewStaticSymbol(powTable), 0),
		offset:       map[uint64]int{},
		coefficients: map[string]float64{},
	}
	for _, p := range polynomials {
		for _, f := range p.Constants {
			c.coefficients[f.Name] = f.Value
		}
	}
	return c
}

// bits returns a vector of the 64 bits b. All kernels are emitted before the
// table is, so it may grow.
func (c *powConstants) bits(b uint64) Mem {
	at, ok := c.offset[b]
	if !ok {
		at = len(c.offset) * 32
		c.offset[b] = at
	}
	return c.mem.Offset(at)
}

// words returns a vector of the 32 bits w.
func (c *powConstants) words(w uint32) Mem { return c.bits(uint64(w)<<32 | uint64(w)) }

func (c *powConstants) number(x float64) Mem { return c.bits(math.Float64bits(x)) }

func (c *powConstants) coefficient(format string, args ...any) Mem {
	name := fmt.Sprintf(format, args...)
	x, ok := c.coefficients[name]
	if !ok {
		panic("no coefficient " + name)
	}
	return c.number(x)
}

// emit writes the table.
func (c *powConstants) emit() {
	values := make([]uint64, len(c.offset))
	for b, at := range c.offset {
		values[at/32] = b
	}
	GLOBL(powTable, attr.RODATA|attr.NOPTR)
	for i, b := range values {
		for lane := range 4 {
			DATA(i*32+lane*8, U64(b))
		}
	}
}

// wide is a value of several vectors of float64 that are worked on in turns: a
// processor finds no other work in the long chain of dependent operations that
// a power is, and its schedulers are too small to look ahead to the next.
type wide []reg.VecVirtual

// each applies an instruction with two sources to every vector; y is a wide or
// an operand that all have in common.
func (x wide) each(insn func(ops ...Op), y any) wide {
	out := make(wide, len(x))
	for i := range x {
		out[i] = YMM()
		switch y := y.(type) {
		case wide:
			insn(y[i], x[i], out[i])
		case []Mem:
			insn(y[i], x[i], out[i])
		case Op:
			insn(y, x[i], out[i])
		case nil:
			insn(nil, x[i], out[i])
		}
	}
	return out
}

func (x wide) add(y any) wide { return x.each(insn(VADDPD), y) }
func (x wide) sub(y any) wide { return x.each(insn(VSUBPD), y) }
func (x wide) mul(y any) wide { return x.each(insn(VMULPD), y) }
func (x wide) div(y any) wide { return x.each(insn(VDIVPD), y) }

func shiftLeft52(ops ...Op)  { VPSLLQ(U8(52), ops[1], ops[2]) }
func shiftRight52(ops ...Op) { VPSRLQ(U8(52), ops[1], ops[2]) }

// linear returns c0 + c1·x.
func linear(c0, c1 Mem, x wide) wide { return x.mul(c1).add(c0) }

// roundTo returns x rounded to the grid that adding and subtracting shift
// makes, and the sum in between.
func roundTo(x wide, shift Mem) (rounded, sum wide) {
	sum = x.add(shift)
	return sum.sub(shift), sum
}

// The Go constants of pow.go that are not coefficients.
const (
	round0       = 0x1.8p+52
	round10      = 0x1.8p+42
	round24      = 0x1.8p+28
	oneBits      = 0x3FF0000000000000
	rootHalfBits = 0x3FE6A09E667F3BCD
	rootHalfWord = 0x3F3504F4 // the smallest float32 from √½ on
	twoTo52Bits  = 0x4330000000000000
	mantissaMask = 1<<52 - 1
	lowMask      = 1<<27 - 1
)

// log32 returns y = a·log2(x) of a vector of normal float32, in two vectors of
// float64.
//
// What a float32 says about its exponent and its mantissa is taken apart before
// it is widened, in all lanes at a time. The boundary √½ is rounded up to a
// float32, so that the same numbers lie above it.
func (c *powConstants) log32(x reg.VecVirtual, a Mem) wide {
	log := func(i int) Mem { return c.coefficient("log32C%d", i) }
	one := c.number(1)
	b, exponent := YMM(), YMM()
	VPSUBD(c.words(rootHalfWord), x, b)
	VPSRAD(U8(23), b, exponent)
	VPAND(c.words(1<<23-1), b, b)
	VPADDD(c.words(rootHalfWord), b, b)
	e := widen(exponent, VCVTDQ2PD)
	m := widen(b, VCVTPS2PD)
	s := m.sub(one).div(m.add(one))
	z := s.mul(s)
	z2 := z.mul(z)
	l := linear(log(4), log(5), z)
	l = z2.mul(l).add(linear(log(2), log(3), z))
	l = z2.mul(l).add(linear(log(0), log(1), z))
	return s.mul(l).add(e).mul(a)
}

// exp32 returns 2^y, rounded to float32.
func (c *powConstants) exp32(y wide) reg.VecVirtual {
	exp := func(i int) Mem { return c.coefficient("exp32C%d", i) }
	n, t := roundTo(y, c.number(round0))
	r := y.sub(n)
	r2 := r.mul(r)
	q0 := r2.mul(linear(exp(2), exp(3), r)).add(linear(exp(0), exp(1), r))
	q4 := r2.mul(linear(exp(6), exp(7), r)).add(linear(exp(4), exp(5), r))
	r4 := r2.mul(r2)
	q := scale(r4.mul(exp(8)).add(q4).mul(r4).add(q0), t)
	return narrow(q[0], q[1])
}

// widen converts the two halves of a vector of 32-bit lanes.
func widen(x reg.VecVirtual, convert func(ops ...Op)) wide {
	low, high, upper := YMM(), YMM(), XMM()
	convert(x.AsX(), low)
	VEXTRACTF128(U8(1), x, upper)
	convert(upper, high)
	return wide{low, high}
}

// narrow rounds two vectors of float64 to one of float32.
func narrow(low, high reg.VecVirtual) reg.VecVirtual {
	x, upper := YMM(), XMM()
	VXORPS(x, x, x) // or its upper half would seem to be in use from the start
	VCVTPD2PSY(low, x.AsX())
	VCVTPD2PSY(high, upper)
	VINSERTF128(U8(1), upper, x, x)
	return x
}

// scale multiplies y by 2^n, where n is in the low bits of t.
func scale(y, t wide) wide {
	return t.each(shiftLeft52, nil).each(insn(VPADDQ), y)
}

// special32 puts the powers of those x into y that are not positive and finite.
func (c *powConstants) special32(x, y reg.VecVirtual) {
	odd, value := YMM(), YMM()
	VBLENDVPS(x, c.words(math.Float32bits(float32(math.NaN()))), x, value) // NaN where x is negative, else x
	VCMPPS(U8(notLessOrEqual), c.words(math.Float32bits(math.MaxFloat32)), x, odd)
	VPOR(x, odd, odd) // by the sign bit
	VBLENDVPS(odd, value, y, y)
	zero := YMM()
	VXORPS(zero, zero, zero)
	VCMPPS(U8(equal), zero, x, zero)
	VANDNPS(y, zero, y)
}

const notLessOrEqual, equal = 6, 0

// split is powSplit for a bias of 1023.
func (c *powConstants) split(x wide) (e, m wide) {
	b := x.each(insn(VPADDQ), c.bits(oneBits-rootHalfBits))
	field := b.each(shiftRight52, nil).each(insn(VPOR), c.bits(twoTo52Bits))
	e = field.sub(c.number(0x1p52 + 1023))
	m = b.each(insn(VPAND), c.bits(mantissaMask)).each(insn(VPADDQ), c.bits(rootHalfBits))
	return e, m
}

// special64 puts the powers of those x into y that are not positive and finite.
func (c *powConstants) special64(x, y reg.VecVirtual) {
	odd, value, zero := YMM(), YMM(), YMM()
	VMOVUPD(c.number(math.NaN()), value)
	VBLENDVPD(x, value, x, value) // NaN where x is negative, else x
	VCMPPD(U8(notLessOrEqual), c.number(math.MaxFloat64), x, odd)
	VPOR(x, odd, odd) // by the sign bit
	VBLENDVPD(odd, value, y, y)
	VXORPD(zero, zero, zero)
	VCMPPD(U8(equal), zero, x, zero)
	VANDNPD(y, zero, y)
}

// exponent is the Go struct, expanded.
type exponent struct{ a, aHead, aTail, cHead, cTail Mem }

// log64 returns r and n with a·log2(x) = n + r for a vector x of float64 that are
// not subnormal. n is in the low bits of t.
func (c *powConstants) log64(v reg.VecVirtual, p exponent) (rHead, rTail, t wide) {
	log := func(i int) Mem { return c.coefficient("log64C%d", i) }
	one := c.number(1)
	e, m := c.split(wide{v})
	f := m.sub(one)
	d := m.add(one)
	inverse := YMM()
	VMOVUPD(one, inverse)
	inverse = wide{inverse}.div(d)[0]
	s := f.mul(inverse)
	sHead, _ := roundTo(s, c.number(round24))
	dHead := d.each(insn(VPAND), c.bits(^uint64(lowMask)))
	dTail := m.sub(dHead.sub(one))
	sTail := f.sub(sHead.mul(dHead)).sub(sHead.mul(dTail)).mul(inverse)

	z := s.mul(s)
	z2 := z.mul(z)
	z4 := z2.mul(z2)
	yTail := sTail.mul(p.cHead).add(s.mul(p.cTail))
	yTail = yTail.add(e.mul(p.aTail))
	l1 := linear(log(1), log(2), z).add(z2.mul(linear(log(3), log(4), z)))
	l5 := linear(log(5), log(6), z).add(z2.mul(log(7)))
	l := l1.add(z4.mul(l5))
	yTail = s.mul(p.a).mul(z).mul(l).add(yTail)

	ae := e.mul(p.aHead)
	cs := sHead.mul(p.cHead)
	n, t := roundTo(ae.add(cs), c.number(round0))
	yHead := ae.sub(n).add(cs)
	rHead, _ = roundTo(yHead, c.number(round10))
	return rHead, yHead.sub(rHead).add(yTail), t
}

// exp64 returns 2^(n+r).
func (c *powConstants) exp64(rHead, rTail, t wide) reg.VecVirtual {
	exp := func(i int) Mem { return c.coefficient("exp64C%d", i) }
	r := rHead.add(rTail)
	slope := rHead.mul(c.coefficient("exp64C2Head")).add(c.coefficient("exp64C1Head"))
	exact := rHead.mul(slope).add(c.number(1))
	rest := slope.add(r.mul(c.coefficient("exp64C2Head"))).mul(rTail)
	r2 := r.mul(r)
	r4 := r2.mul(r2)
	first := r.mul(c.coefficient("exp64C2Tail")).add(c.coefficient("exp64C1Tail"))
	q1 := first.add(r2.mul(linear(exp(3), exp(4), r)))
	q5 := linear(exp(5), exp(6), r).add(r2.mul(linear(exp(7), exp(8), r)))
	q := q1.add(r4.mul(q5))
	q9 := linear(exp(9), exp(10), r).add(r2.mul(linear(exp(11), exp(12), r)))
	q = q.add(r4.mul(r4).mul(q9))
	return scale(exact.add(rest.add(r.mul(q))), t)[0]
}

// powUnroll is the number of vectors that curvaturePow takes at a time.
const powUnroll = 4

// curvaturePow is curvature for a power without a special case. It takes the
// prepared exponent; v' is never subnormal, which spares pow64 a case.
//
// A power is a chain of some forty operations that wait for each other, and the
// schedulers of a processor are too small to reach beyond one and a half of
// them. So some vectors are taken halfway before the first goes on: the ends of
// each half then meet, which are half as far apart.
func (k *kernel) curvaturePow(constants *powConstants) {
	const fields = 5                          // of the Go struct exponent
	halves := map[int]int{4: 2, 8: 3}[k.elem] // vectors that the first half leaves
	frame := k.text("curvaturePow", "func(v, den, d *float, n int, s *float, exponent *float64)",
		k.scalarsFrame()+(fields+powUnroll*halves)*k.bytes(),
		"takes n blocks from their curvature to their denominators by the power function; den may be d:",
		"for i < n: v[i] = flush(b2*v[i] + (c2*d[i])*d[i]); den[i] = pow(v[i], k/2)*r + e.")
	v, den, d := arg("v"), arg("den"), arg("d")
	n, index := k.count("n")
	c := k.loadScalars(arg("s"), frame, ofCurvature)
	p := arg("exponent")
	var a [fields]Mem
	for i := range a {
		a[i] = frame.Offset(k.scalarsFrame() + i*k.bytes())
		t := YMM()
		VBROADCASTSD(Mem{Base: p, Disp: i * 8}, t)
		VMOVUPD(t, a[i])
	}
	half := func(vector, i int) Mem {
		return frame.Offset(k.scalarsFrame() + (fields+vector*halves+i)*k.bytes())
	}
	k.vectors(n, index, powUnroll, func(nv int, part *tail) {
		for i := range nv {
			next := c.secondMoment(k.load(k.at(d, index, i), part), k.operand(k.at(v, index, i), part))
			var first wide
			if k.elem == 4 {
				first = constants.log32(next, a[0])
			} else {
				rHead, rTail, t := constants.log64(next, exponent{a[0], a[1], a[2], a[3], a[4]})
				first = wide{rHead[0], rTail[0], t[0]}
			}
			for j, x := range first {
				VMOVUPD(x, half(i, j))
			}
			k.store(next, k.at(v, index, i), part)
		}
		for i := range nv {
			var first wide
			for j := range halves {
				first = append(first, YMM())
				VMOVUPD(half(i, j), first[j])
			}
			var q reg.VecVirtual
			if k.elem == 4 {
				q = constants.exp32(first)
				constants.special32(k.load(k.at(v, index, i), part), q)
			} else {
				q = constants.exp64(first[:1], first[1:2], first[2:])
				constants.special64(k.load(k.at(v, index, i), part), q)
			}
			k.mul(c.r, q, q)
			k.add(c.e, q, q)
			k.store(q, k.at(den, index, i), part)
		}
	})
	k.ret()
}
