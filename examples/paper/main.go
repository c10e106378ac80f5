// Command paper puts the claims of the AdaHessian paper to the test on a
// character-level language model, that of examples/charlm, and writes what it
// finds: tables, plots and, for each claim, whether it holds here.
//
// Finished runs are kept in a results file and not made again, so an interrupted
// command goes on where it ended.
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

// config is what the command line says.
type config struct {
	reduced  bool
	text     string
	out      string // folder of evidence.md
	pictures string // folder
	results  string
	stage    string
	retime   bool
	workers  int
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
	f.BoolVar(&c.reduced, "reduced", false, "tiny models and a few steps: tries the command, and shows nothing else")
	f.StringVar(&c.text, "text", "", "`file` to learn from; empty: the source of the Go standard library")
	f.StringVar(&c.out, "out", "", "`folder` for evidence.md, and for the folder evidence with its pictures; empty: ../docs, and paper/evidence")
	f.StringVar(&c.results, "results", "", "`file` of finished runs; empty: results.jsonl beside the pictures")
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
	if c.out == "" { // the pictures are no part of the root module, which everyone downloads
		c.out, c.pictures = filepath.Join("..", "docs"), filepath.Join("paper", "evidence")
	}
	if c.results == "" {
		c.results = filepath.Join(c.pictures, "results.jsonl")
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
	e, err := newExperiment(c)
	if err != nil {
		return err
	}
	r, err := openResults(c.results, e.settings)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	return e.stages(c, r, stdout, stderr)
}

// newExperiment reads the text, which is a part of the settings.
func newExperiment(c config) (*experiment, error) {
	s := fullSettings()
	if c.reduced {
		s = reducedSettings()
	}
	text, source, err := lm.ReadText(c.text)
	if err != nil {
		return nil, err
	}
	span := 0
	for _, z := range s.Sizes {
		span = max(span, z.Shape.Span())
	}
	corpus, err := lm.NewCorpus(text, span)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	sum := sha256.Sum256(text)
	s.Text, s.TextBytes = hex.EncodeToString(sum[:8]), len(text)
	return &experiment{s, corpus}, nil
}

// stages does the stages that the command line asks for.
func (e *experiment) stages(c config, r *results, stdout, stderr io.Writer) error {
	if c.stage == stageRuns || c.stage == stageAll {
		// gonum's products take their goroutines from here: so many runs
		// share so many processors. What they give does not depend on it.
		before := runtime.GOMAXPROCS(c.workers)
		made, err := e.runAll(r, c.workers, stderr)
		runtime.GOMAXPROCS(before)
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "runs: %d made, %d in %s\n", made, len(r.runs), c.results)
	}
	if c.stage == stageTimings || c.stage == stageAll {
		if err := e.timings(r, c.retime, stderr); err != nil {
			return err
		}
	}
	if c.stage == stageReport || c.stage == stageAll {
		if err := e.writeReport(r, c.out, c.pictures); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "report: %s\n", filepath.Join(c.out, "evidence.md"))
	}
	return nil
}
