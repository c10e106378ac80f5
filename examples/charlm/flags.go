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

	"github.com/adahessian-go/adahessian/examples/charlm/lm"
	"github.com/adahessian-go/adahessian/examples/internal/command"
)

// config is what the command line says.
type config struct {
	shape      lm.Shape
	text, out  string
	steps      int
	updateEach int
	decay      float64
	rates      []float64 // one for each of methods
	seed       uint64
	sweep      bool
}

// maxSize bounds sizes, so that a slip of the finger is an error and not an
// attempt to get all memory.
const maxSize = 1 << 14

func parseFlags(args []string, stderr io.Writer) (config, error) {
	c := config{rates: make([]float64, len(methods))}
	f := flag.NewFlagSet("charlm", flag.ContinueOnError)
	f.StringVar(&c.text, "text", "", "`file` to learn from; empty: the source of the Go standard library")
	f.StringVar(&c.out, "out", "charlm.png", "`file` for the plot, a PNG")
	f.IntVar(&c.steps, "steps", 800, "training steps of each optimizer")
	f.IntVar(&c.shape.Batch, "batch", 32, "sequences in a batch")
	f.IntVar(&c.shape.Positions, "positions", 32, "predictions in a sequence")
	f.IntVar(&c.shape.Embed, "embed", 32, "channels of the embedding")
	f.IntVar(&c.shape.Width, "width", 128, "channels of the convolution")
	f.IntVar(&c.shape.Kernel, "kernel", 8, "characters that a prediction sees")
	f.IntVar(&c.shape.Workers, "workers", runtime.GOMAXPROCS(0), "processors to use")
	f.IntVar(&c.updateEach, "update-each", 1, "AdaHessian: steps for each refresh of the Hessian")
	f.Float64Var(&c.decay, "decay", 1e-4, "weight decay of every optimizer, biases excepted")
	f.Uint64Var(&c.seed, "seed", 1, "seed of initial weights, batches and probes")
	f.BoolVar(&c.sweep, "sweep", false, "try each optimizer's grid of learning rates on the tuning part instead")
	for i, me := range methods {
		f.Float64Var(&c.rates[i], me.flag, me.lr, "learning `rate` of "+me.name)
	}
	if err := command.ParseFlags(f, args, stderr); err != nil {
		return c, err
	}
	return c, c.check()
}

// check reports the first value outside its range.
func (c *config) check() error {
	for _, v := range []struct {
		flag       string
		value, max int
	}{
		{"steps", c.steps, math.MaxInt32},
		{"batch", c.shape.Batch, maxSize},
		{"positions", c.shape.Positions, maxSize},
		{"embed", c.shape.Embed, maxSize},
		{"width", c.shape.Width, maxSize},
		{"kernel", c.shape.Kernel, maxSize},
		{"workers", c.shape.Workers, maxSize},
		{"update-each", c.updateEach, math.MaxInt32},
	} {
		if v.value < 1 || v.value > v.max {
			return fmt.Errorf("-%s %d: want a number from 1 to %d", v.flag, v.value, v.max)
		}
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
