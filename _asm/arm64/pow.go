package arm64

import (
	"fmt"
	"math"

	"github.com/adahessian-go/adahessian/_asm/table"
)

// The power function of pow.go, operation by operation, on vectors of float64 whatever
// the type of the tensor. It has the same names and the same order as that file, which
// also gives the reasons. Where pow.go branches, this computes both results and
// chooses.
//
// It is a long chain of operations, each waiting for the one before, so it takes
// several vectors through every operation together. That also shares the loads of its
// constants, which outnumber the registers.

// pow emits the power function. Its variables are values: one vector for each of those
// that are processed together.
type pow struct {
	k            *kernel
	floats       // of two float64
	width        int
	coefficients map[string]float64
	offset       map[uint64]int // of a constant in the table
	constants    []uint64
	table        gp
}

type value []vec

// powTable is the table of constants. It is shared by the kernels of both types,
// and grows with what they ask for.
const powTable = "powConstants"

func newPow() *pow {
	coefficients, err := table.Coefficients()
	if err != nil {
		panic(err)
	}
	return &pow{coefficients: coefficients, offset: map[uint64]int{}}
}

// in prepares for a kernel that takes width vectors of float64 together.
func (p *pow) in(k *kernel, width int) {
	p.k, p.floats, p.width = k, floats{k, "2d", "D2"}, width
	p.table = k.table(powTable, p.words()...)
}

func (p *pow) words() (w []uint64) {
	for _, c := range p.constants {
		w = append(w, c, c)
	}
	return w
}

// An operand is a value, or a number that is the same in all lanes.
type operand any

// bits is the operand with these 64 bits in every lane. number and coefficient return
// that of a float64.
type bits uint64

func number(x float64) bits { return bits(math.Float64bits(x)) }

func (p *pow) coefficient(format string, args ...any) bits {
	x, ok := p.coefficients[fmt.Sprintf(format, args...)]
	if !ok {
		panic("no coefficient " + fmt.Sprintf(format, args...))
	}
	return number(x)
}

// use emits f for each vector of the operand; a constant is loaded for it.
func (p *pow) use(y operand, f func(i int, y vec)) {
	switch y := y.(type) {
	case value:
		each(p.width, func(i int) { f(i, y[i]) })
	case vec: // the same in every lane already
		each(p.width, func(i int) { f(i, y) })
	case bits:
		at, ok := p.offset[uint64(y)]
		if !ok {
			at = len(p.constants) * wholeVector
			p.offset[uint64(y)] = at
			p.constants = append(p.constants, uint64(y))
			p.k.tables.words[powTable] = p.words()
		}
		p.k.scope(func() {
			c := p.k.vec()
			p.k.ins("FMOVQ %d(%v), %s", at, p.table, c.f())
			each(p.width, func(i int) { f(i, c) })
		})
	default:
		panic(fmt.Sprintf("%T is no operand", y))
	}
}

// new returns the value that op makes from x and y, and into puts it into z.
func (p *pow) new(op func(d, x, y vec), x value, y operand) value {
	return p.into(p.k.some(p.width), op, x, y)
}

func (p *pow) into(z value, op func(d, x, y vec), x value, y operand) value {
	p.use(y, func(i int, y vec) { op(z[i], x[i], y) })
	return z
}

// These replace x.
func (p *pow) plus(x value, y operand) value  { return p.into(x, p.add, x, y) }
func (p *pow) minus(x value, y operand) value { return p.into(x, p.sub, x, y) }
func (p *pow) times(x value, y operand) value { return p.into(x, p.mul, x, y) }

// linear returns c0 + c1·x.
func (p *pow) linear(c0, c1 operand, x value) value { return p.plus(p.new(p.mul, x, c1), c0) }

// roundTo returns x rounded to the grid that adding and subtracting shift makes,
// and the sum in between.
func (p *pow) roundTo(x value, shift bits) (rounded, sum value) {
	sum = p.new(p.add, x, shift)
	return p.new(p.sub, sum, shift), sum
}

func (p *pow) free(x ...value) {
	for _, x := range x {
		p.k.free(x...)
	}
}

// split is powSplit for a bias of 1023.
func (p *pow) split(x value) (e, m value) {
	m = p.new(p.addInt, x, bits(table.OneBits-table.RootHalfBits))
	e = p.k.some(p.width)
	each(p.width, func(i int) { p.shiftRight(e[i], m[i], 52) })
	p.into(e, p.k.or, e, bits(table.TwoTo52Bits))
	p.minus(e, number(0x1p52+1023))
	p.into(m, p.k.and, m, bits(table.MantissaMask))
	p.into(m, p.addInt, m, bits(table.RootHalfBits))
	return e, m
}

