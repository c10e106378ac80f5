// Package lm is a character-level convolutional language model with exact
// Hessian-vector products, its data, and the optimizers that train it.
package lm

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/adahessian-go/adahessian"
)

// Shape holds the sizes of a model and of the batches it is trained on.
type Shape struct {
	Vocab     int // symbols
	Embed     int // channels of the embedding
	Width     int // channels of the convolution
	Kernel    int // symbols that a prediction sees
	Batch     int // sequences in a batch
	Positions int // predictions in a sequence
	Workers   int // most goroutines of an element-wise pass
}

// rows returns the number of predictions in a batch.
func (s Shape) rows() int { return s.Batch * s.Positions }

// Span returns the number of symbols in a sequence: the context of its first
// prediction, and one symbol to predict at each position.
func (s Shape) Span() int { return s.Kernel + s.Positions }

// Lengths returns the number of elements of each parameter tensor.
func (s Shape) Lengths() [Tensors]int {
	return [Tensors]int{
		Embedding:  s.Vocab * s.Embed,
		ConvWeight: s.Width * s.Embed * s.Kernel,
		ConvBias:   s.Width,
		OutWeight:  s.Vocab * s.Width,
		OutBias:    s.Vocab,
	}
}

// Size returns the number of parameters.
func (s Shape) Size() int {
	n := 0
	for _, l := range s.Lengths() {
		n += l
	}
	return n
}

// The parameter tensors, in the order of every [][]T that a model takes.
const (
	Embedding  = iota // [vocab, embed]
	ConvWeight        // [width, embed, kernel]
	ConvBias          // [width]
	OutWeight         // [vocab, width]
	OutBias           // [vocab]
	Tensors
)

// Model is a character-level language model:
//
//	x = embedding of the last symbols
//	h = tanh(convolution of x + bias)   causal: position t sees symbols t−kernel … t−1
//	y = out·h + bias
//	loss = mean over all positions of −log softmax(y)[next symbol]
//
// The convolution is a matrix product over unfolded windows (im2col): row n of
// windows holds the embeddings that prediction n sees, in the order
// [embed, kernel] of a row of the weights. All buffers are made once, by
// NewModel.
type Model[T Float] struct {
	Shape
	Values [Tensors][]T // the parameters
	grads  [Tensors][]T // of the mean loss, set by gradient and by hessianVector

	symbols []uint8 // the batch, [batch, span]

	// Activations: one row for each prediction.
	windows matrix[T] // unfolded embeddings
	hidden  matrix[T]
	probs   matrix[T] // logits, then their softmax
	losses  []float64

	// Gradients of the mean loss with respect to the activations.
	dWindows matrix[T]
	dHidden  matrix[T] // after the tanh
	dPreact  matrix[T] // before it
	dLogits  matrix[T]

	direction tangents[T] // of a Hessian-vector product
	passes    passes
}

// passes are the element-wise passes of a model as functions of a range of
// rows (of channels where the name says so), bound once so that a training
// step allocates nothing.
type passes struct {
	unfold, activate, softmax, activateBack, foldChannels      func(lo, hi int)
	rUnfold, rActivate, rSoftmax, rActivateBack, rFoldChannels func(lo, hi int)
}

func NewModel[T Float](s Shape, seed uint64) *Model[T] {
	m := &Model[T]{
		Shape:    s,
		symbols:  make([]uint8, s.Batch*s.Span()),
		windows:  newMatrix[T](s.rows(), s.Embed*s.Kernel),
		hidden:   newMatrix[T](s.rows(), s.Width),
		probs:    newMatrix[T](s.rows(), s.Vocab),
		losses:   make([]float64, s.rows()),
		dWindows: newMatrix[T](s.rows(), s.Embed*s.Kernel),
		dHidden:  newMatrix[T](s.rows(), s.Width),
		dPreact:  newMatrix[T](s.rows(), s.Width),
		dLogits:  newMatrix[T](s.rows(), s.Vocab),
	}
	for i, n := range s.Lengths() {
		m.Values[i] = make([]T, n)
		m.grads[i] = make([]T, n)
	}
	m.initialize(seed)
	m.direction = newTangents[T](s)
	m.passes = passes{
		unfold: m.unfold, activate: m.activate, softmax: m.softmax, activateBack: m.activateBack, foldChannels: m.foldChannels,
		rUnfold: m.rUnfold, rActivate: m.rActivate, rSoftmax: m.rSoftmax, rActivateBack: m.rActivateBack, rFoldChannels: m.rFoldChannels,
	}
	return m
}

