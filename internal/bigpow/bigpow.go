// Package bigpow computes logarithms, exponentials and powers to any precision, using
// only math/big. It uses plain series after a plain reduction, which are slow and easy
// to check. The polynomials of package adahessian are fitted to its results, and the
// powers are tested against them.
package bigpow

import (
	"math/big"
	"sync"
)

// guard is the number of bits carried beyond the precision asked for. A series here has
// at most a few hundred terms, each rounded once, and each squaring loses a bit.
// Together these errors stay below 2^20 units in the last place.
const guard = 32

// squarings is how often Exp2 halves its argument before the series, and squares the
// sum after it.
const squarings = 10

var ln2Cache struct {
	sync.Mutex
	prec  uint
	value *big.Float
}

// Ln2 returns ln 2 = 2·atanh(1/3) to prec bits.
func Ln2(prec uint) *big.Float {
	c := &ln2Cache
	c.Lock()
	if c.prec < prec {
		w := prec + guard
		third := newFloat(w).Quo(big.NewFloat(1), big.NewFloat(3))
		c.value = newFloat(w).Add(atanh(third, w), atanh(third, w))
		c.prec = prec
	}
	v := c.value
	c.Unlock()
	return newFloat(prec).Set(v)
}

// Log2 returns the base-2 logarithm of x > 0 to prec bits. The error is relative to the
// result, even near x = 1, where x − 1 is formed without rounding.
func Log2(x *big.Float, prec uint) *big.Float {
	if x.Sign() <= 0 || x.IsInf() {
		panic("bigpow: Log2 of a value that is not positive and finite")
	}
	w := max(prec, x.Prec()) + guard
	m := newFloat(w)
	e := x.MantExp(m) // m in [½, 1)
	if m.Cmp(big.NewFloat(0.7071)) < 0 {
		m.SetMantExp(m, 1)
		e--
	}
	one := big.NewFloat(1)
	s := newFloat(w).Quo(newFloat(w).Sub(m, one), newFloat(w).Add(m, one))
	l := atanh(s, w)
	l.SetMantExp(l, 1)
	l.Quo(l, Ln2(w))
	// |log2 m| is at most ½ and e is an integer, so nothing cancels.
	l.Add(l, newFloat(w).SetInt64(int64(e)))
	return newFloat(prec).Set(l)
}

// Exp2 returns 2^y to prec bits, for |y| < 2^16.
func Exp2(y *big.Float, prec uint) *big.Float {
	w := prec + guard + squarings + 16
	half := big.NewFloat(0.5)
	if y.Sign() < 0 {
		half.Neg(half)
	}
	n, _ := newFloat(w+y.Prec()).Add(y, half).Int64()
	t := newFloat(w+y.Prec()).Sub(y, newFloat(64).SetInt64(n))
	t = newFloat(w).Mul(t, Ln2(w)) // 2^y = 2^n·e^t
	t.SetMantExp(t, -squarings)
	sum := newFloat(w).SetInt64(1)
	term := newFloat(w).SetInt64(1)
	for k := int64(1); ; k++ {
		term.Mul(term, t)
		term.Quo(term, newFloat(64).SetInt64(k))
		if negligible(term, sum, w) {
			break
		}
		sum.Add(sum, term)
	}
	for range squarings {
		sum.Mul(sum, sum)
	}
	return newFloat(prec).SetMantExp(sum, int(n))
}

// Pow returns x^a to prec bits, for finite x > 0 and |a·log2 x| < 2^16.
func Pow(x, a float64, prec uint) *big.Float {
	w := prec + guard
	y := Log2(new(big.Float).SetFloat64(x), w)
	y.Mul(y, new(big.Float).SetFloat64(a))
	return Exp2(y, prec)
}

// atanh returns s + s³/3 + s⁵/5 + … for |s| ≤ ½.
func atanh(s *big.Float, w uint) *big.Float {
	z := newFloat(w).Mul(s, s)
	power := newFloat(w).Set(s)
	sum := newFloat(w).Set(s)
	term := newFloat(w)
	for k := int64(3); ; k += 2 {
		power.Mul(power, z)
		term.Quo(power, newFloat(64).SetInt64(k))
		if negligible(term, sum, w) {
			return sum
		}
		sum.Add(sum, term)
	}
}

// negligible reports whether term no longer changes sum at w bits.
func negligible(term, sum *big.Float, w uint) bool {
	return term.Sign() == 0 || term.MantExp(nil) < sum.MantExp(nil)-int(w)-1
}

func newFloat(prec uint) *big.Float { return new(big.Float).SetPrec(prec) }
