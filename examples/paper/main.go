// Command paper puts the claims of the AdaHessian paper to the test on the
// character-level language models of examples/charlm, and writes what it finds: tables,
// plots and, for each claim, whether it holds here.
//
// Finished runs are kept in a results file and not made again, so an interrupted
// command continues where it stopped.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/adahessian-go/adahessian/examples/charlm/lm"
	"github.com/adahessian-go/adahessian/examples/internal/command"
)

func main() { command.Main("paper", run) }

// config holds the settings of the command line.
type config struct {
	reduced       bool
	text          string
	out           string // folder of evidence.md
	pictures      string // folder
	results       string
	onTransformer string // results of that part
	stage         string
	retime        bool
	workers       int
}

// The stages of the command, each of which needs those before it.
const (
	stageRuns    = "runs"
	stageTimings = "timings"
	stageReport  = "report"
	stageAll     = "all"
)

func parseFlags(args []string, stderr io.Writer) (config, error) {
	var c config
	f := flag.NewFlagSet("paper", flag.ContinueOnError)
	f.BoolVar(&c.reduced, "reduced", false, "tiny models and a few steps: only tries whether the command works")
	f.StringVar(&c.text, "text", "", "`file` to learn from; empty: the source of the Go standard library")
	f.StringVar(&c.out, "out", "", "`folder` for evidence.md, and for the folder evidence with its pictures; empty: ../docs, and paper/evidence")
	f.StringVar(&c.results, "results", "", "`file` of finished runs of the convolution; empty: results.jsonl next to the pictures")
	f.StringVar(&c.onTransformer, "transformer", "", "`file` of finished runs of the Transformer; empty: transformer.jsonl next to the pictures")
	f.StringVar(&c.stage, "stage", stageAll, "`part` of the work: runs, timings, report or all")
	f.BoolVar(&c.retime, "retime", false, "measure the time of a step again")
	f.IntVar(&c.workers, "workers", runtime.GOMAXPROCS(0), "runs at a time; the results do not depend on it")
	if err := command.ParseFlags(f, args, stderr); err != nil {
		return c, err
	}
	if c.workers < 1 || c.workers > 1024 {
		return c, fmt.Errorf("-workers %d: want a number from 1 to 1024", c.workers)
	}
	switch c.stage {
	case stageRuns, stageTimings, stageReport, stageAll:
	default:
		return c, fmt.Errorf("-stage %q: want runs, timings, report or all", c.stage)
	}
	c.pictures = filepath.Join(c.out, "evidence")
	if c.out == "" { // the pictures are not part of the root module, which everyone downloads
		c.out, c.pictures = filepath.Join("..", "docs"), filepath.Join("paper", "evidence")
	}
	if c.results == "" {
		c.results = filepath.Join(c.pictures, "results.jsonl")
	}
	if c.onTransformer == "" {
		c.onTransformer = filepath.Join(c.pictures, "transformer.jsonl")
	}
	return c, nil
}

func run(args []string, stdout, stderr io.Writer) (err error) {
	c, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.pictures, 0o755); err != nil {
		return fmt.Errorf("-out: %w", err)
	}
	conv, transformer, err := newExperiments(c)
	if err != nil {
		return err
	}
	parts := []*part{{experiment: conv, file: c.results}, {experiment: transformer, file: c.onTransformer}}
	for _, p := range parts {
		if p.results, err = openResults(p.file, p.settings); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, p.results.close()) }()
	}
	return stages(c, parts[0], parts[1], stdout, stderr)
}

// part is an experiment with its results.
type part struct {
	*experiment
	results *results
	file    string
}

// newExperiments reads the text, which is part of the settings, and returns one
// experiment on the convolution and one on the Transformer.
func newExperiments(c config) (conv, transformer *experiment, err error) {
	s, t := fullSettings(), fullTransformer()
	if c.reduced {
		s, t = reducedSettings(), reducedTransformer()
	}
	text, source, err := lm.ReadText(c.text)
	if err != nil {
		return nil, nil, err
	}
	span := 0
	for _, z := range s.Sizes {
		span = max(span, z.Shape.Span())
	}
	for _, z := range t.Transformers {
		span = max(span, 1+z.Shape.Positions)
	}
	corpus, err := lm.NewCorpus(text, span)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", source, err)
	}
	sum := sha256.Sum256(text)
	s.Text, s.TextBytes = hex.EncodeToString(sum[:8]), len(text)
	t.Text, t.TextBytes = s.Text, s.TextBytes
	return &experiment{s, corpus}, &experiment{t, corpus}, nil
}

// stages runs the stages that the command line asks for.
func stages(c config, conv, transformer *part, stdout, stderr io.Writer) error {
	parts := []*part{conv, transformer}
	if c.stage == stageRuns || c.stage == stageAll {
		for _, p := range parts {
			// gonum's products take their number of goroutines from here, so that as
			// many runs share as many processors. Their results do not depend on it.
			before := runtime.GOMAXPROCS(c.workers)
			made, err := p.runAll(p.results, c.workers, stderr)
			runtime.GOMAXPROCS(before)
			if err != nil {
				return err
			}
			fmt.Fprintf(stdout, "runs: %d made, %d in %s\n", made, len(p.results.runs), p.file)
		}
	}
	if c.stage == stageTimings || c.stage == stageAll {
		for _, p := range parts {
			if err := p.timings(p.results, c.retime, stderr); err != nil {
				return err
			}
		}
	}
	if c.stage == stageReport || c.stage == stageAll {
		if err := writeReport(conv, transformer, c.out, c.pictures); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "report: %s\n", filepath.Join(c.out, "evidence.md"))
	}
	return nil
}
