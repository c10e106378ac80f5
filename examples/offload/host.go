package main

import (
	"fmt"

	"github.com/adahessian-go/adahessian"
)

// A host holds the float32 masters and moments for a device's weights, and updates them
// tensor by tensor as their gradients come in.
type host[F adahessian.HalfFormat] struct {
	opts    adahessian.Options
	tensors []hostTensor
	steps   uint64
}

type hostTensor struct {
	master, m, v []float32
	layout       adahessian.Layout
	offset       uint64 // the global index of the first element, for the signs
}

func newHost[F adahessian.HalfFormat](opts adahessian.Options, d *device[F], layouts ...adahessian.Layout) *host[F] {
	h := &host[F]{opts: opts}
	offset := uint64(0)
	for k, l := range layouts {
		t := hostTensor{make([]float32, l.Len()), make([]float32, l.Len()), make([]float32, l.Blocks()), l, offset}
		adahessian.Widen[F](t.master, d.tensors[k].weights)
		h.tensors = append(h.tensors, t)
		offset += uint64(l.Len())
	}
	return h
}

// step makes a step of all tensors. While the host works on one tensor, the device,
// which is another goroutine, computes the gradient and the product of the next. The
// rounded masters of a tensor go back when both are done with it. ready has room for as
// many tensors as the device may be ahead.
//
// The step gives the bits of Optimizer.Step, with one difference: if a gradient is not
// finite, the tensors before it have already moved. A device that scales its loss usually
// checks for this itself, and then sends nothing.
func (h *host[F]) step(d *device[F]) error {
	c, err := adahessian.NewCoefficients[float32](h.opts.Hyper, h.steps+1, 1)
	if err != nil {
		return err
	}
	const ahead = 2
	draw := h.steps // of the probes
	ready, stop := make(chan int, ahead), make(chan struct{})
	defer close(stop)
	go func() {
		defer close(ready)
		for k := range d.tensors {
			t := &d.tensors[k]
			adahessian.Rademacher(t.z, h.opts.Seed, draw, h.tensors[k].offset)
			d.gradient(k)
			d.product(k, t.z)
			select {
			case ready <- k:
			case <-stop:
				return
			}
		}
	}()
	for k := range ready {
		t, on := &h.tensors[k], &d.tensors[k]
		if at := adahessian.FirstNonFiniteHalf[F](on.g); at >= 0 {
			return fmt.Errorf("tensor %d: element %d of the gradient is not finite", k, at)
		}
		if at := adahessian.FirstNonFiniteHalf[F](on.hz); at >= 0 {
			return fmt.Errorf("tensor %d: element %d of the product is not finite", k, at)
		}
		adahessian.UpdateHalf[F](t.master, on.weights, on.g, on.hz, t.m, t.v, t.layout, &c, 1/d.scale)
	}
	h.steps++
	return nil
}
