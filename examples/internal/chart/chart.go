// Package chart has what the plots of the commands have in common.
package chart

import (
	"image/color"
	"math"
	"os"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// Colors can be told apart with any colour vision (Okabe and Ito, "Color
// Universal Design", 2008).
var Colors = []color.NRGBA{
	{R: 0xd5, G: 0x5e, B: 0x00, A: 0xff},
	{R: 0x00, G: 0x72, B: 0xb2, A: 0xff},
	{R: 0x00, G: 0x9e, B: 0x73, A: 0xff},
	{R: 0xcc, G: 0x79, B: 0xa7, A: 0xff},
}

// New returns an empty plot with a grid.
func New(title, x, y string) *plot.Plot {
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Legend.Top = true
	p.Legend.Padding = vg.Points(3)
	p.Legend.ThumbnailWidth = vg.Points(28)
	p.Legend.YOffs = -vg.Points(4)
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.TickerFunc(labelledTicks), plot.TickerFunc(labelledTicks)
	grid := plotter.NewGrid()
	grid.Horizontal.Color = color.Gray{Y: 0xe4}
	grid.Vertical.Color = grid.Horizontal.Color
	p.Add(grid)
	return p
}

// labelledTicks gives every tick its number. gonum labels too few ticks to read a value
// off a curve.
func labelledTicks(lo, hi float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(lo, hi)
	for i := range ticks {
		ticks[i].Label = strconv.FormatFloat(math.Round(ticks[i].Value*1e4)/1e4, 'f', -1, 64)
	}
	return ticks
}

// WritePNG draws plots in rows into a file. Each plot has the given width and height.
func WritePNG(path string, panels [][]*plot.Plot, width, height vg.Length, dpi int) error {
	rows, cols := len(panels), len(panels[0])
	img := vgimg.NewWith(vgimg.UseWH(width*vg.Length(cols), height*vg.Length(rows)), vgimg.UseDPI(dpi))
	tiles := draw.Tiles{Rows: rows, Cols: cols, PadX: vg.Points(24), PadY: vg.Points(18),
		PadTop: vg.Points(8), PadBottom: vg.Points(8), PadLeft: vg.Points(8), PadRight: vg.Points(16)}
	for i, row := range plot.Align(panels, tiles, draw.New(img)) {
		for j, canvas := range row {
			panels[i][j].Draw(canvas)
		}
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := (vgimg.PngCanvas{Canvas: img}).WriteTo(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
