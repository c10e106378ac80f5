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

func (c *powConstants) number(x float64) Mem { return c.bits(math.Float64bits(x)) }

func (c *powConstants) coefficient(format string, args ...any) Mem {
	name := fmt.Sprintf(format, args...)
	x, ok := c.coefficients[name]
	if !ok {
		panic("no coefficient " + name)
	}
	return c.number(x)
}

// register returns a number of the table in a register as wide as x.
func (c *powConstants) register(number Mem, x reg.VecVirtual) reg.VecVirtual {
	v := vecLike(x)
	if isWide(x) {
		VBROADCASTSD(number, v)
	} else {
		VMOVUPD(number, v)
	}
	return v
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

// Arithmetic on vectors of float64; the first operand is a register.
var (
	powAdd = powOp(insn(VADDPD), insn(VADDPD_BCST))
	powSub = powOp(insn(VSUBPD), insn(VSUBPD_BCST))
	powMul = powOp(insn(VMULPD), insn(VMULPD_BCST))
	powDiv = powOp(insn(VDIVPD), insn(VDIVPD_BCST))
	bitAdd = powOp(insn(VPADDQ), insn(VPADDQ_BCST))
	bitAnd = powOp(insn(VPAND), insn(VPANDQ_BCST))
	bitOr  = powOp(insn(VPOR), insn(VPORQ_BCST))
)

// powOp is an operation on a register and an operand. AVX-512's instructions
// repeat one number of memory in all lanes by themselves.
func powOp(apply, applyToAll func(ops ...Op)) func(x reg.VecVirtual, y Op) reg.VecVirtual {
	return func(x reg.VecVirtual, y Op) reg.VecVirtual {
		v := vecLike(x)
		if _, ok := y.(Mem); ok && isWide(x) {
			applyToAll(y, x, v)
		} else {
			apply(y, x, v)
		}
		return v
	}
}

// isWide reports whether x has 512 bits; vecLike returns a register as wide.
func isWide(x reg.VecVirtual) bool { return x.Size() == 64 }
func vecLike(x reg.VecVirtual) reg.VecVirtual {
	if isWide(x) {
		return ZMM()
	}
	return YMM()
}

// linear returns c0 + c1·x.
func linear(c0, c1 Mem, x reg.VecVirtual) reg.VecVirtual { return powAdd(powMul(x, c1), c0) }

// roundTo returns x rounded to the grid that adding and subtracting shift
// makes, and the sum in between.
func roundTo(x reg.VecVirtual, shift Mem) (rounded, sum reg.VecVirtual) {
	sum = powAdd(x, shift)
	return powSub(sum, shift), sum
}

// The Go constants of pow.go that are not coefficients.
const (
	round0       = 0x1.8p+52
	round10      = 0x1.8p+42
	round24      = 0x1.8p+28
	oneBits      = 0x3FF0000000000000
	rootHalfBits = 0x3FE6A09E667F3BCD
	twoTo52Bits  = 0x4330000000000000
	mantissaMask = 1<<52 - 1
	lowMask      = 1<<27 - 1
)

// split is powSplit for a bias of 1023.
func (c *powConstants) split(x reg.VecVirtual) (e, m reg.VecVirtual) {
	b := bitAdd(x, c.bits(oneBits-rootHalfBits))
	field := vecLike(x)
	VPSRLQ(U8(52), b, field)
	e = powSub(bitOr(field, c.bits(twoTo52Bits)), c.number(0x1p52+1023))
	return e, bitAdd(bitAnd(b, c.bits(mantissaMask)), c.bits(rootHalfBits))
}

// scale multiplies y by 2^n, where n is in the low bits of t.
func scale(y, t reg.VecVirtual) reg.VecVirtual {
	n := vecLike(y)
	VPSLLQ(U8(52), t, n)
	return bitAdd(y, n)
}

// special puts the powers of what is not positive and finite into y.
func (c *powConstants) special(x, y reg.VecVirtual) reg.VecVirtual {
	const notLessOrEqual, equal = 6, 0
	out := vecLike(y)
	if isWide(x) {
		odd, negative, notZero := K(), K(), K()
		VCMPPD_BCST(U8(notLessOrEqual), c.number(math.MaxFloat64), x, odd)
		VMOVAPD(x, odd, y)
		VPMOVQ2M(x, negative)
		VBROADCASTSD(c.number(math.NaN()), negative, y)
		VPTESTMQ_BCST(c.bits(math.MaxInt64), x, notZero)
		VMOVAPD_Z(y, notZero, out)
		return out
	}
	odd, value, zero := YMM(), YMM(), YMM()
	VMOVUPD(c.number(math.NaN()), value)
	VBLENDVPD(x, value, x, value) // NaN where x is negative, else x
	VCMPPD(U8(notLessOrEqual), c.number(math.MaxFloat64), x, odd)
	VPOR(x, odd, odd) // by the sign bit
	VBLENDVPD(odd, value, y, out)
	VXORPD(zero, zero, zero)
	VCMPPD(U8(equal), zero, x, zero)
	VANDNPD(out, zero, out)
	return out
}

// pow32 is x^a for the x of a float32; a is an operand.
func (c *powConstants) pow32(x reg.VecVirtual, a Mem) reg.VecVirtual {
	log := func(i int) Mem { return c.coefficient("log32C%d", i) }
	exp := func(i int) Mem { return c.coefficient("exp32C%d", i) }
	one := c.number(1)
	e, m := c.split(x)
	s := powDiv(powSub(m, one), powAdd(m, one))
	z := powMul(s, s)
	z2 := powMul(z, z)
	l := linear(log(4), log(5), z)
	l = powAdd(linear(log(2), log(3), z), powMul(z2, l))
	l = powAdd(linear(log(0), log(1), z), powMul(z2, l))
	y := powMul(powAdd(e, powMul(s, l)), a)
	n, t := roundTo(y, c.number(round0))
	r := powSub(y, n)
	r2 := powMul(r, r)
	r4 := powMul(r2, r2)
	q0 := powAdd(linear(exp(0), exp(1), r), powMul(r2, linear(exp(2), exp(3), r)))
	q4 := powAdd(linear(exp(4), exp(5), r), powMul(r2, linear(exp(6), exp(7), r)))
	q4 = powAdd(q4, powMul(r4, exp(8)))
	return c.special(x, scale(powAdd(q0, powMul(r4, q4)), t))
}

// exponent is the Go struct, expanded.
type exponent struct{ a, aHead, aTail, cHead, cTail Mem }

// pow64 is x^a for an x that is not subnormal.
func (c *powConstants) pow64(x reg.VecVirtual, p exponent) reg.VecVirtual {
	log := func(i int) Mem { return c.coefficient("log64C%d", i) }
	exp := func(i int) Mem { return c.coefficient("exp64C%d", i) }
	one := c.number(1)
	e, m := c.split(x)
	f := powSub(m, one)
	d := powAdd(m, one)
	inverse := powDiv(c.register(one, x), d)
	s := powMul(f, inverse)
	sHead, _ := roundTo(s, c.number(round24))
	dHead := bitAnd(d, c.bits(^uint64(lowMask)))
	dTail := powSub(m, powSub(dHead, one))
	sTail := powMul(powSub(powSub(f, powMul(sHead, dHead)), powMul(sHead, dTail)), inverse)

	z := powMul(s, s)
	z2 := powMul(z, z)
	z4 := powMul(z2, z2)
	yTail := powAdd(powMul(sTail, p.cHead), powMul(s, p.cTail))
	yTail = powAdd(yTail, powMul(e, p.aTail))
	l1 := powAdd(linear(log(1), log(2), z), powMul(z2, linear(log(3), log(4), z)))
	l5 := powAdd(linear(log(5), log(6), z), powMul(z2, log(7)))
	l := powAdd(l1, powMul(z4, l5))
	yTail = powAdd(powMul(powMul(powMul(s, p.a), z), l), yTail)

	ae := powMul(e, p.aHead)
	cs := powMul(sHead, p.cHead)
	n, t := roundTo(powAdd(ae, cs), c.number(round0))
	yHead := powAdd(powSub(ae, n), cs)
	rHead, _ := roundTo(yHead, c.number(round10))
	rTail := powAdd(powSub(yHead, rHead), yTail)
	r := powAdd(rHead, rTail)

	slope := powAdd(powMul(rHead, c.coefficient("exp64C2Head")), c.coefficient("exp64C1Head"))
	exact := powAdd(powMul(rHead, slope), one)
	r2 := powMul(r, r)
	r4 := powMul(r2, r2)
	first := powAdd(powMul(r, c.coefficient("exp64C2Tail")), c.coefficient("exp64C1Tail"))
	q1 := powAdd(first, powMul(r2, linear(exp(3), exp(4), r)))
	q5 := powAdd(linear(exp(5), exp(6), r), powMul(r2, linear(exp(7), exp(8), r)))
	q := powAdd(q1, powMul(r4, q5))
	q9 := powAdd(linear(exp(9), exp(10), r), powMul(r2, linear(exp(11), exp(12), r)))
	q = powAdd(q, powMul(powMul(r4, r4), q9))
	rest := powMul(powAdd(slope, powMul(r, c.coefficient("exp64C2Head"))), rTail)
	rest = powAdd(rest, powMul(r, q))
	return c.special(x, scale(powAdd(exact, rest), t))
}

// curvaturePow is curvature for a power without a special case. It takes the
// prepared exponent; v' is never subnormal, which spares pow64 a case.
func (k *kernel) curvaturePow(constants *powConstants) {
	const fields = 5 // of the Go struct exponent
	expanded := fields * k.bytes()
	if k.wide() {
		expanded = 0
	}
	frame := k.text("curvaturePow", "func(v, den, d *float, n int, s *float, exponent *float64)", k.scalarsFrame()+expanded,
		"takes n blocks from their curvature to their denominators by the power function; den may be d:",
		"for i < n: v[i] = flush(b2*v[i] + (c2*d[i])*d[i]); den[i] = pow(v[i], k/2)*r + e.")
	v, den, d := arg("v"), arg("den"), arg("d")
	n, index := k.count("n")
	c := k.loadScalars(arg("s"), frame, ofCurvature)
	p := arg("exponent")
	var a [fields]Mem
	for i := range a {
		if k.wide() {
			a[i] = Mem{Base: p, Disp: i * 8}
			continue
		}
		a[i] = frame.Offset(k.scalarsFrame() + i*k.bytes())
		t := YMM()
		VBROADCASTSD(Mem{Base: p, Disp: i * 8}, t)
		VMOVUPD(t, a[i])
	}
	k.vectors(n, index, 1, func(nv int, part *tail) {
		next := c.secondMoment(k.load(k.at(d, index, 0), part), k.operand(k.at(v, index, 0), part))
		var q reg.VecVirtual
		if k.elem == 8 {
			q = constants.pow64(next, exponent{a[0], a[1], a[2], a[3], a[4]})
		} else {
			low, high := k.widen(next)
			q = k.narrow(constants.pow32(low, a[0]), constants.pow32(high, a[0]))
		}
		k.store(next, k.at(v, index, 0), part)
		k.mul(c.r, q, q)
		k.add(c.e, q, q)
		k.store(q, k.at(den, index, 0), part)
	})
	k.ret()
}

// widen converts a vector of float32 to two of float64.
func (k *kernel) widen(x reg.VecVirtual) (low, high reg.VecVirtual) {
	low, high = k.vec(), k.vec()
	if k.wide() {
		upper := YMM()
		VCVTPS2PD(x.AsY(), low)
		VEXTRACTF64X4(U8(1), x, upper)
		VCVTPS2PD(upper, high)
	} else {
		upper := XMM()
		VCVTPS2PD(x.AsX(), low)
		VEXTRACTF128(U8(1), x, upper)
		VCVTPS2PD(upper, high)
	}
	return low, high
}

// narrow rounds two vectors of float64 to one of float32.
func (k *kernel) narrow(low, high reg.VecVirtual) reg.VecVirtual {
	x := k.vec()
	if k.wide() {
		upper := YMM()
		VMOVAPD(low, x) // all of x, or its upper half would seem to be in use from the start
		VCVTPD2PS(low, x.AsY())
		VCVTPD2PS(high, upper)
		VINSERTF64X4(U8(1), upper, x, x)
	} else {
		upper := XMM()
		VCVTPD2PSY(low, x.AsX())
		VCVTPD2PSY(high, upper)
		VINSERTF128(U8(1), upper, x, x)
	}
	return x
}
