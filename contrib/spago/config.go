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

	// MaxUpdate bounds how far a step moves an element, weight decay apart, to
	// StepSize·MaxUpdate, at least 0; 0 means no bound, as in the paper. Where the
	// curvature vanishes, as of a unit that has saturated or of a ReLU that is never
	// active, the denominator is ε alone, and a step without a bound is 10,000 learning
	// rates. A larger StepSize wants a smaller MaxUpdate.
	MaxUpdate float64

	UpdateEach int    // steps, at least 1, that use one estimate of the curvature
	Samples    int    // probes, at least 1, averaged in an estimate; each takes two calls of compute
	Seed       uint64 // of the probes

	// Average returns the axes that the curvature of the i-th parameter is averaged
	// over, which must be adjacent. Without any, and where Average is nil, every element
	// has its own. Axis 1 of weights [out, in] makes an average for each unit.
	Average func(i int, p *nn.Param) []int
}

// NewDefaultConfig returns a new Config with the published values, but for a learning
// rate of 0.02 in place of 0.15, which kills networks of ReLU even with a bound, and a
// MaxUpdate of 1 in place of none.
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
