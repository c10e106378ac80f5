package main

import (
	"fmt"
	"math"

	"github.com/adahessian-go/adahessian/examples/internal/chart"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
)

// intervals shows the loss and the time of a step with a Hessian in every N-th step.
func (r *report) intervals() error {
	size := r.Sizes[0].Name
	r.printf("## 4. A Hessian in every N-th step\n\nThe paper's claims: the loss is hardly worse if the Hessian is computed only in every N-th step, and a step then takes 1 + 1/N times as long as SGD's,\nbecause a Hessian-vector product costs as much as a gradient.\n\n")
	base := r.of(r.defaultVariant(size, adaHessian))
	s := setting{"steps for each Hessian", r.ofAll(r.eachVariants(size)), base, func(v variant) string { return fmt.Sprint(v.Each) }}
	rows := s.rows()
	rows[0] = append(rows[0], "time of a step", "relative to SGD", "theory")
	var got, theory []float64
	for i, m := range s.values {
		want := 1 + 1/float64(m.Each)
		got, theory = append(got, r.stepMedianRatio(m.variant)), append(theory, want)
		rows[i+1] = append(rows[i+1], milliseconds(r.stepMedian(m.variant)), ratioText(r.ratios(m.variant)), number(want, 2))
	}
	table(&r.body, rows)
	r.printf("The lowest and the highest ratio of the rounds are in brackets.\n\n")
	loss, err := s.panel()
	if err != nil {
		return err
	}
	times := newPlot("Time of a step", "steps for each Hessian", "relative to a step of SGD")
	var measured []spreadPoint
	var line plotter.XYs
	var names []string
	for i, m := range s.values {
		names = append(names, s.name(m.variant))
		line = append(line, plotter.XY{X: float64(i), Y: theory[i]})
		if ratios := r.ratios(m.variant); len(ratios) > 0 {
			_, deviation := meanAndDeviation(ratios)
			measured = append(measured, spreadPoint{float64(i), got[i], deviation})
		}
	}
	if err := addErrorBars(times, "measured", chart.Colors[0], false, measured); err != nil {
		return err
	}
	dashes, err := plotter.NewLine(line)
	if err != nil {
		return err
	}
	dashes.Color = chart.Colors[1]
	times.Add(dashes)
	times.Legend.Add("theory, 1 + 1/N", dashes)
	categories(times, names)
	room(times)
	if err := r.writePicture("intervals.png", "Validation loss and time of a step by steps for each Hessian", [][]*plot.Plot{{loss, times}}); err != nil {
		return err
	}
	r.judge(noWorse("The loss is no worse with a Hessian in every 2nd, 3rd, 5th or 10th step", s.values, base,
		func(v variant) string { return "every " + ordinal(v.Each) }))
	r.judge(timesAsInTheory(fmt.Sprintf("A step takes 1 + 1/N times that of SGD, within %.0f %%", 100*timeTolerance), got, theory))
	r.productCost(s.values, got)
	return nil
}

func ordinal(n int) string {
	switch n {
	case 1:
		return "step"
	case 2:
		return "2nd step"
	case 3:
		return "3rd step"
	}
	return fmt.Sprintf("%dth step", n)
}

// stepMedianRatio returns the median of ratios, or NaN without any.
func (r *report) stepMedianRatio(v variant) float64 {
	if ratios := r.ratios(v); len(ratios) > 0 {
		return median(ratios)
	}
	return math.NaN()
}

// productCost says what a product costs here, and whether that explains the
// times.
func (r *report) productCost(all []measured, ratios []float64) {
	cost := ratios[0] - 1 // a product in every step
	if math.IsNaN(cost) {
		return
	}
	theory := make([]float64, len(all))
	for i, m := range all {
		theory[i] = 1 + cost/float64(m.Each)
	}
	v := timesAsInTheory("", ratios, theory)
	explains := "the times follow"
	if v.answer != holds {
		explains = "the times do not follow"
	}
	r.printf("Here a product and the optimizer's own work cost %.2f steps of SGD; %s 1 + %.2f/N within %.0f %%. The exact product differentiates the forward and\n"+
		"the backward pass along z. It takes six matrix products where a gradient takes three, and does not repeat the exponentials.\n\n", cost, explains, cost, 100*timeTolerance)
}
