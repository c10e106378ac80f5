package main

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/adahessian-go/adahessian"
)

// shape holds the sizes of a model and of the batches it is trained on.
type shape struct {
	vocab     int // symbols
	embed     int // channels of the embedding
	width     int // channels of the convolution
	kernel    int // symbols that a prediction sees
	batch     int // sequences in a batch
	positions int // predictions in a sequence
	workers   int // most goroutines of an element-wise pass
}

// rows returns the number of predictions in a batch.
func (s shape) rows() int { return s.batch * s.positions }

// span returns the number of symbols in a sequence: the context of its first
// prediction, and one symbol to predict at each position.
func (s shape) span() int { return s.kernel + s.positions }

// lengths returns the number of elements of each parameter tensor.
func (s shape) lengths() [tensors]int {
	return [tensors]int{
		embedding:  s.vocab * s.embed,
		convWeight: s.width * s.embed * s.kernel,
		convBias:   s.width,
		outWeight:  s.vocab * s.width,
		outBias:    s.vocab,
	}
}

// size returns the number of parameters.
func (s shape) size() int {
	n := 0
	for _, l := range s.lengths() {
		n += l
	}
	return n
}

// The parameter tensors, in the order of every [][]T that a model takes.
const (
	embedding  = iota // [vocab, embed]
	convWeight        // [width, embed, kernel]
	convBias          // [width]
	outWeight         // [vocab, width]
	outBias           // [vocab]
	tensors
)

