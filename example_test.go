package adahessian_test

import (
	"fmt"
	"log"

	"github.com/adahessian-go/adahessian"
)

// The loss ½ mean (x·w − y)² of a linear model has the gradient
// mean x (x·w − y) and the Hessian mean x xᵀ, so one pass over the data gives
// the gradient and the product H z.
func Example() {
	x := [][]float64{{1, 0.5}, {1, 2}, {1, 3.5}, {1, 4}}
	y := []float64{2, 5, 8, 9} // 1 + 2·x[1]
	w := make([]float64, 2)

	opt, err := adahessian.New(adahessian.DefaultOptions(),
		adahessian.Param[float64]{Name: "w", Value: w})
	if err != nil {
		log.Fatal(err)
	}
	g := make([]float64, 2)
	hvp := func(hz, z [][]float64) error {
		clear(g)
		clear(hz[0])
		for i, x := range x {
			residual := x[0]*w[0] + x[1]*w[1] - y[i]
			along := x[0]*z[0][0] + x[1]*z[0][1] // x·z
			for j := range w {
				g[j] += x[j] * residual / 4
				hz[0][j] += x[j] * along / 4
			}
		}
		return nil
	}
	for range 1000 {
		if err := opt.Step([][]float64{g}, hvp); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Printf("w = %.3f\n", w)
	// Output: w = [1.000 2.000]
}
