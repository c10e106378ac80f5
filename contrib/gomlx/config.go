package ahgomlx

import (
	"fmt"

	"github.com/adahessian-go/adahessian"
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train/optimizer"
	. "github.com/gomlx/gomlx/support/exceptions"
)

const (
	// DefaultScope is the scope of the optimizer's variables.
	DefaultScope = "AdaHessianOptimizer"

	// DefaultLearningRate is used if neither Config.LearningRate nor the
	// hyperparameter "learning_rate" sets another. It is below the published 0.15,
	// which kills ReLU networks even with the bound of DefaultMaxUpdate.
	DefaultLearningRate = 0.02

	// DefaultMaxUpdate lets a step move an element by the learning rate at most.
	DefaultMaxUpdate = 1.0
)

// Hyperparameters that Config.FromScope reads. They are float64, except for
// ParamUpdateEach and ParamSamples, which are int, and ParamDType, a string.
const (
	ParamBeta1        = "adahessian_beta1"
	ParamBeta2        = "adahessian_beta2"
	ParamEpsilon      = "adahessian_epsilon"
	ParamWeightDecay  = "adahessian_weight_decay"
	ParamHessianPower = "adahessian_hessian_power"
	ParamMaxUpdate    = "adahessian_max_update"
	ParamUpdateEach   = "adahessian_update_each"
	ParamSamples      = "adahessian_samples"
	ParamDType        = "adahessian_dtype" // "float32" or "float64"
)

func init() {
	optimizer.KnownOptimizers["adahessian"] = func(scope *model.Scope) optimizer.Interface {
		return New().FromScope(scope).Done()
	}
}

// Config holds the configuration of AdaHessian. Make it with New, set what
// differs from the defaults, and call Done or Kernels.
type Config struct {
	scope      string
	hyper      adahessian.Hyper // without LR
	lr         *float64         // nil: from the scope
	samples    int
	updateEach int
	dtype      dtypes.DType // invalid: that of the loss
	average    func(v *model.Variable) []int
	seed       uint64 // for Kernels
	difference bool   // instead of second derivatives
}

// New returns a configuration of AdaHessian (Yao et al., AAAI 2021, arXiv
// 2006.00719): Adam with the squared diagonal of the Hessian, estimated by Rademacher
// probes, in the second moment instead of the squared gradient.
//
// The defaults are those published, except for a smaller learning rate and a bound on
// the update, which keeps parameters without curvature from being thrown far away
// (see Config.MaxUpdate):
//
//	learning rate 0.02   betas 0.9, 0.999   epsilon 1e-4   weight decay 0
//	Hessian power 1      max update 1       samples 1      update each step
//
// As with GoMLX's own optimizers, the hyperparameters "clip_step_by_value" and
// "clip_nan" clip updates, "nanlogger" reports NaNs in gradients, and a
// schedule may change the learning rate's variable.
func New() *Config {
	c := &Config{scope: DefaultScope, hyper: adahessian.DefaultHyper(), samples: 1, updateEach: 1}
	c.hyper.MaxUpdate = DefaultMaxUpdate
	return c
}

// FromScope sets every hyperparameter that the scope has: see ParamBeta1 and those
// after it.
func (c *Config) FromScope(scope *model.Scope) *Config {
	for param, field := range map[string]*float64{
		ParamBeta1:        &c.hyper.Beta1,
		ParamBeta2:        &c.hyper.Beta2,
		ParamEpsilon:      &c.hyper.Eps,
		ParamWeightDecay:  &c.hyper.WeightDecay,
		ParamHessianPower: &c.hyper.HessianPower,
		ParamMaxUpdate:    &c.hyper.MaxUpdate,
	} {
		*field = model.GetParamOr(scope, param, *field)
	}
	c.updateEach = model.GetParamOr(scope, ParamUpdateEach, c.updateEach)
	c.samples = model.GetParamOr(scope, ParamSamples, c.samples)
	if name := model.GetParamOr(scope, ParamDType, ""); name != "" {
		dtype, err := dtypes.DTypeString(name)
		if err != nil {
			Panicf("ahgomlx: %s = %q: %v", ParamDType, name, err)
		}
		c.dtype = dtype
	}
	return c
}

// Scope sets the scope of the optimizer's variables, below the root. If a store has two
// optimizers, each needs a scope of its own. The default is DefaultScope.
func (c *Config) Scope(name string) *Config {
	c.scope = name
	return c
}

// LearningRate sets the base learning rate η, at least 0. The default is the
// hyperparameter "learning_rate" or, if there is none, 0.02.
func (c *Config) LearningRate(value float64) *Config {
	c.lr = &value
	return c
}

// Betas sets the decay of the first moment (of gradients) and of the second moment (of
// squared curvatures), both in [0, 1). The defaults are 0.9 and 0.999.
func (c *Config) Betas(beta1, beta2 float64) *Config {
	c.hyper.Beta1, c.hyper.Beta2 = beta1, beta2
	return c
}

// Epsilon sets ε, at least 0, which is added to the denominator. The default is 1e-4.
func (c *Config) Epsilon(value float64) *Config {
	c.hyper.Eps = value
	return c
}

