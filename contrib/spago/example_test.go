package ahspago_test

import (
	"fmt"
	"log"

	ahspago "github.com/adahessian-go/adahessian/contrib/spago"
	"github.com/nlpodyssey/spago/ag"
	"github.com/nlpodyssey/spago/mat"
	"github.com/nlpodyssey/spago/nn"
)

// line is the model y = w·x + b.
type line struct {
	nn.Module
	W, B *nn.Param
}

// A line through points of y = 2x + 1.
func Example() {
	m := &line{W: nn.NewParam(mat.Scalar(0.0)), B: nn.NewParam(mat.Scalar(0.0))}
	compute := func() error {
		for _, x := range []float64{-1, 0, 1, 2} {
			y := ag.Add(ag.Mul(m.W, mat.Scalar(x)), m.B)
			if err := ag.Backward(ag.Square(ag.Sub(y, mat.Scalar(2*x+1)))); err != nil {
				return err
			}
		}
		return nil
	}
	c := ahspago.NewDefaultConfig()
	c.StepSize = 0.1
	optimizer := ahspago.New(nn.Parameters(m), c, compute)
	for range 200 {
		if err := compute(); err != nil {
			log.Fatal(err)
		}
		if err := optimizer.Optimize(); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Printf("%.2f %.2f\n", m.W.Item().F64(), m.B.Item().F64())
	// Output: 2.00 1.00
}
