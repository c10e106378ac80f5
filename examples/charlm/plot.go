package main

import (
	"fmt"

	"github.com/adahessian-go/adahessian/examples/charlm/lm"
	"github.com/adahessian-go/adahessian/examples/internal/chart"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// writePlot draws validation loss against steps and against time, side by
// side, into a PNG file.
func writePlot(path string, all []outcome) error {
	bySteps, err := panel(all, "Validation loss by steps", "training step",
		func(p lm.Point) float64 { return float64(p.Step) })
	if err != nil {
		return err
	}
	byTime, err := panel(all, "Validation loss by time", "training time (s)",
		func(p lm.Point) float64 { return p.Elapsed.Seconds() })
	if err != nil {
		return err
	}

	if err := chart.WritePNG(path, [][]*plot.Plot{{bySteps, byTime}}, 6*vg.Inch, 4.5*vg.Inch, 120); err != nil {
		return fmt.Errorf("-out: %w", err)
	}
	return nil
}

// panel plots the curves of all outcomes over x. It leaves out step 0, because the loss
// of the untrained model would squeeze everything else into a corner.
func panel(all []outcome, title, xLabel string, x func(lm.Point) float64) (*plot.Plot, error) {
	p := chart.New(title, xLabel, "bits per character")
	p.X.Min = 0
	for i, o := range all {
		var xy plotter.XYs
		for _, q := range o.Curve[1:] {
			xy = append(xy, plotter.XY{X: x(q), Y: q.Bits})
		}
		name := fmt.Sprintf("%s, η = %g", o.name, o.lr)
		if len(xy) == 0 {
			p.Legend.Add(name + " (diverged)")
			continue
		}
		line, err := plotter.NewLine(xy)
		if err != nil {
			return nil, fmt.Errorf("plot of %s: %w", o.name, err)
		}
		line.Color = chart.Colors[i%len(chart.Colors)]
		line.Width = vg.Points(2)
		p.Add(line)
		p.Legend.Add(name, line)
	}
	return p, nil
}
