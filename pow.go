package adahessian

import "math"

// This file defines the power function x^a, 0 ≤ a ≤ 1, to the bit. It uses only + − ×
// ÷, integer operations on bit patterns, and comparisons that choose between two
// values. AVX2 and NEON have vector instructions for all of these. Nothing is looked up
// in tables, converted between integers and floating point, or fused: a product that is
// added to something is converted to its own type, which keeps a Go compiler from
// fusing. math.Pow is not used, because it differs between architectures.
//
// Both precisions work in the same way:
//
//	x = 2^e·m, √½ ≤ m < √2        from the bits of x
//	s = (m−1)/(m+1), |s| < 0.172   log2(m) = s·P(s²): odd in s
//	y = a·(e + s·P(s²)) = n + r    n the nearest integer, |r| ≤ ½
//	x^a = 2^n·2^r                  2^r by a polynomial, 2^n by adding n to the exponent
//
// x = 1 gives s = y = r = 0, and so exactly 1 for every a. a = 0 gives 1 for every
// positive finite x. Whatever a is, 0 of either sign gives 0, +Inf gives +Inf, and NaN
// and negative numbers give NaN.

// Adding and then subtracting 1.5·2^(52−k) rounds a small value to the nearest multiple
// of 2^-k, ties to even, because the sum has no bits below 2^-k. The lowest bits of the
// sum hold the multiple as an integer.
const (
	round0  = 0x1.8p+52
	round10 = 0x1.8p+42
	round24 = 0x1.8p+28
	round26 = 0x1.8p+26
	round40 = 0x1.8p+12
)

const (
	oneBits      = 0x3FF0000000000000
	rootHalfBits = 0x3FE6A09E667F3BCD // √½, where the range of m begins
	twoTo52Bits  = 0x4330000000000000
	mantissaMask = 1<<52 - 1
	lowMask      = 1<<27 - 1 // without these bits a mantissa has 26 bits
	maxFloat64   = 0x1.fffffffffffffp+1023
	minNormal64  = 0x1p-1022
)

// Printed by go run ./internal/fitpow, with which a test compares them.
const (
	// log2(m) = s·P(s²), float32: error at most 2^-47.0.
	log32C0 = 0x1.71547652b7e8fp+01 // 2.8853900817774227
	log32C1 = 0x1.ec709dc7ba250p-01 // 0.96179669440341264
	log32C2 = 0x1.2776c0b993348p-01 // 0.57707788720436159
	log32C3 = 0x1.a61b4dffbf595p-02 // 0.41221353410204503
	log32C4 = 0x1.476f3d45e1711p-02 // 0.3197602819349053
	log32C5 = 0x1.23875d418923fp-02 // 0.28469606125353047

	// 2^r for |r| ≤ 0.5, float32: relative error at most 2^-40.2.
	exp32C0 = 0x1.ffffffffff7a3p-01 // 0.9999999999997623
	exp32C1 = 0x1.62e42fef8615ep-01 // 0.69314718054651414
	exp32C2 = 0x1.ebfbdff9319e2p-03 // 0.24022650698880371
	exp32C3 = 0x1.c6b08dd46d393p-05 // 0.055504109393417121
	exp32C4 = 0x1.3b2ab5c529244p-07 // 0.0096181285428623767
	exp32C5 = 0x1.5d87483855827p-10 // 0.0013333452062247537
	exp32C6 = 0x1.430acca3496bbp-13 // 0.00015403851748734495
	exp32C7 = 0x1.00dad2505f78dp-16 // 1.5309737422245949e-05
	exp32C8 = 0x1.61afceb9158e4p-20 // 1.3175858113632537e-06

	// log2(m) = s·P(s²), float64: error at most 2^-60.9.
	log64C0Head = 0x1.7154768000000p+01  // 2.8853901028633118
	log64C0Tail = -0x1.6a3e80fc5fd56p-26 // -2.1085384980989821e-08
	log64C1     = 0x1.ec709dc3a0599p-01  // 0.9617966939260213
	log64C2     = 0x1.2776c50eca177p-01  // 0.57707801633391298
	log64C3     = 0x1.a61762f6dcf2fp-02  // 0.41219858772022894
	log64C4     = 0x1.484af0ff62438p-02  // 0.32059837874163888
	log64C5     = 0x1.0ca332bee9fb7p-02  // 0.26234130182501353
	log64C6     = 0x1.c41b85e6fbf9ep-03  // 0.2207556210628327
	log64C7     = 0x1.b87f0526488b2p-03  // 0.21508602164346297

	// 2^r = 1 + r·P(r) for |r| ≤ 0.506, float64: relative error at most 2^-63.1.
	exp64C1Head = 0x1.62e42fefa3800p-01 // 0.69314718055989033
	exp64C1Tail = 0x1.ef32368453ac7p-45 // 5.4977816117618901e-14
	exp64C2Head = 0x1.ebfbdff800000p-03 // 0.240226506954059
	exp64C2Tail = 0x1.62c76411137a6p-38 // 5.0417109867839868e-12
	exp64C3     = 0x1.c6b08d704a0d4p-05 // 0.055504108664821722
	exp64C4     = 0x1.3b2ab6fba4e13p-07 // 0.0096181291076283034
	exp64C5     = 0x1.5d87fe78a199dp-10 // 0.0013333558146385379
	exp64C6     = 0x1.430912f8867b4p-13 // 0.00015403530393670389
	exp64C7     = 0x1.ffcbfc788e40cp-17 // 1.5252733860925495e-05
	exp64C8     = 0x1.62c021dc5d7b5p-20 // 1.3215486581430819e-06
	exp64C9     = 0x1.b524d5cb15d2cp-24 // 1.017804926323924e-07
	exp64C10    = 0x1.e4d074698d3ffp-28 // 7.0549762503783309e-09
	exp64C11    = 0x1.ea0c8f49cf3a1p-32 // 4.4569702495775687e-10
	exp64C12    = 0x1.c2d4ab7f1e322p-36 // 2.5626760693157285e-11
)

