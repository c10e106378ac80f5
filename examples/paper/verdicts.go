package main

import (
	"fmt"
	"math"
	"strings"
)

// verdict is what the measurements say about a claim.
type verdict struct {
	claim  string
	answer string
	reason string
}

// The answers.
const (
	holds       = "holds here"
	doesNotHold = "does not hold here"
	notDecided  = "not decided"
	notMeasured = "not measured"
)

// lowerLoss judges the claim that a reaches a lower loss than b.
func lowerLoss(claim string, a, b measured, nameA, nameB string) verdict {
	if len(a.finals)+a.diverged == 0 || len(b.finals)+b.diverged == 0 {
		return verdict{claim, notMeasured, "runs are missing."}
	}
	if a.diverged+b.diverged > 0 {
		v := verdict{claim, notDecided, fmt.Sprintf("%s diverged in %d of %d runs, %s in %d of %d.",
			nameA, a.diverged, a.diverged+len(a.finals), nameB, b.diverged, b.diverged+len(b.finals))}
		if a.diverged > b.diverged {
			v.answer = doesNotHold
		} else if a.diverged < b.diverged {
			v.answer = holds
		}
		return v
	}
	d := minus(a, b)
	v := verdict{claim, notDecided, fmt.Sprintf("the loss of %s minus that of %s is %v bits per character", nameA, nameB, d)}
	switch d.sign() {
	case lower:
		v.answer = holds
		v.reason += "."
	case higher:
		v.answer = doesNotHold
		v.reason += "."
	default:
		v.reason += ": the interval contains zero."
	}
	return v
}

// margin is the share of a loss that counts as a difference, for claims that there
// is none. Without it, a spread as wide as the loss itself would confirm them.
const margin = 0.01

// noWorse judges the claim that none of a list is worse than the base by the
// margin.
func noWorse(claim string, all []measured, base measured, name func(variant) string) verdict {
	return within(claim, all, base, name, true, false)
}

// noBetter judges the claim that none of a list is better by the margin.
func noBetter(claim string, all []measured, base measured, name func(variant) string) verdict {
	return within(claim, all, base, name, false, true)
}

// noChange judges the claim that all of a list equal the base within the margin.
func noChange(claim string, all []measured, base measured, name func(variant) string) verdict {
	return within(claim, all, base, name, true, true)
}

// within judges the claim that losses are within the margin of that of the
// base, above it, below it or both. A difference that exceeds its own spread
// speaks against the claim unless all of its interval is within the margin;
// one whose interval reaches beyond the margin, and contains zero, leaves it open.
func within(claim string, all []measured, base measured, name func(variant) string, above, below bool) verdict {
	if len(base.finals) == 0 {
		return verdict{claim, notMeasured, "runs are missing."}
	}
	bound := margin * meanOf(base.losses())
	var against, open, within, unknown []string
	for _, m := range all {
		if m.variant == base.variant {
			continue
		}
		d := minus(m, base)
		text := fmt.Sprintf("%s (%v)", name(m.variant), d)
		switch {
		case m.diverged > 0 || base.diverged > 0:
			text = fmt.Sprintf("%s (diverged in %d of %d runs)", name(m.variant), m.diverged, m.diverged+len(m.finals))
			if above && m.diverged > base.diverged {
				against = append(against, text)
			} else {
				open = append(open, text)
			}
		case d.n == 0:
			unknown = append(unknown, name(m.variant))
		case (!above || d.mean+d.half <= bound) && (!below || d.mean-d.half >= -bound):
			within = append(within, text)
		case above && d.sign() == higher || below && d.sign() == lower:
			against = append(against, text)
		default:
			open = append(open, text)
		}
	}
	if len(unknown) > 0 {
		return verdict{claim, notMeasured, "not known: " + list(unknown) + "."}
	}
	v := verdict{claim, holds, ""}
	switch {
	case len(against) > 0:
		v.answer = doesNotHold
	case len(open) > 0:
		v.answer = notDecided
	}
	var parts []string
	for _, g := range []struct {
		what  string
		names []string
	}{{"against the claim", against}, {"as claimed", within}, {"open, since the interval contains both zero and more than the margin", open}} {
		if len(g.names) > 0 {
			parts = append(parts, g.what+": "+list(g.names))
		}
	}
	v.reason = fmt.Sprintf("differences from %s, with a margin of %s (%g %%); %s.", name(base.variant), number(bound, 3), 100*margin, strings.Join(parts, "; "))
	return v
}

func meanOf(x []float64) float64 {
	mean, _ := meanAndDeviation(x)
	return mean
}

// timeTolerance is how far a ratio of times may be from the theory.
const timeTolerance = 0.1

// timesAsInTheory judges the claim that ratios of times are what a formula says.
func timesAsInTheory(claim string, measured, theory []float64) verdict {
	worst, at := 0.0, 0
	for i := range measured {
		if math.IsNaN(measured[i]) {
			return verdict{claim, notMeasured, "times are missing."}
		}
		if off := math.Abs(measured[i]/theory[i] - 1); off > worst {
			worst, at = off, i
		}
	}
	v := verdict{claim, holds, fmt.Sprintf("the largest deviation is %.0f %%: %.2f, and %.2f in theory.", 100*worst, measured[at], theory[at])}
	if worst > timeTolerance {
		v.answer = doesNotHold
	}
	return v
}