// initialize draws the weights from normal distributions that keep the
// variance of the activations near 1, and sets the biases to 0. The same seed
// gives the same model.
func (m *Model[T]) initialize(seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	for i, scale := range [Tensors]float64{
		Embedding:  1,
		ConvWeight: 1 / math.Sqrt(float64(m.Embed*m.Kernel)),
		OutWeight:  1 / math.Sqrt(float64(m.Width)),
	} {
		for j := range m.Values[i] {
			m.Values[i][j] = T(scale * rng.NormFloat64())
		}
	}
}

// OverKernel returns the layout of each tensor for adahessian: the convolution
// keeps one curvature for each pair of channels, averaged over the kernel, and
// the others one for each element.
func OverKernel(s Shape) ([Tensors]adahessian.Layout, error) {
	var layouts [Tensors]adahessian.Layout
	for i, n := range s.Lengths() {
		layouts[i] = adahessian.Elementwise(n)
	}
	var err error
	layouts[ConvWeight], err = adahessian.AverageAxes([]int{s.Width, s.Embed, s.Kernel}, 2)
	if err != nil {
		return layouts, fmt.Errorf("layout of the convolution: %w", err)
	}
	return layouts, nil
}

// params returns the parameters for adahessian.New. The biases belong to the
// group of biasHyper.
func (m *Model[T]) params(layouts [Tensors]adahessian.Layout, biasHyper *adahessian.Hyper) []adahessian.Param[T] {
	params := []adahessian.Param[T]{
		Embedding:  {Name: "embedding"},
		ConvWeight: {Name: "convolution.weight"},
		ConvBias:   {Name: "convolution.bias", Hyper: biasHyper},
		OutWeight:  {Name: "out.weight"},
		OutBias:    {Name: "out.bias", Hyper: biasHyper},
	}
	for i := range params {
		params[i].Value, params[i].Layout = m.Values[i], layouts[i]
	}
	return params
}

// Load makes the batch of the sequences that begin at starts in text.
func (m *Model[T]) Load(text []uint8, starts []int) {
	span := m.Span()
	for i, start := range starts {
		copy(m.symbols[i*span:(i+1)*span], text[start:start+span])
	}
}

// context returns the symbols that prediction n sees.
func (m *Model[T]) context(n int) []uint8 {
	i := n/m.Positions*m.Span() + n%m.Positions
	return m.symbols[i : i+m.Kernel]
}

// target returns the symbol to predict in prediction n.
func (m *Model[T]) target(n int) uint8 {
	return m.symbols[n/m.Positions*m.Span()+n%m.Positions+m.Kernel]
}

// convMatrix and outMatrix view one of the tensors of p as the matrix of its
// layer's product.
func convMatrix[T Float](s Shape, p [][]T) matrix[T] {
	return matrix[T]{s.Width, s.Embed * s.Kernel, p[ConvWeight]}
}

func outMatrix[T Float](s Shape, p [][]T) matrix[T] {
	return matrix[T]{s.Vocab, s.Width, p[OutWeight]}
}

// Loss returns the mean loss of the batch, in nats for each symbol.
func (m *Model[T]) Loss() float64 {
	values := m.Values[:]
	parallel(m.Workers, m.rows(), m.passes.unfold)
	gemm(noTrans, trans, m.windows, convMatrix(m.Shape, values), 0, m.hidden)
	parallel(m.Workers, m.rows(), m.passes.activate)
	gemm(noTrans, trans, m.hidden, outMatrix(m.Shape, values), 0, m.probs)
	parallel(m.Workers, m.rows(), m.passes.softmax)
	sum := 0.0
	for _, l := range m.losses {
		sum += l
	}
	return sum / float64(m.rows())
}

