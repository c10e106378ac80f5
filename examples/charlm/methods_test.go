package main

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/adahessian-go/adahessian/examples/charlm/lm"
)

// newTinyModel returns a model with a batch, and no parameter at 0.
func newTinyModel() *lm.Model[float32] {
	s := lm.Shape{Vocab: 7, Embed: 3, Width: 5, Kernel: 4, Batch: 2, Positions: 6, Workers: 1}
	m := lm.NewModel[float32](s, 3)
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

// afterStep returns the parameters of the tiny model after one step of a
// method, as the flags say.
func afterStep(t *testing.T, me method, lr float64, flags ...string) [][]float32 {
	t.Helper()
	c, err := parseFlags(flags, new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	m := newTinyModel()
	s, err := me.start(m, c)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Step(lr); err != nil {
		t.Fatal(err)
	}
	return m.Values[:]
}

func TestWeightsDecayAndBiasesDoNot(t *testing.T) {
	for _, me := range methods {
		with := afterStep(t, me, 0.1, "-decay", "0.5")
		without := afterStep(t, me, 0.1, "-decay", "0")
		for i := range with {
			isBias := i == lm.ConvBias || i == lm.OutBias
			if same := slices.Equal(with[i], without[i]); same != isBias {
				t.Errorf("%s: tensor %d: the same with and without decay: %v, want %v", me.name, i, same, isBias)
			}
		}
	}
}

// The learning rate must reach every group of parameters.
func TestStepAtRateZeroMovesNothing(t *testing.T) {
	before := newTinyModel().Values
	for _, me := range methods {
		still, moved := afterStep(t, me, 0), afterStep(t, me, 0.1)
		for i := range before {
			if !slices.Equal(still[i], before[i]) {
				t.Errorf("%s: tensor %d moves at learning rate 0", me.name, i)
			}
			if slices.Equal(moved[i], before[i]) {
				t.Errorf("%s: tensor %d does not move at learning rate 0.1", me.name, i)
			}
		}
	}
}

func TestSeedReachesTheProbes(t *testing.T) {
	one, two := afterStep(t, methods[0], 0.1, "-seed", "1"), afterStep(t, methods[0], 0.1, "-seed", "2")
	if slices.Equal(one[lm.OutWeight], two[lm.OutWeight]) {
		t.Error("two seeds give the same step")
	}
}

// The published rates must be in the grids that they are said to come from,
// and the grids equally long.
func TestRatesAreInTheirGrids(t *testing.T) {
	for _, me := range methods {
		if !slices.Contains(me.grid, me.lr) {
			t.Errorf("%s: rate %g is not in %v", me.name, me.lr, me.grid)
		}
		if len(me.grid) != len(methods[0].grid) {
			t.Errorf("%s: %d rates, %s has %d", me.name, len(me.grid), methods[0].name, len(methods[0].grid))
		}
	}
}
