package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The longer runs must have four times the steps of the shorter ones, and the runs for
// equal time as many steps as fit into AdamW's time.
func TestStepsOnTransformer(t *testing.T) {
	s := fullTransformer()
	for _, z := range s.Transformers {
		v := s.defaultVariant(z.Name, adaHessian)
		short, long := s.steps(z.lasting(v, lengths[0], 0)), s.steps(z.lasting(v, lengths[1], 0))
		if short != z.Steps || long != 4*short {
			t.Errorf("%s: %d and %d steps, want %d and four times that", z.Name, short, long, z.Steps)
		}
		if got := s.steps(z.lasting(v, 4, 2)); got != 2*z.Steps {
			t.Errorf("%s: %d steps at twice the price of %d", z.Name, got, 4*z.Steps)
		}
	}
}

// All families except SGD's must choose from equally many settings, and the keys of all
// runs must differ.
func TestFamilies(t *testing.T) {
	s := fullTransformer()
	seen := map[string]variant{}
	for _, z := range s.Transformers {
		for _, length := range lengths {
			for _, f := range s.families(z, length) {
				want := len(bounds)
				if f.optimizer == sgd || f.rung != nil {
					want = 1
				}
				if len(f.all) != want {
					t.Errorf("%s: %d settings, want %d", f.name, len(f.all), want)
				}
				for _, v := range f.all {
					if (v.Optimizer == adaHessian) != (f.price != 0) {
						t.Errorf("%s: a price of %g", f.name, f.price)
					}
					key := s.key(spec{v, 0, 1})
					if _, ok := seen[key]; ok {
						t.Errorf("two variants are %s", key)
					}
					seen[key] = v
				}
			}
		}
	}
}

// The plan must choose by the tuning part alone, run what it chose with the reported
// seeds, and begin a longer run's search at the best rate of the shorter run.
func TestPlanOnTransformer(t *testing.T) {
	s := fullTransformer()
	z := s.Transformers[0]
	families := s.families(z, lengths[0])
	p := s.plan(func(sp spec) (float64, bool) {
		loss, _ := bowl(func(variant) int { return 1 })(sp)
		switch {
		case sp.Optimizer == adaHessian && sp.MaxUpdate == 1, sp.Optimizer == adamW && sp.Beta2 == 0.95:
			loss -= 0.05
		}
		return loss, true
	})
	if !p.complete {
		t.Error("the plan is not complete")
	}
	for _, f := range families {
		v := p.chosen[familyKey{z.Name, lengths[0], f.name}]
		if f.optimizer == adaHessian && f.name != adaTuned && f.rung == nil && v.MaxUpdate != 1 || f.optimizer == adamW && v.Beta2 != 0.95 {
			t.Errorf("%s: chose %s", f.name, s.variantKey(v))
		}
		want := centres[f.optimizer] + 1
		if f.rung != nil {
			if want = -1; len(p.tried[v]) != 1 { // 0.3
				t.Errorf("%s: tried %v", f.name, p.tried[v])
			}
		}
		if p.best[v] != want {
			t.Errorf("%s: rung %d, want %d", f.name, p.best[v], want)
		}
		if got := p.tried[z.lasting(v, lengths[1], 0)]; f.rung == nil && (len(got) != s.VariantTries || got[1] != want) {
			t.Errorf("%s: the long runs try %v, want three around %d", f.name, got, want)
		}
		seeds := map[uint64]bool{}
		for _, sp := range p.specs {
			if sp.variant == v && sp.Rung == want {
				seeds[sp.Seed] = true
			}
		}
		if len(seeds) != len(s.Seeds) {
			t.Errorf("%s: %d seeds of what was chosen, want %d", f.name, len(seeds), len(s.Seeds))
		}
	}
}

