package main

import (
	"fmt"
	"image/color"
	"math"

	"github.com/adahessian-go/adahessian"
	"github.com/adahessian-go/adahessian/examples/internal/chart"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// transformerPicture draws, for each size, the long runs by time, and how far
// each way to take the product is from AdamW.
func (r *report) transformerPicture() error {
	var panels [][]*plot.Plot
	for _, t := range r.Transformers {
		curves, err := r.transformerCurves(t)
		if err != nil {
			return err
		}
		gaps, err := r.transformerGaps(t)
		if err != nil {
			return err
		}
		panels = append(panels, []*plot.Plot{curves, gaps})
	}
	if err := r.writePicture("transformer.png", "Validation loss by time, and the distance from AdamW by the cost of the product", panels); err != nil {
		return err
	}
	r.printf("Left: the long runs, all with the same number of steps. Bands are ± one standard deviation over the seeds. Right: bars are 95 %% confidence intervals.\n\n")
	return nil
}

func (r *report) transformerCurves(t transformer) (*plot.Plot, error) {
	length := lengths[len(lengths)-1]
	p := newPlot(title(t, length), "training time, s", lossLabel)
	cheap := r.cheapest(t, length).name
	for _, f := range r.families(t, length) {
		var c color.NRGBA
		switch f.name {
		case adamW, sgd:
			c = colorOf(f.name)
		case curvatures[0].String():
			c = chart.Colors[3]
		case cheap:
			c = colorOf(adaHessian)
		default:
			continue
		}
		m, _ := r.ofFamily(t, length, f)
		seconds := r.stepMedian(m.variant)
		if math.IsNaN(seconds) {
			continue
		}
		name := f.name
		if f.optimizer == adaHessian {
			name = adaHessian + ", " + name
		}
		if err := addBand(p, name, c, false, points(m, seconds)); err != nil {
			return nil, err
		}
	}
	p.X.Min = 0
	return p, nil
}

// transformerGaps draws the differences from AdamW, for equal steps and for equal time.
func (r *report) transformerGaps(t transformer) (*plot.Plot, error) {
	p := newPlot(t.Name+" model, final loss minus AdamW's", "steps for each product, part of the batch", "bits per character")
	var names []string
	for _, c := range curvatures {
		names = append(names, c.short())
	}
	categories(p, names)
	zero, err := plotter.NewLine(plotter.XYs{{X: p.X.Min, Y: 0}, {X: p.X.Max, Y: 0}})
	if err != nil {
		return nil, err
	}
	zero.Color, zero.Dashes = colorOf(adamW), []vg.Length{vg.Points(4), vg.Points(3)}
	p.Add(zero)
	series := 0
	for _, length := range lengths {
		families := r.families(t, length)
		adam, _ := r.ofFamily(t, length, families[0])
		for _, inTime := range []bool{false, true} {
			var line []spreadPoint
			for i, c := range curvatures {
				for _, f := range families {
					if f.name != c.String() {
						continue
					}
					m, short := r.ofFamily(t, length, f)
					if inTime {
						m = short
					}
					if d := minus(m, adam); d.n > 1 {
						line = append(line, spreadPoint{float64(i) + 2*dodge*(float64(series)-1.5), d.mean, d.half})
					}
				}
			}
			name := fmt.Sprintf("%g steps", length*float64(t.Steps))
			if inTime {
				name += ", equal time"
			}
			if err := addErrorBars(p, name, chart.Colors[series], false, line); err != nil {
				return nil, err
			}
			series++
		}
	}
	room(p)
	return p, nil
}

// lost counts the runs of a sweep that diverged or ended above the untrained model.
func (r *report) lost(best measured) string {
	lost, all := 0, 0
	for _, m := range r.sweep(best) {
		lost += m.diverged
		all += m.diverged + len(m.finals)
		for _, loss := range m.finals {
			if loss > m.start {
				lost++
			}
		}
	}
	return fmt.Sprintf("%d of %d", lost, all)
}

// robustnessOnTransformer shows the loss at rates around the best, with every bound.
func (r *report) robustnessOnTransformer(t transformer) error {
	r.printf("### Robustness to the learning rate, on the Transformer\n\nAs in [section 2](#2-robustness-to-the-learning-rate), in the short runs on the %s model, with a product in %s.\n\n",
		t.Name, curvatures[2])
	rows := [][]string{append(sweepHead(title(t, lengths[0])), "lost")}
	p := newPlot(title(t, lengths[0]), "learning rate, relative to the best", lossLabel)
	categories(p, factorNames)
	p.Legend.Left, p.Legend.XOffs = true, vg.Points(10)
	rises := map[string]measured{}
	for k, v := range r.sweptOf(t, r.plan) {
		best, name, c := r.of(v), v.Optimizer, colorOf(v.Optimizer)
		if v.Optimizer == adaHessian {
			name += ", " + boundText(v.MaxUpdate)
			if v.MaxUpdate == 0 {
				c = chart.Colors[3]
			}
			if v.MaxUpdate == adahessian.NetworkHyper().MaxUpdate {
				c = color.NRGBA{A: 0xff}
			}
		}
		rises[name] = r.riseOf(v)
		row, line := r.sweepRow(name, best, dodge*(float64(k)-2))
		rows = append(rows, append(row, r.lost(best)))
		if v.MaxUpdate == 1 {
			continue // there are only as many colours
		}
		if err := addErrorBars(p, name, c, true, line); err != nil {
			return err
		}
	}
	room(p)
	p.Y.Max += 0.3 * (p.Y.Max - p.Y.Min) // five lines in the legend
	table(&r.body, rows)
	r.printf("\"Lost\" counts the runs that diverged or ended above the untrained model.\n\n")
	if err := r.writePicture("transformer_robustness.png", "Validation loss at multiples of the best learning rate, on the Transformer", [][]*plot.Plot{{p}}); err != nil {
		return err
	}
	asIs := adaHessian + ", " + boundText(adahessian.NetworkHyper().MaxUpdate)
	limit := boundText(bounds[2])
	bounded, free := adaHessian+", "+boundText(bounds[2]), adaHessian+", "+boundText(bounds[0])
	for _, c := range []struct{ claim, a, b string }{
		{"Transformer: " + limit + " makes AdaHessian more robust to its learning rate", bounded, free},
		{"Transformer: AdaHessian with " + limit + " is more robust to its learning rate than AdamW", bounded, adamW},
		{"Transformer: AdaHessian with " + limit + " is more robust to its learning rate than SGD", bounded, sgd},
		{"Transformer: `NetworkHyper` is more robust to its learning rate than AdamW", asIs, adamW},
	} {
		r.judge(moreRobust(c.claim, rises[c.a], rises[c.b], c.a, c.b))
	}
	return nil
}
