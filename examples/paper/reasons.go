package main

import (
	"fmt"
	"math"

	"gonum.org/v1/plot"
)

// reasons tries what may be the reason if a claim does not hold: bounds on the
// update, ε, warm-up and batch, for AdaHessian and, where it has them, for AdamW.
func (r *report) reasons() error {
	size := r.Sizes[0].Name
	ada, adam := r.of(r.defaultVariant(size, adaHessian)), r.of(r.defaultVariant(size, adamW))
	r.printf("## 7. Looking for reasons\n\nWhere AdaHessian is not ahead, is a badly chosen setting the reason? Each setting is changed by itself, with the learning rate searched again. The number of steps is the\nsame for all batch sizes, so a run with a batch of twice the size sees twice as much text.\n\n")
	maxUpdate := setting{"MaxUpdate", r.ofAll(r.maxUpdateVariants(size)), ada, func(v variant) string {
		if v.MaxUpdate == 0 {
			return "none"
		}
		return fmt.Sprintf("%g", v.MaxUpdate)
	}}
	eps := setting{"ε", r.ofAll(r.epsVariants(size)), ada, func(v variant) string { return fmt.Sprintf("%g", v.Eps) }}
	steps := func(v variant) string { return plural(v.Warmup, "step") }
	batch := func(v variant) string { return fmt.Sprintf("× %g", v.Batch) }
	warmup := setting{"warm-up", r.ofAll(r.warmupVariants(size, adaHessian)), ada, steps}
	batches := setting{"batch", r.ofAll(r.batchVariants(size, adaHessian)), ada, batch}
	for _, s := range []setting{maxUpdate, eps} {
		table(&r.body, s.rows())
	}
	adamWarmup, adamBatches := r.ofAll(r.warmupVariants(size, adamW)), r.ofAll(r.batchVariants(size, adamW))
	r.both(warmup, adamWarmup)
	r.both(batches, adamBatches)

	var panels [][]*plot.Plot
	row := []*plot.Plot{}
	for _, s := range []struct {
		setting
		other []measured
	}{{maxUpdate, nil}, {eps, nil}, {warmup, adamWarmup}, {batches, adamBatches}} {
		p := newPlot("Loss by "+s.title, s.title, lossLabel)
		legend, offset := "", 0.0
		if s.other != nil {
			legend, offset = adaHessian, dodge
		}
		if err := s.add(p, legend, 0, -offset, s.values); err != nil {
			return err
		}
		if err := s.add(p, adamW, 1, offset, s.other); err != nil {
			return err
		}
		s.finish(p)
		if row = append(row, p); len(row) == 2 {
			panels, row = append(panels, row), nil
		}
	}
	if err := r.writePicture("reasons.png", "Validation loss by bounds, ε, warm-up and batch", panels); err != nil {
		return err
	}
	for _, s := range []setting{maxUpdate, eps, warmup} {
		r.effect(s)
	}
	r.gapByBatch(batches.values, adamBatches, batch)
	r.bestSetting(append(append(maxUpdate.values, eps.values...), warmup.values...), adam)
	r.robustSettings(size)
	return nil
}

// robustSettings says whether one of the settings makes AdaHessian more robust
// to its learning rate.
func (r *report) robustSettings(size string) {
	base, adam := r.riseOf(r.defaultVariant(size, adaHessian)), r.riseOf(r.defaultVariant(size, adamW))
	r.printf("Does one of them make AdaHessian more robust to its learning rate? This is the mean rise of the loss, as in [section 2](#2-robustness-to-the-learning-rate), from the best rate of each:\n\n")
	rows := [][]string{{"setting", "best rate", "mean rise", "minus the default's", "minus AdamW's"}}
	rows = append(rows, []string{"default", r.of(base.variant).rateText(), base.String(), missing, minus(base, adam).String()})
	var better, level []string
	known := len(base.finals) > 0 && len(adam.finals) > 0
	for _, v := range r.reasonVariants(size) {
		m := r.riseOf(v)
		name := "`" + r.variantKey(v)[len(size)+len(adaHessian)+2:] + "`"
		rows = append(rows, []string{name, r.of(v).rateText(), m.String(), minus(m, base).String(), minus(m, adam).String()})
		known = known && len(m.finals) > 0
		if minus(m, base).sign() == lower {
			better = append(better, name)
		}
		if minus(m, adam).sign() != higher {
			level = append(level, name)
		}
	}
	table(&r.body, rows)
	if known {
		r.printf("More robust than the default beyond the spread: %s. Not less robust than AdamW beyond the spread: %s.\n\n", list(better), list(level))
	}
}

