package main

import "slices"

// The values of each setting of AdaHessian that are compared, the default
// among them.
var (
	eachValues  = []int{1, 2, 3, 5, 10}
	powerValues = []float64{0.5, 0.75, 1}
	probeValues = []int{1, 2, 4}

	// If a claim does not hold, one of these may be the reason.
	maxUpdateValues = []float64{0, 10, 1}
	epsValues       = []float64{1e-8, 1e-4, 1e-2}
	batchValues     = []float64{0.5, 1, 2, 4}
)

// length is about how many times as many steps as AdaHessian the other optimizers make
// in the same time. Each also gets a run of that length, with a schedule of its own.
const length = 2.5

// warmupValues are none, the default, and a fifth of the steps.
func (s settings) warmupValues() []int { return []int{0, s.Warmup, s.Steps / 5} }

// vary returns the default variant of an optimizer with a list of values for
// one setting, in the order of the values.
func vary[T any](v variant, values []T, set func(*variant, T)) []variant {
	all := make([]variant, len(values))
	for i, value := range values {
		all[i] = v
		set(&all[i], value)
	}
	return all
}

func (s settings) blockVariants(size string) []variant {
	return vary(s.defaultVariant(size, adaHessian), blocks, func(v *variant, b string) { v.Block = b })
}

func (s settings) eachVariants(size string) []variant {
	return vary(s.defaultVariant(size, adaHessian), eachValues, func(v *variant, n int) { v.Each = n })
}

func (s settings) powerVariants(size string) []variant {
	return vary(s.defaultVariant(size, adaHessian), powerValues, func(v *variant, k float64) { v.Power = k })
}

func (s settings) probeVariants(size string) []variant {
	return vary(s.defaultVariant(size, adaHessian), probeValues, func(v *variant, n int) { v.Probes = n })
}

func (s settings) differenceVariants(size string) []variant {
	return vary(s.defaultVariant(size, adaHessian), []bool{false, true}, func(v *variant, on bool) { v.Differences = on })
}

func (s settings) maxUpdateVariants(size string) []variant {
	return vary(s.defaultVariant(size, adaHessian), maxUpdateValues, func(v *variant, x float64) { v.MaxUpdate = x })
}

func (s settings) epsVariants(size string) []variant {
	return vary(s.defaultVariant(size, adaHessian), epsValues, func(v *variant, x float64) { v.Eps = x })
}

func (s settings) warmupVariants(size, optimizer string) []variant {
	return vary(s.defaultVariant(size, optimizer), s.warmupValues(), func(v *variant, n int) { v.Warmup = n })
}

func (s settings) batchVariants(size, optimizer string) []variant {
	return vary(s.defaultVariant(size, optimizer), batchValues, func(v *variant, x float64) { v.Batch = x })
}

func (s settings) longVariant(size, optimizer string) variant {
	v := s.defaultVariant(size, optimizer)
	v.Length, v.Warmup = length, int(length*float64(s.Warmup))
	return v
}

// reasonVariants returns the variants of AdaHessian with one of the settings
// that may be the reason where a claim does not hold.
func (s settings) reasonVariants(size string) []variant {
	var all []variant
	for _, some := range [][]variant{s.maxUpdateVariants(size), s.epsVariants(size), s.warmupVariants(size, adaHessian)} {
		for _, v := range some {
			if v != s.defaultVariant(size, adaHessian) {
				all = append(all, v)
			}
		}
	}
	return all
}

// swept reports whether a variant gets a robustness sweep of its own.
func (s settings) swept(v variant) bool {
	return v.Size == s.Sizes[0].Name && slices.Contains(s.reasonVariants(v.Size), v)
}

// variants returns all variants of one size except the default ones. Variants of single
// settings are only for the first size.
func (s settings) variants(size string) []variant {
	all := []variant{s.longVariant(size, adamW), s.longVariant(size, sgd)}
	if size != s.Sizes[0].Name {
		return all
	}
	for _, some := range [][]variant{
		s.blockVariants(size), s.eachVariants(size), s.powerVariants(size), s.probeVariants(size),
		s.differenceVariants(size), s.maxUpdateVariants(size), s.epsVariants(size),
		s.warmupVariants(size, adaHessian), s.warmupVariants(size, adamW),
		s.batchVariants(size, adaHessian), s.batchVariants(size, adamW),
	} {
		for _, v := range some {
			if v != s.defaultVariant(size, v.Optimizer) {
				all = append(all, v)
			}
		}
	}
	return all
}
