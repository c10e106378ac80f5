package main

import (
	"fmt"
	"io"
	"time"

	"github.com/adahessian-go/adahessian/examples/charlm/lm"
	"github.com/adahessian-go/adahessian/examples/internal/command"
	"github.com/schollz/progressbar/v3"
)

// progress shows how far one training run is: a bar if it writes to a terminal, and
// always one line when the run is over.
type progress struct {
	w     io.Writer
	bar   *progressbar.ProgressBar
	label string
}

func newProgress(w io.Writer, steps int, label string) *progress {
	bar := progressbar.NewOptions(steps,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetVisibility(command.IsTerminal(w)),
		progressbar.OptionSetDescription(label),
		progressbar.OptionSetWidth(30),
		progressbar.OptionShowCount(),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)
	return &progress{w, bar, label}
}

// step moves the bar by one step. Errors of writing to the terminal are ignored, since
// training can go on without it.
func (p *progress) step(bits float64) {
	p.bar.Describe(fmt.Sprintf("%s, %.3f bits/char", p.label, bits))
	_ = p.bar.Add(1)
}

func (p *progress) finish(r lm.Record) {
	_ = p.bar.Clear()
	fmt.Fprintf(p.w, "%s: %s after %d steps in %.1f s\n", p.label, bitsText(r.Final()), r.Steps, r.Total.Seconds())
}
