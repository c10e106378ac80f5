// A perceptron with one hidden layer learns sin x.
package main

import (
	"fmt"
	"log"
	"math"
	"math/rand/v2"

	ahautograd "github.com/adahessian-go/adahessian/contrib/autograd"
	F "github.com/itsubaki/autograd/function"
	"github.com/itsubaki/autograd/model"
	"github.com/itsubaki/autograd/variable"
)

func main() {
	var x, y []float64
	for i := range 16 {
		x = append(x, float64(i-8)/4)
		y = append(y, math.Sin(x[i]))
	}
	in, want := variable.New(x...).Reshape(16, 1), variable.New(y...).Reshape(16, 1)
	m := model.NewMLP([]int{8, 1}, model.WithMLPActivation(F.Tanh), model.WithMLPSource(rand.NewPCG(1, 1)))
	o := ahautograd.AdaHessian{}
	for range 100 {
		loss := F.MeanSquaredError(m.Forward(in), want)
		fmt.Println(loss.At())
		m.Cleargrads()
		o.Backward(loss)
		if err := o.Update(m); err != nil {
			log.Fatal(err)
		}
	}
}
