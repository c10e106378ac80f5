package main

import (
	"github.com/adahessian-go/adahessian"
	"github.com/adahessian-go/adahessian/examples/charlm/lm"
)

// method is an optimizer that takes part in the comparison.
type method struct {
	name  string
	flag  string    // of the learning rate
	lr    float64   // the rate of grid that was best on the tuning part
	grid  []float64 // the rates that -sweep tries: five each, half a decade apart
	start func(m *lm.Model[float32], c config) (lm.Stepper, error)
}

// The values of lr were found by
//
//	go -C examples run ./charlm -sweep
var methods = []method{
	{
		name: "AdaHessian", flag: "lr-adahessian",
		lr: 0.3, grid: []float64{0.01, 0.03, 0.1, 0.3, 1},
		start: func(m *lm.Model[float32], c config) (lm.Stepper, error) {
			opts := adahessian.DefaultOptions()
			opts.WeightDecay = c.decay
			opts.UpdateEach = c.updateEach
			opts.Seed = c.seed
			opts.Workers = c.shape.Workers
			layouts, err := lm.OverKernel(m.Shape)
			if err != nil {
				return nil, err
			}
			return lm.NewAdaHessian(m, opts, layouts)
		},
	},
	{
		name: "AdamW", flag: "lr-adamw",
		lr: 0.03, grid: []float64{0.001, 0.003, 0.01, 0.03, 0.1},
		start: func(m *lm.Model[float32], c config) (lm.Stepper, error) {
			return lm.NewAdamW(m, c.decay), nil
		},
	},
	{
		name: "SGD, momentum", flag: "lr-sgd",
		lr: 1, grid: []float64{0.03, 0.1, 0.3, 1, 3},
		start: func(m *lm.Model[float32], c config) (lm.Stepper, error) {
			return lm.NewSGD(m, c.decay), nil
		},
	},
}
