package main

import (
	"fmt"
	"math"

	"github.com/adahessian-go/adahessian"
	"github.com/adahessian-go/adahessian/examples/charlm/lm"
)

// transformer is a Transformer of one size, and its batches and runs.
type transformer struct {
	Name        string
	Shape       lm.TransformerShape
	Steps       int      // of a short run
	SearchSeeds []uint64 // of the runs that choose
	Carry       bool     // long runs keep the settings that were chosen in short ones, and only their rates are searched
}

// lengths are the lengths of the runs on the Transformer, as multiples of the short
// ones.
var lengths = []float64{1, 4}

// fullTransformer returns the settings of the part of docs/evidence.md on the
// Transformer.
func fullTransformer() settings {
	s := fullSettings()
	s.Sizes, s.Steps, s.Warmup, s.VariantSeeds, s.Tries = nil, 0, 0, nil, 0
	s.Measurements, s.MaxTries = 10, 7
	s.Transformers = []transformer{
		{smaller, lm.TransformerShape{Width: 32, Heads: 4, Layers: 1, Batch: 16, Positions: 16, Workers: 1}, 150, []uint64{1, 2}, false},
		{larger, lm.TransformerShape{Width: 40, Heads: 4, Layers: 2, Batch: 16, Positions: 16, Workers: 1}, 100, []uint64{1}, true},
	}
	return s
}

// reducedTransformer returns the settings of the part on the Transformer for
// reducedSettings.
func reducedTransformer() settings {
	s := reducedSettings()
	s.Sizes, s.Steps, s.Warmup, s.VariantSeeds, s.Tries = nil, 0, 0, nil, 0
	s.Transformers = []transformer{
		{smaller, lm.TransformerShape{Width: 4, Heads: 2, Layers: 1, Batch: 4, Positions: 4, Workers: 1}, 10, []uint64{1}, false},
		{larger, lm.TransformerShape{Width: 8, Heads: 2, Layers: 2, Batch: 4, Positions: 4, Workers: 1}, 10, []uint64{1}, true},
	}
	return s
}

// transformer returns the Transformer of a size, if the settings have one.
func (s settings) transformer(size string) (transformer, bool) {
	for _, t := range s.Transformers {
		if t.Name == size {
			return t, true
		}
	}
	return transformer{}, false
}

// steps returns the number of training steps of a variant.
func (t transformer) steps(v variant) int {
	n := float64(t.Steps) * v.Length
	if v.Price != 0 {
		n = math.Round(n / v.Price)
	}
	return int(n)
}

// lasting returns a variant with another number of steps, and the warm-up that
// belongs to it.
func (t transformer) lasting(v variant, length, price float64) variant {
	v.Length, v.Price = length, price
	v.Warmup = lm.DefaultWarmup(t.steps(v))
	return v
}

// curvature says how often AdaHessian takes a Hessian-vector product, and over how much
// of the batch.
type curvature struct {
	each  int
	part  float64 // of the batch
	price float64 // the time of a step in steps of AdamW, about: from the benchmark Cost of charlm/lm
}

// The whole batch in every step, as published, and ever less.
var curvatures = []curvature{{1, 1, 2.6}, {1, 0.25, 1.4}, {5, 0.25, 1.08}, {10, 0.25, 1.04}}

// cheap reports whether a step costs hardly more than one of AdamW.
func (c curvature) cheap() bool { return c.each > 1 }

func (c curvature) String() string {
	part := fmt.Sprintf("%g of the batch", c.part)
	switch c.part {
	case 1:
		part = "the whole batch"
	case 0.25:
		part = "a quarter of the batch"
	}
	return fmt.Sprintf("every %s, %s", ordinal(c.each), part)
}

// short is String for a plot.
func (c curvature) short() string { return fmt.Sprintf("%d, %g", c.each, c.part) }

// The settings from which a family chooses, equally many for each except SGD.
var (
	bounds = []float64{0, 1, 0.3}         // MaxUpdate
	beta2s = []float64{0.999, 0.99, 0.95} // of AdamW
	others = []variant{                   // of AdaHessian, each with MaxUpdate 0.3 and blocks
		{Beta1: 0.9, Beta2: 0.95},
		{Beta1: 0.8, Beta2: 0.999},
		{Beta1: 0.8, Beta2: 0.95},
	}
)

// blockRows means a block for each row of a matrix, and one for each vector (the
// biases, and the gains of the layer norms).
const blockRows = "rows"

// shortBeta1 is a shorter memory of gradients, for runs as short as these.
const shortBeta1 = 0.8

// The names of the families other than those of curvatures.
const (
	adamW8   = "AdamW, β1 0.8"
	adaTuned = "AdaHessian, tuned"
	adaAsIs  = "AdaHessian, `NetworkHyper`"
)

// family is a set of variants from which the tuning part chooses one.
type family struct {
	name      string
	price     float64 // of AdaHessian's steps, for runs that take as much time as AdamW's; 0: none
	all       []variant
	optimizer string
	rung      *int // of its learning rate, if that is not searched
}

// families returns what is compared on one Transformer in runs of one length.
func (s settings) families(t transformer, length float64) []family {
	base := func(optimizer string) variant {
		return t.lasting(s.defaultVariant(t.Name, optimizer), length, 0)
	}
	ada := func(c curvature) variant {
		v := base(adaHessian)
		v.Each, v.Part = c.each, c.part
		return v
	}
	bounded := func(v *variant, x float64) { v.MaxUpdate = x }
	forgetting := func(v *variant, x float64) { v.Beta2 = x }
	all := []family{
		{name: adamW, all: vary(base(adamW), beta2s, forgetting), optimizer: adamW},
		{name: sgd, all: []variant{base(sgd)}, optimizer: sgd},
	}
	for _, c := range curvatures {
		all = append(all, family{name: c.String(), price: c.price, all: vary(ada(c), bounds, bounded), optimizer: adaHessian})
	}
	short, fifth := base(adamW), curvatures[2]
	short.Beta1 = shortBeta1
	asIs, rung := ada(fifth), rungOf(adahessian.NetworkHyper().LR)
	asIs.set(adahessian.NetworkHyper())
	return append(all,
		family{adaAsIs, fifth.price, []variant{asIs}, adaHessian, &rung},
		family{name: adamW8, all: vary(short, beta2s, forgetting), optimizer: adamW},
		family{name: adaTuned, price: fifth.price, all: vary(ada(fifth), others, func(v *variant, o variant) {
			v.Beta1, v.Beta2, v.Block, v.MaxUpdate = o.Beta1, o.Beta2, blockRows, 0.3
		}), optimizer: adaHessian})
}

// set gives AdaHessian all hyperparameters except the learning rate and the weight
// decay.
func (v *variant) set(h adahessian.Hyper) {
	v.Beta1, v.Beta2, v.Eps, v.Power, v.MaxUpdate = h.Beta1, h.Beta2, h.Eps, h.HessianPower, h.MaxUpdate
}

// rowLayouts returns the layouts of blockRows.
func rowLayouts[T lm.Float](m *lm.Model[T]) ([]adahessian.Layout, error) {
	var all []adahessian.Layout
	for _, p := range m.Parameters() {
		l, err := adahessian.AverageAxes(p.Shape, len(p.Shape)-1)
		if err != nil {
			return nil, fmt.Errorf("layout of %s: %w", p.Name, err)
		}
		all = append(all, l)
	}
	return all, nil
}
