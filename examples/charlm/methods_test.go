package main

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/adahessian-go/adahessian/examples/charlm/lm"
)

var kinds = []string{transformer, conv}

// tinyConfig returns the config that the flags give, for a tiny model.
func tinyConfig(t *testing.T, flags ...string) config {
	t.Helper()
	c, err := parseFlags(append([]string{"-embed", "3", "-width", "6", "-heads", "2", "-kernel", "4",
		"-batch", "2", "-positions", "6", "-workers", "1"}, flags...), new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	c.vocab = 7
	return c
}

// newTinyModel returns the model of a tinyConfig with a batch, and no parameter at 0.
func newTinyModel(c config) *lm.Model[float32] {
	m := c.newModel(3)
	rng := rand.New(rand.NewPCG(5, 5))
	for _, v := range m.Values {
		for i := range v {
			v[i] += float32(0.1 * rng.NormFloat64())
		}
	}
	m.Load([]uint8{0, 3, 1, 5, 6, 2, 4, 4, 0, 1, 6, 5, 2}, []int{0, 3})
	return m
}

// clone returns a deep copy.
func clone(tensors [][]float32) [][]float32 {
	c := make([][]float32, len(tensors))
	for i, v := range tensors {
		c[i] = slices.Clone(v)
	}
	return c
}

// afterStep returns a tiny model after one step of a method with the given flags.
func afterStep(t *testing.T, me method, lr float64, flags ...string) *lm.Model[float32] {
	t.Helper()
	c := tinyConfig(t, flags...)
	m := newTinyModel(c)
	s, err := me.start(m, c)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Step(lr); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestWeightsDecayAndBiasesDoNot(t *testing.T) {
	for _, kind := range kinds {
		for _, me := range methods {
			with := afterStep(t, me, 0.1, "-model", kind, "-decay", "0.5")
			without := afterStep(t, me, 0.1, "-model", kind, "-decay", "0")
			for i, p := range with.Parameters() {
				vector := len(p.Shape) == 1 // a bias, or the gain of a norm
				if same := slices.Equal(with.Values[i], without.Values[i]); same != vector {
					t.Errorf("%s, %s, %s: the same with and without decay: %v, want %v", kind, me.name, p.Name, same, vector)
				}
			}
		}
	}
}

// The learning rate must reach every group of parameters.
func TestStepAtRateZeroMovesNothing(t *testing.T) {
	for _, kind := range kinds {
		before := newTinyModel(tinyConfig(t, "-model", kind)).Values
		for _, me := range methods {
			still, moved := afterStep(t, me, 0, "-model", kind), afterStep(t, me, 0.1, "-model", kind)
			for i, p := range still.Parameters() {
				if !slices.Equal(still.Values[i], before[i]) {
					t.Errorf("%s, %s, %s moves at learning rate 0", kind, me.name, p.Name)
				}
				if slices.Equal(moved.Values[i], before[i]) {
					t.Errorf("%s, %s, %s does not move at learning rate 0.1", kind, me.name, p.Name)
				}
			}
		}
	}
}

// The flags for AdaHessian must reach it: each must change the step.
func TestFlagsReachAdaHessian(t *testing.T) {
	base := afterStep(t, methods[0], 0.1)
	for _, flags := range [][]string{
		{"-seed", "2"},
		{"-curvature-batch", "2"},
		{"-max-update", "0.01"},
	} {
		other := afterStep(t, methods[0], 0.1, flags...)
		if slices.Equal(base.Values[0], other.Values[0]) {
			t.Errorf("%v: the same step as without these flags", flags)
		}
	}
}

// The published rates must be in the grids from which they are said to come, and all
// grids must be equally long.
func TestRatesAreInTheirGrids(t *testing.T) {
	for _, kind := range kinds {
		for _, me := range methods {
			tuned := me.tuned[kind]
			if !slices.Contains(tuned.grid, tuned.lr) {
				t.Errorf("%s, %s: rate %g is not in %v", kind, me.name, tuned.lr, tuned.grid)
			}
			if len(tuned.grid) != 5 {
				t.Errorf("%s, %s: %d rates, want 5", kind, me.name, len(tuned.grid))
			}
		}
	}
}

// The convolution keeps the defaults that it had when it was the only model,
// unless the arguments say otherwise.
func TestDefaultsOfTheConvolution(t *testing.T) {
	c, err := parseFlags([]string{"-model", conv, "-lr-sgd", "0.5"}, new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	if c.steps != 800 || c.width != 128 || c.updateEach != 1 || c.curvatureBatch != c.batch || c.maxUpdate != 0 || !slices.Equal(c.rates, []float64{0.3, 0.03, 0.5}) {
		t.Errorf("defaults: %+v", c)
	}
	c, err = parseFlags([]string{"-model", conv, "-width", "64", "-update-each", "5", "-curvature-batch", "8", "-max-update", "1"}, new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	if c.width != 64 || c.updateEach != 5 || c.curvatureBatch != 8 || c.maxUpdate != 1 {
		t.Errorf("arguments are overridden: %+v", c)
	}
}
