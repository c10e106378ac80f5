package ahspago

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nlpodyssey/spago/ag"
	"github.com/nlpodyssey/spago/mat"
	"github.com/nlpodyssey/spago/mat/float"
	"github.com/nlpodyssey/spago/nn"
)

const batch = 60

// network is a classifier of two features, and the batch that it sees, with a point in
// each column. Each parameter is used once, in one product with the whole batch. With
// several uses, spaGO would add their gradients in the order in which they happen to be
// ready.
type network[T float.DType] struct {
	params                    []*nn.Param // weights [out, in] and biases [out, 1] of each layer
	activation                func(x mat.Tensor) mat.Tensor
	x, y                      mat.Tensor
	ones, rowOnes, columnOnes mat.Tensor
	loss                      float64
}

func newNetwork[T float.DType](seed uint64, activation func(x mat.Tensor) mat.Tensor, widths ...int) *network[T] {
	r := rand.New(rand.NewPCG(seed, 1))
	param := func(deviation float64, rows, columns int) *nn.Param {
		data := make([]T, rows*columns)
		for i := range data {
			data[i] = T(deviation * r.NormFloat64())
		}
		return nn.NewParam(mat.NewDense[T](mat.WithShape(rows, columns), mat.WithBacking(data)))
	}
	n := &network[T]{activation: activation}
	for i, in := range widths[:len(widths)-1] {
		n.params = append(n.params, param(math.Sqrt(2/float64(in)), widths[i+1], in), param(0, widths[i+1], 1))
	}
	return n
}

// see sets the batch: points on three intertwined spiral arms.
func (n *network[T]) see(r *rand.Rand) {
	x, y := make([]T, 2*batch), make([]T, 3*batch)
	for i := range batch {
		arm, radius := i%3, 0.1+0.9*r.Float64()
		angle := 2*math.Pi*(float64(arm)/3+0.8*radius) + 0.05*r.NormFloat64()
		x[i], x[batch+i] = T(radius*math.Cos(angle)), T(radius*math.Sin(angle))
		y[arm*batch+i] = 1
	}
	matrix := func(rows, columns int, data []T) mat.Tensor {
		return mat.NewDense[T](mat.WithShape(rows, columns), mat.WithBacking(data))
	}
	n.x, n.y = matrix(2, batch, x), matrix(3, batch, y)
	ones := mat.CreateInitializedSlice(batch, T(1))
	n.ones, n.rowOnes, n.columnOnes = matrix(1, batch, ones), matrix(1, 3, ones[:3]), matrix(batch, 1, ones)
}

// compute adds the gradients of the loss, which is half the squared error per point.
func (n *network[T]) compute() error {
	x := n.x
	for i := 0; i < len(n.params); i += 2 {
		if i > 0 {
			x = n.activation(x)
		}
		x = ag.Add(ag.Mul(n.params[i], x), ag.Mul(n.params[i+1], n.ones))
	}
	// The sum is made by products with ones. The gradient of ag.ReduceSum is a vector
	// even for a matrix, which the operator before it refuses.
	sum := ag.Mul(ag.Mul(n.rowOnes, ag.Square(ag.Sub(x, n.y))), n.columnOnes)
	loss := ag.ProdScalar(sum, mat.Scalar(T(0.5/batch)))
	n.loss = loss.Value().Item().F64()
	return ag.Backward(loss)
}

// small returns a network with its batch set.
func small[T float.DType]() *network[T] {
	n := newNetwork[T](3, ag.Tanh, 2, 5, 3)
	n.see(rand.New(rand.NewPCG(1, 2)))
	return n
}

// optimizer makes an optimizer of the network.
func (n *network[T]) optimizer(c Config) *AdaHessian {
	return New(nn.StreamParams(n.params), c, n.compute)
}

// optimize makes a step of the network, and returns the loss before it.
func (n *network[T]) optimize(t *testing.T, o interface{ Optimize() error }) float64 {
	t.Helper()
	if err := n.compute(); err != nil {
		t.Fatal(err)
	}
	loss := n.loss
	if err := o.Optimize(); err != nil {
		t.Fatal(err)
	}
	return loss
}

// values returns a copy of every parameter.
func (n *network[T]) values(t *testing.T) (all [][]T) {
	t.Helper()
	for _, p := range n.params {
		all = append(all, slices.Clone(memory[T](t, p.Value())))
	}
	return all
}

func memory[T float.DType](t *testing.T, v mat.Tensor) []T {
	t.Helper()
	x, err := elements[T](v)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// same compares slices to the bit.
func same[T float.DType](t *testing.T, what string, got, want [][]T) {
	t.Helper()
	if len(got) != len(want) || len(got) == 0 {
		t.Fatalf("%s: %d slices, want %d", what, len(got), len(want))
	}
	for i := range want {
		if !slices.Equal(got[i], want[i]) {
			t.Errorf("%s: %d is %v, want %v", what, i, got[i], want[i])
		}
	}
}

// perUnit averages over the inputs of each unit.
func perUnit(i int, _ *nn.Param) []int {
	if i%2 == 0 {
		return []int{1}
	}
	return nil
}
