package main

import (
	"fmt"
	"image/color"
	"math"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// draw draws the times for the longest tensor, with as many threads as in the first
// row, as bars on a logarithmic axis, the fastest at the top.
func draw(path string, contenders []contender, results []result) error {
	r := results[0]
	for _, other := range results {
		if other.threads == r.threads && other.n > r.n {
			r = other
		}
	}
	var order []int
	for i, ns := range r.ns {
		if ns > 0 {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return int(math.Copysign(1, r.ns[b]-r.ns[a])) })
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	p := plot.New()
	p.Title.Text = fmt.Sprintf("A step of %.0e float32 on %d of the machine's processors", float64(r.n), r.threads)
	p.X.Label.Text = "ns per element, logarithmic"
	var names []string
	for at, i := range order {
		names = append(names, strings.ReplaceAll(contenders[i].name, "`", ""))
		bar := plotter.XYs{{X: 0.1, Y: float64(at)}, {X: r.ns[i], Y: float64(at)}}
		line, err := plotter.NewLine(bar)
		if err != nil {
			return err
		}
		line.Width = vg.Points(12)
		line.Color = color.NRGBA{R: 0x56, G: 0xb4, B: 0xe9, A: 0xff}
		if i < 2 { // this package
			line.Color = color.NRGBA{R: 0xd5, G: 0x5e, A: 0xff}
		}
		p.Add(line)
	}
	p.X.Scale = plot.LogScale{}
	p.X.Tick.Marker = plot.TickerFunc(func(lo, hi float64) (ticks []plot.Tick) {
		for _, v := range []float64{0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100} {
			if lo <= v && v <= hi {
				ticks = append(ticks, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'g', -1, 64)})
			}
		}
		return ticks
	})
	p.X.Min, p.X.Max = 0.1, 1.2*r.ns[order[0]]
	p.Y.Min, p.Y.Max = -0.6, float64(len(order))-0.4
	p.NominalY(names...)
	return p.Save(9*vg.Inch, 3.6*vg.Inch, path)
}