// pow32 returns x^a for 0 ≤ a ≤ 1.
//
// It works in float64 and rounds to float32 once, at the end. The error is half an ulp,
// plus these errors of float64, in ulps of float32 (one ulp is at least 2^-24 of the
// result):
//
//	1.3e-5   the polynomial of 2^r: 2^-40.2
//	0.4e-6   the roundings of e + s·P and of y, |y| ≤ 149: 2·2^-46·ln 2
//	0.1e-6   the polynomial of log2: 2^-47.0·ln 2
//
// A subnormal x is normal in float64, and so is a subnormal result before the last
// rounding. So these are rounded only once, too.
func pow32(x float32, a float64) float32 {
	v := float64(x)
	if !(v > 0 && v <= maxFloat64) {
		return float32(powSpecial(v))
	}
	e, m := powSplit(v, 1023)

	s := (m - 1) / (m + 1) // m−1 and m+1 are exact: m has 24 bits
	z := s * s
	z2 := z * z
	l := log32C4 + float64(log32C5*z)
	l = (log32C2 + float64(log32C3*z)) + float64(z2*l)
	l = (log32C0 + float64(log32C1*z)) + float64(z2*l)
	y := float64(a * (e + float64(s*l)))

	t := y + round0
	r := y - (t - round0) // exact
	r2 := r * r
	r4 := r2 * r2
	q0 := (exp32C0 + float64(exp32C1*r)) + float64(r2*(exp32C2+float64(exp32C3*r)))
	q4 := (exp32C4 + float64(exp32C5*r)) + float64(r2*(exp32C6+float64(exp32C7*r)))
	q := q0 + float64(r4*(q4+float64(r4*exp32C8)))
	// Of the bits of t, the shift leaves only n.
	return float32(math.Float64frombits(math.Float64bits(q) + math.Float64bits(t)<<52))
}

// powParams is the a of pow64, 0 ≤ a ≤ 1, in pieces that make products exact.
type powParams struct {
	a            float64
	aHead, aTail float64 // a; aHead is a multiple of 2^-40
	cHead, cTail float64 // a·C0, C0 the first coefficient of log2; cHead is a multiple of 2^-26
}

func newExponent(a float64) powParams {
	p := powParams{a: a}
	p.aHead = (a + round40) - round40
	p.aTail = a - p.aHead // exact

	// a1 has 26 bits, a2 has 27 and log64C0Head has 26, so their products are exact.
	// The difference from cHead is exact too, since cHead is close.
	a1 := math.Float64frombits(math.Float64bits(a) &^ lowMask)
	a2 := a - a1
	p.cHead = (float64(a*log64C0Head) + round26) - round26
	p.cTail = ((float64(a1*log64C0Head) - p.cHead) + float64(a2*log64C0Head)) + float64(a*log64C0Tail)
	return p
}

// pow64 returns x^a for 0 ≤ a ≤ 1.
func pow64(x, a float64) float64 {
	p := newExponent(a)
	return p.pow64(x)
}

