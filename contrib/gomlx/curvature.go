package ahgomlx

import (
	"fmt"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/support/exceptions"
)

// A drawFunc returns probes of random signs, shaped like the params' variables. It also
// returns the next state of the random number generator.
type drawFunc func(state *Node, params []*param, sample int) (next *Node, z []*Node)

// draw is the drawFunc of training.
func draw(state *Node, params []*param, _ int) (*Node, []*Node) {
	z := make([]*Node, len(params))
	for i, p := range params {
		shape := p.value.Shape()
		uniform := shape.Clone()
		uniform.DType = dtypes.Float32
		var u *Node
		state, u = RandomUniform(state, uniform)
		half := Scalar(u.Graph(), dtypes.Float32, 0.5)
		one := Scalar(u.Graph(), shape.DType, 1)
		z[i] = Where(LessThan(u, half), one, Neg(one))
	}
	return state, z
}

// curvatures returns the mean of |H z| over each block, shaped like the second moments.
// The probes are drawn in this step or, with UpdateEach, in an earlier one.
func (o *inGraph) curvatures(store *model.Store, loss *Node, params []*param, dtype dtypes.DType) []*Node {
	g := params[0].value.Graph()
	c, state := &o.config, rng(store)
	estimate := func() []*Node {
		next, h := c.products(o.draw, state.NodeValue(g), loss, params, dtype)
		for i, p := range params {
			h[i] = p.mean(h[i], c.samples)
		}
		return append(h, next)
	}
	var d []*Node
	if c.updateEach == 1 {
		if v := store.GetVariable("/" + c.scope + "/" + countdown); v != nil {
			v.SetNodeValue(ScalarZero(g, dtypes.Int64)) // what was kept is out of date
		}
		d = estimate()
	} else {
		left := c.counter(store, countdown)
		due := isDue(left.NodeValue(g), params)
		each := Scalar(g, dtypes.Int64, c.updateEach)
		last := make([]*Node, 0, len(params)+1)
		for _, p := range params {
			last = append(last, p.kept.NodeValue(g))
		}
		d = either(due, estimate, append(last, state.NodeValue(g)))
		left.SetNodeValue(SubScalar(Where(due, each, left.NodeValue(g)), 1))
		for i, p := range params {
			p.kept.SetNodeValue(d[i])
		}
	}
	state.SetNodeValue(d[len(params)])
	return d[:len(params)]
}

// isDue reports whether the curvature must be estimated: the countdown is over, or a
// variable has made no step yet and so has no curvature.
func isDue(left *Node, params []*param) *Node {
	g := left.Graph()
	for _, p := range params {
		left = Min(left, p.steps.NodeValue(g))
	}
	return Equal(left, ScalarZero(g, dtypes.Int64))
}

// products returns H z for a new probe or, with several Samples, the sum of z⊙Hz over
// their probes, whose signs are kept so that it tends to the true diagonal. It also
// returns the state of the generator afterwards.
func (c *Config) products(draw drawFunc, state, loss *Node, params []*param, dtype dtypes.DType) (next *Node, h []*Node) {
	h = make([]*Node, len(params))
	product := product
	if c.difference {
		product = func(params []*param, z []*Node) []*Node { return difference(loss, params, z) }
	}
	for s := range c.samples {
		var z []*Node
		state, z = draw(state, params, s)
		for i, hz := range product(params, z) {
			if c.samples > 1 {
				hz = Mul(toDType(z[i], dtype), toDType(hz, dtype))
			}
			if s > 0 {
				hz = Add(h[i], hz)
			}
			h[i] = toDType(hz, dtype)
		}
	}
	return state, h
}

// mean returns the curvature of each block from h, the sum over samples.
func (p *param) mean(h *Node, samples int) *Node {
	d := Abs(h)
	if p.layout.Block > 1 {
		d = ReduceAndKeep(d, ReduceSum, p.axes...)
	}
	if n := p.layout.Block * samples; n > 1 {
		d = Div(d, Scalar(d.Graph(), d.DType(), n))
	}
	return d
}

// product returns H z, as the derivative of gᵀz.
func product(params []*param, z []*Node) []*Node {
	values := make([]*Node, len(params))
	var along *Node
	for i, p := range params {
		values[i] = p.value
		part := ReduceAllSum(Mul(p.grad, StopGradient(z[i])))
		if along == nil {
			along = part
		} else {
			along = Add(along, toDType(part, along.DType()))
		}
	}
	var hz []*Node
	if err := exceptions.TryCatch[error](func() { hz = Gradient(along, values...) }); err != nil {
		panic(fmt.Errorf("ahgomlx: GoMLX cannot differentiate the gradient of this loss, which AdaHessian needs "+
			"(Convolve, pooling and slices of trained values are such cases): configure FiniteDifference, "+
			"or call SetTrainable(false) on the variables before that layer: %w", err))
	}
	return hz
}

// toDType converts x, unless dtype is invalid.
func toDType(x *Node, dtype dtypes.DType) *Node {
	if x.DType() == dtype || dtype == dtypes.InvalidDType {
		return x
	}
	return ConvertDType(x, dtype)
}
