package adahessian

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestKernelVanishing is of what a kernel may leave out: gradients and products so
// small that they change nothing, next to numbers with which they do. A kernel
// chooses by the first elements and by pairs of vectors, so the data begins with
// what vanishes and comes in runs of one kind.
func TestKernelVanishing(t *testing.T) {
	eachISAAndType(t, testKernelVanishing[float32], testKernelVanishing[float64])
}

func testKernelVanishing[T Float](t *testing.T) {
	f := formatOf[T]()
	r := rand.New(rand.NewPCG(20060719, 2))
	ulp := fromBits[T](1)
	ones := scalars[T]{b1: 1, c1: 1, b2: 1, c2: 1, s: 1, w: 1, r: 1, e: 1, limit: 1, div: 1}
	cases := []stepCase[T]{{name: "sums", k: powerTwo, s: ones}}
	ones.div = 3
	cases = append(cases, stepCase[T]{name: "thirds", k: powerTwo, s: ones})
	for _, beta := range []float64{0, ulpBelowOne, 0.9, 0.5, float64(ulp), 0x1p-60, float64(fromBits[T](f.minNormal))} {
		for _, other := range []float64{0, ulpBelowOne, 0.999} {
			// Without Eps the denominators are all v: it would hide what vanishes.
			k := len(cases)
			h := Hyper{LR: 1, Beta1: beta, Beta2: other, Eps: float64(k / 4 % 2), HessianPower: []float64{1, 2, 0.5, 0}[k/2%4]}
			turned := h
			turned.Beta1, turned.Beta2, turned.Eps = other, beta, 1-h.Eps
			for _, h := range []Hyper{h, turned} {
				c, err := NewCoefficients[T](h, 3, 1)
				if err != nil {
					t.Fatal(err)
				}
				cases = append(cases, stepCase[T]{fmt.Sprintf("%+v", h), c.scalarsFor(1), c.power, c.exponent})
			}
		}
	}

	// With m of every size, the largest gradient that may vanish, of either sign: the
	// smallest m to hide it is a power of two, and of the other sign.
	data := sources[T]()[plain]
	pair, sizes := 2*lanes512[T](), 100
	vanish := updateCall(panel{pair * sizes, 1, 1, 1}, cases[0])
	for from := 0; from < int(f.infinity>>f.mantissa); from += sizes {
		if from > 2*sizes && (brief() || thin > 1) {
			break
		}
		for _, mantissa := range []uint64{0, 1<<f.mantissa - 1} {
			for _, g := range []T{fromBits[T](f.minNormal - 1), -fromBits[T](f.minNormal - 1)} {
				vanish.checkEdited(t, 0, data, func(x [][]T) {
					for i := range x[1] {
						x[1][i], x[3][i] = fromBits[T](min(f.infinity, uint64(from+i/pair)<<f.mantissa|mantissa)), g
					}
				})
			}
		}
	}

	n := 4096 + 13
	rounds := 40
	if brief() || thin > 1 || isa() == "generic" {
		n, rounds = 1024+13, 3
	}
	for round := range rounds {
		for i, c := range cases {
			g := vanishingValues[T]{r, []exponents{subnormals, subnormals, subnormals, subnormals, subnormals, {0, 3}}}
			hz := vanishingValues[T]{r, []exponents{
				subnormals, f.around(0x1p-95, 0x1p-767), f.around(0x1p-75, 0x1p-538), f.around(0x1p-63, 0x1p-511)}}
			m := vanishingValues[T]{r, []exponents{subnormals, {0, 3}, f.around(0x1p-101, 0x1p-968), f.around(0x1p-101, 0x1p-968)}}
			v := vanishingValues[T]{r, []exponents{subnormals, {0, 3}, {1, 40}, {1, 3 * f.mantissa}}}
			edit := func(theta [][]T, mv, vv []T, gs, hzs [][]T) {
				for _, x := range theta {
					for j := 0; j < len(x); j += 2 {
						x[j] = 0 // in which the smallest update shows
					}
				}
				m.fill(mv)
				v.fill(vv)
				for j := range vv {
					if vv[j] < 0 {
						vv[j] = -vv[j]
					}
				}
				for j := range gs {
					g.fill(gs[j])
					hz.fill(hzs[j])
					first := r.IntN(5) // the first elements choose the way
					for k := range 2 * lanes512[T]() {
						if first > 0 {
							gs[j][k] = fromBits[T](1 + r.Uint64N(f.minNormal-1))
						} else {
							hzs[j][k] = fromBits[T](1 + r.Uint64N(f.minNormal-1))
						}
					}
				}
			}
			if (i+round)%4 == 0 {
				call := updateEachCall(n/2, c)
				call.checkEdited(t, r.IntN(16), data, func(x [][]T) { edit(x[:2], x[2], x[3], x[4:6], x[6:8]) })
			} else {
				call := updateCall(panel{n, 1, 1, 1}, c)
				call.checkEdited(t, r.IntN(16), data, func(x [][]T) { edit(x[:1], x[1], x[2], x[3:4], x[4:5]) })
			}
		}
	}
}

// ulpBelowOne is the largest Beta there is.
const ulpBelowOne = 1 - 0x1p-53

// exponents are biased exponents, from the first up to, not including, the second.
type exponents [2]int

var subnormals = exponents{0, 1}

// around returns the exponents around that of x32, or of x64 for float64.
func (f format) around(x32, x64 float64) exponents {
	e := int(bitsOf(float32(x32)) >> 23)
	if f.mantissa == 52 {
		e = int(bitsOf(x64) >> 52)
	}
	return exponents{e - 3, e + 3}
}

// vanishingValues makes runs of numbers, each of one of the ranges of exponents, of
// all of them, special, plain, or of all these kinds; or else numbers of all the
// exponents there are, in rising order. Zeros are everywhere.
type vanishingValues[T Float] struct {
	r      *rand.Rand
	ranges []exponents
}

func (v *vanishingValues[T]) fill(x []T) {
	f, r := formatOf[T](), v.r
	special := specials[T]()
	sweep := r.IntN(3) == 0
	for at := 0; at < len(x); {
		n := min(1+r.IntN(200), len(x)-at)
		kinds := len(v.ranges) + 4
		kind, odd := r.IntN(kinds), r.IntN(2*n) // in half of the runs one number is of another kind
		for i := range n {
			k := kind
			if i == odd || kind == kinds-1 {
				k = r.IntN(kinds)
			}
			var e exponents
			switch {
			case sweep:
				e[0] = (at + i) * int(f.infinity>>f.mantissa) / len(x)
				e[1] = e[0] + 1
			case k < len(v.ranges):
				e = v.ranges[k]
			case k == len(v.ranges):
				e = v.ranges[r.IntN(len(v.ranges))]
			case k == len(v.ranges)+1:
				x[at+i] = special[r.IntN(len(special))]
			default:
				x[at+i] = T(r.NormFloat64())
			}
			if e[1] > 0 {
				mantissa := [...]uint64{0, 1, 1<<f.mantissa - 1, r.Uint64N(1 << f.mantissa)}[r.IntN(4)]
				x[at+i] = fromBits[T](uint64(e[0]+r.IntN(e[1]-e[0]))<<f.mantissa | mantissa)
			}
			if r.IntN(20) == 0 {
				x[at+i] = 0
			}
			if r.IntN(2) == 0 {
				x[at+i] = -x[at+i]
			}
		}
		at += n
	}
}
