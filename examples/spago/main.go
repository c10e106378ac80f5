// Command spago trains a network on handwritten digits with AdaHessian as the
// optimizer of a spaGO model.
package main

import (
	"fmt"
	"log"
	"math/rand/v2"

	ahspago "github.com/adahessian-go/adahessian/contrib/spago"
	"github.com/adahessian-go/adahessian/examples/digits"
	"github.com/nlpodyssey/spago/ag"
	"github.com/nlpodyssey/spago/mat"
	"github.com/nlpodyssey/spago/mat/float"
	"github.com/nlpodyssey/spago/nn"
)

const hidden = 16

// network is a perceptron with one hidden layer and the batch that it sees, with an
// image in each column. Each parameter is used once, in one product with the whole
// batch. With several uses, spaGO would add their gradients in the order in which they
// happen to be ready.
type network struct {
	nn.Module
	W1, B1, W2, B2 *nn.Param

	x, y                      mat.Tensor
	ones, rowOnes, columnOnes mat.Tensor
	loss                      float64
}

func newNetwork(seed uint64) *network {
	r := rand.New(rand.NewPCG(seed, 1))
	param := func(scale float64, rows, columns int) *nn.Param {
		data := make([]float64, rows*columns)
		for i := range data {
			data[i] = scale * r.NormFloat64()
		}
		return nn.NewParam(mat.NewDense[float64](mat.WithShape(rows, columns), mat.WithBacking(data)))
	}
	return &network{
		W1: param(0.2, hidden, digits.Pixels), B1: param(0, hidden, 1),
		W2: param(0.3, digits.Classes, hidden), B2: param(0, digits.Classes, 1),
	}
}

// see sets the batch.
func (n *network) see(s digits.Set[float64]) {
	row := func(n int) *mat.Dense[float64] {
		return mat.NewDense[float64](mat.WithShape(1, n), mat.WithBacking(mat.CreateInitializedSlice(n, 1.0)))
	}
	n.ones, n.rowOnes, n.columnOnes = row(s.Len()), row(digits.Classes), row(s.Len()).T()
	n.x = mat.NewDense[float64](mat.WithShape(s.Len(), digits.Pixels), mat.WithBacking(s.X)).T()
	n.y = mat.NewDense[float64](mat.WithShape(s.Len(), digits.Classes), mat.WithBacking(s.OneHot())).T()
}

func (n *network) outputs() mat.Tensor {
	linear := func(w, b *nn.Param, x mat.Tensor) mat.Tensor { return ag.Add(ag.Mul(w, x), ag.Mul(b, n.ones)) }
	return linear(n.W2, n.B2, ag.Tanh(linear(n.W1, n.B1, n.x)))
}

// compute adds the gradients of the loss, which is half the squared error per image, to
// the parameters. The sum is made by products with ones. The gradient of ag.ReduceSum,
// and so of losses.MSE, is a vector even for a matrix, which the operator before it
// refuses.
func (n *network) compute() error {
	squares := ag.Square(ag.Sub(n.outputs(), n.y))
	sum := ag.Mul(ag.Mul(n.rowOnes, squares), n.columnOnes)
	loss := ag.ProdScalar(sum, mat.Scalar(0.5/float64(n.ones.Size())))
	n.loss = loss.Value().Item().F64()
	return ag.Backward(loss)
}

// newOptimizer averages the curvature over the inputs of each unit: the weights are
// [out, in] and the biases [out, 1], so it averages over axis 1.
func newOptimizer(n *network) *ahspago.AdaHessian {
	c := ahspago.NewDefaultConfig()
	c.StepSize = 0.1
	c.Average = func(int, *nn.Param) []int { return []int{1} }
	return ahspago.New(nn.Parameters(n), c, n.compute)
}

// train makes one pass over the set, and returns its mean loss.
func (n *network) train(o *ahspago.AdaHessian, set digits.Set[float64], batch int) (float64, error) {
	mean := 0.0
	for lo := 0; lo < set.Len(); lo += batch {
		hi := min(lo+batch, set.Len())
		n.see(set.Slice(lo, hi))
		if err := n.compute(); err != nil {
			return 0, err
		}
		mean += n.loss * float64(hi-lo) / float64(set.Len())
		if err := o.Optimize(); err != nil {
			return 0, err
		}
	}
	return mean, nil
}

// accuracy returns the share of the set's digits that n reads correctly.
func (n *network) accuracy(set digits.Set[float64]) float64 {
	n.see(set)
	rows := n.outputs().Value().(mat.Matrix).T()
	return float64(set.Correct(float.SliceValueOf[float64](rows.Data()))) / float64(set.Len())
}

func main() {
	train, test := digits.Load[float64]()
	n := newNetwork(1)
	o := newOptimizer(n)
	for epoch := range 10 {
		loss, err := n.train(o, train, 64)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("epoch %2d: loss %.4f, test accuracy %.3f\n", epoch+1, loss, n.accuracy(test))
	}
}
