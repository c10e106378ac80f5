package lm

import (
	"fmt"
	"math"
)

// TransformerShape holds the sizes of a Transformer and of the batches on which it is
// trained.
type TransformerShape struct {
	Vocab     int // symbols
	Width     int // channels of the residual stream, a multiple of Heads
	Heads     int // of each attention
	Layers    int // blocks of an attention and a perceptron
	Batch     int // sequences in a batch
	Positions int // predictions in a sequence
	Workers   int // the largest number of goroutines of an element-wise pass
}

// perceptronFactor is how much wider the perceptrons are than the stream.
const perceptronFactor = 4

// NewTransformer returns a causal Transformer with layer norms before its branches
// (Radford et al., "Language Models are Unsupervised Multitask Learners", 2019):
//
//	x = embedding of the last symbol + embedding of its place
//	in each block
//	    x += heads(norm(x) Wᵀ) Uᵀ
//	    x += gelu(norm(x) Wᵀ) Uᵀ
//	y = norm(x) Wᵀ + bias
//	loss = mean over all positions of −log softmax(y)[next symbol]
//
// Of the products, only the last has a bias. The norms have biases, which serve the
// products after them.
//
// The same seed gives the same model: weights from normal distributions that
// keep the variance of the activations near 1, biases of 0, and gains of 1.
func NewTransformer[T Float](s TransformerShape, seed uint64) *Model[T] {
	b := newBatch(s.Batch, s.Positions, 1, s.Workers)
	t := &builder[T]{batch: b, stream: newSignal[T](b.rows(), s.Width)}

	// The variances of the two embeddings add up to 1, and those of all branches to
	// another 1.
	table := t.parameter("embedding", math.Sqrt(0.5), s.Vocab, s.Width)
	places := t.parameter("places", math.Sqrt(0.5), s.Positions, s.Width)
	t.layers = append(t.layers, newEmbedding(b, t.stream, table, places))
	added := math.Sqrt(1 / float64(2*s.Layers))
	for i := range s.Layers {
		t.branch(fmt.Sprintf("block%d.attention.", i), attentionParts*s.Width, s.Width, added,
			func(in, out *signal[T]) layer { return newAttention(b, in, out, s.Heads) })
		hidden := perceptronFactor * s.Width
		t.branch(fmt.Sprintf("block%d.perceptron.", i), hidden, hidden, added,
			func(in, out *signal[T]) layer { return newGELU(b, in, out) })
	}
	logits := newSignal[T](b.rows(), s.Vocab)
	t.linear("out.weight", 1, t.norm("out.", nil), logits, 0)
	loss := newSoftmaxLoss(b, logits, t.parameter("out.bias", 0, s.Vocab))

	draw(t.params, seed, t.deviations)
	for _, gain := range t.gains {
		for i := range gain.value {
			gain.value[i] = 1
		}
	}
	return newModel(b, t.params, t.layers, loss)
}

// builder is a partly built Transformer.
type builder[T Float] struct {
	*batch
	params     []*Parameter[T]
	deviations []float64 // of their initial values
	gains      []*Parameter[T]
	layers     []layer
	stream     *signal[T] // the residual stream after the layers so far
}

// parameter adds a tensor.
func (t *builder[T]) parameter(name string, deviation float64, shape ...int) *Parameter[T] {
	p := newParameter[T](name, shape...)
	t.params = append(t.params, p)
	t.deviations = append(t.deviations, deviation)
	return p
}

// branch adds a layer norm, a product to inner channels, the layer that inside makes,
// which has outer channels, and a product back onto the stream with the given
// deviation.
func (t *builder[T]) branch(name string, inner, outer int, deviation float64, inside func(in, out *signal[T]) layer) {
	// All states of the stream share one matrix, and so do their tangents, since a
	// layer norm keeps what it needs. Each state has its own gradient, which the
	// tangents of the product before it need.
	behind := *t.stream
	behind.d = newMatrix[T](t.stream.d.rows, t.stream.d.cols)

	in, out := newSignal[T](t.rows(), inner), newSignal[T](t.rows(), outer)
	t.linear(name+"in", 1, t.norm(name, &behind), in, 0)
	t.layers = append(t.layers, inside(in, out))
	t.linear(name+"out", deviation, out, &behind, 1)
	t.stream = &behind
}

// norm adds a layer norm of the stream, before a branch that ends at past.
func (t *builder[T]) norm(name string, past *signal[T]) *signal[T] {
	width := t.stream.x.cols
	gain, bias := t.parameter(name+"norm.gain", 0, width), t.parameter(name+"norm.bias", 0, width)
	t.gains = append(t.gains, gain)
	out := newSignal[T](t.rows(), width)
	t.layers = append(t.layers, newLayerNorm(t.batch, t.stream, out, past, gain, bias))
	return out
}

// linear adds a product that gives an input of variance 1 the given deviation.
func (t *builder[T]) linear(name string, deviation float64, in, out *signal[T], onto T) {
	weight := t.parameter(name, deviation/math.Sqrt(float64(in.x.cols)), out.x.cols, in.x.cols)
	t.layers = append(t.layers, &linear[T]{batch: t.batch, in: in, out: out, weight: weight, onto: onto})
}
