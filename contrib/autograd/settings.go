package ahautograd

import (
	"math"

	"github.com/adahessian-go/adahessian"
)

// The defaults of the fields of AdaHessian.
const (
	// DefaultAlpha is below the published 0.15, which kills ReLU networks even with the
	// bound of DefaultMaxUpdate.
	DefaultAlpha = 0.02

	// DefaultMaxUpdate lets a step move an element at most by the learning rate.
	DefaultMaxUpdate = 1.0
)

// settings returns the values of the fields, or their defaults.
func (o *AdaHessian) settings() adahessian.Hyper {
	published := adahessian.DefaultHyper()
	h := adahessian.Hyper{
		LR:           or(o.Alpha, DefaultAlpha),
		Beta1:        or(o.Beta1, published.Beta1),
		Beta2:        or(o.Beta2, published.Beta2),
		Eps:          or(o.Epsilon, published.Eps),
		WeightDecay:  o.WeightDecay,
		HessianPower: or(o.HessianPower, published.HessianPower),
		MaxUpdate:    or(o.MaxUpdate, DefaultMaxUpdate),
	}
	if math.IsInf(h.MaxUpdate, 1) {
		h.MaxUpdate = 0 // no bound
	}
	return h
}

// options returns settings and the remaining options.
func (o *AdaHessian) options() adahessian.Options {
	return adahessian.Options{
		Hyper:      o.settings(),
		Samples:    or(o.Samples, 1),
		UpdateEach: or(o.UpdateEach, 1),
		Seed:       o.Seed,
	}
}

// or returns x, or instead if x is 0.
func or[T int | float64](x, instead T) T {
	if x == 0 {
		return instead
	}
	return x
}
