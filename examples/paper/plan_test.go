package main

import (
	"math"
	"slices"
	"testing"

	"github.com/adahessian-go/adahessian/examples/charlm/lm"
)

// bowl makes the best rate of each variant lie a given number of rungs from its centre.
func bowl(offset func(variant) int) lookup {
	return func(sp spec) (float64, bool) {
		return 3 + 0.1*math.Abs(float64(sp.Rung-centres[sp.Optimizer]-offset(sp.variant))), true
	}
}

func centred(variant) int { return 0 }

func TestRate(t *testing.T) {
	for rung, want := range map[int]float64{-5: 0.003, -4: 0.01, -3: 0.03, -2: 0.1, -1: 0.3, 0: 1, 1: 3, 2: 10, 3: 30} {
		if got := rate(rung); got != want {
			t.Errorf("rung %d: %g, want %g", rung, got, want)
		}
	}
}

// A results file outlives a build, so the form of the keys must not change.
func TestKeys(t *testing.T) {
	s := fullSettings()
	v := s.defaultVariant(smaller, adaHessian)
	all := v
	all.Warmup, all.Batch, all.Length, all.Block, all.Each, all.Power, all.Probes, all.MaxUpdate, all.Eps, all.Differences =
		0, 0.5, 2.5, block8, 3, 0.75, 2, 10, 1e-8, true
	for _, c := range []struct {
		sp   spec
		want string
	}{
		{spec{v, -1, 2}, "smaller/AdaHessian/lr=0.3/seed=2"},
		{spec{s.defaultVariant(larger, sgd), 2, 5}, "larger/SGD/lr=10/seed=5"},
		{spec{all, -4, 1}, "smaller/AdaHessian/warmup=0/batch=0.5/length=2.5/block=8/each=3/power=0.75/probes=2/maxupdate=10/eps=1e-08/differences=true/lr=0.01/seed=1"},
	} {
		if got := s.key(c.sp); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
	seen := map[string]spec{}
	for _, sp := range s.plan(bowl(centred)).specs {
		key := s.key(sp)
		if other, ok := seen[key]; ok {
			t.Errorf("%+v and %+v are both %s", sp, other, key)
		}
		seen[key] = sp
	}
}

func TestPlanTriesAsManyRatesOfEachOptimizer(t *testing.T) {
	s := fullSettings()
	for name, c := range map[string]struct {
		offset map[string]int
		tries  int
	}{
		"inside":        {nil, 5},
		"not quite":     {map[string]int{adamW: 1, sgd: -1}, 5},
		"at an end":     {map[string]int{adamW: 2}, 7},
		"at the other":  {map[string]int{sgd: -3}, 9},
		"out of reach":  {map[string]int{adaHessian: 20}, 9},
		"two, far away": {map[string]int{adaHessian: 3, sgd: -3}, 9},
	} {
		p := s.plan(bowl(func(v variant) int { return c.offset[v.Optimizer] }))
		for _, z := range s.Sizes {
			for _, o := range optimizers {
				v := s.defaultVariant(z.Name, o)
				if got := len(p.tried[v]); got != c.tries {
					t.Errorf("%s: %s, %s: %d rates, want %d", name, z.Name, o, got, c.tries)
				}
				if want := centres[o] + min(c.offset[o], c.tries/2); p.best[v] != want {
					t.Errorf("%s: %s, %s: best rung %d, want %d", name, z.Name, o, p.best[v], want)
				}
			}
		}
		if !p.complete {
			t.Errorf("%s: the plan is not complete", name)
		}
	}
}

func TestPlanSearchesVariantsUntilTheBestIsInside(t *testing.T) {
	s := fullSettings()
	p := s.plan(bowl(func(v variant) int {
		if v.Power == 0.5 {
			return 3
		}
		return 0
	}))
	for _, v := range s.powerVariants(smaller) {
		want := map[float64][]int{0.5: {-2, -1, 0, 1, 2, 3}, 0.75: {-2, -1, 0}, 1: {-3, -2, -1, 0, 1}}[v.Power]
		if !slices.Equal(p.tried[v], want) {
			t.Errorf("power %g: rungs %v, want %v", v.Power, p.tried[v], want)
		}
	}
}

// Divergence is worse than any loss, even if only one seed of several diverges.
func TestPlanAvoidsDivergence(t *testing.T) {
	s := fullSettings()
	p := s.plan(func(sp spec) (float64, bool) {
		if sp.Optimizer == sgd && sp.Rung > -1 && sp.Seed == 2 {
			return math.Inf(1), true
		}
		return bowl(centred)(sp)
	})
	if got := p.best[s.defaultVariant(smaller, sgd)]; got != -1 {
		t.Errorf("best rung %d, want -1, the best of those that do not diverge", got)
	}
}

// The runs of a plan must be those that its results require, in the order in which they
// become known.
func TestPlanGrowsWithItsResults(t *testing.T) {
	s := fullSettings()
	want := s.plan(bowl(centred))
	finished := map[spec]bool{}
	rounds := 0
	for {
		p := s.plan(func(sp spec) (float64, bool) {
			loss, _ := bowl(centred)(sp)
			return loss, finished[sp]
		})
		before := len(finished)
		for _, sp := range p.specs {
			finished[sp] = true
		}
		if len(finished) == before {
			if !p.complete {
				t.Error("nothing is left to do, but the plan is not complete")
			}
			break
		}
		rounds++
	}
	if rounds != 3 || len(finished) != len(want.specs) {
		t.Errorf("%d runs in %d rounds, want %d in 3", len(finished), rounds, len(want.specs))
	}
	guess := s.plan(expected(func(spec) (float64, bool) { return 0, false }))
	if len(guess.specs) != len(want.specs) {
		t.Errorf("%d runs expected, want %d", len(guess.specs), len(want.specs))
	}
}

// Every block size must cover the tensors, and average over no more elements than it
// says.
func TestLayouts(t *testing.T) {
	s := fullSettings()
	shape := s.shape(s.defaultVariant(smaller, adaHessian))
	shape.Vocab = 169
	for _, c := range []struct {
		block string
		want  [lm.Tensors]int // Block of each tensor
	}{
		{blockOne, [lm.Tensors]int{1, 1, 1, 1, 1}},
		{blockKernel, [lm.Tensors]int{1, 5, 1, 1, 1}},
		{block8, [lm.Tensors]int{8, 8, 8, 8, 1}},
		{block32, [lm.Tensors]int{32, 32, 24, 26, 13}},
		{blockWhole, [lm.Tensors]int{169 * 32, 48 * 32 * 5, 48, 169 * 48, 169}},
	} {
		all, err := layouts(shape, c.block)
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range shape.Lengths() {
			if all[i].Block != c.want[i] || all[i].Len() != n || all[i].Inner != 1 {
				t.Errorf("block %s, tensor %d: %+v, want blocks of %d in %d elements", c.block, i, all[i], c.want[i], n)
			}
		}
	}
}
