package ahautograd_test

import (
	"fmt"
	"log"
	"math/rand/v2"

	ahautograd "github.com/adahessian-go/adahessian/contrib/autograd"
	F "github.com/itsubaki/autograd/function"
	"github.com/itsubaki/autograd/model"
	"github.com/itsubaki/autograd/variable"
)

// A model of this framework learns the exclusive or.
func Example() {
	x := variable.New(0, 0, 0, 1, 1, 0, 1, 1).Reshape(4, 2)
	t := variable.New(0, 1, 1, 0).Reshape(4, 1)
	m := model.NewMLP([]int{8, 1}, model.WithMLPActivation(F.Tanh), model.WithMLPSource(rand.NewPCG(1, 2)))
	o := ahautograd.AdaHessian{Alpha: 0.1}
	for range 200 {
		loss := F.MeanSquaredError(m.Forward(x), t)
		m.Cleargrads()
		o.Backward(loss)
		if err := o.Update(m); err != nil {
			log.Fatal(err)
		}
	}
	y := m.Forward(x)
	for i := range 4 {
		fmt.Printf("%.1f\n", y.At(i, 0))
	}
	// Output:
	// 0.0
	// 1.0
	// 1.0
	// 0.0
}
