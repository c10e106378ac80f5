package lm

import (
	"errors"
	"math"
	"time"

	"github.com/adahessian-go/adahessian"
)

// DefaultWarmup returns the number of warm-up steps in a run of n steps, a twentieth.
func DefaultWarmup(n int) int { return max(n/20, 1) }

// schedule returns the factor on the learning rate in step t of n, counted from 0: a
// linear warm-up over the first steps, and then a linear decay towards 0.
func schedule(t, n, warmup int) float64 {
	factor := float64(n-t) / float64(max(n-warmup, 1))
	if t < warmup {
		factor = min(factor, float64(t+1)/float64(warmup))
	}
	return factor
}

// Plan holds what all compared optimizers have in common.
type Plan struct {
	Train     []uint8 // text to learn from
	Held      []uint8 // text to measure on
	HeldAt    []int   // starts of its sequences, whose number is a multiple of the batch
	Steps     int
	Warmup    int // steps in which the learning rate rises
	EvalEvery int
	Seed      uint64 // of the batches
}

// Point is one measurement of the loss on held-out text.
type Point struct {
	Step    int
	Elapsed time.Duration // training time until then, without measurements
	Bits    float64       // per character
}

// Record is one training run.
type Record struct {
	Curve    []Point
	Steps    int
	Total    time.Duration // in training steps, without measurements
	Own      time.Duration // the part of that in the optimizer itself
	Diverged bool          // stopped at a loss that is not finite
}

// Final returns the last loss on held-out text, or +Inf for a run that diverged.
func (r Record) Final() float64 {
	if r.Diverged {
		return math.Inf(1)
	}
	return r.Curve[len(r.Curve)-1].Bits
}

// Best returns the lowest loss on held-out text.
func (r Record) Best() float64 {
	best := math.Inf(1)
	for _, p := range r.Curve {
		best = min(best, p.Bits)
	}
	return best
}

// Train makes the steps of a plan with a peak learning rate of lr. It calls
// progress after each step with the latest loss on held-out text.
func Train[T Float](m *Model[T], s Stepper, p Plan, lr float64, progress func(bits float64)) (Record, error) {
	batches := NewSampler(len(p.Train), m.Span(), m.Batch, p.Seed)
	r := Record{Curve: []Point{{Bits: m.Bits(p.Held, p.HeldAt)}}}
	for t := range p.Steps {
		start := time.Now()
		m.Load(p.Train, batches.Next())
		loss, own, err := s.Step(lr * schedule(t, p.Steps, p.Warmup))
		r.Total += time.Since(start)
		r.Own += own
		if errors.Is(err, adahessian.ErrNonFinite) || math.IsNaN(loss) || math.IsInf(loss, 0) {
			r.Diverged = true
			return r, nil
		}
		if err != nil {
			return r, err
		}
		r.Steps++
		if r.Steps%p.EvalEvery == 0 || r.Steps == p.Steps {
			bits := m.Bits(p.Held, p.HeldAt)
			if math.IsNaN(bits) || math.IsInf(bits, 0) {
				r.Diverged = true
				return r, nil
			}
			r.Curve = append(r.Curve, Point{r.Steps, r.Total, bits})
		}
		progress(r.Curve[len(r.Curve)-1].Bits)
	}
	return r, nil
}
