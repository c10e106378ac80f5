package adahessian_test

import (
	"fmt"
	"log"
	"math"

	"github.com/adahessian-go/adahessian"
)

// A learning rate that rises linearly for 10 steps and then falls to 0 along
// half a cosine. SetLR sets it for every parameter without a Hyper of its own.
func Example_schedule() {
	const warmup, steps, peak = 10, 100, 0.2
	rate := func(step int) float64 {
		if step < warmup {
			return peak * float64(step+1) / warmup
		}
		done := float64(step-warmup) / (steps - warmup)
		return peak * (1 + math.Cos(math.Pi*done)) / 2
	}

	theta, g := []float64{1, 1}, make([]float64, 2)
	curvature := []float64{1, 100} // the loss is Σ cᵢ·θᵢ²/2
	opt, err := adahessian.New(adahessian.DefaultOptions(), adahessian.Param[float64]{Value: theta})
	if err != nil {
		log.Fatal(err)
	}
	for step := range steps {
		if err := opt.SetLR(rate(step)); err != nil {
			log.Fatal(err)
		}
		err := opt.Step([][]float64{g}, func(hz, z [][]float64) error {
			for i, c := range curvature {
				g[i], hz[0][i] = c*theta[i], c*z[0][i]
			}
			return nil
		})
		if err != nil {
			log.Fatal(err)
		}
		if step == 0 || step == warmup || step == steps-1 {
			fmt.Printf("step %2d: rate %.4f, θ = %.5f\n", step, rate(step), theta)
		}
	}
	// Output:
	// step  0: rate 0.0200, θ = [0.98000 0.98000]
	// step 10: rate 0.2000, θ = [0.01088 0.01081]
	// step 99: rate 0.0001, θ = [-0.00285 -0.00286]
}
