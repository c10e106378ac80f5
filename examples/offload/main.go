// Command offload trains with weights that live on an accelerator in 16 bits, while their
// float32 masters and the moments live in the host's memory. No accelerator is needed,
// since a second goroutine plays its part. Then the command measures a step of a large
// tensor, and calculates what a model of 10 billion parameters would take.
package main

import (
	"flag"
	"fmt"
	"log"
	"time"

	"github.com/adahessian-go/adahessian"
)

func main() {
	log.SetFlags(0)
	steps := flag.Int("steps", 40, "how many steps to make")
	n := flag.Int("n", 10_000_000, "elements of the tensor that is measured")
	flag.Parse()
	if err := train(*steps); err != nil {
		log.Fatal(err)
	}
	if err := onPaper(*n); err != nil {
		log.Fatal(err)
	}
}

func train(steps int) error {
	layouts := []adahessian.Layout{adahessian.Elementwise(200_000), {Outer: 5000, Block: 9, Inner: 1}, {Outer: 20, Block: 9, Inner: 64}, adahessian.Elementwise(3000)}
	d := newDevice[adahessian.BFloat16](1024, lengths(layouts)...)
	h := newHost(adahessian.DefaultOptions(), d, layouts...)
	start := time.Now()
	for range steps {
		if err := h.step(d); err != nil {
			return err
		}
	}
	last := d.tensors[0]
	adahessian.Widen[adahessian.BFloat16](last.wide, last.weights)
	fmt.Printf("%d steps of %d tensors in bfloat16, %v: weights %.3f …\n", steps, len(layouts), time.Since(start).Round(time.Millisecond), last.wide[:4])
	return nil
}

func lengths(layouts []adahessian.Layout) (n []int) {
	for _, l := range layouts {
		n = append(n, l.Len())
	}
	return n
}

// onPaper measures UpdateHalf on one core, and multiplies the time up.
func onPaper(n int) error {
	c, err := adahessian.NewCoefficients[float32](adahessian.DefaultHyper(), 10, 1)
	if err != nil {
		return err
	}
	fmt.Printf("UpdateHalf of %d elements, %s, one core; and what 10 billion parameters would take:\n", n, adahessian.ISA())
	fmt.Println("block   ns/element   s/step   host memory   read and written   to and from the device")
	for _, block := range []int{1, 9, 32} {
		l := adahessian.Layout{Outer: n / block, Block: block, Inner: 1}
		d := newDevice[adahessian.BFloat16](1, l.Len())
		d.gradient(0)
		d.product(0, d.tensors[0].a)
		h := newHost(adahessian.DefaultOptions(), d, l)
		t, on := &h.tensors[0], &d.tensors[0]
		best := time.Duration(1 << 62)
		for range 9 {
			start := time.Now()
			adahessian.UpdateHalf[adahessian.BFloat16](t.master, on.weights, on.g, on.hz, t.m, t.v, l, &c, 1)
			best = min(best, time.Since(start))
		}
		const parameters = 10 // in billions, so bytes become GB and nanoseconds become seconds
		each := float64(best.Nanoseconds()) / float64(l.Len())
		blocks := 1 / float64(block)
		fmt.Printf("%5d %12.2f %8.1f %10.0f GB %15.0f GB %21d GB\n",
			block, each, parameters*each, parameters*(8+4*blocks), parameters*(22+8*blocks), parameters*(2+2+2))
	}
	return nil
}
