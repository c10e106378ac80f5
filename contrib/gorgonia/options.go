package ahgorgonia

import "gorgonia.org/tensor"

const (
	// DefaultLearnRate is below the published 0.15, which kills ReLU networks even with
	// the bound of DefaultMaxUpdate.
	DefaultLearnRate = 0.02

	// DefaultMaxUpdate lets a step move an element at most by the learning rate.
	DefaultMaxUpdate = 1.0
)

// An Option changes a setting of a solver. It can be applied at any time: a schedule
// calls WithLearnRate(0.01)(solver). Step reports values outside their range.
// gorgonia.WithLearnRate and similar options are for Gorgonia's own solvers and do not
// work here.
type Option func(s *AdaHessianSolver)

// WithLearnRate sets the learning rate η, at least 0.
func WithLearnRate(eta float64) Option { return func(s *AdaHessianSolver) { s.opts.LR = eta } }

// WithBeta1 sets the decay of the first moment, of gradients, in [0, 1).
func WithBeta1(beta1 float64) Option { return func(s *AdaHessianSolver) { s.opts.Beta1 = beta1 } }

// WithBeta2 sets the decay of the second moment, of squared curvatures, in [0, 1).
func WithBeta2(beta2 float64) Option { return func(s *AdaHessianSolver) { s.opts.Beta2 = beta2 } }

// WithEps sets ε, at least 0, which is added to the denominator.
func WithEps(eps float64) Option { return func(s *AdaHessianSolver) { s.opts.Eps = eps } }

// WithWeightDecay sets λ, at least 0: decoupled, and scaled by the learning rate.
func WithWeightDecay(lambda float64) Option {
	return func(s *AdaHessianSolver) { s.opts.WeightDecay = lambda }
}

// WithHessianPower sets k in [0, 2]: the denominator is v̂^(k/2) + ε.
func WithHessianPower(k float64) Option { return func(s *AdaHessianSolver) { s.opts.HessianPower = k } }

// WithMaxUpdate bounds how far a step moves an element, apart from weight decay, to the
// learning rate times bound. bound is at least 0, and 0 means no bound, as in the
// paper. Where the curvature vanishes, as for a saturated unit or a ReLU that is never
// active, the denominator is ε alone, and a step without a bound is 10,000 learning
// rates long. A larger learning rate needs a smaller bound.
func WithMaxUpdate(bound float64) Option {
	return func(s *AdaHessianSolver) { s.opts.MaxUpdate = bound }
}

// WithUpdateEach sets how many steps, at least 1, use one estimate of the curvature.
func WithUpdateEach(steps int) Option { return func(s *AdaHessianSolver) { s.opts.UpdateEach = steps } }

// WithSamples sets how many probes, at least 1, are averaged in an estimate. Each takes
// two runs of the machine. Only the first Step reads it.
func WithSamples(n int) Option { return func(s *AdaHessianSolver) { s.opts.Samples = n } }

// WithSeed sets the seed of the probes. Only the first Step reads it.
func WithSeed(seed uint64) Option { return func(s *AdaHessianSolver) { s.opts.Seed = seed } }

// WithClip clips the elements of gradients to ±clip, which must be above 0, before a
// step. The curvature is not clipped.
func WithClip(clip float64) Option { return func(s *AdaHessianSolver) { s.clip = clip } }

// WithAverage sets a function that returns the axes over which the curvature of a
// parameter is averaged. The axes must be adjacent; nil means that every element has its
// own curvature. For weights [in, out], axis 0 gives one average for each unit. Axes 2
// and 3 are the window of a convolution. Step calls the function once for each parameter.
func WithAverage(axes func(name string, shape tensor.Shape) []int) Option {
	return func(s *AdaHessianSolver) { s.average = axes }
}

// WithGradient sets how the gradients at the present values are computed, instead of by
// Reset and RunAll of one machine. compute must use the same inputs as the gradients
// that Step starts with. The gradients are zero before the call.
func WithGradient(compute func() error) Option {
	return func(s *AdaHessianSolver) { s.gradient = compute }
}
