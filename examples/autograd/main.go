// Command autograd trains a network on handwritten digits with AdaHessian and
// itsubaki/autograd, whose second derivatives give exact Hessian-vector
// products.
package main

import (
	"fmt"
	"log"
	"math/rand/v2"

	ahautograd "github.com/adahessian-go/adahessian/contrib/autograd"
	"github.com/adahessian-go/adahessian/examples/digits"
	F "github.com/itsubaki/autograd/function"
	"github.com/itsubaki/autograd/layer"
	"github.com/itsubaki/autograd/model"
	"github.com/itsubaki/autograd/tensor"
	"github.com/itsubaki/autograd/variable"
)

// newNetwork makes a perceptron with one hidden layer.
func newNetwork(seed uint64) *model.MLP {
	return model.NewMLP([]int{16, digits.Classes}, model.WithMLPActivation(F.Tanh), model.WithMLPSource(rand.NewPCG(seed, 1)))
}

// newOptimizer averages the curvature over the inputs of each unit: the weights are
// [in, out] and the biases [1, out], so it averages over axis 0.
func newOptimizer() *ahautograd.AdaHessian {
	return &ahautograd.AdaHessian{
		Alpha:   0.1,
		Average: func(string, layer.Parameter) []int { return []int{0} },
	}
}

// batch returns the images and labels of a set in the form that the model takes.
func batch(s digits.Set[float64]) (x, y *variable.Variable) {
	labels := make([]float64, s.Len())
	for i, y := range s.Y {
		labels[i] = float64(y)
	}
	return variable.From(tensor.New([]int{s.Len(), digits.Pixels}, s.X)), variable.New(labels...)
}

// train makes a pass over the set in batches of 64, and returns the mean loss.
func train(m *model.MLP, o *ahautograd.AdaHessian, set digits.Set[float64]) (float64, error) {
	mean := 0.0
	for lo := 0; lo < set.Len(); lo += 64 {
		hi := min(lo+64, set.Len())
		x, y := batch(set.Slice(lo, hi))
		loss := F.CrossEntropy(m.Forward(x), y)
		m.Cleargrads()
		o.Backward(loss)
		if err := o.Update(m); err != nil {
			return 0, err
		}
		mean += loss.At() * float64(hi-lo) / float64(set.Len())
	}
	return mean, nil
}

// accuracy returns the share of the set's digits that m reads correctly.
func accuracy(m *model.MLP, set digits.Set[float64]) float64 {
	x, _ := batch(set)
	return float64(set.Correct(tensor.Contiguous(m.Forward(x).Data).Data)) / float64(set.Len())
}

func main() {
	training, test := digits.Load[float64]()
	m, o := newNetwork(1), newOptimizer()
	for epoch := range 10 {
		loss, err := train(m, o, training)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("epoch %2d: loss %.4f, test accuracy %.3f\n", epoch+1, loss, accuracy(m, test))
	}
}
