// Command autograd trains a network on handwritten digits with AdaHessian and
// itsubaki/autograd, whose second derivatives give exact Hessian-vector
// products.
package main

import (
	"fmt"
	"log"
	"math/rand/v2"

	"github.com/adahessian-go/adahessian"
	"github.com/adahessian-go/adahessian/examples/digits"
	F "github.com/itsubaki/autograd/function"
	"github.com/itsubaki/autograd/tensor"
	"github.com/itsubaki/autograd/variable"
)

const hidden = 16

// network is a perceptron of one hidden layer and the batch that it sees.
type network struct {
	*model
	x, y           *variable.Variable
	w1, b1, w2, b2 *variable.Variable
}

func newNetwork(seed uint64) *network {
	n := &network{
		w1: variable.Normal([]int{digits.Pixels, hidden}, 0, 0.2, rand.NewPCG(seed, 1)),
		b1: variable.Zeros(1, hidden),
		w2: variable.Normal([]int{hidden, digits.Classes}, 0, 0.3, rand.NewPCG(seed, 2)),
		b2: variable.Zeros(1, digits.Classes),
	}
	n.w1.Name, n.b1.Name, n.w2.Name, n.b2.Name = "w1", "b1", "w2", "b2"
	n.model = newModel([]*variable.Variable{n.w1, n.b1, n.w2, n.b2}, func() *variable.Variable {
		return F.CrossEntropy(n.outputs(), n.y)
	})
	return n
}

// see sets the batch.
func (n *network) see(s digits.Set[float64]) {
	n.x = variable.From(tensor.New([]int{s.Len(), digits.Pixels}, s.X))
	labels := make([]float64, s.Len())
	for i, y := range s.Y {
		labels[i] = float64(y)
	}
	n.y = variable.New(labels...)
}

func (n *network) outputs() *variable.Variable {
	return F.Linear(F.Tanh(F.Linear(n.x, n.w1, n.b1)), n.w2, n.b2)
}

// layouts averages the curvature over the inputs of each unit: the weights are
// [in, out], so over axis 0.
func layouts() []adahessian.Layout {
	first, err := adahessian.AverageAxes([]int{digits.Pixels, hidden}, 0)
	if err != nil {
		log.Fatal(err)
	}
	second, err := adahessian.AverageAxes([]int{hidden, digits.Classes}, 0)
	if err != nil {
		log.Fatal(err)
	}
	return []adahessian.Layout{first, {}, second, {}}
}

// train makes epochs passes over the set, and returns the mean loss of the last.
func (n *network) train(opt *adahessian.Optimizer[float64], set digits.Set[float64], epochs, batch int) (float64, error) {
	mean := 0.0
	for range epochs {
		mean = 0
		for lo := 0; lo < set.Len(); lo += batch {
			hi := min(lo+batch, set.Len())
			n.see(set.Slice(lo, hi))
			// Step calls hessianVector, which sets the gradients as well.
			if err := opt.Step(n.grads, n.hessianVector); err != nil {
				return 0, err
			}
			mean += n.last * float64(hi-lo) / float64(set.Len())
		}
	}
	return mean, nil
}

// accuracy returns the share of the set's digits that n reads.
func (n *network) accuracy(set digits.Set[float64]) float64 {
	n.see(set)
	return float64(set.Correct(tensor.Contiguous(n.outputs().Data).Data)) / float64(set.Len())
}

func main() {
	train, test := digits.Load[float64]()
	n := newNetwork(1)
	opts := adahessian.DefaultOptions()
	opts.LR = 0.1
	opt, err := adahessian.New(opts, n.params(layouts()...)...)
	if err != nil {
		log.Fatal(err)
	}
	for epoch := range 10 {
		loss, err := n.train(opt, train, 1, 64)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("epoch %2d: loss %.4f, test accuracy %.3f\n", epoch+1, loss, n.accuracy(test))
	}
}
