package arm64

import "math"

// floats has the instructions on vectors of four float32 or two float64, and on
// integers of the same size. Of the instructions on floating-point vectors, Go's
// assembler knows only the fused ones, which the contract forbids.
type floats struct {
	k   *kernel
	gnu string // arrangement: 4s or 2d
	goa string // the same in Go's syntax: S4 or D2
}

func (o floats) word(insn string, v ...vec) {
	text := insn
	for i, v := range v {
		text += map[bool]string{true: " ", false: ", "}[i == 0] + v.gnu(o.gnu)
	}
	o.k.word("%s", text)
}

func (o floats) add(d, x, y vec) { o.word("fadd", d, x, y) }
func (o floats) sub(d, x, y vec) { o.word("fsub", d, x, y) }
func (o floats) mul(d, x, y vec) { o.word("fmul", d, x, y) }
func (o floats) div(d, x, y vec) { o.word("fdiv", d, x, y) }
func (o floats) min(d, x, y vec) { o.word("fmin", d, x, y) }
func (o floats) max(d, x, y vec) { o.word("fmax", d, x, y) }
func (o floats) sqrt(d, x vec)   { o.word("fsqrt", d, x) }
func (o floats) abs(d, x vec)    { o.word("fabs", d, x) }
func (o floats) neg(d, x vec)    { o.word("fneg", d, x) }

// addPairs sets d to the sums of neighbouring lanes, first those of x.
func (o floats) addPairs(d, x, y vec) { o.word("faddp", d, x, y) }

// The comparisons make a lane all ones if they hold, and all zeros if they do not or if
// one of the two is NaN.
func (o floats) absGreater(d, x, y vec) { o.word("facgt", d, x, y) }
func (o floats) greater(d, x, y vec)    { o.word("fcmgt", d, x, y) }
func (o floats) equal(d, x, y vec)      { o.word("fcmeq", d, x, y) }

// moreBits compares as unsigned integers.
func (o floats) moreBits(d, x, y vec) { o.word("cmhi", d, x, y) }

// Integers. shiftLeft and shiftRight shift lanes by a constant.
func (o floats) addInt(d, x, y vec) {
	o.k.ins("VADD %s, %s, %s", y.as(o.goa), x.as(o.goa), d.as(o.goa))
}
func (o floats) subInt(d, x, y vec) {
	o.k.ins("VSUB %s, %s, %s", y.as(o.goa), x.as(o.goa), d.as(o.goa))
}
func (o floats) shiftLeft(d, x vec, n int) {
	o.k.ins("VSHL $%d, %s, %s", n, x.as(o.goa), d.as(o.goa))
}
func (o floats) shiftRight(d, x vec, n int) {
	o.k.ins("VUSHR $%d, %s, %s", n, x.as(o.goa), d.as(o.goa))
}

// Bits.
func (k *kernel) and(d, x, y vec) {
	k.ins("VAND %s, %s, %s", y.as("B16"), x.as("B16"), d.as("B16"))
}
func (k *kernel) or(d, x, y vec) {
	k.ins("VORR %s, %s, %s", y.as("B16"), x.as("B16"), d.as("B16"))
}
func (k *kernel) xor(d, x, y vec) {
	k.ins("VEOR %s, %s, %s", y.as("B16"), x.as("B16"), d.as("B16"))
}

// andNot sets d to x without the bits of y.
func (k *kernel) andNot(d, x, y vec) {
	k.word("bic %s, %s, %s", d.gnu("16b"), x.gnu("16b"), y.gnu("16b"))
}

// choose sets each bit of mask to that of x if it is 1, and otherwise to that of y.
func (k *kernel) choose(mask, x, y vec) {
	k.ins("VBSL %s, %s, %s", y.as("B16"), x.as("B16"), mask.as("B16"))
}

// insertNot sets each bit of d to that of x where mask has 0.
func (k *kernel) insertNot(d, x, mask vec) {
	k.ins("VBIF %s, %s, %s", mask.as("B16"), x.as("B16"), d.as("B16"))
}

func (k *kernel) move(d, x vec) { k.ins("VMOV %s, %s", x.as("B16"), d.as("B16")) }
func (k *kernel) zero(d vec)    { k.xor(d, d, d) }

// fill returns a vector with the number's bits in every lane.
func (o floats) fill(bits uint64) vec {
	d := o.k.vec()
	o.fillInto(d, bits)
	return d
}

func (o floats) fillInto(d vec, bits uint64) {
	o.k.scope(func() { o.k.ins("VDUP %v, %s", o.k.constant(bits), d.as(o.goa)) })
}

// bits returns the bits of x as an element.
func (k *kernel) bits(x float64) uint64 {
	if k.elem == 4 {
		return uint64(math.Float32bits(float32(x)))
	}
	return math.Float64bits(x)
}

// minNormal returns the smallest normal number of the element's type.
func (k *kernel) minNormal() float64 { return map[int]float64{4: 0x1p-126, 8: 0x1p-1022}[k.elem] }

func (k *kernel) lanes() int { return 16 / k.elem }

// letter returns the letter of an element in Go's syntax.
func (k *kernel) letter() string { return map[int]string{4: "S", 8: "D"}[k.elem] }

// broadcastArg returns a vector with an argument of the element's type in every
// lane.
func (k *kernel) broadcastArg(name string) vec {
	d := k.vec()
	k.ins("FMOV%s %s, %s", k.letter(), k.mem(name), d.f())
	k.ins("VDUP %s[0], %s", d.as(k.letter()), d.as(k.goa))
	return d
}
