package fit

import (
	"fmt"
	"go/format"
	"math"
	"math/big"
	"strings"

	"github.com/adahessian-go/adahessian/internal/bigpow"
)

// A Constant is one named constant of pow.go.
type Constant struct {
	Name  string
	Value float64
}

// A Polynomial is one fit: its constants, in the order in which pow.go declares
// them, and the largest error that remains after they are rounded to float64.
type Polynomial struct {
	Comment   string
	Constants []Constant
	Error     float64
}

// The grids on which the leading coefficients of pow64 lie, as powers of two. pow.go
// says which products they make exact.
const (
	log64Grid  = -24
	exp64Grid1 = -42
	exp64Grid2 = -32
)

// Polynomials derives all polynomials of pow.go.
func Polynomials() ([]Polynomial, error) {
	// The largest s = (m−1)/(m+1) is that of √2, plus what rounding the boundary and s
	// itself may add.
	sMax := mul(sub(root(num(2)), num(1)), sub(root(num(2)), num(1)))
	sMax = mul(sMax, ratio(1<<20+1, 1<<20))
	logs := func(terms int) *problem {
		return &problem{
			target: func(z *big.Float) *big.Float { // log2(m)/s, with z = s²
				s := root(z)
				return quo(log2(quo(add(num(1), s), sub(num(1), s))), s)
			},
			weight: root,
			lo:     num(0),
			hi:     mul(sMax, sMax),
			terms:  terms,
		}
	}
	// 2^r, or (2^r − 1)/r if the constant term is fixed at 1. Both are weighted for the
	// relative error of 2^r.
	exps := func(bound *big.Float, terms int) *problem {
		return &problem{
			target: exp2,
			weight: func(r *big.Float) *big.Float { return quo(num(1), exp2(r)) },
			lo:     float().Neg(bound),
			hi:     bound,
			terms:  terms,
		}
	}
	exps1 := func(bound *big.Float, terms int) *problem {
		p := exps(bound, terms)
		p.target = func(r *big.Float) *big.Float { return quo(sub(exp2(r), num(1)), r) }
		p.weight = func(r *big.Float) *big.Float { return abs(quo(r, exp2(r))) }
		return p
	}

	var out []Polynomial
	for _, f := range []struct {
		problem *problem
		comment string
		name    string
		first   int   // the number of the first coefficient
		grids   []int // of the coefficients that have a head and a tail
	}{
		{logs(6), "log2(m) = s·P(s²), float32: error", "log32", 0, nil},
		{exps(ratio(1, 2), 9), "2^r for |r| ≤ 0.5, float32: relative error", "exp32", 0, nil},
		{logs(8), "log2(m) = s·P(s²), float64: error", "log64", 0, []int{log64Grid}},
		{exps1(ratio(506, 1000), 12), "2^r = 1 + r·P(r) for |r| ≤ 0.506, float64: relative error", "exp64", 1, []int{exp64Grid1, exp64Grid2}},
	} {
		c, err := f.problem.solve()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		p := Polynomial{Comment: f.comment}
		rounded := make([]*big.Float, len(c))
		for i, v := range c {
			name := fmt.Sprintf("%sC%d", f.name, i+f.first)
			if i < len(f.grids) {
				head := toGrid(v, f.grids[i])
				tail := toFloat64(sub(v, num(0).SetFloat64(head)))
				p.Constants = append(p.Constants, Constant{name + "Head", head}, Constant{name + "Tail", tail})
				rounded[i] = add(float().SetFloat64(head), float().SetFloat64(tail))
				continue
			}
			value := toFloat64(v)
			p.Constants = append(p.Constants, Constant{name, value})
			rounded[i] = float().SetFloat64(value)
		}
		p.Error = f.problem.worst(rounded)
		out = append(out, p)
	}
	return out, nil
}

// worst returns the largest weighted error of the polynomial c on a dense grid.
func (p *problem) worst(c []*big.Float) float64 {
	const points = 1000
	worst := 0.0
	for i := range int64(points + 1) {
		x := p.at(ratio(2*i-points, points))
		if x.Sign() == 0 {
			continue
		}
		e, _ := mul(p.weight(x), sub(horner(c, x), p.target(x))).Float64()
		worst = max(worst, math.Abs(e))
	}
	return worst
}

// Source returns the constants as pow.go has them.
func Source() (string, error) {
	polynomials, err := Polynomials()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("// Printed by go run ./internal/fitpow, with which a test compares them.\nconst (\n")
	for i, p := range polynomials {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "\t// %s at most 2^%.1f.\n", p.Comment, math.Ceil(10*math.Log2(p.Error))/10)
		for _, c := range p.Constants {
			fmt.Fprintf(&b, "\t%s = %.13x // %.17g\n", c.Name, c.Value, c.Value)
		}
	}
	b.WriteString(")\n")
	source, err := format.Source([]byte(b.String()))
	return string(source), err
}

// toGrid rounds v to a multiple of 2^e.
func toGrid(v *big.Float, e int) float64 {
	half := ratio(1, 2)
	if v.Sign() < 0 {
		half.Neg(half)
	}
	n, _ := add(scaled(v, -e), half).Int64()
	return toFloat64(scaled(num(n), e))
}

func toFloat64(v *big.Float) float64 {
	f, _ := v.Float64()
	return f
}

func log2(x *big.Float) *big.Float { return bigpow.Log2(x, prec) }
func exp2(x *big.Float) *big.Float { return bigpow.Exp2(x, prec) }
