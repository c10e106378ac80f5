package adahessian

import (
	"fmt"
	"math"
)

// Hyper holds the hyperparameters of AdaHessian (Yao et al., AAAI 2021,
// arXiv 2006.00719, algorithm 1) for one group of parameters. Start from
// DefaultHyper. All values are finite.
type Hyper struct {
	LR           float64 // learning rate η, ≥ 0
	Beta1        float64 // decay of the first moment m, in [0, 1)
	Beta2        float64 // decay of the second moment v, in [0, 1)
	Eps          float64 // ε, added to the denominator outside root and power, ≥ 0 (see below)
	WeightDecay  float64 // λ, decoupled and scaled by the learning rate, ≥ 0
	HessianPower float64 // k: the denominator is v̂^(k/2) + ε; in [0, 2]

	// MaxUpdate bounds how far a step moves an element, weight decay apart,
	// to LR·MaxUpdate, ≥ 0; 0 means no bound, as in the published algorithm.
	// Where the curvature vanishes the denominator is ε alone, and a step
	// without a bound throws the parameter away (10,000·LR·m̂ at ε = 1e-4).
	// With an Eps of 0 it becomes infinite there, which MaxUpdate prevents, or
	// NaN where m is 0 too, which it does not.
	MaxUpdate float64
}

// DefaultHyper returns the published defaults: learning rate 0.15, β1 0.9,
// β2 0.999, ε 1e-4, no weight decay, Hessian power 1, and no MaxUpdate.
func DefaultHyper() Hyper {
	return Hyper{LR: 0.15, Beta1: 0.9, Beta2: 0.999, Eps: 1e-4, HessianPower: 1}
}

// check reports the first hyperparameter outside its range. where names the
// owner of h in the error.
func (h *Hyper) check(where string) error {
	for _, f := range [...]struct {
		name    string
		value   float64
		ok      bool
		allowed string
	}{
		{"LR", h.LR, h.LR >= 0, "at least 0"},
		{"Beta1", h.Beta1, h.Beta1 >= 0 && h.Beta1 < 1, "in [0, 1)"},
		{"Beta2", h.Beta2, h.Beta2 >= 0 && h.Beta2 < 1, "in [0, 1)"},
		{"Eps", h.Eps, h.Eps >= 0, "at least 0"},
		{"WeightDecay", h.WeightDecay, h.WeightDecay >= 0, "at least 0"},
		{"HessianPower", h.HessianPower, h.HessianPower >= 0 && h.HessianPower <= 2, "in [0, 2]"},
		{"MaxUpdate", h.MaxUpdate, h.MaxUpdate >= 0, "at least 0"},
	} {
		if !f.ok || math.IsInf(f.value, 0) {
			return fmt.Errorf("%w: %s%s = %v, want a finite value %s", ErrOption, where, f.name, f.value, f.allowed)
		}
	}
	return nil
}
