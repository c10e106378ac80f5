package main

import (
	"math"
	"strings"
	"testing"
)

// sample returns a measurement with a loss for each seed, NaN for a run that
// diverged. Samples of different names are different variants.
func sample(name string, losses ...float64) measured {
	m := measured{variant: variant{Block: name}, chosen: true, finals: map[uint64]float64{}}
	for i, x := range losses {
		if math.IsNaN(x) {
			m.diverged++
			continue
		}
		m.finals[uint64(i+1)] = x
	}
	return m
}

func block(v variant) string { return v.Block }

func TestLowerLoss(t *testing.T) {
	base := sample("b", 3.00, 3.10, 3.20)
	nan := math.NaN()
	for name, c := range map[string]struct {
		a    measured
		want string
	}{
		"clearly lower":  {sample("a", 2.90, 3.01, 3.10), holds},
		"clearly higher": {sample("a", 3.10, 3.21, 3.30), doesNotHold},
		"mixed":          {sample("a", 2.90, 3.20, 3.15), notDecided},
		"equal":          {sample("a", 3.00, 3.10, 3.20), notDecided},
		"diverged":       {sample("a", 2.90, nan, 3.10), doesNotHold},
		"missing":        {sample("a"), notMeasured},
	} {
		if got := lowerLoss("", c.a, base, "a", "b"); got.answer != c.want {
			t.Errorf("%s: %s (%s), want %s", name, got.answer, got.reason, c.want)
		}
	}
	if got := lowerLoss("", base, sample("a", nan, nan, nan), "b", "a"); got.answer != holds {
		t.Errorf("against one that diverges: %s", got.answer)
	}
}

// The margin is 1 % of 3.1.
func TestClaimsOfNoDifference(t *testing.T) {
	base := sample("b", 3.00, 3.10, 3.20)
	for name, c := range map[string]struct {
		a                       measured
		noWorse, noBetter, same string
	}{
		"close":            {sample("a", 3.001, 3.100, 3.199), holds, holds, holds},
		"surely but close": {sample("a", 3.010, 3.111, 3.210), holds, holds, holds},
		"worse":            {sample("a", 3.10, 3.21, 3.30), doesNotHold, holds, doesNotHold},
		"better":           {sample("a", 2.90, 3.01, 3.10), holds, doesNotHold, doesNotHold},
		"wide":             {sample("a", 2.90, 3.20, 3.15), notDecided, notDecided, notDecided},
		"diverged":         {sample("a", math.NaN(), 3.1, 3.2), doesNotHold, notDecided, doesNotHold},
		"missing":          {sample("a"), notMeasured, notMeasured, notMeasured},
	} {
		all := []measured{c.a, base, sample("c", 3.001, 3.100, 3.199)}
		for _, g := range []struct {
			what string
			got  verdict
			want string
		}{
			{"no worse", noWorse("", all, base, block), c.noWorse},
			{"no better", noBetter("", all, base, block), c.noBetter},
			{"no change", noChange("", all, base, block), c.same},
		} {
			if g.got.answer != g.want {
				t.Errorf("%s, %s: %s (%s), want %s", name, g.what, g.got.answer, g.got.reason, g.want)
			}
		}
	}
}

func TestTimesAsInTheory(t *testing.T) {
	theory := []float64{2, 1.5}
	for _, c := range []struct {
		measured []float64
		want     string
	}{
		{[]float64{2.1, 1.6}, holds}, {[]float64{1.9, 1.4}, holds}, {[]float64{2.1, 1.7}, doesNotHold}, {[]float64{1.7, 1.5}, doesNotHold}, {[]float64{math.NaN(), 1.5}, notMeasured},
	} {
		v := timesAsInTheory("", c.measured, theory)
		if v.answer != c.want {
			t.Errorf("%v: %s, want %s", c.measured, v.answer, c.want)
		}
	}
	if v := timesAsInTheory("", []float64{2, 3}, theory); !strings.Contains(v.reason, "100 %: 3.00, and 1.50 in theory") {
		t.Errorf("reason: %s", v.reason)
	}
}