// WeightDecay sets λ, at least 0: decoupled, and scaled by the learning rate,
// as in AdamW. The default is 0.
func (c *Config) WeightDecay(value float64) *Config {
	c.hyper.WeightDecay = value
	return c
}

// HessianPower sets k in [0, 2]: the denominator is v̂^(k/2) + ε. The default is 1.
func (c *Config) HessianPower(value float64) *Config {
	c.hyper.HessianPower = value
	return c
}

// MaxUpdate bounds how far a step moves an element, apart from weight decay: to the
// learning rate times value. value is at least 0; the default is 1, and 0 means no
// bound, as in the paper. Where the curvature vanishes, as for a saturated unit or a
// ReLU that is never active, the denominator is ε alone, and a step without a bound is
// 10,000 learning rates long. Networks die of such steps.
//
// The bound is the learning rate times value, so a larger rate needs a smaller value.
// With LearningRate(0.15), tanh networks have trained well with 1, and ReLU networks
// with 0.03 but not with 0.1.
func (c *Config) MaxUpdate(value float64) *Config {
	c.hyper.MaxUpdate = value
	return c
}

// UpdateEach sets the number of steps, at least 1, from one estimate of the curvature to
// the next. In between the last estimate is used again, and if the backend has
// conditionals, as GoMLX's Go backend does, the second derivative is not executed. The
// default is 1.
func (c *Config) UpdateEach(steps int) *Config {
	c.updateEach = steps
	return c
}

// Samples sets how many probes, at least 1, are averaged in an estimate. Each costs one
// second derivative. The default is 1.
func (c *Config) Samples(n int) *Config {
	c.samples = n
	return c
}

// Average sets a function that returns the axes over which the curvature of a variable is
// averaged. The axes must be adjacent; nil means that every element has a curvature of
// its own. The paper averages over the window of a convolution. For weights [in, out] of
// a dense layer, axis 0 gives one average for each unit:
//
//	Average(func(v *model.Variable) []int {
//		if v.Shape().Rank() == 2 {
//			return []int{0}
//		}
//		return nil
//	})
//
// The second moments have dimension 1 in these axes, so training cannot resume from a
// checkpoint with other axes. The default is no average.
func (c *Config) Average(axes func(v *model.Variable) []int) *Config {
	c.average = axes
	return c
}

// FiniteDifference makes Hessian-vector products from central differences of gradients,
// (g(θ+hz) − g(θ−hz))/2h, instead of second derivatives. It is for models with a layer
// that GoMLX cannot differentiate twice, such as Convolve. The graph from the variables
// to the loss is repeated at both points, with the same batch and the same random
// numbers.
//
// h is 2e-3·(1+‖θ‖∞) or, if all variables are float64, 1e-5·(1+‖θ‖∞), rounded to a power
// of two as in adahessian.FiniteDifference. The error to expect is documented there: in
// float32, 1e-4 to 2e-2 of the largest |H z|. If the loss has kinks, as with ReLU, the
// error can be as large as H z.
func (c *Config) FiniteDifference() *Config {
	c.difference = true
	return c
}

// DType sets the type of the moments and of the arithmetic, which must be a float. The
// default is the type of the loss. Set it when you train in half precision, which holds
// neither the moments nor ε well.
func (c *Config) DType(dtype dtypes.DType) *Config {
	c.dtype = dtype
	return c
}

// Seed sets the seed of the signs that Kernels draws. The default is 0. The optimizer of
// Done draws its signs from the store's random number generator instead: see
// model.Store.SetRNGStateFromSeed.
func (c *Config) Seed(seed uint64) *Config {
	c.seed = seed
	return c
}

// Done returns the optimizer whose step is part of the graph, for any backend. Calling
// the Config's methods later does not change it.
func (c *Config) Done() optimizer.Interface {
	return &inGraph{*c, draw}
}

// Kernels returns the optimizer that makes its step outside the graph: after the graph
// has been executed, the kernels of the package adahessian change the variables in
// place. It is for backends whose buffers are memory of the process, such as GoMLX's Go
// backend. See the type Kernels.
func (c *Config) Kernels() *Kernels {
	return &Kernels{config: *c, plans: map[GraphId]*plan{}, probed: map[string]*probed{}}
}

// resolve panics on the first setting outside its range. It returns the initial learning
// rate.
func (c *Config) resolve(scope *model.Scope) (lr float64) {
	if c.lr != nil {
		lr = *c.lr
	} else {
		lr = model.GetParamOr(scope, optimizer.ParamLearningRate, DefaultLearningRate)
	}
	hyper := c.hyper
	hyper.LR = lr
	if _, err := adahessian.NewCoefficients[float64](hyper, 1, c.samples); err != nil {
		panic(fmt.Errorf("ahgomlx: %w", err))
	}
	if c.updateEach < 1 {
		Panicf("ahgomlx: UpdateEach = %d, want at least 1", c.updateEach)
	}
	if c.dtype != dtypes.InvalidDType && !c.dtype.IsFloat() {
		Panicf("ahgomlx: DType = %s, want a float", c.dtype)
	}
	return lr
}
