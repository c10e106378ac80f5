package main

import (
	"fmt"
	"math"

	"github.com/adahessian-go/adahessian"
	"github.com/adahessian-go/adahessian/examples/charlm/lm"
)

// experiment makes the runs of a plan on a text.
type experiment struct {
	settings
	corpus *lm.Corpus
}

// newStepper returns a model and the optimizer of a variant that trains it.
func (e *experiment) newStepper(v variant, seed uint64) (*lm.Model[float32], lm.Stepper, error) {
	m := e.newModel(v, seed)
	switch v.Optimizer {
	case adamW:
		return m, lm.NewAdamW(m, lm.AdamWHyper{Beta1: v.Beta1, Beta2: v.Beta2, Decay: e.Decay}), nil
	case sgd:
		return m, lm.NewSGD(m, e.Decay), nil
	}
	opts := adahessian.DefaultOptions()
	opts.WeightDecay = e.Decay
	opts.Beta1, opts.Beta2 = v.Beta1, v.Beta2
	opts.HessianPower, opts.Eps, opts.MaxUpdate = v.Power, v.Eps, v.MaxUpdate
	opts.Samples, opts.UpdateEach = v.Probes, v.Each
	opts.Seed, opts.Workers = seed, 1
	all, err := e.layouts(m, v)
	if err != nil {
		return nil, nil, err
	}
	newOne := lm.NewAdaHessian[float32]
	if v.Differences {
		newOne = lm.NewAdaHessianDifferences[float32]
	}
	a, err := newOne(m, opts, all)
	if err != nil {
		return nil, nil, err
	}
	a.CurvatureBatch = int(v.Part * float64(m.Batch))
	return m, a, nil
}

// newModel returns the model of a variant, with the initial weights of a seed.
func (e *experiment) newModel(v variant, seed uint64) *lm.Model[float32] {
	if t, ok := e.transformer(v.Size); ok {
		t.Shape.Vocab = len(e.corpus.Alphabet)
		return lm.NewTransformer[float32](t.Shape, seed)
	}
	shape := e.shape(v)
	shape.Vocab = len(e.corpus.Alphabet)
	return lm.NewConv[float32](shape, seed)
}

// layouts returns the layout of each tensor of the model of a variant. No layouts means
// a curvature for each element.
func (e *experiment) layouts(m *lm.Model[float32], v variant) ([]adahessian.Layout, error) {
	if _, ok := e.transformer(v.Size); ok {
		if v.Block == blockRows {
			return rowLayouts(m)
		}
		return nil, nil
	}
	shape := e.shape(v)
	shape.Vocab = len(e.corpus.Alphabet)
	all, err := layouts(shape, v.Block)
	return all[:], err
}

// run makes one run. Its losses do not depend on what else is running.
func (e *experiment) run(sp spec) (runResult, error) {
	res := runResult{Key: e.key(sp)}
	m, stepper, err := e.newStepper(sp.variant, sp.Seed)
	if err != nil {
		return res, fmt.Errorf("%s: %w", res.Key, err)
	}
	r, err := lm.Train(m, stepper, lm.Plan{
		Train:     e.corpus.Train,
		Held:      e.corpus.Validation,
		HeldAt:    lm.Evenly(len(e.corpus.Validation), m.Span(), e.HeldSequences),
		Steps:     e.steps(sp.variant),
		Warmup:    sp.Warmup,
		EvalEvery: max(e.steps(sp.variant)/e.Measurements, 1),
		Seed:      sp.Seed,
	}, sp.rate(sp.Rung), func(float64) {})
	if err != nil {
		return res, fmt.Errorf("%s: %w", res.Key, err)
	}
	res.Steps = r.Steps
	for _, p := range r.Curve {
		res.Curve = append(res.Curve, [2]float64{float64(p.Step), rounded(p.Bits)})
	}
	tuning := m.Bits(e.corpus.Tuning, lm.Evenly(len(e.corpus.Tuning), m.Span(), e.HeldSequences))
	if r.Diverged || math.IsNaN(tuning) || math.IsInf(tuning, 0) {
		res.Diverged = true
		return res, nil
	}
	res.Tuning, res.Validation = rounded(tuning), rounded(r.Final())
	return res, nil
}

// rounded keeps as many digits of a loss as a results file needs.
func rounded(bits float64) float64 { return math.Round(bits*1e5) / 1e5 }
