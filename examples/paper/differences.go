package main

import (
	"math"

	"github.com/adahessian-go/adahessian/examples/internal/chart"
	"gonum.org/v1/plot"
)

// differences compares Hessian-vector products by finite differences with exact ones.
func (r *report) differences() error {
	size := r.Sizes[0].Name
	r.printf("## 6. Finite differences\n\nDoes the loss change when H z comes from `adahessian.FiniteDifference`, central differences of two gradients, instead of the exact product? Everything else is the same, including the learning rate and the probes.\n\n")
	all := r.ofAll(r.differenceVariants(size))
	exact, differences := all[0], all[1]
	differenceName := func(v variant) string {
		if v.Differences {
			return "finite differences"
		}
		return "exact"
	}
	s := setting{"products, " + size + " model", all, exact, differenceName}
	rows := s.rows()
	rows[0] = append(rows[0], "time of a step", "relative to SGD")
	for i, m := range all {
		rows[i+1] = append(rows[i+1], milliseconds(r.stepMedian(m.variant)), ratioText(r.ratios(m.variant)))
	}
	table(&r.body, rows)

	curves := newPlot("Loss during training, "+size+" model", "training step", lossLabel)
	apart := newPlot("Finite differences minus exact", "training step", "difference, bits per character")
	for i, m := range all {
		if err := addBand(curves, differenceName(m.variant), chart.Colors[i], i == 1, points(m, 1)); err != nil {
			return err
		}
	}
	gaps := curveDifference(differences, exact)
	var shown []spreadPoint
	worst, clear := 0.0, 0
	for _, g := range gaps {
		shown = append(shown, spreadPoint{g.step, g.mean, g.half})
		worst = max(worst, math.Abs(g.mean))
		if g.sign() != undecided {
			clear++
		}
	}
	if err := addBand(apart, "mean and its 95 % interval", chart.Colors[3], false, shown); err != nil {
		return err
	}
	room(apart)
	if err := r.writePicture("differences.png", "Validation loss with exact products and with finite differences", [][]*plot.Plot{{curves, apart}}); err != nil {
		return err
	}
	r.judge(noChange("Finite differences do not change the final loss", all, exact, differenceName))
	if len(gaps) > 0 {
		r.printf("During training the means are at most %s bits per character apart, and at %d of %d points the difference exceeds its 95 %% interval. "+
			"(The runs still differ, as they do after any change of rounding.)\n\n", number(worst, 4), clear, len(gaps))
	}
	return nil
}

// gap is the difference of two curves at one step.
type gap struct {
	step float64
	difference
}

// curveDifference compares two curves seed by seed where both have points, except for
// the untrained model.
func curveDifference(a, b measured) []gap {
	at := func(m measured, step float64) map[uint64]float64 {
		all := map[uint64]float64{}
		seeds := m.seeds()
		for i, run := range m.runs {
			for _, p := range run.Curve {
				if p[0] == step {
					all[seeds[i]] = p[1]
				}
			}
		}
		return all
	}
	var gaps []gap
	for _, p := range a.curve() {
		if d := subtract(at(a, p.step), at(b, p.step)); p.step > 0 && d.n > 0 {
			gaps = append(gaps, gap{p.step, d})
		}
	}
	return gaps
}
