package adahessian_test

import (
	"fmt"
	"log"

	"github.com/adahessian-go/adahessian"
)

// line is the model y = w·x + b, with the loss ½ mean (w·x + b − y)².
type line struct {
	x, y  []float64
	theta []float64 // w, b
	grad  []float64 // of the mean loss of all the data
}

// add adds to g and hz what the examples from lo to hi have in the sums of
// gradients and of products with z.
func (l *line) add(g, hz, z []float64, lo, hi int) {
	for i := lo; i < hi; i++ {
		residual := l.theta[0]*l.x[i] + l.theta[1] - l.y[i]
		along := z[0]*l.x[i] + z[1]
		g[0], g[1] = g[0]+residual*l.x[i], g[1]+residual
		hz[0], hz[1] = hz[0]+along*l.x[i], hz[1]+along
	}
}

// accumulate returns an HVP for batches that are too large to be held at once.
// It goes through micro-batches, with the same z for all of them, and divides
// by the number of examples at the end. The Hessian of a mean is the mean of
// the Hessians, so the product is that of the whole batch; with a z for each
// micro-batch it would be no product with any Hessian.
func (l *line) accumulate(micro int) adahessian.HVP[float64] {
	return func(hz, z [][]float64) error {
		clear(l.grad) // the gradient is accumulated beside it
		clear(hz[0])
		n := len(l.x)
		for lo := 0; lo < n; lo += micro {
			l.add(l.grad, hz[0], z[0], lo, min(lo+micro, n))
		}
		for i := range l.grad {
			l.grad[i] /= float64(n)
			hz[0][i] /= float64(n)
		}
		return nil
	}
}

// A batch of five examples in micro-batches of two, two and one: the optimizer
// makes one step for all of them.
func Example_accumulation() {
	l := &line{
		x:     []float64{0, 1, 2, 3, 4},
		y:     []float64{1, 3, 5, 7, 9},
		theta: make([]float64, 2), grad: make([]float64, 2),
	}
	opt, err := adahessian.New(adahessian.DefaultOptions(), adahessian.Param[float64]{Name: "line", Value: l.theta})
	if err != nil {
		log.Fatal(err)
	}
	hvp := l.accumulate(2)
	for range 1000 {
		if err := opt.Step([][]float64{l.grad}, hvp); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Printf("y = %.3f·x + %.3f\n", l.theta[0], l.theta[1])
	// Output: y = 2.000·x + 1.000
}
