package main

import (
	"bytes"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/adahessian-go/adahessian/examples/internal/testfile"
)

func testExperiment(t *testing.T) *experiment {
	t.Helper()
	e, _, err := newExperiments(config{reduced: true, text: testfile.Sentences(t, 20_000)})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// testTransformer returns the part on the Transformer, without results.
func testTransformer(t *testing.T) *part {
	t.Helper()
	_, e, err := newExperiments(config{reduced: true, text: testfile.Sentences(t, 20_000)})
	if err != nil {
		t.Fatal(err)
	}
	return &part{experiment: e, results: mustOpen(t, filepath.Join(t.TempDir(), "t.jsonl"), e.settings)}
}

// A choice must not change if everything that it must not see changes.
func TestChoiceReadsTheTuningPartOnly(t *testing.T) {
	e := testExperiment(t)
	clean := &results{runs: map[string]runResult{}}
	poisoned := &results{runs: map[string]runResult{}}
	for _, sp := range e.plan(bowl(func(variant) int { return 1 })).specs {
		tuning, _ := bowl(func(variant) int { return 1 })(sp)
		res := runResult{Key: e.key(sp), Tuning: tuning, Validation: tuning}
		clean.runs[res.Key] = res
		res.Validation = -tuning // reverses the order of all runs
		res.Curve = [][2]float64{{1, -tuning}}
		poisoned.runs[res.Key] = res
	}
	a, b := e.plan(e.tuningOf(clean)), e.plan(e.tuningOf(poisoned))
	if !a.complete || !reflect.DeepEqual(a, b) {
		t.Errorf("complete: %v; the choice depends on the validation part", a.complete)
	}
}

// The part that must not be read cannot be read.
func TestTuningPartIsAnotherThanTheValidationPart(t *testing.T) {
	e := testExperiment(t)
	sp := spec{e.defaultVariant(smaller, adamW), -3, 1}
	before, err := e.run(sp)
	if err != nil {
		t.Fatal(err)
	}
	held := e.corpus.Validation
	e.corpus.Validation = make([]uint8, len(held))
	changed, err := e.run(sp)
	if err != nil {
		t.Fatal(err)
	}
	if changed.Tuning != before.Tuning || changed.Validation == before.Validation {
		t.Errorf("with another validation part: %v, %v, before: %v, %v", changed.Tuning, changed.Validation, before.Tuning, before.Validation)
	}
}

func TestEveryVariantRuns(t *testing.T) {
	e := testExperiment(t)
	losses := map[float64]string{}
	for _, v := range append(e.variants(smaller), e.defaultVariant(smaller, adaHessian)) {
		res, err := e.run(spec{v, centres[v.Optimizer], 1})
		if err != nil {
			t.Fatal(err)
		}
		if want := e.steps(v); !res.Diverged && res.Steps != want {
			t.Errorf("%s: %d steps, want %d", res.Key, res.Steps, want)
		}
		if !res.Diverged && losses[res.Validation] != "" {
			t.Errorf("%s and %s have the same loss: a setting does not arrive", res.Key, losses[res.Validation])
		}
		losses[res.Validation] = res.Key
	}
}

func TestDivergenceIsAResult(t *testing.T) {
	e := testExperiment(t)
	res, err := e.run(spec{e.defaultVariant(smaller, sgd), 60, 1})
	if err != nil || !res.Diverged {
		t.Fatalf("%+v, %v, want a run that diverged", res, err)
	}
	r := mustOpen(t, filepath.Join(t.TempDir(), "r.jsonl"), e.settings)
	if err := r.addRun(res); err != nil {
		t.Error(err)
	}
}

func TestBadFlags(t *testing.T) {
	for _, args := range [][]string{{"-workers", "0"}, {"-stage", "all of it"}, {"-reduced=perhaps"}} {
		if _, err := parseFlags(args, new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), strings.Split(args[0], "=")[0]) {
			t.Errorf("%v: %v, want an error that names it", args, err)
		}
	}
	if _, err := parseFlags([]string{"extra"}, new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), `"extra"`) {
		t.Errorf("an argument too many: %v", err)
	}
}
