package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/adahessian-go/adahessian/examples/charlm/lm"
)

// timingRate moves the weights a little, whatever the optimizer.
const timingRate = 1e-3

// timedVariants returns the variants whose steps may differ in time.
func (s settings) timedVariants() []variant {
	var all []variant
	for _, t := range s.Transformers {
		for _, f := range s.families(t, lengths[0]) {
			for _, v := range f.all {
				if v = s.timedAs(v); !slices.Contains(all, v) {
					all = append(all, v)
				}
			}
		}
	}
	for _, z := range s.Sizes {
		for _, o := range optimizers {
			all = append(all, s.defaultVariant(z.Name, o))
		}
		for _, v := range s.variants(z.Name) {
			if s.timedAs(v) == v {
				all = append(all, v)
			}
		}
	}
	return all
}

// timedAs returns the variant whose steps take as long as those of v, since bounds, ε,
// β and the length of a schedule cost nothing.
func (s settings) timedAs(v variant) variant {
	d := s.defaultVariant(v.Size, v.Optimizer)
	v.Warmup, v.Length, v.Price, v.MaxUpdate, v.Eps = d.Warmup, d.Length, d.Price, d.MaxUpdate, d.Eps
	v.Beta1, v.Beta2 = d.Beta1, d.Beta2
	return v
}

// timed is a variant that is being measured.
type timed struct {
	stepTime
	model   *lm.Model[float32]
	stepper lm.Stepper
	batches *lm.Sampler
}

// step makes steps, with their batches, and returns the time of one.
func (t *timed) step(text []uint8, steps int) (seconds float64, err error) {
	start := time.Now()
	for range steps {
		t.model.Load(text, t.batches.Next())
		if _, _, err := t.stepper.Step(timingRate); err != nil {
			return 0, fmt.Errorf("%s: %w", t.Key, err)
		}
	}
	return time.Since(start).Seconds() / float64(steps), nil
}

// timings measures the time of a step of every variant on one processor, in turns, so
// that whatever slows the machine down for a while slows all variants equally. The number
// of steps in a turn is a multiple of every interval between Hessians. If the results
// file has the times of all variants on this machine, they are only measured again on
// request.
func (e *experiment) timings(r *results, again bool, stderr io.Writer) error {
	on, known := machine(), true
	var all []*timed
	for _, v := range e.timedVariants() {
		key := e.variantKey(v)
		known = known && r.times[key].On == on
		m, stepper, err := e.newStepper(v, e.Seeds[0])
		if err != nil {
			return err
		}
		all = append(all, &timed{stepTime{Key: key, On: on}, m, stepper,
			lm.NewSampler(len(e.corpus.Train), m.Span(), m.Batch, e.Seeds[0])})
	}
	if known && !again {
		return nil
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for round := range e.timingRounds + 1 {
		for _, t := range all {
			seconds, err := t.step(e.corpus.Train, e.timingSteps)
			if err != nil {
				return err
			}
			if round > 0 { // the first one warms up
				t.Seconds = append(t.Seconds, roundedTime(seconds))
			}
		}
		fmt.Fprintf(stderr, "timings: round %d of %d\n", round, e.timingRounds)
	}
	for _, t := range all {
		if err := r.addTime(t.stepTime); err != nil {
			return err
		}
	}
	return nil
}

// roundedTime keeps a tenth of a microsecond.
func roundedTime(seconds float64) float64 {
	return time.Duration(seconds * 1e9).Round(100 * time.Nanosecond).Seconds()
}
