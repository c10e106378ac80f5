package ahgomlx

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train/optimizer"
	. "github.com/gomlx/gomlx/support/exceptions"
)

// inGraph is AdaHessian with its step in the graph.
type inGraph struct {
	config Config
	draw   drawFunc
}

// UpdateGraph adds a training step to the graph. It implements
// optimizer.Interface.
func (o *inGraph) UpdateGraph(scope *model.Scope, g *Graph, loss *Node) {
	dtype, lr := o.config.begin(scope, loss)
	learningRate := optimizer.LearningRateVar(scope, dtype, lr).NodeValue(g)
	optimizer.IncrementGlobalStep(g, dtypes.Int64)
	params := o.config.params(scope, g, loss, dtype)
	for i, d := range o.curvatures(scope.Store(), loss, params, dtype) {
		o.config.update(scope, params[i], d, learningRate)
	}
}

// begin checks what UpdateGraph is given. It returns the type of the arithmetic
// and the initial learning rate.
func (c *Config) begin(scope *model.Scope, loss *Node) (dtypes.DType, float64) {
	if !loss.Shape().IsScalar() || !loss.DType().IsFloat() {
		Panicf("ahgomlx: the loss is %s, want a scalar float", loss.Shape())
	}
	dtype := c.dtype
	if dtype == dtypes.InvalidDType {
		dtype = loss.DType()
	}
	return dtype, c.resolve(scope)
}

// Clear deletes the variables of the optimizer. It implements
// optimizer.Interface.
func (o *inGraph) Clear(scope *model.Scope) error {
	return o.config.clear(scope.Store())
}

// update sets the variable and its moments to their values after the step. It follows the
// equations of the package adahessian, and uses the same names for scalars.
func (c *Config) update(scope *model.Scope, p *param, d, learningRate *Node) {
	g, dtype, h := d.Graph(), d.DType(), c.hyper
	grad := toDType(p.grad, dtype)
	optimizer.TraceNaNInGradients(scope, p.variable, grad)
	grad = optimizer.ClipNaNsInGradients(scope, grad)
	d = optimizer.ClipNaNsInGradients(scope, d)

	// Scalars are computed in float64 until they are used.
	precise := dtype
	if g.Backend().Capabilities().DTypes[dtypes.Float64] {
		precise = dtypes.Float64
	}
	steps := AddScalar(p.steps.NodeValue(g), 1)
	p.steps.SetNodeValue(steps)
	t := ConvertDType(steps, precise)
	s := toDType(Div(toDType(learningRate, precise), correction(t, h.Beta1)), dtype)
	r := toDType(Reciprocal(power(correction(t, h.Beta2), h.HessianPower)), dtype)

	m := Add(MulScalar(p.m.NodeValue(g), h.Beta1), MulScalar(grad, 1-h.Beta1))
	v := Add(MulScalar(p.v.NodeValue(g), h.Beta2), Mul(MulScalar(d, 1-h.Beta2), d))
	p.m.SetNodeValue(m)
	p.v.SetNodeValue(v)

	u := Div(Mul(s, m), AddScalar(Mul(power(v, h.HessianPower), r), h.Eps))
	if h.MaxUpdate > 0 {
		bound := MulScalar(learningRate, h.MaxUpdate)
		u = Clip(u, Neg(bound), bound)
	}
	u = optimizer.ClipStepByValue(scope, u)

	value := toDType(p.value, dtype)
	next := value
	if h.WeightDecay != 0 {
		next = Mul(OneMinus(MulScalar(learningRate, h.WeightDecay)), value)
	}
	next = optimizer.ClipNaNsInUpdates(scope, value, Sub(next, u))
	p.variable.SetNodeValue(toDType(next, p.variable.DType()))
}

// correction returns 1 − β^t.
func correction(t *Node, beta float64) *Node {
	// Near 1, β^t in float32 is too coarse to be subtracted from 1.
	return Neg(Expm1(MulScalar(t, math.Log(beta))))
}

// power returns x^(k/2).
func power(x *Node, k float64) *Node {
	switch k {
	case 0:
		return OnesLike(x)
	case 0.5:
		return Sqrt(Sqrt(x))
	case 1:
		return Sqrt(x)
	case 2:
		return x
	}
	return PowScalar(x, k/2)
}
