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
	Eps          float64 // ε, added outside the power, ≥ 0 (see MaxUpdate); if above 0 it must not round to 0 in T
	WeightDecay  float64 // λ, decoupled and scaled by the learning rate, ≥ 0
	HessianPower float64 // k: the denominator is v̂^(k/2) + ε; in [0, 2]

	// MaxUpdate, ≥ 0, bounds how far a step moves an element, apart from weight decay,
	// to LR·MaxUpdate. 0 means no bound, as in the published algorithm. Where the
	// curvature vanishes, the denominator is ε alone, and a step without a bound throws
	// the parameter away: it moves by 10,000·LR·m̂ if ε is 1e-4. With an Eps of 0 the
	// parameter becomes infinite there, which MaxUpdate prevents, or NaN if LR·m̂ is 0
	// too, which MaxUpdate does not prevent.
	MaxUpdate float64
}

// DefaultHyper returns the published defaults: learning rate 0.15, β1 0.9,
// β2 0.999, ε 1e-4, no weight decay, Hessian power 1, and no MaxUpdate.
//
// Without that bound, these defaults ruin many ordinary networks. If a product finds
// hardly any curvature for a parameter, the denominator is little more than ε, and
// one step throws the parameter away. This happens with ReLU, or if an input does not
// occur in the part of the batch that the product is taken over. With an UpdateEach
// above 1 the next steps do it again. See NetworkHyper.
func DefaultHyper() Hyper {
	return Hyper{LR: 0.15, Beta1: 0.9, Beta2: 0.999, Eps: 1e-4, HessianPower: 1}
}

// NetworkHyper returns a place to start for a neural network: DefaultHyper with a
// learning rate of 0.3 and a MaxUpdate of 0.03, so that no step moves an element
// by more than 0.009. It goes with a warm-up of the learning rate.
//
// The rate was the best of 0.1, 0.3 and 1 for a small convolution and, with a bound, for a
// small Transformer on text. This is what the bound did for the Transformer, with a product
// in every fifth step (docs/evidence.md):
//
//	MaxUpdate                                         0.03   0.3    1      none
//	runs lost of 25 at 0.1 to 10 times the best rate  0      5      10     11
//	final loss after 600 steps, bits per character    3.770  3.740  3.749  3.847 and one of 5 diverged
//
// With 0.03, a wrong rate raised its loss about as much as AdamW's. This bound is also the
// widest known to train a perceptron with ReLU at a rate of 0.15 (contrib/gomlx/results.md).
// TestNetworkHyper trains one with these hyperparameters, which diverges without the bound.
func NetworkHyper() Hyper {
	h := DefaultHyper()
	h.LR, h.MaxUpdate = 0.3, 0.03
	return h
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

// Coefficients holds the scalars of one step, computed in float64 and rounded
// once to T. Make them with NewCoefficients; the zero value is not usable. The
// same Coefficients can be used for any number of tensors, even concurrently.
type Coefficients[T Float] struct {
	scalars  scalars[T]
	power    power
	exponent float64 // HessianPower/2
	samples  int
}

// scalars are what the kernels multiply by. The assembly reads them in this
// order, so the order is part of its calling convention.
type scalars[T Float] struct {
	b1, c1 T // β1, 1−β1
	b2, c2 T // β2, 1−β2
	s      T // η/(1−β1^t)
	w      T // 1−η·λ
	r      T // 1/(1−β2^t)^(k/2)
	e      T // ε
	limit  T // η·MaxUpdate, +Inf without a bound
	div    T // S; B·S in what scalarsFor returns
}

// power says how v'^(k/2) is computed for a Hessian power k. The assembly
// compares with these numbers.
type power int

const (
	powerZero power = iota // 1
	powerHalf              // √√v
	powerOne               // √v
	powerTwo               // v
	powerAny               // pow(v, k/2)
)

func powerOf(k float64) power {
	switch k {
	case 0:
		return powerZero
	case 0.5:
		return powerHalf
	case 1:
		return powerOne
	case 2:
		return powerTwo
	}
	return powerAny
}

// NewCoefficients returns the scalars of step number step (1, 2, …) with the
// hyperparameters h, where the product passed to Update is a sum over samples
// probes (1 for a plain Hessian-vector product).
//
// The error wraps ErrOption: a hyperparameter outside its range, step 0,
// samples less than 1, a scalar that overflows T, or an Eps above 0 that is 0 in T.
//
// The bias corrections are those of Yao et al., AAAI 2021, arXiv 2006.00719,
// algorithm 1.
func NewCoefficients[T Float](h Hyper, step uint64, samples int) (Coefficients[T], error) {
	if err := h.check("Hyper."); err != nil {
		return Coefficients[T]{}, err
	}
	if step == 0 {
		return Coefficients[T]{}, fmt.Errorf("%w: step = 0, want at least 1", ErrOption)
	}
	if samples < 1 {
		return Coefficients[T]{}, fmt.Errorf("%w: samples = %d, want at least 1", ErrOption, samples)
	}
	return newCoefficients[T](&h, "Hyper.", step, samples)
}

// newCoefficients is NewCoefficients for arguments that have been checked.
// It only reports values that do not fit T.
func newCoefficients[T Float](h *Hyper, where string, step uint64, samples int) (Coefficients[T], error) {
	bc1 := 1 - powInt(h.Beta1, step)
	bc2 := 1 - powInt(h.Beta2, step)
	k := powerOf(h.HessianPower)
	limit := math.Inf(1)
	if h.MaxUpdate != 0 {
		limit = h.LR * h.MaxUpdate
	}
	c := Coefficients[T]{
		scalars: scalars[T]{
			b1: T(h.Beta1), c1: T(1 - h.Beta1),
			b2: T(h.Beta2), c2: T(1 - h.Beta2),
			s:     T(h.LR / bc1),
			w:     T(1 - float64(h.LR*h.WeightDecay)),
			r:     T(1 / raise(bc2, k, h.HessianPower/2)),
			e:     T(h.Eps),
			limit: T(limit),
			div:   T(samples), // for blocks of one element
		},
		power:    k,
		exponent: h.HessianPower / 2,
		samples:  samples,
	}
	for _, f := range [...]struct {
		name  string
		value T
	}{{"LR", c.scalars.s}, {"WeightDecay", c.scalars.w}, {"Eps", c.scalars.e}} {
		if math.IsInf(float64(f.value), 0) {
			return Coefficients[T]{}, fmt.Errorf("%w: %s%s is too large for %T: LR = %v, WeightDecay = %v, Eps = %v",
				ErrOption, where, f.name, f.value, h.LR, h.WeightDecay, h.Eps)
		}
	}
	if e := c.scalars.e; h.Eps > 0 && e == 0 {
		return Coefficients[T]{}, fmt.Errorf("%w: %sEps = %v is too small for %T, which makes it 0", ErrOption, where, h.Eps, e)
	}
	return c, nil
}

// scalarsFor returns the scalars with the divisor of blocks of the given size.
func (c *Coefficients[T]) scalarsFor(block int) scalars[T] {
	s := c.scalars
	s.div = T(float64(block) * float64(c.samples))
	return s
}

// powInt returns b^n by repeated squaring, the same bits on every architecture.
func powInt(b float64, n uint64) float64 {
	p := 1.0
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			p = float64(p * b) // the caller subtracts it
		}
		b *= b
	}
	return p
}
