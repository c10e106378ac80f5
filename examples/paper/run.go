package main

import (
	"context"
	"io"
	"math"
	"sync"
)

// tuningOf returns the losses on the tuning part that are in a results file.
func (e *experiment) tuningOf(r *results) lookup {
	return func(sp spec) (float64, bool) {
		res, done := r.run(e.key(sp))
		if res.Diverged {
			return math.Inf(1), done
		}
		return res.Tuning, done
	}
}

// runAll makes the runs of the plan that the results file lacks, workers at a time, and
// returns how many it made. Some of them become known only when others are finished.
func (e *experiment) runAll(r *results, workers int, stderr io.Writer) (made int, err error) {
	tuning := e.tuningOf(r)
	bar := newProgress(stderr)
	defer bar.finish()
	for {
		var pending []spec
		p := e.plan(tuning)
		for _, sp := range p.specs {
			if _, done := tuning(sp); !done {
				pending = append(pending, sp)
			}
		}
		if len(pending) == 0 {
			return made, nil
		}
		bar.expect(e, e.plan(expected(tuning)).specs, tuning)
		n, err := e.runSome(pending, r, workers, bar)
		made += n
		if err != nil {
			return made, err
		}
	}
}

// runSome makes runs until all are finished or one fails.
func (e *experiment) runSome(pending []spec, r *results, workers int, bar *progress) (made int, err error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	specs := make(chan spec)
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range workers {
		wg.Go(func() {
			for sp := range specs {
				res, err := e.run(sp)
				if err == nil {
					err = r.addRun(res)
				}
				if err != nil {
					cancel(err)
					continue
				}
				mu.Lock()
				made++
				bar.finished(e, sp)
				mu.Unlock()
			}
		})
	}
feed:
	for _, sp := range pending {
		select {
		case specs <- sp:
		case <-ctx.Done():
			break feed
		}
	}
	close(specs)
	wg.Wait()
	return made, context.Cause(ctx)
}
