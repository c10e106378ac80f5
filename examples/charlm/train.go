package main

import (
	"errors"
	"math"
	"time"

	"github.com/adahessian-go/adahessian"
)

// stepper makes the training steps of one optimizer on one model.
type stepper interface {
	// step makes one step at learning rate lr on the batch that the model
	// holds. It returns the loss of that batch before the step, and the time
	// that the optimizer itself took, without the model's differentiation.
	step(lr float64) (loss float64, own time.Duration, err error)
}

// schedule returns the factor on the learning rate in step t of n, from 0: a
// linear warm-up over the first twentieth, then linearly towards 0.
func schedule(t, n int) float64 {
	warmup := max(n/20, 1)
	return min(float64(t+1)/float64(warmup), float64(n-t)/float64(max(n-warmup, 1)))
}

// plan is what all optimizers that are compared have in common.
type plan struct {
	train     []uint8 // text to learn from
	held      []uint8 // text to measure on
	heldAt    []int   // starts of its sequences, a multiple of the batch
	steps     int
	evalEvery int
	seed      uint64 // of the batches
}

// point is one measurement of the loss on held-out text.
type point struct {
	step    int
	elapsed time.Duration // training time until then, measurements left out
	bits    float64       // for each character
}

// record is one training run.
type record struct {
	curve    []point
	steps    int
	total    time.Duration // in training steps; measurements left out
	own      time.Duration // of that, in the optimizer itself
	diverged bool          // stopped at a loss that is not finite
}

// final returns the last loss on held-out text, +Inf for a run that diverged.
func (r record) final() float64 {
	if r.diverged {
		return math.Inf(1)
	}
	return r.curve[len(r.curve)-1].bits
}

// best returns the lowest loss on held-out text.
func (r record) best() float64 {
	best := math.Inf(1)
	for _, p := range r.curve {
		best = min(best, p.bits)
	}
	return best
}

// train makes the steps of a plan with a peak learning rate of lr. It calls
// progress after each step with the latest loss on held-out text.
func train[T float](m *model[T], s stepper, p plan, lr float64, progress func(bits float64)) (record, error) {
	batches := newSampler(len(p.train), m.span(), m.batch, p.seed)
	r := record{curve: []point{{bits: m.bits(p.held, p.heldAt)}}}
	for t := range p.steps {
		start := time.Now()
		m.load(p.train, batches.next())
		loss, own, err := s.step(lr * schedule(t, p.steps))
		r.total += time.Since(start)
		r.own += own
		if errors.Is(err, adahessian.ErrNonFinite) || math.IsNaN(loss) || math.IsInf(loss, 0) {
			r.diverged = true
			return r, nil
		}
		if err != nil {
			return r, err
		}
		r.steps++
		if r.steps%p.evalEvery == 0 || r.steps == p.steps {
			bits := m.bits(p.held, p.heldAt)
			if math.IsNaN(bits) || math.IsInf(bits, 0) {
				r.diverged = true
				return r, nil
			}
			r.curve = append(r.curve, point{r.steps, r.total, bits})
		}
		progress(r.curve[len(r.curve)-1].bits)
	}
	return r, nil
}

// bits returns the mean loss on the sequences of text that begin at starts, in
// bits for each character.
func (m *model[T]) bits(text []uint8, starts []int) float64 {
	sum := 0.0
	for i := 0; i < len(starts); i += m.batch {
		m.load(text, starts[i:i+m.batch])
		sum += m.loss()
	}
	return sum / float64(len(starts)/m.batch) / math.Ln2
}
