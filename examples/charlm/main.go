// Command charlm trains a character-level language model, a Transformer or a
// convolution, with AdaHessian, with AdamW and with SGD with momentum, from the same initial
// weights on the same batches, and reports the validation loss of each against
// steps and against time.
package main

import (
	"fmt"
	"io"
	"runtime"

	"github.com/adahessian-go/adahessian/examples/charlm/lm"
	"github.com/adahessian-go/adahessian/examples/internal/command"
)

func main() { command.Main("charlm", run) }

func run(args []string, stdout, stderr io.Writer) error {
	c, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	// Both gonum and adahessian take their number of goroutines from here.
	runtime.GOMAXPROCS(c.workers)

	text, source, err := lm.ReadText(c.text)
	if err != nil {
		return err
	}
	corpus, err := lm.NewCorpus(text, c.span())
	if err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	c.vocab = len(corpus.Alphabet)
	printSetup(stdout, c, corpus, source)

	e := &experiment{c, corpus, stderr}
	if c.sweep {
		all, err := e.sweep()
		if err != nil {
			return err
		}
		printSweep(stdout, all)
		return nil
	}
	all, err := e.compare()
	if err != nil {
		return err
	}
	printComparison(stdout, all, lm.Entropy(corpus.Validation))
	if err := writePlot(c.out, all); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "\nplot: %s\n", c.out)
	return nil
}
