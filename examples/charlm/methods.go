package main

import (
	"github.com/adahessian-go/adahessian"
	"github.com/adahessian-go/adahessian/examples/charlm/lm"
)

// method is an optimizer that takes part in the comparison.
type method struct {
	name  string
	flag  string            // of the learning rate
	tuned map[string]tuning // for each kind of model
	start func(m *lm.Model[float32], c config) (lm.Stepper, error)
}

// tuning is a search for the learning rate.
type tuning struct {
	lr   float64   // the rate of grid that was best on the tuning part
	grid []float64 // the rates that -sweep tries: five each, half a decade apart
}

// The values of lr were found by
//
//	go -C examples run ./charlm -sweep -steps 800
//	go -C examples run ./charlm -sweep -model conv
//
// For the Transformer, AdaHessian had a -max-update of 0.3.
var methods = []method{
	{
		name: "AdaHessian", flag: "lr-adahessian",
		tuned: map[string]tuning{
			transformer: {0.3, []float64{0.03, 0.1, 0.3, 1, 3}},
			conv:        {0.3, []float64{0.01, 0.03, 0.1, 0.3, 1}},
		},
		start: func(m *lm.Model[float32], c config) (lm.Stepper, error) {
			opts := adahessian.DefaultOptions()
			opts.MaxUpdate = c.maxUpdate
			opts.WeightDecay = c.decay
			opts.UpdateEach = c.updateEach
			opts.Seed = c.seed
			opts.Workers = c.workers
			a, err := lm.NewAdaHessian(m, opts, nil)
			if err != nil {
				return nil, err
			}
			a.CurvatureBatch = c.curvatureBatch
			return a, nil
		},
	},
	{
		name: "AdamW", flag: "lr-adamw",
		tuned: map[string]tuning{
			transformer: {0.01, []float64{0.001, 0.003, 0.01, 0.03, 0.1}},
			conv:        {0.03, []float64{0.001, 0.003, 0.01, 0.03, 0.1}},
		},
		start: func(m *lm.Model[float32], c config) (lm.Stepper, error) {
			h := lm.DefaultAdamW()
			h.Decay = c.decay
			return lm.NewAdamW(m, h), nil
		},
	},
	{
		name: "SGD, momentum", flag: "lr-sgd",
		tuned: map[string]tuning{
			transformer: {1, []float64{0.03, 0.1, 0.3, 1, 3}},
			conv:        {1, []float64{0.03, 0.1, 0.3, 1, 3}},
		},
		start: func(m *lm.Model[float32], c config) (lm.Stepper, error) {
			return lm.NewSGD(m, c.decay), nil
		},
	},
}