// scale multiplies y by 2^n, where n is in the low bits of t. t is overwritten.
func (p *pow) scale(y, t value) {
	each(p.width, func(i int) { p.shiftLeft(t[i], t[i], 52) })
	p.into(y, p.addInt, y, t)
}

// special puts into y the powers of numbers that are not positive and finite: +0 for
// ±0, the number itself for +Inf and NaN, and NaN for negative numbers.
func (p *pow) special(x, y value) {
	k := p.k
	k.scope(func() {
		// As integers, the bits of positive finite numbers minus 1 are the smallest.
		usual := p.new(p.addInt, x, bits(math.MaxUint64))
		p.use(number(math.MaxFloat64), func(i int, most vec) { p.moreBits(usual[i], most, usual[i]) })
		value, negative := value(k.some(p.width)), value(k.some(p.width))
		p.use(bits(0), func(i int, zero vec) {
			p.add(value[i], x[i], zero)
			p.greater(negative[i], zero, x[i])
		})
		each(p.width, func(i int) { k.or(value[i], value[i], negative[i]) }) // all ones are a NaN
		each(p.width, func(i int) { k.insertNot(y[i], value[i], usual[i]) })
	})
}

// pow32 is x^a for the x of a float32; a is in every lane.
func (p *pow) pow32(x value, a vec) value {
	log := func(i int) bits { return p.coefficient("log32C%d", i) }
	exp := func(i int) bits { return p.coefficient("exp32C%d", i) }
	e, m := p.split(x)
	s := p.new(p.sub, m, number(1))
	p.plus(m, number(1))
	p.into(s, p.div, s, m)
	p.free(m)
	z := p.new(p.mul, s, s)
	z2 := p.new(p.mul, z, z)
	l := p.linear(log(4), log(5), z)
	p.times(l, z2)
	c2 := p.linear(log(2), log(3), z)
	p.into(l, p.add, c2, l)
	p.free(c2)
	p.times(l, z2)
	c0 := p.linear(log(0), log(1), z)
	p.into(l, p.add, c0, l)
	p.free(c0, z, z2)
	p.times(l, s)
	y := p.times(p.into(l, p.add, e, l), a)
	p.free(s, e)
	n, t := p.roundTo(y, number(table.Round0))
	r := p.into(y, p.sub, y, n)
	p.free(n)
	r2 := p.new(p.mul, r, r)
	r4 := p.new(p.mul, r2, r2)
	pair := func(i int) value { // c0 + c1·r + r²·(c2 + c3·r)
		low := p.linear(exp(i), exp(i+1), r)
		high := p.times(p.linear(exp(i+2), exp(i+3), r), r2)
		p.free(high)
		return p.plus(low, high)
	}
	q4 := pair(4)
	c8 := p.new(p.mul, r4, exp(8))
	p.plus(q4, c8)
	p.free(c8)
	p.times(q4, r4)
	q := pair(0)
	p.plus(q, q4)
	p.free(q4, r2, r4, r)
	p.scale(q, t)
	p.free(t)
	p.special(x, q)
	return q
}

// powParams is the Go struct, each of its fields in every lane.
type powParams struct{ a, aHead, aTail, cHead, cTail vec }

