package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/adahessian-go/adahessian/examples/charlm/lm"
)

// settings holds everything that all runs have in common. Results with different
// settings are not comparable, so a results file belongs to one of them.
type settings struct {
	Sizes         []size
	Steps         int      // of every run
	Warmup        int      // steps with a rising learning rate, by default
	Decay         float64  // weight decay of every optimizer, biases excepted
	Seeds         []uint64 // of initial weights, batches and probes
	VariantSeeds  []uint64 // of the variants of an optimizer
	Tries         int      // learning rates of each optimizer at first
	VariantTries  int      // learning rates of each variant at first
	MaxTries      int      // where a search ends, whatever it has found
	Measurements  int      // of the validation loss in a run
	HeldSequences int      // of held-out text in each
	Text          string   // hash of the text
	TextBytes     int

	// For the part on the Transformer, which has no Sizes.
	Transformers []transformer `json:",omitempty"`

	// For the timings, which may be repeated: not part of the hash.
	timingRounds, timingSteps int
}

// size is a model and its batches.
type size struct {
	Name  string
	Shape lm.Shape
}

// The names of the sizes.
const (
	smaller = "smaller"
	larger  = "larger"
)

// fullSettings returns the settings of docs/evidence.md.
func fullSettings() settings {
	return settings{
		Sizes: []size{
			{smaller, lm.Shape{Embed: 32, Width: 48, Kernel: 5, Batch: 16, Positions: 16, Workers: 1}},
			{larger, lm.Shape{Embed: 32, Width: 96, Kernel: 8, Batch: 16, Positions: 24, Workers: 1}},
		},
		Steps: 400, Warmup: lm.DefaultWarmup(400), Decay: 1e-4,
		Seeds: []uint64{1, 2, 3, 4, 5}, VariantSeeds: []uint64{1, 2, 3, 4},
		Tries: 5, VariantTries: 3, MaxTries: 9,
		Measurements: 20, HeldSequences: 256,
		timingRounds: 9, timingSteps: 30,
	}
}

// reducedSettings returns settings for a plan that takes seconds and uses every part of
// the command. Its results mean nothing.
func reducedSettings() settings {
	return settings{
		Sizes: []size{
			{smaller, lm.Shape{Embed: 8, Width: 8, Kernel: 2, Batch: 4, Positions: 4, Workers: 1}},
			{larger, lm.Shape{Embed: 8, Width: 16, Kernel: 3, Batch: 4, Positions: 6, Workers: 1}},
		},
		Steps: 10, Warmup: 1, Decay: 1e-4,
		Seeds: []uint64{1, 2, 3}, VariantSeeds: []uint64{1, 2, 3},
		Tries: 5, VariantTries: 3, MaxTries: 5,
		Measurements: 5, HeldSequences: 16,
		timingRounds: 2, timingSteps: 30,
	}
}

// hash identifies settings in a results file.
func (s settings) hash() string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a struct of numbers and strings
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// steps returns the number of training steps of a variant.
func (s settings) steps(v variant) int {
	if t, ok := s.transformer(v.Size); ok {
		return t.steps(v)
	}
	return int(float64(s.Steps) * v.Length)
}

// shape returns the model of a variant, with its batch, except for the number of
// symbols.
func (s settings) shape(v variant) lm.Shape {
	for _, z := range s.Sizes {
		if z.Name == v.Size {
			shape := z.Shape
			shape.Batch = int(float64(shape.Batch) * v.Batch)
			return shape
		}
	}
	panic("no size " + v.Size)
}
