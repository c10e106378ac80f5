package main

import (
	"fmt"
	"io"
	"time"

	"github.com/adahessian-go/adahessian/examples/internal/command"
	"github.com/schollz/progressbar/v3"
)

// progress shows how many of all runs are finished: a bar on a terminal, and elsewhere
// a line every minute.
type progress struct {
	w        io.Writer
	terminal bool
	bar      *progressbar.ProgressBar

	all, done int
	start     time.Time
	last      time.Time // when the last line was written
	// Work, in passes of a model over its batch. Runs differ by a factor of ten, so
	// their number would be a bad estimate of the time left.
	workLeft, workDone float64
}

func newProgress(w io.Writer) *progress {
	now := time.Now()
	return &progress{w: w, terminal: command.IsTerminal(w), start: now, last: now}
}

// expect sets which runs there are, as far as known.
func (p *progress) expect(e *experiment, specs []spec, tuning lookup) {
	p.all, p.done, p.workLeft = len(specs), 0, 0
	for _, sp := range specs {
		if _, done := tuning(sp); done {
			p.done++
		} else {
			p.workLeft += e.work(sp)
		}
	}
	if !p.terminal {
		return
	}
	if p.bar == nil {
		p.bar = progressbar.NewOptions(p.all, progressbar.OptionSetWriter(p.w), progressbar.OptionSetWidth(30),
			progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(false), progressbar.OptionClearOnFinish())
	}
	p.bar.ChangeMax(p.all)
	_ = p.bar.Set(p.done) // an error of the terminal does not stop the runs
}

// finished counts a run.
func (p *progress) finished(e *experiment, sp spec) {
	p.done++
	p.workLeft -= e.work(sp)
	p.workDone += e.work(sp)
	left := time.Duration(float64(time.Since(p.start)) * p.workLeft / p.workDone).Round(time.Second)
	if p.terminal {
		p.bar.Describe(fmt.Sprintf("runs, about %v left", left))
		_ = p.bar.Set(p.done)
		return
	}
	if now := time.Now(); now.Sub(p.last) >= time.Minute {
		p.last = now
		fmt.Fprintf(p.w, "%d of %d runs, %v so far, about %v left\n", p.done, p.all, time.Since(p.start).Round(time.Second), left)
	}
}

func (p *progress) finish() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
	if p.workDone > 0 {
		fmt.Fprintf(p.w, "%d runs finished in %v\n", p.done, time.Since(p.start).Round(time.Second))
	}
}

// work estimates the floating-point work of a run: a gradient takes about three
// products with the weights, and a Hessian-vector product six more.
func (e *experiment) work(sp spec) float64 {
	passes := 3.0
	if sp.Optimizer == adaHessian {
		passes += 6 * float64(sp.Probes) * sp.Part / float64(sp.Each)
	}
	const symbols = 150 // about
	if t, ok := e.transformer(sp.Size); ok {
		s := t.Shape
		return passes * float64(e.steps(sp.variant)) * float64(s.Batch*s.Positions) * float64(s.Width*(12*s.Width*s.Layers+symbols))
	}
	s := e.shape(sp.variant)
	return passes * float64(e.steps(sp.variant)) * float64(s.Batch*s.Positions) * float64(s.Width*(s.Embed*s.Kernel+symbols))
}
