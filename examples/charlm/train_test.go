package main

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/adahessian-go/adahessian"
)

// stubStepper does nothing until step at, which has the given loss and error.
type stubStepper struct {
	steps, at int
	loss      float64
	err       error
}

func (s *stubStepper) step(float64) (float64, time.Duration, error) {
	s.steps++
	if s.steps == s.at {
		return s.loss, 0, s.err
	}
	return 1, 0, nil
}

func trainStub(t *testing.T, s *stubStepper) (record, int, error) {
	t.Helper()
	m := newTinyModel[float64](t, tiny)
	text := make([]uint8, 100)
	calls := 0
	r, err := train(m, s, plan{train: text, held: text, heldAt: []int{0, 50}, steps: 10, evalEvery: 4}, 1,
		func(float64) { calls++ })
	return r, calls, err
}

func TestTrainMeasuresAsPlanned(t *testing.T) {
	r, calls, err := trainStub(t, &stubStepper{})
	if err != nil {
		t.Fatal(err)
	}
	var at []int
	for _, p := range r.curve {
		at = append(at, p.step)
	}
	if want := "[0 4 8 10]"; fmt.Sprint(at) != want {
		t.Errorf("measured at steps %v, want %v", at, want)
	}
	if r.steps != 10 || calls != 10 || r.diverged {
		t.Errorf("%d steps, %d calls of progress, diverged: %v", r.steps, calls, r.diverged)
	}
}

func TestTrainStopsAtLossesThatAreNotFinite(t *testing.T) {
	for name, s := range map[string]*stubStepper{
		"NaN":                      {at: 3, loss: math.NaN()},
		"Inf":                      {at: 3, loss: math.Inf(1)},
		"refused by the optimizer": {at: 3, err: fmt.Errorf("step: %w", adahessian.ErrNonFinite)},
	} {
		r, _, err := trainStub(t, s)
		if err != nil || !r.diverged || r.steps != 2 || !math.IsInf(r.final(), 1) {
			t.Errorf("%s: error %v, diverged %v after %d steps, final %v", name, err, r.diverged, r.steps, r.final())
		}
	}
}

func TestTrainReturnsOtherErrors(t *testing.T) {
	want := errors.New("broken")
	if r, _, err := trainStub(t, &stubStepper{at: 3, err: want}); !errors.Is(err, want) || r.diverged {
		t.Errorf("error %v, diverged %v", err, r.diverged)
	}
}

func TestBitsIsTheMeanLossInBits(t *testing.T) {
	m := newTinyModel[float64](t, tiny)
	text := []uint8{0, 1, 2, 3, 4, 5, 6, 5, 4, 3, 2, 1, 0, 1, 2, 3, 4}
	starts := []int{0, 3, 5, 7} // two batches
	m.load(text, starts[:2])
	want := m.loss()
	m.load(text, starts[2:])
	want = (want + m.loss()) / 2 * math.Log2E
	if got := m.bits(text, starts); math.Abs(got-want) > 1e-14*want {
		t.Errorf("%v bits, want %v", got, want)
	}
}
