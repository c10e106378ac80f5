package main

import (
	"fmt"
	"image/color"
	"math"
	"os"
	"strconv"

	"github.com/adahessian-go/adahessian/examples/charlm/lm"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// lineColors can be told apart with any colour vision (Okabe and Ito, "Color
// Universal Design", 2008).
var lineColors = []color.Color{
	color.RGBA{R: 0xd5, G: 0x5e, B: 0x00, A: 0xff},
	color.RGBA{R: 0x00, G: 0x72, B: 0xb2, A: 0xff},
	color.RGBA{R: 0x00, G: 0x9e, B: 0x73, A: 0xff},
}

// writePlot draws validation loss against steps and against time, side by
// side, into a PNG file.
func writePlot(path string, all []outcome) error {
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
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

	img := vgimg.NewWith(vgimg.UseWH(12*vg.Inch, 4.5*vg.Inch), vgimg.UseDPI(120))
	page := draw.New(img)
	tiles := draw.Tiles{Rows: 1, Cols: 2, PadX: vg.Points(24),
		PadTop: vg.Points(8), PadBottom: vg.Points(8), PadLeft: vg.Points(8), PadRight: vg.Points(16)}
	panels := [][]*plot.Plot{{bySteps, byTime}}
	for i, canvas := range plot.Align(panels, tiles, page)[0] {
		panels[0][i].Draw(canvas)
	}

	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("-out: %w", err)
	}
	if _, err := (vgimg.PngCanvas{Canvas: img}).WriteTo(f); err != nil {
		f.Close()
		return fmt.Errorf("-out: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("-out: %w", err)
	}
	return nil
}

// panel plots the curves of all outcomes over x. It leaves out step 0: the
// loss of the untrained model would squeeze all else into a corner.
func panel(all []outcome, title, xLabel string, x func(lm.Point) float64) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = title
	p.X.Label.Text = xLabel
	p.Y.Label.Text = "bits per character"
	p.X.Min = 0
	p.Legend.Top = true
	p.Legend.Padding = vg.Points(3)
	p.Legend.ThumbnailWidth = vg.Points(28)
	p.Legend.YOffs = -vg.Points(4)
	p.X.Tick.Marker = plot.TickerFunc(labelledTicks)
	p.Y.Tick.Marker = plot.TickerFunc(labelledTicks)
	grid := plotter.NewGrid()
	grid.Horizontal.Color = color.Gray{Y: 0xe4}
	grid.Vertical.Color = grid.Horizontal.Color
	p.Add(grid)
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
		line.Color = lineColors[i%len(lineColors)]
		line.Width = vg.Points(2)
		p.Add(line)
		p.Legend.Add(name, line)
	}
	return p, nil
}

// labelledTicks gives every tick its number; gonum's own labels are too few to
// read a value off a curve.
func labelledTicks(lo, hi float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(lo, hi)
	for i := range ticks {
		ticks[i].Label = strconv.FormatFloat(math.Round(ticks[i].Value*1e4)/1e4, 'f', -1, 64)
	}
	return ticks
}
