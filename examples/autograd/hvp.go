package main

import (
	"github.com/adahessian-go/adahessian"
	"github.com/itsubaki/autograd/tensor"
	"github.com/itsubaki/autograd/variable"
)

// A model is a loss of some variables. This file is what another program would
// take over; it knows nothing of digits.
type model struct {
	vars  []*variable.Variable
	loss  func() *variable.Variable // of the present values
	grads [][]float64               // of the last gradient or hessianVector
	last  float64                   // loss of it
}

// newModel makes each variable's memory row-major, and the gradients' room.
func newModel(vars []*variable.Variable, loss func() *variable.Variable) *model {
	m := &model{vars: vars, loss: loss}
	for _, v := range vars {
		v.Data = tensor.Contiguous(v.Data)
		m.grads = append(m.grads, make([]float64, v.Size()))
	}
	return m
}

// params returns the variables as the optimizer sees them: it writes to their
// memory. layouts[i] is zero for variables that average nothing.
func (m *model) params(layouts ...adahessian.Layout) []adahessian.Param[float64] {
	params := make([]adahessian.Param[float64], len(m.vars))
	for i, v := range m.vars {
		params[i] = adahessian.Param[float64]{Name: v.Name, Value: v.Data.Data, Layout: layouts[i]}
	}
	return params
}

// backward differentiates the loss. With graph, the gradients can be
// differentiated in turn.
func (m *model) backward(graph bool) {
	for _, v := range m.vars {
		v.Cleargrad() // Backward adds to what is there
	}
	loss := m.loss()
	loss.Backward(variable.Opts{CreateGraph: graph})
	m.last = loss.At()
	for i, v := range m.vars {
		copyTo(m.grads[i], v.Grad)
	}
}

// gradient fills grads, as FiniteDifference and CheckHVP want it.
func (m *model) gradient(grads [][]float64) error {
	m.backward(false)
	for i := range grads {
		copy(grads[i], m.grads[i])
	}
	return nil
}

// hessianVector is an adahessian.HVP: the derivative of gᵀz, with z constant,
// through the graph that the first derivative has left. It fills m.grads too.
func (m *model) hessianVector(hz, z [][]float64) error {
	m.backward(true)
	along := variable.New(0)
	for i, v := range m.vars {
		g := v.Grad
		v.Cleargrad() // or H z would be added to the gradient
		constant := variable.From(tensor.New(v.Shape(), z[i]))
		along = variable.Add(along, variable.Sum()(variable.Mul(g, constant)))
	}
	along.Backward()
	for i, v := range m.vars {
		if v.Grad == nil { // the gradient does not depend on it
			clear(hz[i])
			continue
		}
		copyTo(hz[i], v.Grad)
	}
	return nil
}

// copyTo copies a variable's elements in row-major order: gradients may be
// transposed views.
func copyTo(dst []float64, v *variable.Variable) {
	copy(dst, tensor.Contiguous(v.Data).Data)
}