// If the best two rates are level, the one between them must be tried, and used if it
// is better.
func TestPlanTriesBetweenLevelRates(t *testing.T) {
	s := fullTransformer()
	z := s.Transformers[0]
	for better, want := range map[float64]string{-0.1: "0.02", 0.1: "0.03"} {
		p := s.plan(func(sp spec) (float64, bool) {
			loss, _ := bowl(centred)(sp)
			if sp.Optimizer == adamW && sp.Rung == -4 {
				loss = 3.01 // at 0.01, next to 3 at 0.03
			}
			if sp.Between {
				loss = 3 + better
			}
			return loss, true
		})
		v := p.chosen[familyKey{z.Name, lengths[0], adamW}]
		if got := (measured{variant: v, rung: p.best[v], chosen: true}).rateText(); got != want {
			t.Errorf("a loss that is %g higher between two rates: %s was chosen, want %s", better, got, want)
		}
		ada := p.chosen[familyKey{z.Name, lengths[0], curvatures[0].String()}]
		if ada.Between = true; p.tried[ada] != nil {
			t.Error("a rate between two that are not level")
		}
	}
	for rung, want := range map[int]float64{-4: 0.02, -3: 0.05, -1: 0.5, 0: 2, 1: 5} {
		if got := (variant{Between: true}).rate(rung); got != want {
			t.Errorf("rung %d and a half: %g, want %g", rung, got, want)
		}
	}
}

// If settings are carried over, the long runs of every optimizer must have those of the
// short ones and no others.
func TestPlanCarriesSettings(t *testing.T) {
	s := fullTransformer()
	p := s.plan(func(sp spec) (float64, bool) {
		loss, _ := bowl(centred)(sp)
		if sp.MaxUpdate == 1 || sp.Optimizer == adamW && sp.Beta2 == 0.99 {
			loss -= 0.05
		}
		if sp.Length == lengths[1] && (sp.MaxUpdate == 0.3 || sp.Beta2 == 0.95) {
			loss -= 0.2 // better there, which the plan must not see
		}
		return loss, true
	})
	for _, z := range s.Transformers {
		members := map[variant]bool{}
		for _, f := range s.families(z, lengths[1]) {
			short, long := p.chosen[familyKey{z.Name, lengths[0], f.name}], p.chosen[familyKey{z.Name, lengths[1], f.name}]
			if same := long == z.lasting(short, lengths[1], 0); z.Carry && !same {
				t.Errorf("%s, %s: %s after %s", z.Name, f.name, s.variantKey(long), s.variantKey(short))
			} else if !z.Carry && same && len(f.all) > 1 && f.name != adaTuned {
				t.Errorf("%s, %s: %s was not chosen again", z.Name, f.name, s.variantKey(long))
			}
			members[long], members[z.lasting(long, lengths[1], f.price)] = true, true
		}
		for _, sp := range p.specs {
			if z.Carry && sp.Size == z.Name && sp.Length == lengths[1] && !members[sp.variant] {
				t.Errorf("%s: a run of %s", z.Name, s.variantKey(sp.variant))
				break
			}
		}
	}
}

// An interrupted plan leaves whole comparisons: no run of the next size or length
// starts before all runs of the present one are finished.
func TestPlanOnTransformerGoesStepByStep(t *testing.T) {
	s := fullTransformer()
	finished := map[spec]bool{}
	for range 100 {
		p := s.plan(func(sp spec) (float64, bool) {
			loss, _ := bowl(centred)(sp)
			return loss, finished[sp]
		})
		pending := map[[2]any]bool{}
		before := len(finished)
		for _, sp := range p.specs {
			if !finished[sp] {
				pending[[2]any{sp.Size, sp.Length}] = true
				finished[sp] = true
			}
		}
		if len(finished) == before {
			if !p.complete {
				t.Error("nothing is left to do, but the plan is not complete")
			}
			return
		}
		// The sweeps, on which nothing later depends, may run together with the next.
		if len(pending) > 3 {
			t.Errorf("%d sizes and lengths at once", len(pending))
		}
	}
	t.Error("the plan does not end")
}

// Every setting of a variant must have an effect: no two variants of a comparison may
// end with the same loss.
func TestEveryVariantRunsOnTransformer(t *testing.T) {
	p := testTransformer(t)
	z := p.Transformers[0]
	losses := map[float64]string{}
	for _, f := range p.families(z, 4) {
		for _, v := range append(f.all, z.lasting(f.all[0], 4, 1.08)) {
			res, err := p.run(spec{v, centres[v.Optimizer], 1})
			if err != nil {
				t.Fatal(err)
			}
			if want := p.steps(v); !res.Diverged && res.Steps != want {
				t.Errorf("%s: %d steps, want %d", res.Key, res.Steps, want)
			}
			if other, ok := losses[res.Validation]; ok && !res.Diverged && other != res.Key {
				t.Errorf("%s and %s have the same loss: a setting has no effect", res.Key, other)
			}
			losses[res.Validation] = res.Key
		}
	}
}