// model is a character-level language model:
//
//	x = embedding of the last symbols
//	h = tanh(convolution of x + bias)   causal: position t sees symbols t−kernel … t−1
//	y = out·h + bias
//	loss = mean over all positions of −log softmax(y)[next symbol]
//
// The convolution is a matrix product over unfolded windows (im2col): row n of
// windows holds the embeddings that prediction n sees, in the order
// [embed, kernel] of a row of the weights. All buffers are made once, by
// newModel.
type model[T float] struct {
	shape
	values [tensors][]T // the parameters
	grads  [tensors][]T // of the mean loss, set by gradient and by hessianVector

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

func newModel[T float](s shape, seed uint64) *model[T] {
	m := &model[T]{
		shape:    s,
		symbols:  make([]uint8, s.batch*s.span()),
		windows:  newMatrix[T](s.rows(), s.embed*s.kernel),
		hidden:   newMatrix[T](s.rows(), s.width),
		probs:    newMatrix[T](s.rows(), s.vocab),
		losses:   make([]float64, s.rows()),
		dWindows: newMatrix[T](s.rows(), s.embed*s.kernel),
		dHidden:  newMatrix[T](s.rows(), s.width),
		dPreact:  newMatrix[T](s.rows(), s.width),
		dLogits:  newMatrix[T](s.rows(), s.vocab),
	}
	for i, n := range s.lengths() {
		m.values[i] = make([]T, n)
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
func (m *model[T]) initialize(seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	for i, scale := range [tensors]float64{
		embedding:  1,
		convWeight: 1 / math.Sqrt(float64(m.embed*m.kernel)),
		outWeight:  1 / math.Sqrt(float64(m.width)),
	} {
		for j := range m.values[i] {
			m.values[i][j] = T(scale * rng.NormFloat64())
		}
	}
}

// params returns the parameters for adahessian.New. The biases belong to the
// group of biasHyper. The convolution keeps one curvature for each pair of
// channels, averaged over the kernel.
func (m *model[T]) params(biasHyper *adahessian.Hyper) ([]adahessian.Param[T], error) {
	overKernel, err := adahessian.AverageAxes([]int{m.width, m.embed, m.kernel}, 2)
	if err != nil {
		return nil, fmt.Errorf("layout of the convolution: %w", err)
	}
	return []adahessian.Param[T]{
		embedding:  {Name: "embedding", Value: m.values[embedding]},
		convWeight: {Name: "convolution.weight", Value: m.values[convWeight], Layout: overKernel},
		convBias:   {Name: "convolution.bias", Value: m.values[convBias], Hyper: biasHyper},
		outWeight:  {Name: "out.weight", Value: m.values[outWeight]},
		outBias:    {Name: "out.bias", Value: m.values[outBias], Hyper: biasHyper},
	}, nil
}

// load makes the batch of the sequences that begin at starts in text.
func (m *model[T]) load(text []uint8, starts []int) {
	span := m.span()
	for i, start := range starts {
		copy(m.symbols[i*span:(i+1)*span], text[start:start+span])
	}
}

// context returns the symbols that prediction n sees.
func (m *model[T]) context(n int) []uint8 {
	i := n/m.positions*m.span() + n%m.positions
	return m.symbols[i : i+m.kernel]
}

// target returns the symbol to predict in prediction n.
func (m *model[T]) target(n int) uint8 {
	return m.symbols[n/m.positions*m.span()+n%m.positions+m.kernel]
}

// convMatrix and outMatrix view one of the tensors of p as the matrix of its
// layer's product.
func convMatrix[T float](s shape, p [][]T) matrix[T] {
	return matrix[T]{s.width, s.embed * s.kernel, p[convWeight]}
}

func outMatrix[T float](s shape, p [][]T) matrix[T] {
	return matrix[T]{s.vocab, s.width, p[outWeight]}
}

// loss returns the mean loss of the batch, in nats for each symbol.
func (m *model[T]) loss() float64 {
	values := m.values[:]
	parallel(m.workers, m.rows(), m.passes.unfold)
	gemm(noTrans, trans, m.windows, convMatrix(m.shape, values), 0, m.hidden)
	parallel(m.workers, m.rows(), m.passes.activate)
	gemm(noTrans, trans, m.hidden, outMatrix(m.shape, values), 0, m.probs)
	parallel(m.workers, m.rows(), m.passes.softmax)
	sum := 0.0
	for _, l := range m.losses {
		sum += l
	}
	return sum / float64(m.rows())
}

// gradient sets m.grads to the gradient of the mean loss of the batch, and
// returns that loss.
func (m *model[T]) gradient() float64 {
	loss := m.loss()
	values, grads := m.values[:], m.grads[:]
	gemm(trans, noTrans, m.dLogits, m.hidden, 0, outMatrix(m.shape, grads))
	columnSums(grads[outBias], m.dLogits)
	gemm(noTrans, noTrans, m.dLogits, outMatrix(m.shape, values), 0, m.dHidden)
	parallel(m.workers, m.rows(), m.passes.activateBack)
	gemm(trans, noTrans, m.dPreact, m.windows, 0, convMatrix(m.shape, grads))
	columnSums(grads[convBias], m.dPreact)
	gemm(noTrans, noTrans, m.dPreact, convMatrix(m.shape, values), 0, m.dWindows)
	parallel(m.workers, m.embed, m.passes.foldChannels)
	return loss
}

func (m *model[T]) unfold(lo, hi int) { m.unfoldRows(m.windows, m.values[embedding], lo, hi) }

// unfoldRows sets rows lo to hi of windows to the rows of table that their
// predictions see.
func (m *model[T]) unfoldRows(windows matrix[T], table []T, lo, hi int) {
	for n := lo; n < hi; n++ {
		row := windows.row(n)
		for k, symbol := range m.context(n) {
			for c, x := range table[int(symbol)*m.embed:][:m.embed] {
				row[c*m.kernel+k] = x
			}
		}
	}
}

func (m *model[T]) foldChannels(lo, hi int) {
	m.foldColumns(m.grads[embedding], m.dWindows, lo, hi)
}

// foldColumns is the transpose of unfoldRows: it sets channels lo to hi of
// table to the sums over all the places of windows that hold them. It is split
// by channels, since different rows add to the same symbol.
func (m *model[T]) foldColumns(table []T, windows matrix[T], lo, hi int) {
	for symbol := range m.vocab {
		clear(table[symbol*m.embed+lo : symbol*m.embed+hi])
	}
	for n := range m.rows() {
		row := windows.row(n)
		for k, symbol := range m.context(n) {
			channels := table[int(symbol)*m.embed:][:m.embed]
			for c := lo; c < hi; c++ {
				channels[c] += row[c*m.kernel+k]
			}
		}
	}
}

func (m *model[T]) activate(lo, hi int) {
	bias := m.values[convBias]
	for n := lo; n < hi; n++ {
		h := m.hidden.row(n)
		for j, b := range bias {
			h[j] = tanh(h[j] + b)
		}
	}
}

// tanh is faster than math.Tanh, and as good where an absolute error of one
// rounding is enough.
func tanh[T float](x T) T { return T(1 - 2/(math.Exp(2*float64(x))+1)) }

func (m *model[T]) activateBack(lo, hi int) {
	for n := lo; n < hi; n++ {
		h, dh, da := m.hidden.row(n), m.dHidden.row(n), m.dPreact.row(n)
		for j := range da {
			da[j] = dh[j] * (1 - h[j]*h[j])
		}
	}
}

// softmax turns logits into probabilities, and sets the loss of each row and
// its gradient, (probability − [symbol is the target]) / rows.
func (m *model[T]) softmax(lo, hi int) {
	bias, scale := m.values[outBias], 1/T(m.rows())
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
func (m *model[T]) decays(decay float64) []float64 {
	return []float64{embedding: decay, convWeight: decay, outWeight: decay, outBias: 0}
}