// gradient sets m.grads to the gradient of the mean loss of the batch, and
// returns that loss.
func (m *Model[T]) gradient() float64 {
	loss := m.Loss()
	values, grads := m.Values[:], m.grads[:]
	gemm(trans, noTrans, m.dLogits, m.hidden, 0, outMatrix(m.Shape, grads))
	columnSums(grads[OutBias], m.dLogits)
	gemm(noTrans, noTrans, m.dLogits, outMatrix(m.Shape, values), 0, m.dHidden)
	parallel(m.Workers, m.rows(), m.passes.activateBack)
	gemm(trans, noTrans, m.dPreact, m.windows, 0, convMatrix(m.Shape, grads))
	columnSums(grads[ConvBias], m.dPreact)
	gemm(noTrans, noTrans, m.dPreact, convMatrix(m.Shape, values), 0, m.dWindows)
	parallel(m.Workers, m.Embed, m.passes.foldChannels)
	return loss
}

func (m *Model[T]) unfold(lo, hi int) { m.unfoldRows(m.windows, m.Values[Embedding], lo, hi) }

// unfoldRows sets rows lo to hi of windows to the rows of table that their
// predictions see.
func (m *Model[T]) unfoldRows(windows matrix[T], table []T, lo, hi int) {
	for n := lo; n < hi; n++ {
		row := windows.row(n)
		for k, symbol := range m.context(n) {
			for c, x := range table[int(symbol)*m.Embed:][:m.Embed] {
				row[c*m.Kernel+k] = x
			}
		}
	}
}

func (m *Model[T]) foldChannels(lo, hi int) {
	m.foldColumns(m.grads[Embedding], m.dWindows, lo, hi)
}

// foldColumns is the transpose of unfoldRows: it sets channels lo to hi of
// table to the sums over all the places of windows that hold them. It is split
// by channels, since different rows add to the same symbol.
func (m *Model[T]) foldColumns(table []T, windows matrix[T], lo, hi int) {
	for symbol := range m.Vocab {
		clear(table[symbol*m.Embed+lo : symbol*m.Embed+hi])
	}
	for n := range m.rows() {
		row := windows.row(n)
		for k, symbol := range m.context(n) {
			channels := table[int(symbol)*m.Embed:][:m.Embed]
			for c := lo; c < hi; c++ {
				channels[c] += row[c*m.Kernel+k]
			}
		}
	}
}

func (m *Model[T]) activate(lo, hi int) {
	bias := m.Values[ConvBias]
	for n := lo; n < hi; n++ {
		h := m.hidden.row(n)
		for j, b := range bias {
			h[j] = tanh(h[j] + b)
		}
	}
}

// tanh is faster than math.Tanh, and as good where an absolute error of one
// rounding is enough.
func tanh[T Float](x T) T { return T(1 - 2/(math.Exp(2*float64(x))+1)) }

func (m *Model[T]) activateBack(lo, hi int) {
	for n := lo; n < hi; n++ {
		h, dh, da := m.hidden.row(n), m.dHidden.row(n), m.dPreact.row(n)
		for j := range da {
			da[j] = dh[j] * (1 - h[j]*h[j])
		}
	}
}

// softmax turns logits into probabilities, and sets the loss of each row and
// its gradient, (probability − [symbol is the target]) / rows.
func (m *Model[T]) softmax(lo, hi int) {
	bias, scale := m.Values[OutBias], 1/T(m.rows())
	for n := lo; n < hi; n++ {
		p, d, target := m.probs.row(n), m.dLogits.row(n), m.target(n)
		top := T(math.Inf(-1))
		for j, b := range bias {
			p[j] += b
			top = max(top, p[j])
		}
		correct := float64(p[target] - top)
		sum := 0.0
		for j, y := range p {
			e := math.Exp(float64(y - top))
			p[j] = T(e)
			sum += e
		}
		m.losses[n] = math.Log(sum) - correct
		inverse := T(1 / sum)
		for j := range p {
			p[j] *= inverse
			d[j] = p[j] * scale
		}
		d[target] -= scale
	}
}

// decays returns the weight decay of each tensor: none for biases.
func (m *Model[T]) decays(decay float64) []float64 {
	return []float64{Embedding: decay, ConvWeight: decay, OutWeight: decay, OutBias: 0}
}
