package adahessian_test

import (
	"fmt"
	"log"
	"slices"

	"github.com/adahessian-go/adahessian"
)

// The signs of a range of indices do not depend on how it is cut: a shard
// draws what the whole tensor would.
func ExampleRademacher() {
	const seed, draw = 42, 0
	whole := make([]float32, 8)
	adahessian.Rademacher(whole, seed, draw, 0)
	shard := make([]float32, 3)
	adahessian.Rademacher(shard, seed, draw, 5)
	fmt.Println(whole)
	fmt.Println(shard)
	// Output:
	// [-1 -1 1 1 -1 1 -1 1]
	// [1 -1 1]
}

func ExampleBlockMeanAbs() {
	x := []float64{1, -3, 2, 10, -20, 30}
	rows := make([]float64, 2)
	adahessian.BlockMeanAbs(rows, x, adahessian.Layout{Outer: 2, Block: 3, Inner: 1})
	columns := make([]float64, 3)
	adahessian.BlockMeanAbs(columns, x, adahessian.Layout{Outer: 1, Block: 2, Inner: 3})
	fmt.Println(rows, columns)
	// Output: [2 20] [5.5 11.5 16]
}

// A framework that keeps its own state calls the kernels tensor by tensor. The
// loss here is Σ cᵢ·θᵢ²/2, whose Hessian is the diagonal c.
func ExampleUpdate() {
	c := []float32{1, 10, 100, 1000}
	theta := []float32{1, 1, 1, 1}
	layout := adahessian.Elementwise(len(theta))
	m := make([]float32, layout.Len())    // first moment
	v := make([]float32, layout.Blocks()) // second moment

	z, g, hz := make([]float32, 4), make([]float32, 4), make([]float32, 4)
	for step := uint64(1); step <= 3; step++ {
		adahessian.Rademacher(z, 1, step-1, 0)
		for i := range theta {
			g[i] = c[i] * theta[i]
			hz[i] = c[i] * z[i]
		}
		coef, err := adahessian.NewCoefficients[float32](adahessian.DefaultHyper(), step, 1)
		if err != nil {
			log.Fatal(err)
		}
		adahessian.Update(theta, m, v, g, hz, layout, &coef)
	}
	// Each step is Newton's, times the learning rate: the same for every
	// element, however different the curvatures are.
	fmt.Printf("%.3f\n", theta)
	// Output:
	// [0.585 0.585 0.585 0.585]
}

// The scalars of a step are made once and serve every tensor of the group.
func ExampleNewCoefficients() {
	hyper := adahessian.DefaultHyper()
	if _, err := adahessian.NewCoefficients[float32](hyper, 1, 1); err != nil {
		log.Fatal(err)
	}
	hyper.Beta1 = 1
	_, err := adahessian.NewCoefficients[float32](hyper, 1, 1)
	fmt.Println(err)
	// Output:
	// adahessian: invalid option: Hyper.Beta1 = 1, want a finite value in [0, 1)
}

func ExampleISA() {
	isa := adahessian.ISA()
	fmt.Println(slices.Contains([]string{"avx512", "avx2", "neon", "generic"}, isa))
	// Output: true
}
