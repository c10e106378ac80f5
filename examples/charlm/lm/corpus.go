package lm

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
)

// Corpus is a text as symbols, in three parts that do not overlap.
type Corpus struct {
	Alphabet   []byte  // the byte of each symbol
	Train      []uint8 // what the models learn from
	Tuning     []uint8 // for choosing the learning rates
	Validation []uint8 // for the reported results; nothing is chosen on it
}

// The text is cut into slices. Of every ten consecutive ones, eight are for training,
// one is for tuning, and one for validation, so that all three parts come from all over
// the text.
const (
	textSlices     = 200
	cycle          = 10
	tuningTurn     = 8
	validationTurn = 9
)

// NewCorpus encodes and splits text. Each part must hold at least one
// sequence of span symbols.
func NewCorpus(text []byte, span int) (*Corpus, error) {
	if need := cycle*span + textSlices; len(text) < need {
		return nil, fmt.Errorf("the text is too short: %d bytes, want at least %d", len(text), need)
	}
	c := &Corpus{}
	var symbol [256]uint8
	for b := range 256 {
		if bytes.IndexByte(text, byte(b)) >= 0 {
			symbol[b] = uint8(len(c.Alphabet))
			c.Alphabet = append(c.Alphabet, byte(b))
		}
	}
	for i := range textSlices {
		part := &c.Train
		switch i % cycle {
		case tuningTurn:
			part = &c.Tuning
		case validationTurn:
			part = &c.Validation
		}
		for _, b := range text[i*len(text)/textSlices : (i+1)*len(text)/textSlices] {
			*part = append(*part, symbol[b])
		}
	}
	return c, nil
}

// Entropy returns the bits per symbol of part that a model needs if it knows only how
// frequent each symbol is. A language model must at least do better.
func Entropy(part []uint8) float64 {
	var count [256]int
	for _, s := range part {
		count[s]++
	}
	bits := 0.0
	for _, n := range count {
		if n > 0 {
			p := float64(n) / float64(len(part))
			bits -= p * math.Log2(p)
		}
	}
	return bits
}

// Sampler draws the starts of the sequences of training batches. The same seed gives
// the same starts.
type Sampler struct {
	rng    *rand.Rand
	last   int // start of the last sequence of the text
	starts []int
}

func NewSampler(textLen, span, batch int, seed uint64) *Sampler {
	return &Sampler{rand.New(rand.NewPCG(seed, 1)), textLen - span, make([]int, batch)}
}

// Next returns the starts of the next batch, in a slice that it reuses.
func (s *Sampler) Next() []int {
	for i := range s.starts {
		s.starts[i] = s.rng.IntN(s.last + 1)
	}
	return s.starts
}

// Evenly returns the starts of n sequences spread evenly over a text.
func Evenly(textLen, span, n int) []int {
	starts := make([]int, n)
	for i := range starts {
		starts[i] = i * (textLen - span) / max(n-1, 1)
	}
	return starts
}
