package adahessian

import (
	"math"
	"math/bits"
	"unsafe"
)

// This file defines every result. It is the reference that the assembly equals to the
// bit, the fallback where there is no assembly, and the oracle of the tests. It has no
// build tag.
//
// Nothing here may be fused. The Go compiler fuses x*y + z on several architectures,
// and on amd64 with GOAMD64=v3. Only an explicit conversion of the product stops it, so
// every product that is added or subtracted is written T(x*y).

// ---- scalars -------------------------------------------------------------

// abs clears the sign in integers. By way of math.Abs a float32 would be converted to
// float64 and back.
func abs[T Float](x T) T {
	if unsafe.Sizeof(x) == 4 {
		return T(math.Float32frombits(math.Float32bits(float32(x)) &^ (1 << 31)))
	}
	return T(math.Float64frombits(math.Float64bits(float64(x)) &^ (1 << 63)))
}

// sqrt is rounded once. For float32 the compiler emits the float32 square root. Where
// it does not, rounding twice is harmless, because float64 has more than twice the
// digits.
func sqrt[T Float](x T) T { return T(math.Sqrt(float64(x))) }

// flush returns +0 if x is subnormal, and x otherwise.
func flush[T Float](x T) T {
	minNormal := 0x1p-1022
	if unsafe.Sizeof(x) == 4 {
		minNormal = 0x1p-126
	}
	if math.Abs(float64(x)) < minNormal {
		return 0
	}
	return x
}

// raise returns v^(k/2) for the power k; a is k/2 and matters for powerAny.
func raise[T Float](v T, k power, a float64) T {
	switch k {
	case powerZero:
		return 1
	case powerHalf:
		return sqrt(sqrt(v))
	case powerOne:
		return sqrt(v)
	case powerTwo:
		return v
	}
	if unsafe.Sizeof(v) == 4 {
		return T(pow32(float32(v), a))
	}
	return T(pow64(float64(v), a))
}

// secondMoment returns v' from v and the curvature d.
func secondMoment[T Float](v, d T, s *scalars[T]) T {
	return flush(T(s.b2*v) + T(T(s.c2*d)*d))
}

// denominator returns den from v'.
func denominator[T Float](v T, s *scalars[T], k power, a float64) T {
	return T(raise(v, k, a)*s.r) + s.e
}

// firstMoment returns m' from m and the gradient g.
func firstMoment[T Float](m, g T, s *scalars[T]) T {
	return flush(T(s.b1*m) + T(s.c1*g))
}

// parameter returns θ' from θ, m' and den.
func parameter[T Float](theta, m, den T, s *scalars[T]) T {
	u := T(s.s*m) / den
	if u > s.limit {
		u = s.limit
	} else if u < -s.limit {
		u = -s.limit
	}
	return T(s.w*theta) - u
}

// ---- curvature of a block ------------------------------------------------

// runLen is the largest number of elements of a block that are added in T. A longer
// block is cut into runs of this length, and the sums of the runs are added in float64:
// a float32 sum stops growing at 2²⁴ times what is added to it.
const runLen = 16 << 10

// partialSums accumulates the sum of |x| over a contiguous run: element i of
// the run belongs to sum i mod L, where L is 16 for float32 and 8 for
// float64, as many as a 512-bit register holds.
type partialSums[T Float] [16]T

func lanes512[T Float]() int { return 64 / int(unsafe.Sizeof(T(0))) }

// addAbsGeneric adds |x[i]| to sum i mod L.
func addAbsGeneric[T Float](p *partialSums[T], x []T) {
	l := lanes512[T]()
	for i, h := range x {
		p[i&(l-1)] += abs(h)
	}
}

// fold adds the upper half of the sums to the lower half until one is left.
func (p *partialSums[T]) fold() T {
	for w := lanes512[T]() / 2; w > 0; w /= 2 {
		for j := range w {
			p[j] += p[j+w]
		}
	}
	return p[0]
}

// blockSum returns the sum of |x| over a block of n elements, stride apart.
func blockSum[T Float](x []T, n, stride int) T {
	switch {
	case n == 1:
		return abs(x[0])
	case n > runLen:
		var total float64
		for from := 0; from < n; from += runLen {
			total += float64(blockSum(x[from*stride:], min(runLen, n-from), stride))
		}
		return T(total)
	case stride == 1:
		var p partialSums[T]
		addAbsGeneric(&p, x[:n])
		return p.fold()
	}
	var sum T
	for i := range n {
		sum += abs(x[i*stride])
	}
	return sum
}

