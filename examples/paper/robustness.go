package main

import (
	"fmt"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
)

// factorNames are the factors of sweepRungs. The rates are rungs of a ladder of half
// decades, so a factor of 3 is really 3 or 3⅓.
var factorNames = []string{"0.1", "0.3", "1", "3", "10"}

// robustness shows the loss at rates around the best.
func (r *report) robustness() error {
	r.printf("## 2. Robustness to the learning rate\n\nThe paper's claim: AdaHessian is more robust to the choice of the learning rate than the others.\n\n" +
		"The final loss at 0.1 to 10 times the best learning rate. The last column is the mean, over the four other rates, of how much higher the loss is than at the best;\nif a run diverged or ended above the untrained model, the loss of the untrained model is used instead.\n\n")
	panels := [][]*plot.Plot{nil}
	for _, z := range r.Sizes {
		rows := [][]string{sweepHead(z.Name + " model")}
		p := newPlot(z.Name+" model", "learning rate, relative to the best", lossLabel)
		categories(p, factorNames)
		p.Legend.Left, p.Legend.XOffs = true, vg.Points(10) // the highest losses are at the right
		for k, o := range optimizers {
			row, line := r.sweepRow(o, r.of(r.defaultVariant(z.Name, o)), dodge*float64(k-1))
			rows = append(rows, row)
			if err := addErrorBars(p, o, colorOf(o), true, line); err != nil {
				return err
			}
		}
		room(p)
		table(&r.body, rows)
		panels[0] = append(panels[0], p)
	}
	if err := r.writePicture("robustness.png", "Validation loss at multiples of the best learning rate", panels); err != nil {
		return err
	}
	r.printf("Bars are ± one standard deviation over the seeds. Rates at which the mean is above the untrained model are not drawn.\n\n")
	for _, z := range r.Sizes {
		ada := r.riseOf(r.defaultVariant(z.Name, adaHessian))
		for _, o := range []string{adamW, sgd} {
			r.judge(moreRobust(fmt.Sprintf("AdaHessian is more robust to its learning rate than %s (%s)", o, z.Name),
				ada, r.riseOf(r.defaultVariant(z.Name, o)), adaHessian, o))
		}
	}
	return nil
}

// sweepHead is the head of a table of sweeps.
func sweepHead(title string) []string {
	row := []string{title, "best rate"}
	for _, f := range factorNames {
		row = append(row, "× "+f)
	}
	return append(row, "mean rise")
}

// sweepRow returns a row of such a table, and its points for a plot, shifted from
// their places by an offset.
func (r *report) sweepRow(name string, best measured, offset float64) (row []string, line []spreadPoint) {
	row = []string{name, best.rateText()}
	if !best.chosen {
		row = append(row, missing, missing, missing, missing, missing)
	}
	for i, m := range r.sweep(best) {
		row = append(row, m.String())
		if mean, deviation := meanAndDeviation(m.losses()); !math.IsNaN(mean) && mean < m.start {
			line = append(line, spreadPoint{float64(i) + offset, mean, deviation})
		}
	}
	return append(row, measured{finals: r.rises(best)}.String()), line
}

// moreRobust judges the claim that a has a lower mean rise than b.
func moreRobust(claim string, a, b measured, nameA, nameB string) verdict {
	v := lowerLoss(claim, a, b, nameA, nameB)
	if v.answer != notMeasured {
		v.reason = fmt.Sprintf("The mean rise of %s minus that of %s is %v.", nameA, nameB, minus(a, b))
	}
	return v
}

// riseOf returns the rises of a variant as if they were losses.
func (r *report) riseOf(v variant) measured {
	return measured{variant: v, chosen: true, finals: r.rises(r.of(v))}
}

// sweep returns what was measured at each of the factors.
func (r *report) sweep(best measured) []measured {
	if !best.chosen {
		return nil
	}
	var all []measured
	for _, rung := range sweepRungs(best.rung) {
		all = append(all, r.at(best.variant, rung))
	}
	return all
}

// rises returns, for each seed, the mean rise of the loss at the other rates
// of a sweep. It returns no seeds unless all runs are finished.
func (r *report) rises(best measured) map[uint64]float64 {
	all := map[uint64]float64{}
	if !best.chosen {
		return all
	}
	for _, seed := range r.seedsOf(best.variant) {
		loss := func(rung int) float64 {
			res, ok := r.results.run(r.key(spec{best.variant, rung, seed}))
			if !ok {
				return math.NaN()
			}
			untrained := res.Curve[0][1]
			if res.Diverged {
				return untrained
			}
			return min(res.Validation, untrained)
		}
		sum := 0.0
		rungs := sweepRungs(best.rung)
		for _, rung := range rungs {
			sum += loss(rung) - loss(best.rung) // 0 for the best itself
		}
		if rise := sum / float64(len(rungs)-1); !math.IsNaN(rise) {
			all[seed] = rise
		}
	}
	return all
}
