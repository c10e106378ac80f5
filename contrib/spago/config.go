package ahspago

import (
	"github.com/adahessian-go/adahessian"
	"github.com/nlpodyssey/spago/nn"
)

// Config provides configuration settings for an AdaHessian optimizer. Optimize reports
// values outside their range.
type Config struct {
	StepSize     float64 // learning rate η, at least 0
	Beta1        float64 // decay of the first moment, of gradients, in [0, 1)
	Beta2        float64 // decay of the second moment, of squared curvatures, in [0, 1)
	Epsilon      float64 // ε, added to the denominator, at least 0
	Lambda       float64 // weight decay, decoupled and scaled by the learning rate, at least 0
	HessianPower float64 // k in [0, 2]: the denominator is v̂^(k/2) + ε

	// MaxUpdate bounds how far a step moves an element, apart from weight decay, to
	// StepSize·MaxUpdate. It is at least 0, and 0 means no bound, as in the paper.
	// Where the curvature vanishes, as for a saturated unit or a ReLU that is never
	// active, the denominator is ε alone, and a step without a bound is 10,000 learning
	// rates long. A larger StepSize needs a smaller MaxUpdate.
	MaxUpdate float64

	UpdateEach int    // how many steps, at least 1, use one estimate of the curvature
	Samples    int    // how many probes, at least 1, are averaged in an estimate; each takes two calls of compute
	Seed       uint64 // the seed of the probes

	// Average returns the axes over which the curvature of the i-th parameter is
	// averaged. They must be adjacent. If it returns none, or if Average is nil, every
	// element has its own curvature. For weights [out, in], axis 1 gives one average for
	// each unit.
	Average func(i int, p *nn.Param) []int
}

// NewDefaultConfig returns a new Config with the published values, except for two. The
// learning rate is 0.02 instead of 0.15, which kills ReLU networks even with a bound,
// and MaxUpdate is 1 instead of no bound.
func NewDefaultConfig() Config {
	return Config{
		StepSize:     0.02,
		Beta1:        0.9,
		Beta2:        0.999,
		Epsilon:      1e-4,
		HessianPower: 1,
		MaxUpdate:    1,
		UpdateEach:   1,
		Samples:      1,
	}
}

// hyper returns the part of the settings that each step reads.
func (c *Config) hyper() adahessian.Hyper {
	return adahessian.Hyper{
		LR: c.StepSize, Beta1: c.Beta1, Beta2: c.Beta2, Eps: c.Epsilon,
		WeightDecay: c.Lambda, HessianPower: c.HessianPower, MaxUpdate: c.MaxUpdate,
	}
}

func (c *Config) options() adahessian.Options {
	return adahessian.Options{Hyper: c.hyper(), UpdateEach: c.UpdateEach, Samples: c.Samples, Seed: c.Seed}
}
