package ahautograd

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	F "github.com/itsubaki/autograd/function"
	"github.com/itsubaki/autograd/layer"
	"github.com/itsubaki/autograd/model"
	"github.com/itsubaki/autograd/tensor"
	"github.com/itsubaki/autograd/variable"
)

// network is a classifier of two features, with weights "w0", "b0" and so on, and the
// batch that it sees.
type network struct {
	layer.Parameters
	activation func(x ...*variable.Variable) *variable.Variable
	layers     int
	x, y       *variable.Variable
}

func newNetwork(seed uint64, activation func(x ...*variable.Variable) *variable.Variable, widths ...int) *network {
	n := &network{Parameters: layer.Parameters{}, activation: activation, layers: len(widths) - 1}
	for i, in := range widths[:n.layers] {
		out := widths[i+1]
		n.Add(fmt.Sprint("w", i), variable.Normal([]int{in, out}, 0, math.Sqrt(2/float64(in)), rand.NewPCG(seed, uint64(i))))
		n.Add(fmt.Sprint("b", i), variable.Zeros(1, out))
	}
	return n
}

// see sets the batch: points on three intertwined spiral arms.
func (n *network) see(r *rand.Rand, points int) {
	x, y := make([]float64, 2*points), make([]float64, points)
	for i := range points {
		arm, radius := i%3, 0.1+0.9*r.Float64()
		angle := 2*math.Pi*(float64(arm)/3+0.8*radius) + 0.05*r.NormFloat64()
		x[2*i], x[2*i+1] = radius*math.Cos(angle), radius*math.Sin(angle)
		y[i] = float64(arm)
	}
	n.x, n.y = variable.From(tensor.New([]int{points, 2}, x)), variable.New(y...)
}

func (n *network) loss() *variable.Variable {
	x := n.x
	for i := range n.layers {
		x = F.Linear(x, n.Parameters[fmt.Sprint("w", i)], n.Parameters[fmt.Sprint("b", i)])
		if i < n.layers-1 {
			x = n.activation(x)
		}
	}
	return F.CrossEntropy(x, n.y)
}

// small returns a network with its batch set.
func small() *network {
	n := newNetwork(3, F.Tanh, 2, 5, 3)
	n.see(rand.New(rand.NewPCG(1, 2)), 20)
	return n
}

// update makes a step of the network with o, on its batch.
func update(t *testing.T, o *AdaHessian, n *network) float64 {
	t.Helper()
	loss := n.loss()
	n.Cleargrads()
	o.Backward(loss)
	if err := o.Update(n); err != nil {
		t.Fatal(err)
	}
	return loss.At()
}

// lstm makes a recurrent network. Its weights, x2f.w and so on, are made by its first
// Forward.
func lstm() *model.LSTM { return model.NewLSTM(4, 1, model.WithLSTMSource(rand.NewPCG(7, 7))) }

// window returns the loss of three values of a curve, from the i-th on, added to an
// earlier loss.
func window(m *model.LSTM, loss *variable.Variable, i int) *variable.Variable {
	at := func(i int) *variable.Variable { return variable.New(math.Sin(float64(i)/3)).Reshape(1, 1) }
	for j := range 3 {
		loss = F.Add(loss, F.MeanSquaredError(m.Forward(at(i+j)), at(i+j+1)))
	}
	return loss
}

// values returns a copy of every parameter, by name.
func values(params layer.Parameters) map[string][]float64 {
	all := map[string][]float64{}
	for name, p := range params {
		all[name] = slices.Clone(tensor.Contiguous(p.Data).Data)
	}
	return all
}

// same compares parameters to the bit.
func same(t *testing.T, what string, got, want map[string][]float64) {
	t.Helper()
	if len(got) != len(want) || len(got) == 0 {
		t.Fatalf("%s: %d parameters, want %d", what, len(got), len(want))
	}
	for name := range want {
		if !slices.Equal(got[name], want[name]) {
			t.Errorf("%s: %s is %v, want %v", what, name, got[name], want[name])
		}
	}
}