// blockMeansGeneric sets d[j] to the sum of |x| over the j-th of contiguous
// blocks, divided by div.
func blockMeansGeneric[T Float](d, x []T, block int, div T) {
	for j := range d {
		d[j] = blockSum(x[j*block:][:block], block, 1) / div
	}
}

// stridedMeansGeneric is blockMeans for a panel whose blocks are columns, or one run of
// rows of such columns. The sums run down the rows. If more is set, they continue from
// what d holds. If the panel is one row, d may be x.
func stridedMeansGeneric[T Float](d, x []T, p panel, div T, more bool) {
	for o := range p.outer {
		sums := d[o*p.width:][:p.width]
		for b := range p.block {
			row := x[(o*p.block+b)*p.stride:][:p.width]
			if b == 0 && !more {
				for i, h := range row {
					sums[i] = abs(h)
				}
				continue
			}
			for i, h := range row {
				sums[i] += abs(h)
			}
		}
		for i := range sums {
			sums[i] /= div
		}
	}
}

// ---- the step ------------------------------------------------------------

// curvatureGeneric sets v to v' and den to the denominators, from d. den may
// be d.
func curvatureGeneric[T Float](v, den, d []T, s *scalars[T], k power, a float64) {
	if k == powerAny && unsafe.Sizeof(s.r) == 8 {
		p := newExponent(a) // once; raise does it for every value
		for j := range v {
			v[j] = secondMoment(v[j], d[j], s)
			den[j] = T(T(p.pow64(float64(v[j])))*s.r) + s.e
		}
		return
	}
	for j := range v {
		v[j] = secondMoment(v[j], d[j], s)
		den[j] = denominator(v[j], s, k, a)
	}
}

// descendGeneric sets m to m' and theta to θ'. den holds one denominator for
// each block of the panel.
func descendGeneric[T Float](theta, m, g, den []T, p panel, s *scalars[T]) {
	for o := range p.outer {
		for b := range p.block {
			at := (o*p.block + b) * p.stride
			for i := range p.width {
				m[at+i] = firstMoment(m[at+i], g[at+i], s)
				theta[at+i] = parameter(theta[at+i], m[at+i], den[o*p.width+i], s)
			}
		}
	}
}

// updateGeneric is a whole step of a panel, block by block.
func updateGeneric[T Float](theta, m, v, g, hz []T, p panel, s *scalars[T], k power, a float64) {
	for o := range p.outer {
		for i := range p.width {
			at := o*p.block*p.stride + i
			d := blockSum(hz[at:], p.block, p.stride) / s.div
			j := o*p.stride + i
			v[j] = secondMoment(v[j], d, s)
			den := denominator(v[j], s, k, a)
			for b := range p.block {
				e := at + b*p.stride
				m[e] = firstMoment(m[e], g[e], s)
				theta[e] = parameter(theta[e], m[e], den, s)
			}
		}
	}
}

// ---- probes --------------------------------------------------------------

// philox returns one block of Philox4x32-10 (Salmon, Moraes, Dror and Shaw,
// "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011): 128 random bits
// that are a function of the key and the counter.
func philox(key, block, draw uint64) [4]uint32 {
	const (
		mul0, mul1   = 0xD2511F53, 0xCD9E8D57
		weyl0, weyl1 = 0x9E3779B9, 0xBB67AE85
	)
	k0, k1 := uint32(key), uint32(key>>32)
	c := [4]uint32{uint32(block), uint32(block >> 32), uint32(draw), uint32(draw >> 32)}
	for range 10 {
		hi0, lo0 := bits.Mul32(mul0, c[0])
		hi1, lo1 := bits.Mul32(mul1, c[2])
		c = [4]uint32{hi1 ^ c[1] ^ k0, lo1, hi0 ^ c[3] ^ k1, lo0}
		k0 += weyl0
		k1 += weyl1
	}
	return c
}

// rademacherGeneric sets z[j] to the sign of global index offset+j.
func rademacherGeneric[T Float](z []T, seed, draw, offset uint64) {
	var words [4]uint32
	for j := range z {
		i := offset + uint64(j)
		if j == 0 || i&127 == 0 {
			words = philox(seed, i>>7, draw)
		}
		z[j] = T(1 - 2*int32(words[i>>5&3]>>(i&31)&1))
	}
}

// addProbeGeneric adds z⊙hz to acc.
func addProbeGeneric[T Float](acc, z, hz []T) {
	for i := range acc {
		acc[i] += T(z[i] * hz[i])
	}
}

// allFiniteGeneric reports whether no x is NaN or infinite.
func allFiniteGeneric[T Float](x []T) bool {
	for _, f := range x {
		if f-f != 0 {
			return false
		}
	}
	return true
}
