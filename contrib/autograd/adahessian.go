package ahautograd

import (
	"fmt"

	"github.com/adahessian-go/adahessian"
	"github.com/itsubaki/autograd/layer"
	"github.com/itsubaki/autograd/optimizer"
	"github.com/itsubaki/autograd/tensor"
)

// AdaHessian is an optimizer that uses the AdaHessian algorithm. It is like Adam, but
// its second moment averages the squared diagonal of the Hessian, estimated by
// Rademacher probes, instead of the squared gradient.
//
// A field that is 0 has its default value. If you want Beta1, Epsilon or HessianPower
// to be 0, 1e-300 has the same effect. The fields may change between updates, except
// for Samples and Seed, which only the first Update reads, and Average, which is called
// once for each parameter. An AdaHessian must not be copied after its first use.
type AdaHessian struct {
	Alpha        float64 // learning rate η, by default 0.02
	Beta1        float64 // decay of the first moment, of gradients, in [0, 1), by default 0.9
	Beta2        float64 // decay of the second moment, of squared curvatures, in [0, 1), by default 0.999
	Epsilon      float64 // ε, added to the denominator, by default 1e-4
	WeightDecay  float64 // λ, decoupled and scaled by the learning rate, as in AdamW
	HessianPower float64 // k in [0, 2]: the denominator is v̂^(k/2) + ε; by default 1

	// MaxUpdate bounds how far a step moves an element, apart from weight decay, to
	// Alpha·MaxUpdate. The default is 1, and math.Inf(1) means no bound, as in the
	// paper. Where the curvature vanishes, as for a saturated unit or a ReLU that is
	// never active, the denominator is ε alone, and a step without a bound is 10,000
	// learning rates long. A larger Alpha needs a smaller MaxUpdate.
	MaxUpdate float64

	UpdateEach int    // steps from one estimate of the curvature to the next, by default 1
	Samples    int    // probes averaged in an estimate, by default 1; each costs one second derivative
	Seed       uint64 // the seed of the probes

	// Average returns the axes over which the curvature of a parameter is averaged.
	// They must be adjacent. If it returns none, or if Average is nil, every element
	// has its own curvature. For weights [in, out], axis 0 gives one average for each
	// unit.
	Average func(name string, p layer.Parameter) []int

	// Hook changes the gradients before a step, as in the other optimizers, for example
	// hook.ClipGrad. It does not change the curvature. For weight decay use
	// WeightDecay.
	Hook []optimizer.Hook

	bound *bound // nil before the first Update
	graph graph
}

// bound is an optimizer with its parameters.
type bound struct {
	*adahessian.Optimizer[float64]
	hyper  adahessian.Hyper        // the values of the fields, read in each step
	params []layer.Parameter       // in the optimizer's order
	names  []string                // of params
	index  map[layer.Parameter]int // in params
	values [][]float64             // of the parameters that a step changes
	grads  [][]float64             // of the same parameters
}

// Update makes one step of the parameters of the model that have a gradient. The
// gradients come from o.Backward, called for one loss or several.
//
// Like the other optimizers, Update gives a parameter a new tensor and does not write to
// the old one. On an error neither the model nor the moments have changed. To try again,
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

// tensors holds the tensors of a parameter before a step.
type tensors struct{ data, grad *tensor.Tensor[float64] }

// step makes a step of the parameters that are present, in new tensors.
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

// bind takes over the values of the fields, and adds new parameters.
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

// add adds a parameter after the others.
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
