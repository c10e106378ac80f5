package ahgomlx

import (
	"fmt"
	"math"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/support/exceptions"
)

// difference returns H z as the central difference of gradients. The part of the graph
// from the variables to the loss is repeated at θ + hz and θ − hz, with the same random
// numbers. It needs first derivatives only.
func difference(loss *Node, params []*param, z []*Node) []*Node {
	h := differenceStep(params)
	var hz []*Node
	err := exceptions.TryCatch[error](func() {
		plus, minus := gradientsAt(loss, params, z, h), gradientsAt(loss, params, z, Neg(h))
		for i := range params {
			d := Sub(plus[i], minus[i])
			hz = append(hz, Div(d, toDType(MulScalar(h, 2), d.DType())))
		}
	})
	if err != nil {
		panic(fmt.Errorf("ahgomlx: GoMLX cannot repeat the graph of this loss for a finite difference: %w", err))
	}
	return hz
}

// gradientsAt returns the gradients of the loss at θ + hz.
func gradientsAt(loss *Node, params []*param, z []*Node, h *Node) []*Node {
	g := loss.Graph()
	moved := map[*Node]*Node{}
	at := make([]*Node, len(params))
	for i, p := range params {
		at[i] = Add(p.value, Mul(toDType(h, p.value.DType()), z[i]))
		moved[p.value] = at[i]
	}
	for _, x := range g.Nodes()[:loss.Id()+1] { // in the order of dependence
		if moved[x] != nil {
			continue
		}
		some := false
		inputs := make([]*Node, len(x.Inputs()))
		for i, input := range x.Inputs() {
			inputs[i] = input
			if moved[input] != nil {
				inputs[i], some = moved[input], true
			}
		}
		if some {
			moved[x] = x.CloneWithInputs(inputs...)
		}
	}
	return Gradient(moved[loss], at...)
}

// differenceStep returns a power of two near 2e-3·(1+‖θ‖∞) in float32 or 1e-5·(1+‖θ‖∞)
// in float64. That is the step of adahessian.FiniteDifference, since signs have
// ‖z‖∞ = 1.
func differenceStep(params []*param) *Node {
	var most *Node
	step := 1e-5
	for _, p := range params {
		if p.value.DType() != dtypes.Float64 {
			step = 2e-3
		}
		m := toDType(ReduceAllMax(Abs(p.value)), params[0].value.DType())
		if most == nil {
			most = m
		} else {
			most = Max(most, m)
		}
	}
	h := MulScalar(AddScalar(most, 1), step)
	two := Scalar(h.Graph(), h.DType(), 2)
	return Pow(two, Round(DivScalar(Log(h), math.Ln2)))
}
