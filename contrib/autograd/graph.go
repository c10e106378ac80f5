package ahautograd

import (
	"errors"

	"github.com/itsubaki/autograd/tensor"
	"github.com/itsubaki/autograd/variable"
)

// ErrGraph reports that a step needs a graph of the gradients and there is none,
// because they come from loss.Backward and not from AdaHessian.Backward.
var ErrGraph = errors.New("no graph of the gradients: call AdaHessian.Backward(loss) in place of loss.Backward()")

// A graph is the graph of the losses since the last Update. For each variable in it, it
// holds the function that created the variable. UnchainBackward removes this from the
// variables, even between Backward and Update.
type graph map[*variable.Variable]*variable.Function

// Backward replaces loss.Backward. If the next step estimates the curvature, it creates
// a graph of the gradients, and keeps that of the loss until the Update even if
// loss.UnchainBackward is called before.
func (o *AdaHessian) Backward(loss *variable.Variable) {
	due := true
	if o.bound != nil {
		_ = o.bound.SetUpdateEach(or(o.UpdateEach, 1)) // Update returns the error
		due = o.bound.NeedsHessian()
	}
	if due {
		if o.graph == nil {
			o.graph = graph{}
		}
		walk(loss, func(v *variable.Variable) { o.graph[v] = v.Creator })
	}
	loss.Backward(variable.Opts{CreateGraph: due})
}

// product is an adahessian.HVP: the derivative of gᵀz, with z constant, through the
// graph of the gradients.
func (o *AdaHessian) product(hz, z [][]float64) error {
	if len(o.graph) == 0 {
		return ErrGraph
	}
	defer o.graph.rechain()()
	along := variable.New(0)
	for i, p := range o.bound.params {
		if o.bound.grads[i] != nil {
			constant := variable.From(tensor.New(p.Shape(), z[i]))
			along = variable.Add(along, variable.Sum()(variable.Mul(p.Grad, constant)))
		}
	}
	// Backward adds to the gradients that it finds.
	grads := map[*variable.Variable]*variable.Variable{}
	walk(along, func(v *variable.Variable) { grads[v], v.Grad = v.Grad, nil })
	defer func() {
		for v, grad := range grads {
			v.Grad = grad
		}
	}()
	along.Backward()
	for i, p := range o.bound.params {
		if _, ok := grads[p]; ok && p.Grad != nil {
			hz[i] = tensor.Contiguous(p.Grad.Data).Data
		} else { // the gradient does not depend on it
			clear(hz[i])
		}
	}
	return nil
}

// rechain gives the variables back the functions that created them, and returns a
// function that undoes that.
func (g graph) rechain() (undo func()) {
	var unchained []*variable.Variable
	for v, creator := range g {
		if v.Creator == nil && creator != nil {
			v.Creator = creator
			unchained = append(unchained, v)
		}
	}
	return func() {
		for _, v := range unchained {
			v.Unchain()
		}
	}
}

// forget drops the graph.
func (g graph) forget() { clear(g) }

// walk visits every variable of the graph behind v once.
func walk(v *variable.Variable, visit func(v *variable.Variable)) {
	seen := map[*variable.Variable]bool{v: true}
	left := []*variable.Variable{v}
	for len(left) > 0 {
		v, left = left[len(left)-1], left[:len(left)-1]
		creator := v.Creator
		visit(v)
		if creator == nil {
			continue
		}
		for _, of := range [][]*variable.Variable{creator.Input, creator.Output} {
			for _, x := range of {
				if !seen[x] {
					seen[x] = true
					left = append(left, x)
				}
			}
		}
	}
}
