package main

import (
	"github.com/adahessian-go/adahessian"
	"github.com/adahessian-go/adahessian/examples/charlm/lm"
)

// The sizes of the blocks over which AdaHessian averages the curvature.
const (
	blockOne    = "1"
	blockKernel = "kernel"
	block8      = "8"
	block32     = "32"
	blockWhole  = "tensor"
)

var blocks = []string{blockOne, blockKernel, block8, block32, blockWhole}

// layouts returns the layout of each tensor. Runs of 8 and 32 elements do not
// divide the bias of the output, whose length is the number of symbols: a
// tensor that they do not divide keeps a curvature for each element.
func layouts(s lm.Shape, block string) ([lm.Tensors]adahessian.Layout, error) {
	if block == blockKernel {
		return lm.OverKernel(s)
	}
	var all [lm.Tensors]adahessian.Layout
	for i, n := range s.Lengths() {
		all[i] = adahessian.Elementwise(n)
		run := map[string]int{block8: 8, block32: 32, blockWhole: n}[block]
		if run > 1 && n%run == 0 {
			l, err := adahessian.Flat(n, run)
			if err != nil {
				return all, err
			}
			all[i] = l
		}
	}
	return all, nil
}
