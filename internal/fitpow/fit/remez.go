// Package fit derives the polynomials of package adahessian's power function. They are
// the best ones in the sense of Chebyshev, found by Remez's exchange algorithm in
// math/big and then rounded to float64.
//
// It uses only math/big's exactly rounded operations, so every machine derives the same
// bits.
package fit

import (
	"fmt"
	"math/big"
)

// prec is the precision of every calculation here, in bits.
const prec = 256

// A problem asks for the polynomial p of degree terms−1 that minimizes the
// largest weight(x)·|p(x) − target(x)| over (lo, hi). Neither function is
// called where the weight is 0.
type problem struct {
	target func(x *big.Float) *big.Float
	weight func(x *big.Float) *big.Float
	lo, hi *big.Float
	terms  int
}

// A sample is the weighted error at a point.
type sample struct{ x, e *big.Float }

// solve returns the coefficients of the best polynomial, from the constant
// term up.
func (p *problem) solve() ([]*big.Float, error) {
	nodes := make([]*big.Float, p.terms+1)
	for i := range nodes {
		// Crowded towards both ends, as the extrema of the error will be, and shifted a
		// little to one side, since the weight may be 0 in the middle and at the ends.
		u := ratio(int64(2*i-p.terms), int64(p.terms))
		u = quo(mul(u, sub(num(3), mul(u, u))), num(2))
		u = add(u, mul(ratio(1, 16), sub(num(1), mul(u, u))))
		nodes[i] = p.at(mul(u, ratio(255, 256)))
	}
	for range 40 {
		c, level := p.interpolate(nodes)
		peaks := p.peaks(c, nodes)
		most := peaks[0].e
		for i, s := range peaks {
			if i > 0 && s.e.Sign() == peaks[i-1].e.Sign() {
				return nil, fmt.Errorf("fit: the error does not alternate at %.6g", s.x)
			}
			if abs(s.e).Cmp(abs(most)) > 0 {
				most = s.e
			}
			nodes[i] = s.x
		}
		// The best error lies between the level and the highest peak.
		if mul(abs(most), ratio(1<<20-1, 1<<20)).Cmp(abs(level)) <= 0 {
			return c, nil
		}
	}
	return nil, fmt.Errorf("fit: no convergence")
}

// at maps u in [−1, 1] to [lo, hi].
func (p *problem) at(u *big.Float) *big.Float {
	half := quo(sub(p.hi, p.lo), num(2))
	return add(add(p.lo, half), mul(u, half))
}

// interpolate returns the polynomial whose weighted error is +E, −E, +E, … at
// the nodes, and E.
func (p *problem) interpolate(nodes []*big.Float) (c []*big.Float, level *big.Float) {
	n := len(nodes)
	rows := make([][]*big.Float, n)
	for i, x := range nodes {
		row := make([]*big.Float, n+1)
		row[0] = num(1)
		for j := 1; j < n-1; j++ {
			row[j] = mul(row[j-1], x)
		}
		row[n-1] = quo(num(int64(2*(i&1)-1)), p.weight(x))
		row[n] = p.target(x)
		rows[i] = row
	}
	for k := range n { // Gauss-Jordan with row pivots
		pivot := k
		for i := k + 1; i < n; i++ {
			if abs(rows[i][k]).Cmp(abs(rows[pivot][k])) > 0 {
				pivot = i
			}
		}
		rows[k], rows[pivot] = rows[pivot], rows[k]
		for i := range n {
			if i == k {
				continue
			}
			f := quo(rows[i][k], rows[k][k])
			for j := k; j <= n; j++ {
				rows[i][j] = sub(rows[i][j], mul(f, rows[k][j]))
			}
		}
	}
	c = make([]*big.Float, n-1)
	for j := range c {
		c[j] = quo(rows[j][n], rows[j][j])
	}
	return c, quo(rows[n-1][n], rows[n-1][n-1])
}

// peaks returns the extremum of the error nearest to each node. It finds it by uphill
// steps that shrink when both neighbours are lower.
func (p *problem) peaks(c []*big.Float, nodes []*big.Float) []sample {
	errorAt := func(x *big.Float) sample {
		w := p.weight(x)
		if w.Sign() == 0 {
			return sample{x, w}
		}
		return sample{x, mul(w, sub(horner(c, x), p.target(x)))}
	}
	out := make([]sample, len(nodes))
	for i, x := range nodes {
		// The range of the search is half of the way to each neighbour.
		lo, hi := p.lo, p.hi
		step := sub(p.hi, p.lo)
		if i > 0 {
			lo = quo(add(nodes[i-1], x), num(2))
			step = sub(x, nodes[i-1])
		}
		if i < len(nodes)-1 {
			hi = quo(add(nodes[i+1], x), num(2))
			if d := sub(nodes[i+1], x); i == 0 || d.Cmp(step) < 0 {
				step = d
			}
		}
		step = quo(step, num(8))
		best := errorAt(x)
		sign := best.e.Sign()
		height := func(s sample) *big.Float { return mul(num(int64(sign)), s.e) }
		inside := func(x *big.Float) *big.Float {
			if x.Cmp(lo) < 0 {
				return lo
			}
			if x.Cmp(hi) > 0 {
				return hi
			}
			return x
		}
		for range 12 {
			a, b := errorAt(inside(sub(best.x, step))), errorAt(inside(add(best.x, step)))
			switch {
			case height(a).Cmp(height(best)) > 0:
				best = a
			case height(b).Cmp(height(best)) > 0:
				best = b
			default:
				step = quo(step, num(4))
			}
		}
		out[i] = best
	}
	return out
}

// horner evaluates the polynomial with coefficients c, constant term first.
func horner(c []*big.Float, x *big.Float) *big.Float {
	v := num(0)
	for i := len(c) - 1; i >= 0; i-- {
		v = add(mul(v, x), c[i])
	}
	return v
}

func float() *big.Float                     { return new(big.Float).SetPrec(prec) }
func num(n int64) *big.Float                { return float().SetInt64(n) }
func ratio(n, d int64) *big.Float           { return quo(num(n), num(d)) }
func add(a, b *big.Float) *big.Float        { return float().Add(a, b) }
func sub(a, b *big.Float) *big.Float        { return float().Sub(a, b) }
func mul(a, b *big.Float) *big.Float        { return float().Mul(a, b) }
func quo(a, b *big.Float) *big.Float        { return float().Quo(a, b) }
func abs(a *big.Float) *big.Float           { return float().Abs(a) }
func root(a *big.Float) *big.Float          { return float().Sqrt(a) }
func scaled(a *big.Float, e int) *big.Float { return float().SetMantExp(a, e) }
