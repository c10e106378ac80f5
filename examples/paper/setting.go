package main

import (
	"github.com/adahessian-go/adahessian/examples/internal/chart"
	"gonum.org/v1/plot"
)

// setting is a table and a plot of the loss at several values of one setting.
type setting struct {
	title  string
	values []measured
	base   measured
	name   func(variant) string
}

// panel plots the losses.
func (s setting) panel() (*plot.Plot, error) {
	p := newPlot("Loss by "+s.title, s.title, lossLabel)
	if err := s.add(p, "", 0, 0, s.values); err != nil {
		return nil, err
	}
	s.finish(p)
	return p, nil
}

// add draws losses, shifted from their places by an offset.
func (s setting) add(p *plot.Plot, legend string, color int, offset float64, all []measured) error {
	var points []spreadPoint
	for i, m := range all {
		if len(m.finals) > 0 {
			mean, deviation := meanAndDeviation(m.losses())
			points = append(points, spreadPoint{float64(i) + offset, mean, deviation})
		}
	}
	return addErrorBars(p, legend, chart.Colors[color], false, points)
}

func (s setting) finish(p *plot.Plot) {
	var names []string
	for _, m := range s.values {
		names = append(names, s.name(m.variant))
	}
	categories(p, names)
	room(p)
}

// rows returns a table, whose title names the base.
func (s setting) rows() [][]string {
	rows := [][]string{{s.title, "learning rate", "final loss", "minus that of " + s.name(s.base.variant)}}
	for _, m := range s.values {
		rows = append(rows, []string{s.name(m.variant), m.rateText(), m.String(), lessBase(m, s.base)})
	}
	return rows
}