// pow64 is x^a for an x that is not subnormal.
func (p *pow) pow64(x value, a powParams) value {
	log := func(i int) bits { return p.coefficient("log64C%d", i) }
	exp := func(i int) bits { return p.coefficient("exp64C%d", i) }
	e, m := p.split(x)
	f := p.new(p.sub, m, number(1))
	d := p.new(p.add, m, number(1))
	inverse := value(p.k.some(p.width))
	p.use(number(1), func(i int, one vec) { p.div(inverse[i], one, d[i]) })
	dHead := p.into(d, p.k.and, d, bits(^uint64(table.LowMask)))
	t := p.new(p.sub, dHead, number(1))
	dTail := p.into(m, p.sub, m, t)
	p.free(t)
	s := p.new(p.mul, f, inverse)
	sHead, sum := p.roundTo(s, number(table.Round24))
	p.free(sum)
	sTail := p.into(f, p.sub, f, p.times(dHead, sHead))
	p.minus(sTail, p.times(dTail, sHead))
	p.times(sTail, inverse)
	p.free(dHead, dTail, inverse)

	yTail := p.times(sTail, a.cHead)
	t = p.new(p.mul, s, a.cTail)
	p.plus(yTail, t)
	p.into(t, p.mul, e, a.aTail)
	p.plus(yTail, t)
	p.free(t)
	z := p.new(p.mul, s, s)
	z2 := p.new(p.mul, z, z)
	l := p.linear(log(5), log(6), z)
	t = p.new(p.mul, z2, log(7))
	p.plus(l, t) // l5
	p.into(t, p.mul, z2, z2)
	p.times(l, t)
	p.free(t)
	l1 := p.linear(log(3), log(4), z)
	p.times(l1, z2)
	p.free(z2)
	t = p.linear(log(1), log(2), z)
	p.into(l1, p.add, t, l1)
	p.into(l, p.add, l1, l)
	p.free(t, l1)
	p.times(s, a.a)
	p.times(s, z)
	p.times(s, l)
	p.into(yTail, p.add, s, yTail)
	p.free(z, l, s)

	ae := p.times(e, a.aHead)
	cs := p.times(sHead, a.cHead)
	sum = p.new(p.add, ae, cs)
	n, t := p.roundTo(sum, number(table.Round0))
	p.free(sum)
	yHead := p.into(n, p.sub, ae, n)
	p.plus(yHead, cs)
	p.free(ae, cs)
	rHead, sum := p.roundTo(yHead, number(table.Round10))
	p.free(sum)
	rTail := p.into(yHead, p.sub, yHead, rHead)
	p.plus(rTail, yTail)
	p.free(yTail)
	r := p.new(p.add, rHead, rTail)

	slope := p.linear(p.coefficient("exp64C1Head"), p.coefficient("exp64C2Head"), rHead)
	exact := p.times(rHead, slope)
	p.plus(exact, number(1))
	rest := p.new(p.mul, r, p.coefficient("exp64C2Head"))
	p.into(rest, p.add, slope, rest)
	p.into(rest, p.mul, rTail, rest)
	p.free(slope, rTail)
	r2 := p.new(p.mul, r, r)
	r4 := p.new(p.mul, r2, r2)
	pair := func(c0, c1, c2, c3 operand) value { // c0 + c1·r + r²·(c2 + c3·r)
		low := p.linear(c0, c1, r)
		high := p.times(p.linear(c2, c3, r), r2)
		p.free(high)
		return p.plus(low, high)
	}
	q := pair(exp(5), exp(6), exp(7), exp(8))
	p.times(q, r4)
	q1 := pair(p.coefficient("exp64C1Tail"), p.coefficient("exp64C2Tail"), exp(3), exp(4))
	p.into(q, p.add, q1, q)
	p.free(q1)
	q9 := pair(exp(9), exp(10), exp(11), exp(12))
	p.times(r4, r4) // r8
	p.times(q9, r4)
	p.plus(q, q9)
	p.free(q9, r2, r4)
	p.times(q, r)
	p.plus(rest, q)
	p.free(q, r)
	y := p.plus(exact, rest)
	p.free(rest)
	p.scale(y, t)
	p.free(t)
	p.special(x, y)
	return y
}

// curvaturePow is curvature for a power without a special case. It takes the
// prepared exponent; v' is never subnormal, which spares pow64 a case.
func (k *kernel) curvaturePow() {
	p := k.pow
	k.begin("curvaturePow", 0)
	v, den, d, n := k.arg("v"), k.arg("den"), k.arg("d"), k.count("n")
	c := k.loadScalars(k.arg("s"), ofCurvature)
	from := k.arg("exponent")
	var a [table.PowParams]vec
	for i := range a {
		if i == table.A || k.elem == 8 {
			a[i] = k.vec()
			k.ins("VLD1R.P 8(%v), [%s]", from, a[i].as("D2"))
		}
	}
	// Two vectors of float64 are processed together.
	together := k.elem / 4
	p.in(k, 2)
	body := func(nv, width int) {
		p.width = nv * 8 / k.elem
		next := k.some(nv)
		k.next(next, v, width)
		k.scope(func() {
			x, t := k.some(nv), k.some(nv)
			k.next(x, d, width)
			c.secondMoment(next, x, t)
		})
		var q value
		if k.elem == 8 {
			q = p.pow64(next, powParams{a[table.A], a[table.AHead], a[table.ATail], a[table.CHead], a[table.CTail]})
		} else {
			x := value(k.some(2))
			k.word("fcvtl %s, %s", x[0].gnu("2d"), next[0].gnu("2s"))
			k.word("fcvtl2 %s, %s", x[1].gnu("2d"), next[0].gnu("4s"))
			q = p.pow32(x, a[table.A])
			k.word("fcvtn %s, %s", q[0].gnu("2s"), q[0].gnu("2d"))
			k.word("fcvtn2 %s, %s", q[0].gnu("4s"), q[1].gnu("2d"))
			q = q[:1]
		}
		c.denominatorsOf(q)
		k.storeBack(next, v, width)
		k.store(q, den, width)
	}
	k.vectors(n, together, body)
	k.ret()
}
