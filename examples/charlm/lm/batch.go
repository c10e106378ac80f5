package lm

// batch holds the sequences on which a model is trained next.
type batch struct {
	Batch     int // sequences
	Positions int // predictions in each of them

	context int     // symbols that come before the first prediction
	workers int     // the largest number of goroutines of an element-wise pass
	symbols []uint8 // [Batch, Span()]
}

func newBatch(sequences, positions, context, workers int) *batch {
	b := &batch{Batch: sequences, Positions: positions, context: context, workers: workers}
	b.symbols = make([]uint8, sequences*b.Span())
	return b
}

// rows returns the number of predictions in a batch.
func (b *batch) rows() int { return b.Batch * b.Positions }

// Span returns the number of symbols in a sequence: the context of its first
// prediction, and one symbol to predict at each position.
func (b *batch) Span() int { return b.context + b.Positions }

// Load makes the batch of the sequences that begin at starts in text.
func (b *batch) Load(text []uint8, starts []int) {
	span := b.Span()
	for i, start := range starts {
		copy(b.symbols[i*span:(i+1)*span], text[start:start+span])
	}
}

// before returns the symbols just before the one that prediction n is about, as many as
// the context has.
func (b *batch) before(n int) []uint8 {
	i := n/b.Positions*b.Span() + n%b.Positions
	return b.symbols[i : i+b.context]
}

// target returns the symbol that prediction n is to predict.
func (b *batch) target(n int) uint8 {
	return b.symbols[n/b.Positions*b.Span()+n%b.Positions+b.context]
}
