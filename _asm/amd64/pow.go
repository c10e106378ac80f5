package amd64

import (
	"fmt"
	"math"

	"github.com/adahessian-go/adahessian/_asm/table"
	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The power function of pow.go, operation by operation, on vectors of float64 whatever
// the type of the tensor. It has the same names and the same order as that file, which
// also gives the reasons. Where pow.go branches, this computes both results and
// chooses.

// powConstants is a table of vectors that hold one number in every lane. It has the
// numbers that the kernels ask for.
type powConstants struct {
	mem          Mem
	offset       map[uint64]int
	coefficients map[string]float64
}

const powTable = "powConstants"

func newPowConstants() *powConstants {
	coefficients, err := table.Coefficients()
	if err != nil {
		panic(err)
	}
	return &powConstants{
		mem:          NewDataAddr(NewStaticSymbol(powTable), 0),
		offset:       map[uint64]int{},
		coefficients: coefficients,
	}
}

// bits returns a vector with the 64 bits b in each lane. All kernels are emitted before
// the table, so it may grow.
func (c *powConstants) bits(b uint64) Mem {
	at, ok := c.offset[b]
	if !ok {
		at = len(c.offset) * 32
		c.offset[b] = at
	}
	return c.mem.Offset(at)
}

// words returns a vector with the 32 bits w in each lane.
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

// register returns a number from the table in a register as wide as x.
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

// Operations on vectors of float64, or of their bits; the first operand is a
// register.
var (
	powAdd   = powOp(insn(VADDPD), insn(VADDPD_BCST))
	powSub   = powOp(insn(VSUBPD), insn(VSUBPD_BCST))
	powMul   = powOp(insn(VMULPD), insn(VMULPD_BCST))
	powDiv   = powOp(insn(VDIVPD), insn(VDIVPD_BCST))
	bitAdd   = powOp(insn(VPADDQ), insn(VPADDQ_BCST))
	bitAnd   = powOp(insn(VPAND), insn(VPANDQ_BCST))
	bitOr    = powOp(insn(VPOR), insn(VPORQ_BCST))
	wordAdd  = powOp(insn(VPADDD), insn(VPADDD_BCST))
	wordSub  = powOp(insn(VPSUBD), insn(VPSUBD_BCST))
	wordsAnd = powOp(insn(VPAND), insn(VPANDD_BCST))
)

// powOp is an operation on a register and an operand. The instructions of AVX-512 can
// repeat one number from memory in all lanes.
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

// pair holds one or two vectors of float64 that are worked on in turns, two if they
// come from a vector of float32.
type pair []reg.VecVirtual

// each applies an operation to every vector. y is a pair, or an operand that all
// vectors share.
func (x pair) each(op func(x reg.VecVirtual, y Op) reg.VecVirtual, y any) pair {
	out := make(pair, len(x))
	for i := range x {
		if with, ok := y.(pair); ok {
			out[i] = op(x[i], with[i])
		} else {
			out[i] = op(x[i], y.(Op))
		}
	}
	return out
}

func (x pair) add(y any) pair { return x.each(powAdd, y) }
func (x pair) sub(y any) pair { return x.each(powSub, y) }
func (x pair) mul(y any) pair { return x.each(powMul, y) }
func (x pair) div(y any) pair { return x.each(powDiv, y) }

// shift52 shifts left or right, from or to the exponent.
func shift52(x reg.VecVirtual, direction Op) reg.VecVirtual {
	v := vecLike(x)
	if direction == left {
		VPSLLQ(U8(52), x, v)
	} else {
		VPSRLQ(U8(52), x, v)
	}
	return v
}

const left, right = U8(0), U8(1)

// linear returns c0 + c1·x.
func linear(c0, c1 Mem, x pair) pair { return x.mul(c1).add(c0) }

// roundTo returns x rounded to the grid that adding and subtracting shift
// makes, and the sum in between.
func roundTo(x pair, shift Mem) (rounded, sum pair) {
	sum = x.add(shift)
	return sum.sub(shift), sum
}

// rootHalfWord is the smallest float32 from √½ on.
const rootHalfWord = 0x3F3504F4

// log32 returns y = a·log2(x) of a vector of normal float32, in two vectors of
// float64.
//
// The exponent and the mantissa of a float32 are separated before it is widened, in all
// lanes at once. The boundary √½ is rounded up to a float32, so that the same numbers
// lie above it.
func (c *powConstants) log32(x reg.VecVirtual, a Mem) pair {
	Comment("y = a*log2(v').")
	log := func(i int) Mem { return c.coefficient("log32C%d", i) }
	one := c.number(1)
	b, exponent := wordSub(x, c.words(rootHalfWord)), vecLike(x)
	VPSRAD(U8(23), b, exponent)
	e := widen(exponent, VCVTDQ2PD)
	m := widen(wordAdd(wordsAnd(b, c.words(1<<23-1)), c.words(rootHalfWord)), VCVTPS2PD)
	s := m.sub(one).div(m.add(one))
	z := s.mul(s)
	z2 := z.mul(z)
	l := linear(log(4), log(5), z)
	l = z2.mul(l).add(linear(log(2), log(3), z))
	l = z2.mul(l).add(linear(log(0), log(1), z))
	return s.mul(l).add(e).mul(a)
}

// exp32 returns 2^y, rounded to float32.
func (c *powConstants) exp32(y pair) reg.VecVirtual {
	Comment("2^y.")
	exp := func(i int) Mem { return c.coefficient("exp32C%d", i) }
	n, t := roundTo(y, c.number(table.Round0))
	r := y.sub(n)
	r2 := r.mul(r)
	q0 := r2.mul(linear(exp(2), exp(3), r)).add(linear(exp(0), exp(1), r))
	q4 := r2.mul(linear(exp(6), exp(7), r)).add(linear(exp(4), exp(5), r))
	r4 := r2.mul(r2)
	q := scale(r4.mul(exp(8)).add(q4).mul(r4).add(q0), t)
	return narrow(q)
}

// widen converts the two halves of a vector of 32-bit lanes.
func widen(x reg.VecVirtual, convert func(ops ...Op)) pair {
	low, high := vecLike(x), vecLike(x)
	if isWide(x) {
		upper := YMM()
		convert(x.AsY(), low)
		VEXTRACTF64X4(U8(1), x, upper)
		convert(upper, high)
	} else {
		upper := XMM()
		convert(x.AsX(), low)
		VEXTRACTF128(U8(1), x, upper)
		convert(upper, high)
	}
	return pair{low, high}
}

// narrow rounds two vectors of float64 to one of float32.
func narrow(y pair) reg.VecVirtual {
	x := vecLike(y[0])
	// The first instruction sets all of x. Otherwise its upper half would seem to be in
	// use from the start.
	if isWide(x) {
		upper := YMM()
		VMOVAPD(y[0], x)
		VCVTPD2PS(y[0], x.AsY())
		VCVTPD2PS(y[1], upper)
		VINSERTF64X4(U8(1), upper, x, x)
	} else {
		upper := XMM()
		VXORPS(x, x, x)
		VCVTPD2PSY(y[0], x.AsX())
		VCVTPD2PSY(y[1], upper)
		VINSERTF128(U8(1), upper, x, x)
	}
	return x
}

// scale multiplies y by 2^n, where n is in the low bits of t.
func scale(y, t pair) pair {
	return t.each(shift52, left).each(bitAdd, y)
}

const notLessOrEqual, equal = 6, 0

// special returns y or, if x is not positive and finite, the power of x.
func (k *kernel) special(c *powConstants, x, y reg.VecVirtual) reg.VecVirtual {
	most, nan, magnitude := c.number(math.MaxFloat64), c.number(math.NaN()), c.bits(math.MaxInt64)
	if k.elem == 4 {
		most, nan, magnitude = c.words(math.Float32bits(math.MaxFloat32)), c.words(math.Float32bits(float32(math.NaN()))), c.words(math.MaxInt32)
	}
	Comment("The powers of 0, infinity, NaN and negative numbers.")
	out := k.vec()
	if k.wide() {
		odd, negative, notZero := K(), K(), K()
		if k.elem == 4 {
			VCMPPS_BCST(U8(notLessOrEqual), most, x, odd)
			VMOVAPS(x, odd, y)
			VPMOVD2M(x, negative)
			VBROADCASTSS(nan, negative, y)
			VPTESTMD_BCST(magnitude, x, notZero)
			VMOVAPS_Z(y, notZero, out)
		} else {
			VCMPPD_BCST(U8(notLessOrEqual), most, x, odd)
			VMOVAPD(x, odd, y)
			VPMOVQ2M(x, negative)
			VBROADCASTSD(nan, negative, y)
			VPTESTMQ_BCST(magnitude, x, notZero)
			VMOVAPD_Z(y, notZero, out)
		}
		return out
	}
	blend, compare := insn(VBLENDVPS), insn(VCMPPS)
	if k.elem == 8 {
		blend, compare = insn(VBLENDVPD), insn(VCMPPD)
	}
	odd, value, zero := k.vec(), k.vec(), k.vec()
	k.mov(nan, value)
	blend(x, value, x, value) // NaN where x is negative, else x
	compare(U8(notLessOrEqual), most, x, odd)
	VPOR(x, odd, odd) // by the sign bit
	blend(odd, value, y, out)
	k.zero(zero)
	compare(U8(equal), zero, x, zero)
	k.andNot(out, zero, out)
	return out
}

// split is powSplit for a bias of 1023.
func (c *powConstants) split(x pair) (e, m pair) {
	b := x.each(bitAdd, c.bits(table.OneBits-table.RootHalfBits))
	e = b.each(shift52, right).each(bitOr, c.bits(table.TwoTo52Bits)).sub(c.number(0x1p52 + 1023))
	return e, b.each(bitAnd, c.bits(table.MantissaMask)).each(bitAdd, c.bits(table.RootHalfBits))
}

// powParams is the Go struct, expanded.
type powParams struct{ a, aHead, aTail, cHead, cTail Mem }

// log64 returns rHead, rTail and t for a vector of float64 that are not
// subnormal: a·log2(x) = n + r, and n is in the low bits of t.
func (c *powConstants) log64(v reg.VecVirtual, p powParams) pair {
	Comment("a*log2(v') = n + r.")
	log := func(i int) Mem { return c.coefficient("log64C%d", i) }
	one := c.number(1)
	e, m := c.split(pair{v})
	f := m.sub(one)
	d := m.add(one)
	inverse := pair{c.register(one, v)}.div(d)
	s := f.mul(inverse)
	sHead, _ := roundTo(s, c.number(table.Round24))
	dHead := d.each(bitAnd, c.bits(^uint64(table.LowMask)))
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
	n, t := roundTo(ae.add(cs), c.number(table.Round0))
	yHead := ae.sub(n).add(cs)
	rHead, _ := roundTo(yHead, c.number(table.Round10))
	rTail := yHead.sub(rHead).add(yTail)
	return pair{rHead[0], rTail[0], t[0]}
}

// exp64 returns 2^(n+r) from what log64 returns.
func (c *powConstants) exp64(half pair) reg.VecVirtual {
	rHead, rTail, t := half[:1], half[1:2], half[2:]
	Comment("2^(n+r).")
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

// powGroup is the number of bytes of blocks that curvaturePow takes together.
const powGroup = 128

// curvaturePow is curvature for a power without a special case. It takes the
// prepared exponent; v' is never subnormal, which spares pow64 a case.
//
// A power is a chain of some forty operations that wait for each other, and the
// schedulers of a processor are too small to hold more than one and a half such chains.
// So several vectors go through the first half before the first of them continues. The
// halves of different vectors can then overlap, since they are half as long.
func (k *kernel) curvaturePow() {
	constants := k.pow
	halves := map[int]int{4: 2, 8: 3}[k.elem] // vectors that the first half leaves
	expanded := table.PowParams
	if k.wide() {
		expanded = 0 // its instructions repeat a number from memory by themselves
	}
	together := powGroup / k.bytes()
	slots := k.scalarsFrame() + expanded*k.bytes()
	frame := k.begin("curvaturePow", slots+together*halves*k.bytes())
	v, den, d := arg("v"), arg("den"), arg("d")
	n, index := k.count("n")
	c := k.loadScalars(arg("s"), frame, ofCurvature)
	p := arg("exponent")
	var a [table.PowParams]Mem
	for i := range a {
		a[i] = Mem{Base: p, Disp: i * 8}
		if i < expanded {
			t := YMM()
			VBROADCASTSD(a[i], t)
			a[i] = frame.Offset(k.scalarsFrame() + i*k.bytes())
			VMOVUPD(t, a[i])
		}
	}
	half := func(vector, i int) Mem { return frame.Offset(slots + (vector*halves+i)*k.bytes()) }
	k.vectors(n, index, together, func(nv int, part *tail) {
		for i := range nv {
			Comment("v' = flush(b2*v + (c2*d)*d).")
			next := c.secondMoment(k.load(k.at(d, index, i), part), k.operand(k.at(v, index, i), part))
			var first pair
			if k.elem == 4 {
				first = constants.log32(next, a[table.A])
			} else {
				first = constants.log64(next, powParams{a[table.A], a[table.AHead], a[table.ATail], a[table.CHead], a[table.CTail]})
			}
			for j, x := range first {
				k.mov(x, half(i, j))
			}
			k.store(next, k.at(v, index, i), part)
		}
		for i := range nv {
			var first pair
			for j := range halves {
				first = append(first, k.load(half(i, j), nil))
			}
			var q reg.VecVirtual
			if k.elem == 4 {
				q = constants.exp32(first)
			} else {
				q = constants.exp64(first)
			}
			q = k.special(constants, k.load(k.at(v, index, i), part), q)
			Comment("den = v'^(k/2)*r + e.")
			k.mul(c.r, q, q)
			k.add(c.e, q, q)
			k.store(q, k.at(den, index, i), part)
		}
	})
	k.ret()
}
