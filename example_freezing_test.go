package adahessian_test

import (
	"fmt"
	"log"
	"slices"

	"github.com/adahessian-go/adahessian"
)

// A tensor that is frozen for good is not given to New. Its neighbours keep
// the signs that they would have beside it by an Offset of their own. A tensor
// that is frozen for some steps gets a learning rate of 0 in a Hyper of its
// own, and its moments go on.
func Example_freezing() {
	embedding, body, head := []float64{1, 1}, []float64{1, 1}, []float64{1}
	var signs [][]float64
	hvp := func(hz, z [][]float64) error { // the loss is ½ Σ θᵢ²
		signs = nil
		for i := range z {
			copy(hz[i], z[i])
			signs = append(signs, slices.Clone(z[i]))
		}
		return nil
	}
	hyper := adahessian.DefaultHyper()
	hyper.LR = 0 // frozen for now

	opts := adahessian.DefaultOptions()
	opts.Seed = 1
	opt, err := adahessian.New(opts,
		// The embedding is frozen for good: indices 0 and 1 stay unused, and
		// the products of hvp are those with z = 0 there.
		adahessian.Param[float64]{Name: "body", Value: body, Hyper: &hyper, Offset: uint64(len(embedding))},
		adahessian.Param[float64]{Name: "head", Value: head})
	if err != nil {
		log.Fatal(err)
	}
	step := func() {
		// The gradient of this loss is the parameters themselves.
		if err := opt.Step([][]float64{body, head}, hvp); err != nil {
			log.Fatal(err)
		}
	}
	step()
	all := make([]float64, 5)
	adahessian.Rademacher(all, opts.Seed, 0, 0)
	fmt.Println("signs", signs, "of", all)
	fmt.Printf("body frozen: %v %.4f %.4f\n", embedding, body, head)

	hyper.LR = opts.LR // from now on it learns
	step()
	fmt.Printf("body thawed: %v %.4f %.4f\n", embedding, body, head)
	// Output:
	// signs [[1 1] [-1]] of [1 1 1 1 -1]
	// body frozen: [1 1] [1.0000 1.0000] [0.8500]
	// body thawed: [1 1] [0.8500 0.8500] [0.7119]
}