// both writes a table of one setting for AdaHessian and AdamW.
func (r *report) both(s setting, adam []measured) {
	rows := [][]string{{s.title, "AdaHessian's rate", "AdaHessian", "AdamW's rate", "AdamW", "AdaHessian minus AdamW"}}
	for i, m := range s.values {
		a := adam[i]
		rows = append(rows, []string{s.name(m.variant), m.rateText(), m.String(), a.rateText(), a.String(), minus(m, a).String()})
	}
	table(&r.body, rows)
}

// effect says which values of a setting change the loss.
func (r *report) effect(s setting) {
	var better []string
	unknown := false
	for _, m := range s.values {
		if m.variant == s.base.variant {
			continue
		}
		d := minus(m, s.base)
		unknown = unknown || len(m.finals)+m.diverged == 0
		if d.sign() == lower {
			better = append(better, fmt.Sprintf("%s (%v)", s.name(m.variant), d))
		}
	}
	switch {
	case unknown:
		r.printf("- **%s:** not measured.\n", capital(s.title))
	case len(better) == 0:
		r.printf("- **%s:** no value is better than the default, %s, beyond the spread: not a reason.\n", capital(s.title), s.name(s.base.variant))
	default:
		r.printf("- **%s:** better than the default, %s: %s.\n", capital(s.title), s.name(s.base.variant), list(better))
	}
}

// gapByBatch says whether the distance to AdamW depends on the batch, whose
// size decides how noisy gradients and curvature are.
func (r *report) gapByBatch(ada, adam []measured, name func(variant) string) {
	n := len(ada) - 1
	small, large := minus(ada[0], adam[0]), minus(ada[n], adam[n])
	// The change of the gap, seed by seed.
	gapOf := func(i int) map[uint64]float64 {
		all := map[uint64]float64{}
		for seed, x := range ada[i].finals {
			if y, ok := adam[i].finals[seed]; ok {
				all[seed] = x - y
			}
		}
		return all
	}
	change := subtract(gapOf(n), gapOf(0))
	if small.n == 0 || large.n == 0 || change.n == 0 {
		r.printf("- **Batch:** not measured, or runs diverged.\n")
		return
	}
	text := "the interval of the change contains zero"
	switch change.sign() {
	case lower:
		text = "a larger batch favours AdaHessian"
	case higher:
		text = "a larger batch favours AdamW"
	}
	r.printf("- **Batch:** AdaHessian minus AdamW is %v at %s and %v at %s, a change of %v: %s.\n", small, name(ada[0].variant), large, name(ada[n].variant), change, text)
}

// bestSetting compares the AdaHessian that is best on the tuning part with
// AdamW.
func (r *report) bestSetting(all []measured, adam measured) {
	best, loss := measured{}, math.Inf(1)
	for _, m := range all {
		if !m.chosen {
			r.printf("\n")
			return
		}
		if l := r.tuned(m.variant); l < loss {
			best, loss = m, l
		}
	}
	if !best.chosen || !adam.chosen {
		r.printf("\n")
		return
	}
	r.printf("\nOf MaxUpdate, ε and warm-up, the tuning part chooses %s for AdaHessian.\n\n", "`"+r.variantKey(best.variant)+"`")
	r.judge(lowerLoss("With that setting AdaHessian ends lower than AdamW for equal steps ("+best.Size+")", best, adam, "this AdaHessian", adamW))
}
