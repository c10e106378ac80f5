package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// report makes a text from results. Every sentence about an outcome follows from
// numbers.
type report struct {
	*experiment
	results  *results
	plan     plan
	pictures string // folder
	link     string // the path of that folder from the text
	on       string // the machine of the timings
	body     strings.Builder
	verdicts []verdict
}

func (r *report) printf(format string, args ...any) { fmt.Fprintf(&r.body, format, args...) }

// judge writes a verdict, and keeps it for the summary.
func (r *report) judge(v verdict) {
	r.verdicts = append(r.verdicts, v)
	r.printf("**%s: %s.** %s\n\n", v.claim, v.answer, capital(v.reason))
}

func capital(s string) string {
	if s == "" || s[0] >= utf8.RuneSelf { // ε stays small
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// writeReport writes evidence.md into one folder and its pictures into another.
func writeReport(conv, transformer *part, folder, pictures string) error {
	link, err := relative(folder, pictures)
	if err != nil {
		return fmt.Errorf("-out: %w", err)
	}
	r, on := newReport(conv, pictures, link), newReport(transformer, pictures, link)
	for _, section := range []func() error{
		r.comparison, r.robustness, r.blocks, r.intervals, r.powersAndProbes, r.differences, r.reasons, on.onTransformer, on.appendTo(r), r.tuning,
	} {
		if err := section(); err != nil {
			return err
		}
	}
	text := r.introduction() + r.body.String()
	path := filepath.Join(folder, "evidence.md")
	if err := os.WriteFile(path, []byte(strings.TrimRight(text, "\n")+"\n"), 0o644); err != nil {
		return fmt.Errorf("-out: %w", err)
	}
	return nil
}

func newReport(p *part, pictures, link string) *report {
	r := &report{experiment: p.experiment, results: p.results, plan: p.plan(p.tuningOf(p.results)), pictures: pictures, link: link}
	for _, t := range p.results.times {
		r.on = max(r.on, t.On) // the same for all, unless times of two machines are mixed
	}
	return r
}

// appendTo returns a function that appends r, which is finished by then, to what
// another report has so far.
func (r *report) appendTo(other *report) func() error {
	return func() error {
		other.body.WriteString(r.body.String())
		other.verdicts = append(other.verdicts, r.verdicts...)
		return nil
	}
}

// relative returns the path from one folder to another, in the form of a link.
func relative(from, to string) (string, error) {
	from, err := filepath.Abs(from)
	if err != nil {
		return "", err
	}
	if to, err = filepath.Abs(to); err != nil {
		return "", err
	}
	path, err := filepath.Rel(from, to)
	return filepath.ToSlash(path), err
}

func (r *report) introduction() string {
	var b strings.Builder
	b.WriteString("# What the paper claims, on real text\n\n")
	fmt.Fprintf(&b, "<!-- Written by examples/paper from the results in %s/*.jsonl. Not edited by hand. -->\n\n", r.link)
	command := "go -C examples run ./paper"
	if r.reduced() {
		b.WriteString("**A reduced run: it shows that the command works, and nothing about optimizers.**\n\n")
		command += " -reduced -out FOLDER"
	}
	done, diverged, missing := r.counts()
	if !r.plan.complete || missing > 0 {
		fmt.Fprintf(&b, "**Not complete: %d runs of those planned are finished.**\n\n", done)
	}
	fmt.Fprintf(&b, "The claims of Yao et al., \"ADAHESSIAN: An Adaptive Second Order Optimizer for Machine Learning\" (AAAI 2021,\n"+
		"[arXiv 2006.00719](https://arxiv.org/abs/2006.00719)), that fit on a CPU, tested by one command, which continues where it was interrupted:\n\n"+
		"    %s\n\n", command)

	b.WriteString("| claim | |\n|---|---|\n")
	for _, v := range r.verdicts {
		fmt.Fprintf(&b, "| %s | %s |\n", v.claim, v.answer)
	}
	b.WriteString("\n## How it was measured\n\n")
	fmt.Fprintf(&b, "The models are the character-level language models of [examples/charlm](../examples/README.md#charlm), on the source of the Go standard library\n"+
		"(%.1f MB, SHA-256 %s…). [Section 8](#8-a-transformer-and-curvature-at-a-fraction-of-its-cost) is about the Transformer, and says what is different there.\n"+
		"Everything else is about the convolution, in two sizes:\n\n", float64(r.TextBytes)/1e6, r.Text)
	rows := [][]string{{"", "parameters", "embedding", "channels", "kernel", "batch", "steps", "warm-up steps"}}
	for _, z := range r.Sizes {
		s := z.Shape
		s.Vocab = len(r.corpus.Alphabet)
		rows = append(rows, []string{z.Name, fmt.Sprint(s.Size()), fmt.Sprint(s.Embed), fmt.Sprint(s.Width), fmt.Sprint(s.Kernel),
			fmt.Sprintf("%d × %d characters", s.Batch, s.Positions), fmt.Sprint(r.Steps), fmt.Sprint(r.Warmup)})
	}
	table(&b, rows)
	fmt.Fprintf(&b, `- **Parts.** A tenth of the text is for tuning and a tenth for validation. Learning rates are chosen by the mean final loss on the
  tuning part. All losses below, except in [Tuning](#tuning), are on %d sequences of the validation part, on which nothing was chosen.
- **Learning rates** are 1 or 3 times a power of ten. AdaHessian, AdamW and SGD with momentum 0.9 get the same number of tries on each size: %d, and two
  more for all three as long as the best rate of one is at the end of those tried, up to %d. For a variant, with another block size, power or batch, the rate is searched again:
  first the %d rates around the best of its optimizer, and then further rates beyond the end where the best one is.
- **The same for all:** initial weights, batches, a schedule with linear warm-up and then a linear decay to zero, and decoupled weight decay of %g except for biases.
- **Spread.** "a ± b" is the mean of the final losses over seeds and their standard deviation: %d seeds for the three optimizers, %d for
  the variants. A difference, "+a ± b", is the mean over the seeds that both have, and half its 95 %% confidence interval (Student's t). Runs with the same seed start at the
  same weights and see the same batches. A loss is called lower or higher if that interval does not contain zero, and no different if the
  interval is within %g %% of the loss. Otherwise the claim is not decided. Each claim is judged by itself: of twenty such statements, one may be due to chance.
- **Divergence.** A run ends when its loss is not finite, and is counted as diverged. %d of %d runs did. They are not part of any mean.
- **Time.** Every run uses one processor. The time of a step is the median of %d rounds, in which all variants take turns of %d steps on one thread. The time of
  a run is that time multiplied by its steps. %s
- **AdaHessian** is the package with its defaults: β 0.9 and 0.999, ε 1e-4, Hessian power 1, one probe in every step. The curvature is averaged over the kernel of the
  convolution, and kept for each element elsewhere. The Hessian-vector products are exact unless stated otherwise. AdamW has β 0.9 and 0.999, ε 1e-8.

`, r.HeldSequences, r.Tries, r.MaxTries, r.VariantTries, r.Decay, len(r.Seeds), len(r.VariantSeeds), 100*margin, diverged, done,
		r.timingRounds, r.timingSteps, r.machineText())
	return b.String()
}

// counts returns how many runs are finished, how many of them diverged, and how
// many are known to be missing.
func (r *report) counts() (done, diverged, missing int) {
	for _, sp := range r.plan.specs {
		if res, ok := r.results.run(r.key(sp)); ok {
			done++
			if res.Diverged {
				diverged++
			}
		}
	}
	return done, diverged, len(r.plan.specs) - done
}

func (r *report) machineText() string {
	if r.on == "" {
		return "It has not been measured yet."
	}
	return "Measured on: " + r.on + "."
}

// reduced reports whether the settings are those of a short trial.
func (r *report) reduced() bool { return r.Steps < fullSettings().Steps }
