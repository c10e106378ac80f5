package lm

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

func (s *stubStepper) Step(float64) (float64, time.Duration, error) {
	s.steps++
	if s.steps == s.at {
		return s.loss, 0, s.err
	}
	return 1, 0, nil
}

func trainStub(t *testing.T, s *stubStepper) (Record, int, error) {
	t.Helper()
	m := newTinyModel[float64](t, tiny)
	text := make([]uint8, 100)
	calls := 0
	r, err := Train(m, s, Plan{Train: text, Held: text, HeldAt: []int{0, 50}, Steps: 10, EvalEvery: 4}, 1,
		func(float64) { calls++ })
	return r, calls, err
}

func TestTrainMeasuresAsPlanned(t *testing.T) {
	r, calls, err := trainStub(t, &stubStepper{})
	if err != nil {
		t.Fatal(err)
	}
	var at []int
	for _, p := range r.Curve {
		at = append(at, p.Step)
	}
	if want := "[0 4 8 10]"; fmt.Sprint(at) != want {
		t.Errorf("measured at steps %v, want %v", at, want)
	}
	if r.Steps != 10 || calls != 10 || r.Diverged {
		t.Errorf("%d steps, %d calls of progress, diverged: %v", r.Steps, calls, r.Diverged)
	}
}

func TestTrainStopsAtLossesThatAreNotFinite(t *testing.T) {
	for name, s := range map[string]*stubStepper{
		"NaN":                      {at: 3, loss: math.NaN()},
		"Inf":                      {at: 3, loss: math.Inf(1)},
		"refused by the optimizer": {at: 3, err: fmt.Errorf("step: %w", adahessian.ErrNonFinite)},
	} {
		r, _, err := trainStub(t, s)
		if err != nil || !r.Diverged || r.Steps != 2 || !math.IsInf(r.Final(), 1) {
			t.Errorf("%s: error %v, diverged %v after %d steps, final %v", name, err, r.Diverged, r.Steps, r.Final())
		}
	}
}

func TestTrainReturnsOtherErrors(t *testing.T) {
	want := errors.New("broken")
	if r, _, err := trainStub(t, &stubStepper{at: 3, err: want}); !errors.Is(err, want) || r.Diverged {
		t.Errorf("error %v, diverged %v", err, r.Diverged)
	}
}

func TestBitsIsTheMeanLossInBits(t *testing.T) {
	m := newTinyModel[float64](t, tiny)
	text := []uint8{0, 1, 2, 3, 4, 5, 6, 5, 4, 3, 2, 1, 0, 1, 2, 3, 4}
	starts := []int{0, 3, 5, 7} // two batches
	m.Load(text, starts[:2])
	want := m.Loss()
	m.Load(text, starts[2:])
	want = (want + m.Loss()) / 2 * math.Log2E
	if got := m.Bits(text, starts); math.Abs(got-want) > 1e-14*want {
		t.Errorf("%v bits, want %v", got, want)
	}
}

func TestSchedule(t *testing.T) {
	const n, warmup = 200, 10
	for _, p := range []struct {
		t    int
		want float64
	}{{0, 0.1}, {9, 1}, {10, 1}, {105, 0.5}, {199, 1.0 / 190}} {
		if got := schedule(p.t, n, warmup); math.Abs(got-p.want) > 1e-15 {
			t.Errorf("step %d: %v, want %v", p.t, got, p.want)
		}
	}
	if got := schedule(0, 1, DefaultWarmup(1)); got != 1 {
		t.Errorf("a single step: %v, want 1", got)
	}
	if got := schedule(0, n, 0); got != 1 {
		t.Errorf("the first step without warm-up: %v, want 1", got)
	}
}
