package main

import (
	"fmt"

	"github.com/adahessian-go/adahessian"
	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// A weight is a tensor that is trained.
type weight struct {
	name   string
	layout adahessian.Layout
	tensor *tensors.Tensor
}

// newWeight makes a weight of the given values. Where average names axes, the
// curvature is averaged over them.
func newWeight(name string, values []float32, shape, average []int) (*weight, error) {
	layout, err := adahessian.AverageAxes(shape, average...)
	if err != nil {
		return nil, err
	}
	return &weight{name, layout, tensors.FromFlatDataAndDimensions(values, shape...)}, nil
}

// A lossFunc builds the loss of the weights on the tensors of a batch.
type lossFunc func(weights, batch []*graph.Node) *graph.Node

// productGraph extends a loss: the inputs of the graph are the weights, a z
// for each, and the batch; its outputs are the loss, the gradients, and H z.
// The derivative of gᵀz, with z constant, is H z.
func productGraph(n int, loss lossFunc) func(inputs []*graph.Node) []*graph.Node {
	return func(inputs []*graph.Node) []*graph.Node {
		w, z, batch := inputs[:n], inputs[n:2*n], inputs[2*n:]
		l := loss(w, batch)
		g := graph.Gradient(l, w...)
		along := graph.ReduceAllSum(graph.Mul(g[0], graph.StopGradient(z[0])))
		for i := 1; i < n; i++ {
			along = graph.Add(along, graph.ReduceAllSum(graph.Mul(g[i], graph.StopGradient(z[i]))))
		}
		hz := graph.Gradient(along, w...)
		return append(append([]*graph.Node{l}, g...), hz...)
	}
}

// A trainer trains weights with exact Hessian-vector products: one execution
// of a graph gives loss, gradients and H z. GoMLX lends a tensor's memory only
// for the time of a call, so the trainer keeps the moments itself and steps
// each tensor by the kernel, in place.
type trainer struct {
	Hyper adahessian.Hyper
	Seed  uint64

	weights []*weight
	exec    *graph.Exec
	m, v, z [][]float32
	steps   uint64
}

// newTrainer makes a trainer.
func newTrainer(backend compute.Backend, weights []*weight, loss lossFunc) (*trainer, error) {
	t := &trainer{Hyper: adahessian.DefaultHyper(), weights: weights}
	for _, w := range weights {
		t.m = append(t.m, make([]float32, w.layout.Len()))
		t.v = append(t.v, make([]float32, w.layout.Blocks()))
		t.z = append(t.z, make([]float32, w.layout.Len()))
	}
	var err error
	t.exec, err = graph.NewExec(backend, productGraph(len(weights), loss))
	return t, err
}

// execute returns the loss, the gradients and the products with z.
func (t *trainer) execute(z [][]float32, batch ...*tensors.Tensor) (loss float32, g, hz []*tensors.Tensor, err error) {
	var args []any
	for _, w := range t.weights {
		args = append(args, w.tensor)
	}
	for i, w := range t.weights {
		args = append(args, tensors.FromFlatDataAndDimensions(z[i], w.tensor.Shape().Dimensions...))
	}
	for _, b := range batch {
		args = append(args, b)
	}
	out, err := t.exec.Call(args...)
	if err != nil {
		return 0, nil, nil, err
	}
	n := len(t.weights)
	return tensors.ToScalar[float32](out[0]), out[1 : 1+n], out[1+n:], nil
}

// step makes a step on a batch, and returns the loss before it. A loss that is
// not finite changes nothing; gradients and products are not looked at.
func (t *trainer) step(batch ...*tensors.Tensor) (float32, error) {
	offset := uint64(0)
	for _, z := range t.z {
		adahessian.Rademacher(z, t.Seed, t.steps, offset)
		offset += uint64(len(z))
	}
	loss, g, hz, err := t.execute(t.z, batch...)
	if err != nil {
		return 0, err
	}
	if loss-loss != 0 {
		return loss, fmt.Errorf("step %d: the loss is %v", t.steps+1, loss)
	}
	coef, err := adahessian.NewCoefficients[float32](t.Hyper, t.steps+1, 1)
	if err != nil {
		return loss, err
	}
	t.steps++
	for i, w := range t.weights {
		err := tensors.MutableFlatData(w.tensor, func(theta []float32) {
			tensors.MustConstFlatData(g[i], func(g []float32) {
				tensors.MustConstFlatData(hz[i], func(hz []float32) {
					adahessian.Update(theta, t.m[i], t.v[i], g, hz, w.layout, &coef)
				})
			})
		})
		if err != nil {
			return loss, err
		}
	}
	return loss, nil
}
