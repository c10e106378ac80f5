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

// layouts returns the layout of each tensor. adahessian.Flat takes only runs that
// divide a tensor. If 8 or 32 do not, the longest shorter run that does is used
// instead.
func layouts(s lm.Shape, block string) ([lm.Tensors]adahessian.Layout, error) {
	if block == blockKernel {
		return lm.OverKernel(s)
	}
	var all [lm.Tensors]adahessian.Layout
	for i, n := range s.Lengths() {
		run := map[string]int{blockOne: 1, block8: 8, block32: 32, blockWhole: n}[block]
		l, err := adahessian.Flat(n, longestRun(n, run))
		if err != nil {
			return all, err
		}
		all[i] = l
	}
	return all, nil
}

// longestRun returns the largest divisor of n up to limit.
func longestRun(n, limit int) int {
	for run := limit; run > 1; run-- {
		if n%run == 0 {
			return run
		}
	}
	return 1
}
