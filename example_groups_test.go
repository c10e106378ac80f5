package adahessian_test

import (
	"fmt"
	"log"

	"github.com/adahessian-go/adahessian"
)

// Weights decay and biases do not: parameters that share a Hyper form a group.
// The loss is flat here, so the decay is all that moves them.
func Example_groups() {
	opts := adahessian.DefaultOptions()
	opts.WeightDecay = 0.1 // of every parameter without a Hyper of its own
	biases := opts.Hyper
	biases.WeightDecay = 0

	w1, b1 := []float64{1, 1}, []float64{1}
	w2, b2 := []float64{1, 1}, []float64{1}
	opt, err := adahessian.New(opts,
		adahessian.Param[float64]{Name: "layer1.weight", Value: w1},
		adahessian.Param[float64]{Name: "layer1.bias", Value: b1, Hyper: &biases},
		adahessian.Param[float64]{Name: "layer2.weight", Value: w2},
		adahessian.Param[float64]{Name: "layer2.bias", Value: b2, Hyper: &biases})
	if err != nil {
		log.Fatal(err)
	}
	grads := [][]float64{{0, 0}, {0}, {0, 0}, {0}}
	flat := func(hz, z [][]float64) error {
		for i := range hz {
			clear(hz[i])
		}
		return nil
	}
	for step := range 10 {
		// A schedule sets the rate of each group. Step reads them every time.
		lr := 0.15 / float64(step+1)
		if err := opt.SetLR(lr); err != nil {
			log.Fatal(err)
		}
		biases.LR = lr
		if err := opt.Step(grads, flat); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Printf("weights %.4f %.4f, biases %v %v\n", w1, w2, b1, b2)
	// Output:
	// weights [0.9568 0.9568] [0.9568 0.9568], biases [1] [1]
}
