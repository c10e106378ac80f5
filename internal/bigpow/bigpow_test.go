package bigpow

import (
	"math"
	"math/big"
	"testing"
)

// Known digits: OEIS A002162 (ln 2), A001113 (e), A007525 (log2 e).
const (
	ln2Digits   = "0.69314718055994530941723212145817656807550013436025525412068000949339362196969471560586332699641868754200148102057"
	eDigits     = "2.71828182845904523536028747135266249775724709369995957496696762772407663035354759457138217852516642742746639193200"
	log2eDigits = "1.44269504088896340735992468100189213742664595415298593413544940693110921918118507988552662289350634449699751830965"
)

// agree fails unless got and want agree to bits bits.
func agree(t *testing.T, what string, got, want *big.Float, bits int) {
	t.Helper()
	d := new(big.Float).SetPrec(600).Sub(got, want)
	if d.Sign() != 0 && d.MantExp(nil) > want.MantExp(nil)-bits {
		t.Errorf("%s = %.100g\nwant %.100g", what, got, want)
	}
}

func parse(t *testing.T, s string) *big.Float {
	t.Helper()
	f, _, err := big.ParseFloat(s, 10, 500, big.ToNearestEven)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestKnownDigits(t *testing.T) {
	const prec = 340 // 102 decimal digits
	agree(t, "ln 2", Ln2(prec), parse(t, ln2Digits), prec-1)
	agree(t, "2^log2(e)", Exp2(parse(t, log2eDigits), prec), parse(t, eDigits), prec-1)
	agree(t, "log2(e)", Log2(parse(t, eDigits), prec), parse(t, log2eDigits), prec-1)
	two := new(big.Float).SetPrec(400).SetInt64(2)
	root := new(big.Float).SetPrec(400).Sqrt(two)
	agree(t, "2^½", Pow(2, 0.5, prec), root, prec-1)
	agree(t, "log2(√2)", Log2(root, prec), big.NewFloat(0.5), prec-1)
}

// TestRoots compares with roots, which math/big computes differently.
func TestRoots(t *testing.T) {
	const prec = 160
	for _, x := range []float64{1, math.Nextafter(1, 0), math.Nextafter(1, 2), 3, 1e-300, 1e300, math.SmallestNonzeroFloat64, math.MaxFloat64, 0.7071, 0.70710678118654752, 1.4142135623730951} {
		root := new(big.Float).SetPrec(prec + 40).SetFloat64(x)
		a := 1.0
		for range 6 {
			root.Sqrt(root)
			a /= 2
			agree(t, "root", Pow(x, a, prec), root, prec-1)
		}
		agree(t, "x^1", Pow(x, 1, prec), big.NewFloat(x), prec-1)
		agree(t, "x^-1", Pow(x, -1, prec), new(big.Float).SetPrec(400).Quo(big.NewFloat(1), big.NewFloat(x)), prec-1)
	}
}

func TestInverse(t *testing.T) {
	const prec = 200
	for _, y := range []float64{0, 1e-30, -1e-30, 0.5, -0.5, 0.4999, 1.75, -3.3, 1023.7, -1073.9} {
		yy := new(big.Float).SetFloat64(y)
		x := Exp2(yy, prec+100)
		if y == 0 {
			if x.Cmp(big.NewFloat(1)) != 0 {
				t.Errorf("2^0 = %v", x)
			}
			continue
		}
		agree(t, "log2(2^y)", Log2(x, prec), yy, prec-1)
	}
}

func BenchmarkPow(b *testing.B) {
	for b.Loop() {
		Pow(1.2345e-6, 0.375, 128)
	}
}
