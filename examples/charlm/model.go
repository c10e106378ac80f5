package main

import (
	"fmt"

	"github.com/adahessian-go/adahessian/examples/charlm/lm"
)

// The kinds of models.
const (
	transformer = "transformer"
	conv        = "conv"
)

// modelConfig says what is trained.
type modelConfig struct {
	model                     string // kind
	vocab                     int    // of the text; has no flag
	batch, positions, workers int
	width                     int // of both kinds
	heads, layers             int // of a Transformer
	embed, kernel             int // of a convolution
}

func (c *modelConfig) newModel(seed uint64) *lm.Model[float32] {
	if c.model == conv {
		return lm.NewConv[float32](lm.Shape{
			Vocab: c.vocab, Embed: c.embed, Width: c.width, Kernel: c.kernel,
			Batch: c.batch, Positions: c.positions, Workers: c.workers,
		}, seed)
	}
	return lm.NewTransformer[float32](lm.TransformerShape{
		Vocab: c.vocab, Width: c.width, Heads: c.heads, Layers: c.layers,
		Batch: c.batch, Positions: c.positions, Workers: c.workers,
	}, seed)
}

// span returns the number of characters in a sequence: those that its first prediction
// sees, and those that are predicted.
func (c *modelConfig) span() int {
	if c.model == conv {
		return c.kernel + c.positions
	}
	return 1 + c.positions
}

// String names the layers.
func (c *modelConfig) String() string {
	if c.model == conv {
		return fmt.Sprintf("embedding %d, convolution %d→%d over %d characters, tanh, softmax over %d",
			c.embed, c.embed, c.width, c.kernel, c.vocab)
	}
	return fmt.Sprintf("Transformer, %d blocks of %d channels and %d heads over %d characters, GELU, softmax over %d",
		c.layers, c.width, c.heads, c.positions, c.vocab)
}