// pow64 returns x^a.
//
// The last addition rounds the result, which costs half an ulp. So that the other
// errors are small compared with it, every term that is not small is exact. y is needed
// to an absolute error of 2^-58, even where y itself is small, since the result is then
// near 1. So only the leading term of log2 needs more than float64:
//
//	y = aHead·e + cHead·sHead                                     exact
//	  + cHead·sTail + cTail·s + aTail·e + a·s³·(C1 + C2·s² + …)   |…| < 0.005
//
// e is an integer below 2^11, so aHead·e has 51 bits above 2^-40. sHead is a multiple
// of 2^-24 with 22 bits, so cHead·sHead is exact, and a multiple of 2^-50. What remains
// of both when n is subtracted is a multiple of 2^-50 below 2, so their sum is exact. n
// is rounded from this part alone, so that can start before the polynomial is done; r
// exceeds ½ at most by the other part.
//
// 2^r is treated the same way, with r = rHead + rTail, rHead a multiple of 2^-10:
//
//	2^r = 1 + rHead·(C1Head + C2Head·rHead)                           exact
//	    + rTail·(C1Head + C2Head·(rHead+r)) + r·(C1Tail + C2Tail·r)
//	    + r³·(C3 + C4·r + …)                                          |…| < 0.012
//
// C1Head is a multiple of 2^-42 and C2Head one of 2^-32, so the exact part is a
// multiple of 2^-52 below 2.
//
// The remaining errors, if all of them add up, in ulps of the result where an ulp is
// smallest relative to it (2^-53 of a number just below 1):
//
//	0.05   a·s³·(…): 14 roundings of 2^-53, the three of s counted three times, times 0.0049·ln 2
//	0.05   r³·(…): 7 roundings, that of r counted three times, of 0.0066 where r < 0
//	0.01   rTail·(…): 3 roundings of 0.004
//	0.02   the sums of these: half an ulp each, 2^-61 and 2^-60
//	0.003  the polynomial of log2: 2^-60.9·ln 2
//	0.001  the polynomial of 2^r: 2^-63.1
//
// A subnormal result, which only a subnormal x has, is rounded a second time, to the
// coarser grid of subnormal numbers. Its error is ¾ ulp plus the errors above.
func (p *powParams) pow64(x float64) float64 {
	if !(x > 0 && x <= maxFloat64) {
		return powSpecial(x)
	}
	bias, lift, scale := 1023.0, uint64(0), 1.0
	if x < minNormal64 {
		x *= 0x1p54
		bias, lift, scale = 1023+54, 54<<52, 0x1p-54
	}
	e, m := powSplit(x, bias)

	// s = f/d, where f = m−1 and d = m+1 = dHead + dTail are exact. What sHead leaves
	// of s is the remainder of the division, divided by d. The remainder is exact
	// except for its last subtraction: sHead has 22 bits, dHead 26 and dTail 29, and f
	// − sHead·dHead cancels.
	f := m - 1
	d := m + 1
	inverse := 1 / d
	s := float64(f * inverse)
	sHead := (s + round24) - round24
	dHead := math.Float64frombits(math.Float64bits(d) &^ lowMask)
	dTail := m - (dHead - 1)
	sTail := ((f - float64(sHead*dHead)) - float64(sHead*dTail)) * inverse

	z := s * s
	z2 := z * z
	z4 := z2 * z2
	l1 := (log64C1 + float64(log64C2*z)) + float64(z2*(log64C3+float64(log64C4*z)))
	l5 := (log64C5 + float64(log64C6*z)) + float64(z2*log64C7)
	l := l1 + float64(z4*l5)
	yTail := float64(p.cHead*sTail) + float64(p.cTail*s) + float64(p.aTail*e)
	yTail = float64(((p.a*s)*z)*l) + yTail

	ae := float64(p.aHead * e)
	cs := float64(p.cHead * sHead)
	t := (ae + cs) + round0
	yHead := (ae - (t - round0)) + cs
	rHead := (yHead + round10) - round10
	rTail := (yHead - rHead) + yTail
	r := rHead + rTail

	slope := exp64C1Head + float64(exp64C2Head*rHead)
	exact := 1 + float64(rHead*slope)
	r2 := r * r
	r4 := r2 * r2
	r8 := r4 * r4
	q1 := (exp64C1Tail + float64(exp64C2Tail*r)) + float64(r2*(exp64C3+float64(exp64C4*r)))
	q5 := (exp64C5 + float64(exp64C6*r)) + float64(r2*(exp64C7+float64(exp64C8*r)))
	q9 := (exp64C9 + float64(exp64C10*r)) + float64(r2*(exp64C11+float64(exp64C12*r)))
	q := (q1 + float64(r4*q5)) + float64(r8*q9)
	rest := float64(rTail*(slope+float64(exp64C2Head*r))) + float64(r*q)
	y := exact + rest
	return float64(math.Float64frombits(math.Float64bits(y)+math.Float64bits(t)<<52+lift) * scale)
}

// powSplit returns e and m with x = 2^e·m and √½ ≤ m < √2, for an x whose exponent
// field is that of a positive normal number; bias is subtracted from e. Moving the
// start of the range to 1 makes the exponent field count ranges. Put into the low bits
// of a number from 2^52 on, the field becomes a float64. All steps are exact.
func powSplit(x, bias float64) (e, m float64) {
	b := math.Float64bits(x) + (oneBits - rootHalfBits)
	e = math.Float64frombits(b>>52|twoTo52Bits) - (0x1p52 + bias)
	m = math.Float64frombits(b&mantissaMask + rootHalfBits)
	return e, m
}

// powSpecial returns the power of an x that is not positive and finite.
func powSpecial(x float64) float64 {
	switch {
	case x < 0:
		return math.NaN()
	case x == 0:
		return 0 // for −0 too
	}
	return x // +Inf or NaN
}
