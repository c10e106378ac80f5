package lm

import (
	"fmt"
	"math"

	"github.com/adahessian-go/adahessian"
)

// Shape holds the sizes of a convolution and of the batches on which it is trained.
type Shape struct {
	Vocab     int // symbols
	Embed     int // channels of the embedding
	Width     int // channels of the convolution
	Kernel    int // symbols that a prediction sees
	Batch     int // sequences in a batch
	Positions int // predictions in a sequence
	Workers   int // the largest number of goroutines of an element-wise pass
}

// Span returns the number of symbols in a sequence: the context of its first
// prediction, and one symbol to predict at each position.
func (s Shape) Span() int { return s.Kernel + s.Positions }

// shapes returns the shape of each parameter tensor.
func (s Shape) shapes() [Tensors][]int {
	return [Tensors][]int{
		Embedding:  {s.Vocab, s.Embed},
		ConvWeight: {s.Width, s.Embed, s.Kernel},
		ConvBias:   {s.Width},
		OutWeight:  {s.Vocab, s.Width},
		OutBias:    {s.Vocab},
	}
}

// Lengths returns the number of elements of each parameter tensor.
func (s Shape) Lengths() [Tensors]int {
	var lengths [Tensors]int
	for i, shape := range s.shapes() {
		lengths[i] = elements(shape)
	}
	return lengths
}

// Size returns the number of parameters.
func (s Shape) Size() int {
	n := 0
	for _, l := range s.Lengths() {
		n += l
	}
	return n
}

// The parameter tensors of a convolution, in the order of Parameters.
const (
	Embedding  = iota // [vocab, embed]
	ConvWeight        // [width, embed, kernel]
	ConvBias          // [width]
	OutWeight         // [vocab, width]
	OutBias           // [vocab]
	Tensors
)

var tensorNames = [Tensors]string{
	Embedding:  "embedding",
	ConvWeight: "convolution.weight",
	ConvBias:   "convolution.bias",
	OutWeight:  "out.weight",
	OutBias:    "out.bias",
}

// NewConv returns a model with a convolution:
//
//	x = embedding of the last symbols
//	h = tanh(convolution of x + bias)   causal: position t sees symbols t−kernel … t−1
//	y = out·h + bias
//	loss = mean over all positions of −log softmax(y)[next symbol]
//
// The convolution is a matrix product over unfolded windows (im2col): row n of
// windows holds the embeddings that prediction n sees, in the order
// [embed, kernel] of a row of the weights.
//
// The same seed gives the same model: weights from normal distributions that
// keep the variance of the activations near 1, and biases of 0.
func NewConv[T Float](s Shape, seed uint64) *Model[T] {
	var params []*Parameter[T]
	for i, shape := range s.shapes() {
		params = append(params, newParameter[T](tensorNames[i], shape...))
	}
	draw(params, seed, []float64{
		Embedding:  1,
		ConvWeight: 1 / math.Sqrt(float64(s.Embed*s.Kernel)),
		OutWeight:  1 / math.Sqrt(float64(s.Width)),
		OutBias:    0,
	})

	b := newBatch(s.Batch, s.Positions, s.Kernel, s.Workers)
	windows := newSignal[T](b.rows(), s.Embed*s.Kernel)
	hidden := newSignal[T](b.rows(), s.Width)
	logits := newSignal[T](b.rows(), s.Vocab)
	activation, preact := newTanhLayer(b, hidden, params[ConvBias])
	return newModel(b, params, []layer{
		newEmbedding(b, windows, params[Embedding], nil),
		&linear[T]{batch: b, in: windows, out: preact, weight: params[ConvWeight]},
		activation,
		&linear[T]{batch: b, in: hidden, out: logits, weight: params[OutWeight]},
	}, newSoftmaxLoss(b, logits, params[OutBias]))
}

// OverKernel returns the layout of each tensor for adahessian: the convolution
// keeps one curvature for each pair of channels, averaged over the kernel, and
// the others one for each element.
func OverKernel(s Shape) ([Tensors]adahessian.Layout, error) {
	var layouts [Tensors]adahessian.Layout
	for i, shape := range s.shapes() {
		l, err := overKernel(shape)
		if err != nil {
			return layouts, fmt.Errorf("layout of %s: %w", tensorNames[i], err)
		}
		layouts[i] = l
	}
	return layouts, nil
}

// overKernel returns the layout of one tensor. The weights of a convolution are
// those with three axes, [out, in, kernel].
func overKernel(shape []int) (adahessian.Layout, error) {
	if len(shape) == 3 {
		return adahessian.AverageAxes(shape, 2)
	}
	return adahessian.Elementwise(elements(shape)), nil
}
