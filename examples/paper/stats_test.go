package main

import (
	"math"
	"testing"
)

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s: %.12g, want %.12g", what, got, want)
	}
}

func TestMedian(t *testing.T) {
	near(t, "odd", median([]float64{9, 1, 2}), 2, 0)
	near(t, "even", median([]float64{9, 1, 2, 4}), 3, 0)
}

func TestMeanAndDeviation(t *testing.T) {
	// Deviations −2, 0, 0, 2 from 3: √(8/3).
	mean, deviation := meanAndDeviation([]float64{1, 3, 3, 5})
	near(t, "mean", mean, 3, 0)
	near(t, "deviation", deviation, math.Sqrt(8.0/3), 1e-15)
	mean, deviation = meanAndDeviation([]float64{7})
	near(t, "mean of one", mean, 7, 0)
	if !math.IsNaN(deviation) {
		t.Errorf("deviation of one value: %v", deviation)
	}
}

func TestSubtractPairsSeeds(t *testing.T) {
	a := map[uint64]float64{1: 10, 2: 21, 3: 32, 4: 1000}
	b := map[uint64]float64{3: 30, 1: 9, 2: 18, 5: -1000}
	// Differences 1, 3, 2: mean 2, deviation 1; t(0.975, 2) = 4.302653.
	d := subtract(a, b)
	if d.n != 3 {
		t.Errorf("%d pairs, want 3", d.n)
	}
	near(t, "mean", d.mean, 2, 1e-15)
	near(t, "half", d.half, 4.302653/math.Sqrt(3), 1e-6)
}

func TestSign(t *testing.T) {
	for _, c := range []struct {
		mean, half float64
		want       sign
	}{
		{-1, 0.9, lower}, {-1, 1.1, undecided}, {1, 0.9, higher}, {1, 1.1, undecided}, {1, math.NaN(), undecided}, {math.NaN(), math.NaN(), undecided},
	} {
		if got := (difference{c.mean, c.half, 3}).sign(); got != c.want {
			t.Errorf("%v ± %v: %v, want %v", c.mean, c.half, got, c.want)
		}
	}
}
