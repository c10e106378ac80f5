// Package lm holds two character-level language models with exact
// Hessian-vector products, a convolution and a Transformer, their data, and the
// optimizers that train them.
package lm

import (
	"math"
	"math/rand/v2"
)

// Model is a language model, with the batch on which it is trained next. Its layers
// lead from an embedding to the softmax of the next symbol. NewConv and NewTransformer
// make one, with all its buffers.
//
// Its Hessian-vector products are exact, by forward-over-reverse
// differentiation: the R-operator of Pearlmutter, "Fast Exact Multiplication by
// the Hessian", Neural Computation 6, 1994. R{x} is the derivative of x along
// the direction z, d x(θ + r·z)/dr at r = 0. Applied to every line of the forward pass,
// R gives R of the activations. Applied to every line of the backward pass, it gives R
// of the gradient, which is H z. Products follow the product rule. For a product of
// matrices:
//
//	forward               R
//	y = x Wᵀ              R{y} = R{x} Wᵀ + x zᵀ
//
//	backward              R
//	dW = dyᵀ x            R{dW} = R{dy}ᵀ x + dyᵀ R{x}
//	dx = dy W             R{dx} = R{dy} W + dy z
type Model[T Float] struct {
	*batch
	Values [][]T // of each parameter, in the order of Parameters

	params []*Parameter[T]
	grads  [][]T // of the mean loss, set by gradient
	layers []layer
	loss   lossLayer // the last of layers
}

// layer is one step from the symbols to the loss. Its passes read and write the signals
// before and after it, and its parameters.
//
// The passes of the tangents cover the first sequences of the batch, and use what
// forward and backward have left there.
type layer interface {
	forward()
	backward() // after forward, and after backward of all later layers
	rForward(sequences int)
	rBackward(sequences int)
}

// lossLayer is the last layer, which has the loss of each prediction.
type lossLayer interface {
	layer
	mean() float64 // over the batch, after forward
}

// signal is a matrix of activations with a row for each prediction, between
// one layer and the next.
type signal[T Float] struct {
	x  matrix[T] // the activations
	d  matrix[T] // the gradient of the loss with respect to them
	rx matrix[T] // the tangents of both
	rd matrix[T]
}

func newSignal[T Float](rows, cols int) *signal[T] {
	return &signal[T]{
		newMatrix[T](rows, cols), newMatrix[T](rows, cols),
		newMatrix[T](rows, cols), newMatrix[T](rows, cols),
	}
}

// Parameter is a tensor that a model learns.
type Parameter[T Float] struct {
	Name  string
	Shape []int // row-major

	value, grad []T
	z, hz       []T // of the present product
}

// newParameter returns a tensor of zeros.
func newParameter[T Float](name string, shape ...int) *Parameter[T] {
	n := elements(shape)
	return &Parameter[T]{Name: name, Shape: shape, value: make([]T, n), grad: make([]T, n)}
}

func elements(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// decays reports whether p has weight decay. Weights do, but biases and the gains of
// layer norms, which have one axis, do not.
func (p *Parameter[T]) decays() bool { return len(p.Shape) > 1 }

// matrix views one of the slices of p as a matrix with a row for each index of
// the tensor's first axis.
func (p *Parameter[T]) matrix(data []T) matrix[T] {
	return asMatrix(p.Shape[0], len(data)/p.Shape[0], data)
}

// draw sets each tensor to normal values of the given deviation. The same seed gives
// the same values.
func draw[T Float](params []*Parameter[T], seed uint64, deviations []float64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	for i, p := range params {
		for j := range p.value {
			p.value[j] = T(deviations[i] * rng.NormFloat64())
		}
	}
}

func newModel[T Float](b *batch, params []*Parameter[T], layers []layer, loss lossLayer) *Model[T] {
	m := &Model[T]{batch: b, params: params, layers: append(layers, loss), loss: loss}
	for _, p := range params {
		m.Values = append(m.Values, p.value)
		m.grads = append(m.grads, p.grad)
	}
	return m
}

// Parameters returns the parameters, in the order of every [][]T that the
// model takes.
func (m *Model[T]) Parameters() []*Parameter[T] { return m.params }

// Size returns the number of elements of all parameters.
func (m *Model[T]) Size() int {
	n := 0
	for _, v := range m.Values {
		n += len(v)
	}
	return n
}

// Loss returns the mean loss of the batch, in nats per symbol.
func (m *Model[T]) Loss() float64 {
	for _, l := range m.layers {
		l.forward()
	}
	return m.loss.mean()
}

// gradient sets m.grads to the gradient of the mean loss of the batch, and
// returns that loss.
func (m *Model[T]) gradient() float64 {
	loss := m.Loss()
	for i := len(m.layers) - 1; i >= 0; i-- {
		m.layers[i].backward()
	}
	return loss
}

// product sets hz to the product of z and the Hessian of the mean loss of the first
// sequences of the batch. Call it after gradient, with the same parameters and the same
// batch, since it uses the activations and gradients from there. Several products may
// follow one gradient.
func (m *Model[T]) product(hz, z [][]T, sequences int) {
	for i, p := range m.params {
		p.z, p.hz = z[i], hz[i]
	}
	for _, l := range m.layers {
		l.rForward(sequences)
	}
	for i := len(m.layers) - 1; i >= 0; i-- {
		m.layers[i].rBackward(sequences)
	}
	// The gradients are those of the mean over the whole batch, so sums over a part of
	// it are too small by that factor.
	if sequences < m.Batch {
		factor := T(m.Batch) / T(sequences)
		for _, h := range hz {
			for i := range h {
				h[i] *= factor
			}
		}
	}
}

// Bits returns the mean loss on the sequences of text that begin at starts, in bits per
// character. Their number must be a multiple of the batch.
func (m *Model[T]) Bits(text []uint8, starts []int) float64 {
	sum := 0.0
	for i := 0; i < len(starts); i += m.Batch {
		m.Load(text, starts[i:i+m.Batch])
		sum += m.Loss()
	}
	return sum / float64(len(starts)/m.Batch) / math.Ln2
}
