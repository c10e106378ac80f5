package main

import (
	"fmt"
	"log"

	"github.com/adahessian-go/adahessian"
)

// Four measurements of three inputs, whose units are 1, 10 and 100: y = 3·x₀ − 0.2·x₁ + 0.05·x₂.
var xs = [][]float64{{1, 10, 100}, {-1, 10, -100}, {1, -10, -100}, {-1, -10, 100}}
var ys = []float64{6, -10, 0, 4}

func main() {
	w := make([]float64, 3) // the weights, which the optimizer updates in place
	opt, err := adahessian.New(adahessian.DefaultOptions(), adahessian.Param[float64]{Name: "w", Value: w})
	if err != nil {
		log.Fatal(err)
	}
	gradient := func(grads [][]float64) error { // of the loss ½ mean (x·w − y)²
		clear(grads[0])
		for i, x := range xs {
			residual := x[0]*w[0] + x[1]*w[1] + x[2]*w[2] - ys[i]
			for j := range w {
				grads[0][j] += x[j] * residual / 4
			}
		}
		return nil
	}
	for range 150 {
		if err := opt.StepGradient(gradient); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Printf("w = %.3f\n", w)
}
