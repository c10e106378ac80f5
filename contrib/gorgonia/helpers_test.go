package ahgorgonia

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/adahessian-go/adahessian"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

const batch = 60

// network is a classifier of two features, with the machine that runs it.
type network[T adahessian.Float] struct {
	x, y    *gorgonia.Node
	nodes   gorgonia.Nodes // "w0", "b0" and so on
	cost    gorgonia.Value
	machine gorgonia.VM
}

type activationFunc func(x *gorgonia.Node) (*gorgonia.Node, error)

func newNetwork[T adahessian.Float](t *testing.T, seed uint64, activation activationFunc, widths ...int) *network[T] {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	g, of := gorgonia.NewGraph(), tensor.New(tensor.WithBacking(make([]T, 1))).Dtype()
	matrix := func(name string, deviation float64, rows, columns int) *gorgonia.Node {
		data := make([]T, rows*columns)
		for i := range data {
			data[i] = T(deviation * r.NormFloat64())
		}
		return gorgonia.NewMatrix(g, of, gorgonia.WithName(name), gorgonia.WithShape(rows, columns),
			gorgonia.WithValue(tensor.New(tensor.WithShape(rows, columns), tensor.WithBacking(data))))
	}
	last := widths[len(widths)-1]
	n := &network[T]{
		x: gorgonia.NewMatrix(g, of, gorgonia.WithName("x"), gorgonia.WithShape(batch, widths[0])),
		y: gorgonia.NewMatrix(g, of, gorgonia.WithName("y"), gorgonia.WithShape(batch, last)),
	}
	x := n.x
	for i, in := range widths[:len(widths)-1] {
		w := matrix(fmt.Sprint("w", i), math.Sqrt(2/float64(in)), in, widths[i+1])
		b := matrix(fmt.Sprint("b", i), 0, 1, widths[i+1])
		n.nodes = append(n.nodes, w, b)
		x = gorgonia.Must(gorgonia.BroadcastAdd(gorgonia.Must(gorgonia.Mul(x, w)), b, nil, []byte{0}))
		if i < len(widths)-2 {
			x = gorgonia.Must(activation(x))
		}
	}
	likelihood := gorgonia.Must(gorgonia.HadamardProd(n.y, gorgonia.Must(gorgonia.Log(gorgonia.Must(gorgonia.SoftMax(x))))))
	size := gorgonia.NewConstant(T(batch))
	cost := gorgonia.Must(gorgonia.Neg(gorgonia.Must(gorgonia.Div(gorgonia.Must(gorgonia.Sum(likelihood)), size))))
	gorgonia.Read(cost, &n.cost)
	if _, err := gorgonia.Grad(cost, n.nodes...); err != nil {
		t.Fatal(err)
	}
	n.machine = gorgonia.NewTapeMachine(g, gorgonia.BindDualValues(n.nodes...))
	t.Cleanup(func() { n.machine.Close() })
	return n
}

// see sets the batch: points on three intertwined spiral arms.
func (n *network[T]) see(t *testing.T, r *rand.Rand) {
	t.Helper()
	x, y := make([]T, 2*batch), make([]T, 3*batch)
	for i := range batch {
		arm, radius := i%3, 0.1+0.9*r.Float64()
		angle := 2*math.Pi*(float64(arm)/3+0.8*radius) + 0.05*r.NormFloat64()
		x[2*i], x[2*i+1] = T(radius*math.Cos(angle)), T(radius*math.Sin(angle))
		y[3*i+arm] = 1
	}
	for node, data := range map[*gorgonia.Node][]T{n.x: x, n.y: y} {
		if err := gorgonia.Let(node, tensor.New(tensor.WithShape(node.Shape()...), tensor.WithBacking(data))); err != nil {
			t.Fatal(err)
		}
	}
}

// run computes cost and gradients at the present values.
func (n *network[T]) run(t *testing.T) float64 {
	t.Helper()
	n.machine.Reset()
	if err := n.machine.RunAll(); err != nil {
		t.Fatal(err)
	}
	return float64(n.cost.Data().(T))
}

func (n *network[T]) model() []gorgonia.ValueGrad { return gorgonia.NodesToValueGrads(n.nodes) }

// small returns a network with its batch set.
func small[T adahessian.Float](t *testing.T) *network[T] {
	t.Helper()
	n := newNetwork[T](t, 3, gorgonia.Tanh, 2, 5, 3)
	n.see(t, rand.New(rand.NewPCG(1, 2)))
	return n
}

// step makes a step of the network with a solver, and returns the cost before it.
func step[T adahessian.Float](t *testing.T, s gorgonia.Solver, n *network[T]) float64 {
	t.Helper()
	cost := n.run(t)
	if err := s.Step(n.model()); err != nil {
		t.Fatal(err)
	}
	return cost
}

// values returns a copy of every parameter.
func (n *network[T]) values(t *testing.T) (all [][]T) {
	t.Helper()
	for _, node := range n.nodes {
		all = append(all, slices.Clone(memory[T](t, node.Value())))
	}
	return all
}

// grads returns a copy of every gradient.
func (n *network[T]) grads(t *testing.T) (all [][]T) {
	t.Helper()
	for _, node := range n.nodes {
		grad, err := node.Grad()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, slices.Clone(memory[T](t, grad)))
	}
	return all
}

func memory[T adahessian.Float](t *testing.T, v gorgonia.Value) []T {
	t.Helper()
	x, err := elements[T](v)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// same compares slices to the bit.
func same[T adahessian.Float](t *testing.T, what string, got, want [][]T) {
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
func perUnit(name string, _ tensor.Shape) []int {
	if name[0] == 'w' {
		return []int{0}
	}
	return nil
}
