// Command gorgonia trains a network on handwritten digits with AdaHessian as a
// solver of Gorgonia.
package main

import (
	"fmt"
	"log"
	"math/rand/v2"

	ahgorgonia "github.com/adahessian-go/adahessian/contrib/gorgonia"
	"github.com/adahessian-go/adahessian/examples/digits"
	g "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

const (
	hidden = 16
	batch  = 64
)

// network is a perceptron with one hidden layer, with the machine that runs it.
type network struct {
	x, y    *g.Node
	params  g.Nodes
	cost    g.Value
	outputs g.Value
	machine g.VM
}

func newNetwork(seed uint64) (*network, error) {
	r := rand.New(rand.NewPCG(seed, 1))
	graph := g.NewGraph()
	node := func(name string, scale float64, shape ...int) *g.Node {
		data := make([]float64, shape[0]*shape[1])
		for i := range data {
			data[i] = scale * r.NormFloat64()
		}
		return g.NewMatrix(graph, g.Float64, g.WithName(name), g.WithShape(shape...),
			g.WithValue(tensor.New(tensor.WithShape(shape...), tensor.WithBacking(data))))
	}
	n := &network{
		x: g.NewMatrix(graph, g.Float64, g.WithName("x"), g.WithShape(batch, digits.Pixels)),
		y: g.NewMatrix(graph, g.Float64, g.WithName("y"), g.WithShape(batch, digits.Classes)),
	}
	w1, b1 := node("w1", 0.2, digits.Pixels, hidden), node("b1", 0, 1, hidden)
	w2, b2 := node("w2", 0.3, hidden, digits.Classes), node("b2", 0, 1, digits.Classes)
	n.params = g.Nodes{w1, b1, w2, b2}
	linear := func(x, w, b *g.Node) *g.Node {
		return g.Must(g.BroadcastAdd(g.Must(g.Mul(x, w)), b, nil, []byte{0}))
	}
	logits := linear(g.Must(g.Tanh(linear(n.x, w1, b1))), w2, b2)
	likelihood := g.Must(g.HadamardProd(n.y, g.Must(g.Log(g.Must(g.SoftMax(logits))))))
	cost := g.Must(g.Neg(g.Must(g.Div(g.Must(g.Sum(likelihood)), g.NewConstant(float64(batch))))))
	g.Read(cost, &n.cost)
	g.Read(logits, &n.outputs)
	if _, err := g.Grad(cost, n.params...); err != nil {
		return nil, err
	}
	n.machine = g.NewTapeMachine(graph, g.BindDualValues(n.params...))
	return n, nil
}

// see sets the batch, whose size must be that of the graph.
func (n *network) see(s digits.Set[float64]) error {
	x := tensor.New(tensor.WithShape(batch, digits.Pixels), tensor.WithBacking(s.X))
	if err := g.Let(n.x, x); err != nil {
		return err
	}
	return g.Let(n.y, tensor.New(tensor.WithShape(batch, digits.Classes), tensor.WithBacking(s.OneHot())))
}

// run computes loss and gradients at the present values.
func (n *network) run() error {
	n.machine.Reset()
	return n.machine.RunAll()
}

// newSolver averages the curvature over the inputs of each unit: the weights are [in,
// out] and the biases [1, out], so it averages over axis 0.
func newSolver(n *network) g.Solver {
	return ahgorgonia.NewAdaHessianSolver(n.machine, ahgorgonia.WithLearnRate(0.1),
		ahgorgonia.WithAverage(func(string, tensor.Shape) []int { return []int{0} }))
}

// train makes one pass over the set, and returns its mean loss.
func (n *network) train(solver g.Solver, set digits.Set[float64]) (float64, error) {
	model := g.NodesToValueGrads(n.params)
	mean, batches := 0.0, 0
	for lo := 0; lo+batch <= set.Len(); lo += batch {
		if err := n.see(set.Slice(lo, lo+batch)); err != nil {
			return 0, err
		}
		if err := n.run(); err != nil {
			return 0, err
		}
		mean += n.cost.Data().(float64)
		if err := solver.Step(model); err != nil {
			return 0, err
		}
		batches++
	}
	return mean / float64(batches), nil
}

// accuracy returns the share of the digits that n reads correctly, among those in whole
// batches.
func (n *network) accuracy(set digits.Set[float64]) (float64, error) {
	correct, seen := 0, 0
	for lo := 0; lo+batch <= set.Len(); lo += batch {
		part := set.Slice(lo, lo+batch)
		if err := n.see(part); err != nil {
			return 0, err
		}
		if err := n.run(); err != nil {
			return 0, err
		}
		correct += part.Correct(n.outputs.Data().([]float64))
		seen += batch
	}
	return float64(correct) / float64(seen), nil
}

func main() {
	train, test := digits.Load[float64]()
	n, err := newNetwork(1)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = n.machine.Close() }()
	solver := newSolver(n)
	for epoch := range 10 {
		loss, err := n.train(solver, train)
		if err != nil {
			log.Fatal(err)
		}
		accuracy, err := n.accuracy(test)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("epoch %2d: loss %.4f, test accuracy %.3f\n", epoch+1, loss, accuracy)
	}
}
