package main

import (
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/adahessian-go/adahessian/examples/internal/command"
)

// config holds the settings of the command line.
type config struct {
	modelConfig
	text, out      string
	steps          int
	updateEach     int
	curvatureBatch int
	maxUpdate      float64
	decay          float64
	rates          []float64 // one for each of methods
	seed           uint64
	sweep          bool
}

// maxSize bounds sizes, so that a typing error is reported and does not use up all
// memory.
const maxSize = 1 << 14

func parseFlags(args []string, stderr io.Writer) (config, error) {
	c := config{rates: make([]float64, len(methods))}
	f := flag.NewFlagSet("charlm", flag.ContinueOnError)
	f.StringVar(&c.model, "model", transformer, "`kind` of model: "+transformer+", or "+conv+", which has defaults of its own for some of the other flags")
	f.StringVar(&c.text, "text", "", "`file` to learn from; empty: the source of the Go standard library")
	f.StringVar(&c.out, "out", "charlm.png", "`file` for the plot, a PNG")
	f.IntVar(&c.steps, "steps", 600, "training steps of each optimizer")
	f.IntVar(&c.batch, "batch", 32, "sequences in a batch")
	f.IntVar(&c.positions, "positions", 32, "predictions in a sequence")
	f.IntVar(&c.width, "width", 64, "channels of the Transformer, or of the convolution")
	f.IntVar(&c.heads, "heads", 4, "Transformer: heads of each attention")
	f.IntVar(&c.layers, "layers", 2, "Transformer: blocks of an attention and a perceptron")
	f.IntVar(&c.embed, "embed", 32, "convolution: channels of the embedding")
	f.IntVar(&c.kernel, "kernel", 8, "convolution: characters that a prediction sees")
	f.IntVar(&c.workers, "workers", runtime.GOMAXPROCS(0), "processors to use")
	f.IntVar(&c.updateEach, "update-each", 5, "AdaHessian: steps for each refresh of the Hessian")
	f.IntVar(&c.curvatureBatch, "curvature-batch", 0, "AdaHessian: sequences of the batch, its first, whose Hessian it takes (default a quarter; the convolution: all)")
	f.Float64Var(&c.maxUpdate, "max-update", 0.3, "AdaHessian: bound of a step, in learning rates; 0: none")
	f.Float64Var(&c.decay, "decay", 1e-4, "weight decay of every optimizer, biases and gains excepted")
	f.Uint64Var(&c.seed, "seed", 1, "seed of initial weights, batches and probes")
	f.BoolVar(&c.sweep, "sweep", false, "try each optimizer's grid of learning rates on the tuning part instead")
	for i, me := range methods {
		f.Float64Var(&c.rates[i], me.flag, me.tuned[transformer].lr, "learning `rate` of "+me.name)
	}
	if err := command.ParseFlags(f, args, stderr); err != nil {
		return c, err
	}
	if err := c.setDefaults(f); err != nil {
		return c, err
	}
	return c, c.check()
}

// setDefaults sets the values that the arguments left open and that depend on others.
func (c *config) setDefaults(f *flag.FlagSet) error {
	given := map[string]bool{}
	f.Visit(func(g *flag.Flag) { given[g.Name] = true })
	part := max(c.batch/4, 1)
	if c.model == conv {
		part = c.batch
		defaults := map[string]string{"steps": "800", "width": "128", "update-each": "1", "max-update": "0"}
		for _, me := range methods {
			defaults[me.flag] = fmt.Sprint(me.tuned[conv].lr)
		}
		for name, value := range defaults {
			if given[name] {
				continue
			}
			if err := f.Set(name, value); err != nil {
				return err
			}
		}
	}
	if !given["curvature-batch"] {
		c.curvatureBatch = part
	}
	return nil
}

// check reports the first value outside its range.
func (c *config) check() error {
	if c.model != transformer && c.model != conv {
		return fmt.Errorf("-model %q: want %s or %s", c.model, transformer, conv)
	}
	for _, v := range []struct {
		flag       string
		value, max int
	}{
		{"steps", c.steps, math.MaxInt32},
		{"batch", c.batch, maxSize},
		{"positions", c.positions, maxSize},
		{"width", c.width, maxSize},
		{"heads", c.heads, maxSize},
		{"layers", c.layers, maxSize},
		{"embed", c.embed, maxSize},
		{"kernel", c.kernel, maxSize},
		{"workers", c.workers, maxSize},
		{"update-each", c.updateEach, math.MaxInt32},
		{"curvature-batch", c.curvatureBatch, c.batch},
	} {
		if v.value < 1 || v.value > v.max {
			return fmt.Errorf("-%s %d: want a number from 1 to %d", v.flag, v.value, v.max)
		}
	}
	if c.model == transformer && c.width%c.heads != 0 {
		return fmt.Errorf("-heads %d: want a divisor of the width, %d", c.heads, c.width)
	}
	if !(c.maxUpdate >= 0 && c.maxUpdate <= math.MaxFloat32) {
		return fmt.Errorf("-max-update %g: want a finite number from 0", c.maxUpdate)
	}
	if !(c.decay >= 0 && c.decay <= 1) {
		return fmt.Errorf("-decay %g: want a number from 0 to 1", c.decay)
	}
	for i, me := range methods {
		if lr := c.rates[i]; !(lr > 0 && lr <= math.MaxFloat32) {
			return fmt.Errorf("-%s %g: want a positive number", me.flag, lr)
		}
	}
	if c.sweep {
		return nil
	}
	if !strings.EqualFold(filepath.Ext(c.out), ".png") {
		return fmt.Errorf("-out %q: want a name that ends in .png", c.out)
	}
	if dir, err := os.Stat(filepath.Dir(c.out)); err != nil || !dir.IsDir() {
		return fmt.Errorf("-out %q: %s is not a directory", c.out, filepath.Dir(c.out))
	}
	return nil
}
