// Command calls makes the package call one of its kernels, named by the argument,
// on about a thousand elements of float32 or float64, or with inputs of halves.
package main

import (
	"os"
	"runtime"

	"github.com/adahessian-go/adahessian"
)

// n elements fit into one call of each kernel; they are blocks of 9.
const n = 1008

// Whoever watches the program watches its first thread.
func init() { runtime.LockOSThread() }

func main() {
	switch kernel := os.Args[1]; os.Args[2] {
	case "f32":
		call[float32](kernel)
	case "f64":
		call[float64](kernel)
	case "bf16":
		callHalf[adahessian.BFloat16](kernel)
	case "f16":
		callHalf[adahessian.Float16](kernel)
	}
}

// callHalf makes a step from halves, with which the package calls the kernel of that name.
func callHalf[F adahessian.HalfFormat](kernel string) {
	l := map[string]adahessian.Layout{
		"updateElements": adahessian.Elementwise(n),
		"updateBlocks":   {Outer: n / 9, Block: 9, Inner: 1},
		"updateRows":     {Outer: 1, Block: 9, Inner: n / 9},
	}[kernel]
	c, err := adahessian.NewCoefficients[float32](adahessian.DefaultHyper(), 3, 1)
	if err != nil {
		panic(err)
	}
	halves := func() []uint16 { return make([]uint16, n) }
	adahessian.UpdateHalf[F](ones[float32](n), halves(), halves(), halves(), ones[float32](n), ones[float32](l.Blocks()), l, &c, 1)
}

func call[T adahessian.Float](kernel string) {
	elementwise, runs, columns := adahessian.Elementwise(n), adahessian.Layout{Outer: n / 9, Block: 9, Inner: 1}, adahessian.Layout{Outer: 1, Block: 9, Inner: n / 9}
	switch kernel {
	case "updateElements":
		update[T](elementwise, 1)
	case "updateBlocks":
		update[T](runs, 1)
	case "updateRows":
		update[T](columns, 1)
	case "curvaturePow", "descendRows":
		update[T](elementwise, 0.75)
	case "descendBlocks":
		update[T](runs, 0.75)
	case "blockMeans":
		means[T](runs)
	case "stridedMeans":
		means[T](columns)
	case "rademacher":
		adahessian.Rademacher(make([]T, n), 1, 2, 0)
	case "addProbe", "allFinite", "curvature":
		step[T]()
	}
}

func ones[T adahessian.Float](n int) []T {
	x := make([]T, n)
	for i := range x {
		x[i] = 1
	}
	return x
}

func update[T adahessian.Float](l adahessian.Layout, power float64) {
	h := adahessian.DefaultHyper()
	h.HessianPower = power
	c, err := adahessian.NewCoefficients[T](h, 3, 1)
	if err != nil {
		panic(err)
	}
	adahessian.Update(ones[T](n), ones[T](n), ones[T](l.Blocks()), ones[T](n), ones[T](n), l, &c)
}

func means[T adahessian.Float](l adahessian.Layout) {
	adahessian.BlockMeanAbs(make([]T, l.Blocks()), ones[T](l.Len()), l)
}

// step keeps the curvature, so it is made in stages.
func step[T adahessian.Float]() {
	opts := adahessian.DefaultOptions()
	opts.Samples, opts.UpdateEach, opts.Workers = 2, 2, 1
	opt, err := adahessian.New(opts, adahessian.Param[T]{Value: ones[T](n)})
	if err != nil {
		panic(err)
	}
	hvp := func(hz, z [][]T) error { copy(hz[0], z[0]); return nil }
	if err := opt.Step([][]T{ones[T](n)}, hvp); err != nil {
		panic(err)
	}
}
