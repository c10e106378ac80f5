package main

import (
	"fmt"

	"gonum.org/v1/plot"
)

// powersAndProbes compares Hessian powers and numbers of probes.
func (r *report) powersAndProbes() error {
	size := r.Sizes[0].Name
	base := r.of(r.defaultVariant(size, adaHessian))
	powers := setting{"Hessian power", r.ofAll(r.powerVariants(size)), base, func(v variant) string { return fmt.Sprintf("%g", v.Power) }}
	probes := setting{"probes in a step", r.ofAll(r.probeVariants(size)), base, func(v variant) string { return fmt.Sprint(v.Probes) }}
	r.printf("## 5. Hessian power and probes\n\nThe defaults are a power of 1 and one probe. A power of 0 is SGD with momentum. Would a power in between, or a better estimate of the curvature, end lower?\n\n")
	table(&r.body, powers.rows())
	rows := probes.rows()
	rows[0] = append(rows[0], "time of a step", "relative to SGD")
	for i, m := range probes.values {
		rows[i+1] = append(rows[i+1], milliseconds(r.stepMedian(m.variant)), ratioText(r.ratios(m.variant)))
	}
	table(&r.body, rows)
	left, err := powers.panel()
	if err != nil {
		return err
	}
	right, err := probes.panel()
	if err != nil {
		return err
	}
	if err := r.writePicture("powers.png", "Validation loss by Hessian power and by probes", [][]*plot.Plot{{left, right}}); err != nil {
		return err
	}
	r.judge(noBetter("No smaller Hessian power is better than 1", powers.values, base, func(v variant) string { return fmt.Sprintf("power %g", v.Power) }))
	r.judge(noBetter("More probes than one are not better", probes.values, base, func(v variant) string { return plural(v.Probes, "probe") }))
	return nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
