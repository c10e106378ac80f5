package main

import (
	"fmt"
	"math"

	"gonum.org/v1/plot"
)

// comparison compares the three optimizers at their best rates, by steps and by time.
func (r *report) comparison() error {
	r.printf("## 1. Validation loss\n\nThe paper's claim: AdaHessian reaches a better solution than AdamW and SGD, each at its own best learning rate.\n\n")
	var panels [][]*plot.Plot
	for _, z := range r.Sizes {
		ada := r.of(r.defaultVariant(z.Name, adaHessian))
		rows := [][]string{{z.Name + " model", "learning rate", "final loss", "minus AdaHessian's", "time of a step", "relative to SGD", "time of a run"}}
		row := func(name string, m measured) {
			less := missing
			if m.variant != ada.variant {
				less = minus(m, ada).String()
			}
			rows = append(rows, []string{name, m.rateText(), m.String(), less, milliseconds(r.stepMedian(m.variant)),
				ratioText(r.ratios(m.variant)), secondsText(r.runSeconds(m.variant))})
		}
		for _, o := range optimizers {
			row(o, r.of(r.defaultVariant(z.Name, o)))
		}
		for _, o := range []string{adamW, sgd} {
			row(longName(o), r.of(r.longVariant(z.Name, o)))
		}
		table(&r.body, rows)
		bySteps, byTime, err := r.comparisonPanels(z.Name)
		if err != nil {
			return err
		}
		panels = append(panels, []*plot.Plot{bySteps, byTime})
	}
	r.printf("\"× %g steps\" is a run that takes about as much time as AdaHessian's, with a schedule of its own. (The middle of a longer run is not comparable: its learning rate is\nstill high where a shorter run has ended.)\n\n", length)
	if err := r.writePicture("comparison.png", "Validation loss by steps and by time", panels); err != nil {
		return err
	}
	r.printf("Bands are ± one standard deviation over the seeds.\n\n")
	for _, z := range r.Sizes {
		ada := r.of(r.defaultVariant(z.Name, adaHessian))
		for _, o := range []string{adamW, sgd} {
			r.judge(lowerLoss(fmt.Sprintf("For equal steps AdaHessian ends lower than %s (%s)", o, z.Name),
				ada, r.of(r.defaultVariant(z.Name, o)), adaHessian, o))
		}
		for _, o := range []string{adamW, sgd} {
			r.judge(r.equalTime(ada, r.of(r.longVariant(z.Name, o)), o))
		}
	}
	return nil
}

func longName(optimizer string) string { return fmt.Sprintf("%s, × %g steps", optimizer, length) }

// equalTime judges AdaHessian against an optimizer that makes more steps in
// about the same time.
func (r *report) equalTime(ada, other measured, optimizer string) verdict {
	v := lowerLoss(fmt.Sprintf("For equal time AdaHessian ends lower than %s (%s)", optimizer, ada.Size), ada, other, adaHessian, longName(optimizer))
	a, b := r.runSeconds(ada.variant), r.runSeconds(other.variant)
	if math.IsNaN(a) || math.IsNaN(b) {
		v.answer = notMeasured
		v.reason += " Times are missing."
		return v
	}
	v.reason += fmt.Sprintf(" The runs take %.1f s and %.1f s.", a, b)
	return v
}

func (r *report) comparisonPanels(size string) (bySteps, byTime *plot.Plot, err error) {
	bySteps = newPlot(size+" model, by steps", "training step", lossLabel)
	byTime = newPlot(size+" model, by time", "training time, s", lossLabel)
	for _, o := range optimizers {
		m := r.of(r.defaultVariant(size, o))
		name := fmt.Sprintf("%s, η = %s", o, m.rateText())
		if err := addBand(bySteps, name, colorOf(o), false, points(m, 1)); err != nil {
			return nil, nil, err
		}
		if seconds := r.stepMedian(m.variant); !math.IsNaN(seconds) {
			if err := addBand(byTime, name, colorOf(o), false, points(m, seconds)); err != nil {
				return nil, nil, err
			}
		}
	}
	for _, o := range []string{adamW, sgd} {
		m := r.of(r.longVariant(size, o))
		if seconds := r.stepMedian(m.variant); !math.IsNaN(seconds) {
			if err := addBand(byTime, longName(o), colorOf(o), true, points(m, seconds)); err != nil {
				return nil, nil, err
			}
		}
	}
	bySteps.X.Min, byTime.X.Min = 0, 0
	return bySteps, byTime, nil
}

// points returns a curve for a plot, with steps of the given length on the x
// axis. It leaves out the first tenth, which would squeeze everything else into a
// corner.
func points(m measured, perStep float64) []spreadPoint {
	var all []spreadPoint
	curve := m.curve()
	for _, p := range curve {
		if p.step > curve[len(curve)-1].step/10 {
			all = append(all, spreadPoint{p.step * perStep, p.mean, p.deviation})
		}
	}
	return all
}
