package main

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"text/tabwriter"
	"time"

	"github.com/adahessian-go/adahessian"
	"github.com/adahessian-go/adahessian/examples/charlm/lm"
)

// printSetup says what is trained on what.
func printSetup(w io.Writer, c config, t *lm.Corpus, source string) {
	bytes := len(t.Train) + len(t.Tuning) + len(t.Validation)
	fmt.Fprintf(w, "text: %s: %.1f MB of %d different bytes\n", source, float64(bytes)/1e6, len(t.Alphabet))
	fmt.Fprintf(w, "model: %s; %d parameters, float32\n", &c.modelConfig, c.newModel(c.seed).Size())
	fmt.Fprintf(w, "training: %d steps of %d×%d characters; workers: %d; %s/%s, %s, kernels: %s\n",
		c.steps, c.batch, c.positions, c.workers, runtime.GOOS, runtime.GOARCH, runtime.Version(), adahessian.ISA())
}

// printComparison prints the result of compare.
func printComparison(w io.Writer, all []outcome, unigram float64) {
	fmt.Fprintf(w, "\nValidation loss in bits per character (knowing only how frequent each character is: %.3f):\n\n", unigram)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "optimizer\tlearning rate\tfinal\tbest\ttime\ttime/step\tin the optimizer\t")
	for _, o := range all {
		steps := time.Duration(max(o.Steps, 1))
		fmt.Fprintf(t, "%s\t%g\t%s\t%s\t%.1f s\t%.1f ms\t%.2f %%\t\n", o.name, o.lr, bitsText(o.Final()), bitsText(o.Best()),
			o.Total.Seconds(), (o.Total/steps).Seconds()*1e3, 100*o.Own.Seconds()/o.Total.Seconds())
	}
	t.Flush()
	fmt.Fprint(w, `
time: of all training steps, without the measurements of the validation loss.
in the optimizer: the share of that time spent in the update rule, without the
model's loss, gradient and Hessian-vector product; for AdaHessian, the time of
Step without the Hessian-vector products that it asks for.
`)
}

// printSweep prints the result of sweep, and the rate to use.
func printSweep(w io.Writer, all [][]outcome) {
	fmt.Fprint(w, "\nFinal loss on the tuning part in bits per character:\n\n")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "optimizer\tlearning rate\tfinal\t")
	for _, tried := range all {
		best := winner(tried)
		for i, o := range tried {
			remark := ""
			if i == best {
				remark = "  best"
				if i == 0 || i == len(tried)-1 {
					remark = "  best, at the end of the grid"
				}
			}
			fmt.Fprintf(t, "%s\t%g\t%s\t%s\n", o.name, o.lr, bitsText(o.Final()), remark)
		}
	}
	t.Flush()
}

func bitsText(bits float64) string {
	if math.IsInf(bits, 1) {
		return "diverged"
	}
	return fmt.Sprintf("%.3f", bits)
}