// transformerText returns the report on Transformer results that a function gives.
func transformerText(t *testing.T, loss func(spec) float64, seconds func(variant) float64) string {
	t.Helper()
	conv, on := testExperiment(t), testTransformer(t)
	on.results = synthetic(t, on.experiment, loss, seconds)
	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "evidence"), 0o755); err != nil {
		t.Fatal(err)
	}
	nothing := &part{experiment: conv, results: mustOpen(t, filepath.Join(folder, "r.jsonl"), conv.settings)}
	if err := writeReport(nothing, on, folder, filepath.Join(folder, "evidence")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "evidence.md"))
	if err != nil {
		t.Fatal(err)
	}
	checkPictures(t, folder, string(text))
	return string(text)
}

// Every conclusion on the Transformer must follow from the numbers, in both directions.
func TestReportOnTransformerFollowsTheNumbers(t *testing.T) {
	seconds := func(v variant) float64 { // with these, all runs for equal time take equally long
		if v.Optimizer == adaHessian {
			return 0.001 * (1 + 1.6*v.Part/float64(v.Each))
		}
		return 0.001
	}
	loss := func(ahead string, better, worse func(spec) bool) func(spec) float64 {
		return func(sp spec) float64 {
			loss, _ := bowl(centred)(sp)
			if sp.Optimizer != ahead {
				loss += 0.2
			}
			if better(sp) {
				loss -= 0.1
			}
			if worse(sp) {
				loss += 0.3
			}
			return loss
		}
	}
	none := func(spec) bool { return false }
	good := transformerText(t, loss(adaHessian, func(sp spec) bool { return sp.MaxUpdate == 0.3 || sp.Optimizer == adamW && sp.Beta1 == shortBeta1 }, none), seconds)
	bad := transformerText(t, loss(adamW, none, func(sp spec) bool { return sp.Optimizer == adaHessian && sp.Each > 1 }), seconds)
	for _, where := range []string{"smaller, 10 steps", "smaller, 40 steps", "larger, 10 steps", "larger, 40 steps"} {
		for _, claim := range []string{
			"Transformer, product of the whole batch in every step: AdaHessian ends lower than AdamW for equal steps (",
			"Transformer, product of the whole batch in every step: AdaHessian ends no higher than AdamW for equal time (",
			"Transformer, cheap product: AdaHessian ends lower than AdamW for equal steps (",
			"Transformer, cheap product: AdaHessian ends no higher than AdamW for equal time (",
			"Transformer, cheap product: AdaHessian ends lower than SGD for equal steps (",
			"Transformer, cheap product: no higher than with the whole batch in every step (",
			"Transformer, tuned: AdaHessian ends lower than AdamW for equal steps (",
			"Transformer, tuned: AdaHessian ends no higher than AdamW for equal time (",
		} {
			if want := "| " + claim + where + ") | " + holds + " |"; !strings.Contains(good, want) {
				t.Errorf("missing: %s", want)
			}
			if want := "| " + claim + where + ") | " + doesNotHold + " |"; !strings.Contains(bad, want) {
				t.Errorf("missing: %s", want)
			}
		}
	}
	for _, want := range []string{
		"| every 5th step, a quarter of the batch | MaxUpdate 0.3 | 0.3 | 2.920 ± 0.010 | −0.300 ± 0.000 | 1.08 ms | 1.08 (1.08 … 1.08) | 37 | 0.3 | 2.920 ± 0.010 | −0.300 ± 0.000 |",
		"| AdaHessian, tuned | MaxUpdate 0.3, β 0.9, 0.95 | 0.3 | 2.920 ± 0.010 | −0.200 ± 0.000 |",
		"`AdamW/beta2=0.95` | 0.01, 0.03, 0.1 | 4.300, 4.200, 4.300 | 0.03 |",
	} {
		if !strings.Contains(good, want) {
			t.Errorf("missing: %s", want)
		}
	}
	if strings.Contains(good+bad, "NaN") || strings.Contains(good+bad, "Inf") || strings.Contains(good+bad, "%!") {
		t.Error("the text has values that are not numbers")
	}
}
