package ahgomlx

import (
	"fmt"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/support/exceptions"
)

// A drawFunc returns probes, of random signs, shaped as the params' variables.
// It goes from one state of a random number generator to the next.
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

// curvatures returns the mean over each block of |H z|, shaped as the second
// moments, of probes that are drawn in this step or, with UpdateEach, in an
// earlier one.
func (o *inGraph) curvatures(store *model.Store, params []*param, dtype dtypes.DType) []*Node {
	g := params[0].value.Graph()
	state := rng(store)
	countdown := o.config.countdown
	estimate := func() []*Node {
		next, d := o.estimate(state.NodeValue(g), params, dtype)
		return append(d, next)
	}
	if o.config.updateEach == 1 {
		if v := store.GetVariable("/" + o.config.scope + "/" + countdownName); v != nil {
			v.SetNodeValue(ScalarZero(g, dtypes.Int64)) // what was kept is out of date
		}
		d := estimate()
		state.SetNodeValue(d[len(params)])
		return d[:len(params)]
	}

	// A variable that is new has no curvature, so one is due at once.
	left := countdown(store).NodeValue(g)
	fewest := left
	for _, p := range params {
		fewest = Min(fewest, p.steps.NodeValue(g))
	}
	due := Equal(fewest, ScalarZero(g, dtypes.Int64))
	each := Scalar(g, dtypes.Int64, o.config.updateEach)
	countdown(store).SetNodeValue(SubScalar(Where(due, each, left), 1))

	last := make([]*Node, 0, len(params)+1)
	for _, p := range params {
		last = append(last, p.kept.NodeValue(g))
	}
	last = append(last, state.NodeValue(g))

	d := either(due, estimate, last)
	for i, p := range params {
		p.kept.SetNodeValue(d[i])
	}
	state.SetNodeValue(d[len(params)])
	return d[:len(params)]
}

// estimate returns the curvatures that new probes give, and the state of the
// generator after them.
func (o *inGraph) estimate(state *Node, params []*param, dtype dtypes.DType) (next *Node, d []*Node) {
	d = make([]*Node, len(params))
	for s := range o.config.samples {
		var z []*Node
		state, z = o.draw(state, params, s)
		for i, hz := range product(params, z) {
			hz = toDType(hz, dtype)
			if o.config.samples > 1 { // signed, so that the sum tends to the true diagonal
				hz = Mul(toDType(z[i], dtype), hz)
			}
			if s > 0 {
				hz = Add(d[i], hz)
			}
			d[i] = hz
		}
	}
	for i, p := range params {
		d[i] = Abs(d[i])
		if p.layout.Block > 1 {
			d[i] = ReduceAndKeep(d[i], ReduceSum, p.axes...)
		}
		if n := p.layout.Block * o.config.samples; n > 1 {
			d[i] = Div(d[i], Scalar(d[i].Graph(), dtype, n))
		}
	}
	return state, d
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
			"(so with graph.Convolve and pooling): set SetTrainable(false) on the variables before the layer at fault, "+
			"write the layer with operations that have second derivatives (a convolution as patches and MatMul), "+
			"or train with a first-order optimizer: %w", err))
	}
	return hz
}

func toDType(x *Node, dtype dtypes.DType) *Node {
	if x.DType() == dtype {
		return x
	}
	return ConvertDType(x, dtype)
}
