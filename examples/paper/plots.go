package main

import (
	"fmt"
	"image/color"
	"math"
	"path/filepath"

	"github.com/adahessian-go/adahessian/examples/internal/chart"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// colorOf gives an optimizer the same colour in every picture.
func colorOf(optimizer string) color.NRGBA {
	for i, o := range optimizers {
		if o == optimizer {
			return chart.Colors[i]
		}
	}
	return chart.Colors[len(chart.Colors)-1]
}

const lossLabel = "validation loss, bits per character"

// newPlot returns an empty plot with a grid.
func newPlot(title, x, y string) *plot.Plot {
	p := chart.New(title, x, y)
	p.Title.Padding = vg.Points(6)
	p.Legend.XOffs = -vg.Points(6)
	return p
}

// spreadPoint is a mean with its spread, which may be NaN.
type spreadPoint struct{ x, mean, deviation float64 }

// addBand draws a line through the means, within a band of their spread.
func addBand(p *plot.Plot, name string, c color.NRGBA, dashed bool, points []spreadPoint) error {
	if len(points) < 2 {
		return nil
	}
	line, outline := plotter.XYs{}, plotter.XYs{}
	for _, q := range points {
		line = append(line, plotter.XY{X: q.x, Y: q.mean})
		outline = append(outline, plotter.XY{X: q.x, Y: q.mean + finite(q.deviation)})
	}
	for i := len(points) - 1; i >= 0; i-- {
		outline = append(outline, plotter.XY{X: points[i].x, Y: points[i].mean - finite(points[i].deviation)})
	}
	band, err := plotter.NewPolygon(outline)
	if err != nil {
		return err
	}
	faint := c
	faint.A = 0x38
	band.Color, band.LineStyle.Width = faint, 0
	l, err := plotter.NewLine(line)
	if err != nil {
		return err
	}
	l.Color, l.Width = c, vg.Points(1.8)
	if dashed {
		l.Dashes = []vg.Length{vg.Points(6), vg.Points(3)}
	}
	p.Add(band, l)
	p.Legend.Add(name, l)
	return nil
}

// finite treats an unknown spread as none.
func finite(x float64) float64 {
	if math.IsNaN(x) {
		return 0
	}
	return x
}

// addErrorBars draws points with error bars for their spread, joined by a line if
// joined is set.
func addErrorBars(p *plot.Plot, name string, c color.NRGBA, joined bool, points []spreadPoint) error {
	if len(points) == 0 {
		return nil
	}
	var data struct {
		plotter.XYs
		plotter.YErrors
	}
	for _, q := range points {
		data.XYs = append(data.XYs, plotter.XY{X: q.x, Y: q.mean})
		data.YErrors = append(data.YErrors, struct{ Low, High float64 }{finite(q.deviation), finite(q.deviation)})
	}
	bars, err := plotter.NewYErrorBars(data)
	if err != nil {
		return err
	}
	bars.Color, bars.Width = c, vg.Points(1.2)
	marks, err := plotter.NewScatter(data.XYs)
	if err != nil {
		return err
	}
	marks.Color, marks.Radius, marks.Shape = c, vg.Points(3.2), draw.CircleGlyph{}
	p.Add(bars, marks)
	thumbs := []plot.Thumbnailer{marks}
	if joined {
		line, err := plotter.NewLine(data.XYs)
		if err != nil {
			return err
		}
		line.Color, line.Width = c, vg.Points(1.4)
		p.Add(line)
		thumbs = append(thumbs, line)
	}
	if name != "" {
		p.Legend.Add(name, thumbs...)
	}
	return nil
}

// room makes space above and below what is drawn, and at the sides of categories.
func room(p *plot.Plot) {
	span := p.Y.Max - p.Y.Min
	if !(span > 0) {
		span = 1
	}
	p.Y.Min -= 0.05 * span
	p.Y.Max += 0.25 * span // for the legend
}

// dodge keeps bars at the same place apart.
const dodge = 0.06

// categories labels the places 0, 1, … of the x axis.
func categories(p *plot.Plot, names []string) {
	ticks := make(plot.ConstantTicks, len(names))
	for i, name := range names {
		ticks[i] = plot.Tick{Value: float64(i), Label: name}
	}
	p.X.Tick.Marker = ticks
	p.X.Min, p.X.Max = -0.5, float64(len(names))-0.5
}

// writePicture draws plots in rows into a PNG file, and refers to it.
func (r *report) writePicture(name, caption string, panels [][]*plot.Plot) error {
	if err := chart.WritePNG(filepath.Join(r.pictures, name), panels, 6*vg.Inch, 3.9*vg.Inch, 100); err != nil {
		return fmt.Errorf("-out: %w", err)
	}
	r.printf("![%s](%s/%s)\n\n", caption, r.link, name)
	return nil
}
