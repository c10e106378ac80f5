package ahautograd

import (
	"fmt"

	"github.com/adahessian-go/adahessian"
	"github.com/itsubaki/autograd/layer"
	"github.com/itsubaki/autograd/optimizer"
	"github.com/itsubaki/autograd/tensor"
)

// AdaHessian is an optimizer that uses the AdaHessian algorithm: Adam whose second
// moment holds the diagonal of the Hessian, as Rademacher probes estimate it, in
// place of the squared gradient.
//
// A field of 0 stands for its default. Where 0 itself is meant, of Beta1, Epsilon or
// HessianPower, 1e-300 is as good. The fields may change between updates, but for
// Samples and Seed, which the first Update reads, and Average, which is asked once
// about each parameter. An AdaHessian must not be copied after its first use.
type AdaHessian struct {
	Alpha        float64 // learning rate η, by default 0.02
	Beta1        float64 // decay of the first moment, of gradients, in [0, 1), by default 0.9
	Beta2        float64 // decay of the second moment, of squared curvatures, in [0, 1), by default 0.999
	Epsilon      float64 // ε, added to the denominator, by default 1e-4
	WeightDecay  float64 // λ, decoupled and scaled by the learning rate, as AdamW's
	HessianPower float64 // k in [0, 2]: the denominator is v̂^(k/2) + ε; by default 1

	// MaxUpdate bounds how far a step moves an element, weight decay apart, to
	// Alpha·MaxUpdate; by default 1. math.Inf(1) means no bound, as in the paper. Where
	// the curvature vanishes, as of a unit that has saturated or of a ReLU that is
	// never active, the denominator is ε alone, and a step without a bound is 10,000
	// learning rates. A larger Alpha wants a smaller MaxUpdate.
	MaxUpdate float64

	UpdateEach int    // steps for each estimate of the curvature, by default 1
	Samples    int    // probes averaged in an estimate, by default 1; each costs another derivative
	Seed       uint64 // of the probes

	// Average returns the axes of a parameter that its curvature is averaged over,
	// which must be adjacent. Without any, and where Average is nil, every element has
	// its own. Axis 0 of weights [in, out] makes an average for each unit.
	Average func(name string, p layer.Parameter) []int

	// Hook changes the gradients before a step, as for the other optimizers, and not
	// the curvature: hook.ClipGrad, say. For weight decay see WeightDecay.
	Hook []optimizer.Hook

	bound *bound // nil before the first Update
	graph graph
}

// bound is an optimizer with the parameters that it has.
type bound struct {
	*adahessian.Optimizer[float64]
	hyper  adahessian.Hyper        // what the fields say, read in each step
	params []layer.Parameter       // in the optimizer's order
	names  []string                // of params
	index  map[layer.Parameter]int // in params
	values [][]float64             // of the parameters that a step changes
	grads  [][]float64             // likewise
}

// Update makes one step of the parameters of the model that have a gradient. They
// have it from o.Backward, of one loss or of several.
//
// As the other optimizers do, Update gives a parameter a new tensor and does not
// write to the old one. On an error neither model nor moments have changed; to try again,
// call Backward first.
func (o *AdaHessian) Update(model optimizer.Model) error {
	defer o.graph.forget()
	params := model.Params()
	if err := o.bind(params); err != nil {
		return fmt.Errorf("ahautograd: %w", err)
	}
	var present []layer.Parameter
	var old []tensors
	for _, p := range params.Seq2() {
		if p.Grad != nil {
			present = append(present, p)
			old = append(old, tensors{p.Data, p.Grad.Data})
		}
	}
	if err := o.step(present); err != nil {
		for i, p := range present {
			p.Data, p.Grad.Data = old[i].data, old[i].grad
		}
		return fmt.Errorf("ahautograd: %w", err)
	}
	return nil
}

// tensors are those of a parameter before a step.
type tensors struct{ data, grad *tensor.Tensor[float64] }

// step makes a step of the parameters that are present, in tensors of their own.
func (o *AdaHessian) step(present []layer.Parameter) error {
	for _, hook := range o.Hook {
		hook(present)
	}
	b := o.bound
	clear(b.values)
	clear(b.grads)
	for _, p := range present {
		i := b.index[p]
		p.Data = tensor.Clone(p.Data)
		b.values[i] = p.Data.Data
		b.grads[i] = tensor.Contiguous(p.Grad.Data).Data
	}
	if err := b.Rebind(b.values); err != nil {
		return err
	}
	return b.Step(b.grads, o.product)
}

// bind takes over what the fields say, and parameters that are new.
func (o *AdaHessian) bind(params layer.Parameters) error {
	if o.bound == nil {
		opt, err := adahessian.New[float64](o.options())
		if err != nil {
			return err
		}
		o.bound = &bound{Optimizer: opt, index: map[layer.Parameter]int{}}
	}
	o.bound.hyper = o.settings()
	if err := o.bound.SetUpdateEach(or(o.UpdateEach, 1)); err != nil {
		return err
	}
	for name, p := range params.Seq2() {
		if _, ok := o.bound.index[p]; ok {
			continue
		}
		if err := o.add(name, p); err != nil {
			return err
		}
	}
	return nil
}

// add takes in a parameter, behind the others.
func (o *AdaHessian) add(name string, p layer.Parameter) error {
	var axes []int
	if o.Average != nil {
		axes = o.Average(name, p)
	}
	layout, err := adahessian.AverageAxes(p.Shape(), axes...)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	b := o.bound
	value := tensor.Clone(p.Data).Data // until the first step
	if err := b.Add(adahessian.Param[float64]{Name: name, Value: value, Layout: layout, Hyper: &b.hyper}); err != nil {
		return err
	}
	b.index[p] = len(b.params)
	b.params, b.names = append(b.params, p), append(b.names, name)
	b.values, b.grads = append(b.values, nil), append(b.grads, nil)
	return nil
}
