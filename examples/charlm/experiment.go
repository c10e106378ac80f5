package main

import (
	"fmt"
	"io"
	"math"

	"github.com/adahessian-go/adahessian/examples/charlm/lm"
)

// experiment trains models on a text according to a config.
type experiment struct {
	config
	corpus *lm.Corpus
	stderr io.Writer // for progress
}

const (
	evaluations = 40 // measurements of the loss in a run
	evalBatches = 8  // batches of held-out text in each
)

// run trains one model from the initial weights and with the batches of the
// config's seed, and measures it on held.
func (e *experiment) run(me method, lr float64, held []uint8, label string) (lm.Record, error) {
	m := e.newModel(e.seed)
	s, err := me.start(m, e.config)
	if err != nil {
		return lm.Record{}, err
	}
	p := lm.Plan{
		Train:     e.corpus.Train,
		Held:      held,
		HeldAt:    lm.Evenly(len(held), m.Span(), evalBatches*m.Batch),
		Steps:     e.steps,
		Warmup:    lm.DefaultWarmup(e.steps),
		EvalEvery: max(e.steps/evaluations, 1),
		Seed:      e.seed,
	}
	bar := newProgress(e.stderr, e.steps, label)
	r, err := lm.Train(m, s, p, lr, bar.step)
	bar.finish(r)
	if err != nil {
		return r, fmt.Errorf("%s: %w", me.name, err)
	}
	return r, nil
}

// outcome is a method's run at one learning rate.
type outcome struct {
	name string
	lr   float64
	lm.Record
}

// compare runs each method at its learning rate, and measures it on the
// validation part.
func (e *experiment) compare() ([]outcome, error) {
	var all []outcome
	for i, me := range methods {
		r, err := e.run(me, e.rates[i], e.corpus.Validation, me.name)
		if err != nil {
			return nil, err
		}
		all = append(all, outcome{me.name, e.rates[i], r})
	}
	return all, nil
}

// sweep runs each method at each learning rate of its grid, and measures it on
// the tuning part. It returns the outcomes of each method.
func (e *experiment) sweep() ([][]outcome, error) {
	var all [][]outcome
	for _, me := range methods {
		var tried []outcome
		for _, lr := range me.tuned[e.model].grid {
			r, err := e.run(me, lr, e.corpus.Tuning, fmt.Sprintf("%s %g", me.name, lr))
			if err != nil {
				return nil, err
			}
			tried = append(tried, outcome{me.name, lr, r})
		}
		all = append(all, tried)
	}
	return all, nil
}

// winner returns the index of the outcome with the lowest final loss, or −1 if all
// diverged.
func winner(tried []outcome) int {
	best, loss := -1, math.Inf(1)
	for i, o := range tried {
		if o.Final() < loss {
			best, loss = i, o.Final()
		}
	}
	return best
}
