package lm

import (
	"math"
	"testing"
)

// Two steps of each rule, on one parameter with decay and one without, worked out by
// hand from the formulas.

func TestAdamWByHand(t *testing.T) {
	values := [][]float64{{1}, {1}}
	a := newAdamWRule(values, []float64{0.5, 0}, DefaultAdamW())

	// t = 1, η = 0.1: m̂ = g, v̂ = g², so the step is η·(sign(g) + λ θ).
	a.update(values, [][]float64{{2}, {-4}}, 0.1)
	near(t, "decayed, step 1", values[0][0], 1-0.1*(1+0.5*1))
	near(t, "undecayed, step 1", values[1][0], 1+0.1)

	// t = 2, η = 0.2, g = 1 and 0:
	// m = 0.9·0.2 + 0.1·1 = 0.28,            m̂ = 0.28/0.19
	// v = 0.999·0.004 + 0.001·1 = 0.004996,  v̂ = 0.004996/0.001999
	// and m = 0.9·(−0.4) = −0.36, m̂ = −0.36/0.19; v = 0.999·0.016 = 0.015984
	a.update(values, [][]float64{{1}, {0}}, 0.2)
	near(t, "decayed, step 2", values[0][0], 0.85-0.2*(0.28/0.19/math.Sqrt(0.004996/0.001999)+0.5*0.85))
	near(t, "undecayed, step 2", values[1][0], 1.1+0.2*0.36/0.19/math.Sqrt(0.015984/0.001999))
}

func TestAdamWTakesItsDecays(t *testing.T) {
	values := [][]float64{{1}}
	a := newAdamWRule(values, []float64{0}, AdamWHyper{Beta1: 0.5, Beta2: 0.75})
	a.update(values, [][]float64{{2}}, 0.1)
	near(t, "step 1", values[0][0], 0.9)
	// m = 0.5·1 + 0.5·8 = 4.5, m̂ = 4.5/0.75; v = 0.75·1 + 0.25·64 = 16.75, v̂ = 16.75/0.4375
	a.update(values, [][]float64{{8}}, 0.1)
	near(t, "step 2", values[0][0], 0.9-0.1*6/math.Sqrt(16.75/0.4375))
}

func TestSGDByHand(t *testing.T) {
	values := [][]float64{{1}, {1}}
	s := newSGDRule(values, []float64{0.5, 0})

	// m = 2 and −4; θ = 1 − 0.1·(2 + 0.5·1) and 1 + 0.1·4
	s.update(values, [][]float64{{2}, {-4}}, 0.1)
	near(t, "decayed, step 1", values[0][0], 0.75)
	near(t, "undecayed, step 1", values[1][0], 1.4)

	// m = 0.9·2 + 1 = 2.8 and 0.9·(−4) = −3.6; η = 0.2
	s.update(values, [][]float64{{1}, {0}}, 0.2)
	near(t, "decayed, step 2", values[0][0], 0.75-0.2*(2.8+0.5*0.75))
	near(t, "undecayed, step 2", values[1][0], 1.4+0.2*3.6)
}

// near allows for the ε of AdamW, which is 1e-8 next to denominators of about 1.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 2e-8 {
		t.Errorf("%s: %.12g, want %.12g", what, got, want)
	}
}
