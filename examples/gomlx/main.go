// Command gomlx trains two networks on handwritten digits with AdaHessian and
// GoMLX, whose graphs give exact Hessian-vector products: a perceptron, and a
// block of attention over the rows of the images.
package main

import (
	"fmt"
	"log"
	"math/rand/v2"
	"sync"

	"github.com/adahessian-go/adahessian/examples/digits"
	"github.com/gomlx/compute"
	"github.com/gomlx/compute/gobackend"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// backend returns the pure-Go backend, which executes the operations of a
// graph one after the other. In parallel, as is its default, several products
// of matrices can each wait for workers that the others hold: on a machine of
// two cores the attention block stops with "all goroutines are asleep".
var backend = sync.OnceValue(func() compute.Backend {
	b, err := gobackend.New("ops_sequential")
	if err != nil {
		log.Fatal(err)
	}
	return b
})

const (
	hidden = 16
	rows   = 8 // of an image: the tokens of the attention
	width  = 16
)

// network is some weights and what is computed with them.
type network struct {
	weights []*weight
	logits  func(weights []*graph.Node, x *graph.Node) *graph.Node // x is [batch, Pixels]
}

// add makes a weight of random values of the given scale.
func (n *network) add(r *rand.Rand, name string, scale float64, shape, average []int) {
	size := 1
	for _, d := range shape {
		size *= d
	}
	values := make([]float32, size)
	for i := range values {
		values[i] = float32(scale * r.NormFloat64())
	}
	w, err := newWeight(name, values, shape, average)
	if err != nil {
		log.Fatal(err)
	}
	n.weights = append(n.weights, w)
}

// perceptron is a network of one hidden layer. Weights are [in, out], so the
// curvature of a unit's inputs is averaged over axis 0.
func perceptron() *network {
	n := &network{logits: func(w []*graph.Node, x *graph.Node) *graph.Node {
		h := graph.Tanh(graph.Add(graph.MatMul(x, w[0]), w[1]))
		return graph.Add(graph.MatMul(h, w[2]), w[3])
	}}
	r := rand.New(rand.NewPCG(1, 1))
	n.add(r, "w1", 0.2, []int{digits.Pixels, hidden}, []int{0})
	n.add(r, "b1", 0, []int{1, hidden}, nil)
	n.add(r, "w2", 0.3, []int{hidden, digits.Classes}, []int{0})
	n.add(r, "b2", 0, []int{1, digits.Classes}, nil)
	return n
}

// attention is one head over the rows of an image, each a token, with a
// residual connection. The first weight holds a patch of 1×8 pixels for each
// output, HWIO: [1, 8, 1, width], averaged over the patch.
func attention() *network {
	n := &network{logits: func(w []*graph.Node, x *graph.Node) *graph.Node {
		batch := x.Shape().Dimensions[0]
		// The convolution of non-overlapping patches, as a product.
		patch := graph.Reshape(w[0], digits.Pixels/rows, width)
		linear := func(x, w *graph.Node) *graph.Node { // of every token
			y := graph.MatMul(graph.Reshape(x, batch*rows, x.Shape().Dimensions[x.Rank()-1]), w)
			return graph.Reshape(y, batch, rows, width)
		}
		h := graph.Add(linear(graph.Reshape(x, batch, rows, digits.Pixels/rows), patch), w[1])
		q, k, v := linear(h, w[2]), linear(h, w[3]), linear(h, w[4])
		scores := graph.MulScalar(graph.Einsum("bqd,bkd->bqk", q, k), 0.25) // 1/√width
		h = graph.Add(h, graph.Einsum("bqk,bkd->bqd", graph.Softmax(scores, -1), v))
		h = graph.Tanh(graph.Reshape(h, batch, rows*width))
		return graph.Add(graph.MatMul(h, w[5]), w[6])
	}}
	r := rand.New(rand.NewPCG(2, 1))
	n.add(r, "patch", 0.4, []int{1, digits.Pixels / rows, 1, width}, []int{0, 1})
	n.add(r, "position", 0.1, []int{1, rows, width}, nil)
	n.add(r, "query", 0.25, []int{width, width}, []int{0})
	n.add(r, "key", 0.25, []int{width, width}, []int{0})
	n.add(r, "value", 0.25, []int{width, width}, []int{0})
	n.add(r, "out", 0.1, []int{rows * width, digits.Classes}, []int{0})
	n.add(r, "bias", 0, []int{1, digits.Classes}, nil)
	return n
}

// loss is the mean cross-entropy of the batch x, y; y has a row for each image.
func (n *network) loss(w, batch []*graph.Node) *graph.Node {
	likelihood := graph.Mul(batch[1], graph.LogSoftmax(n.logits(w, batch[0]), -1))
	return graph.MulScalar(graph.ReduceAllSum(likelihood), -1/float64(batch[0].Shape().Dimensions[0]))
}

// tensorsOf returns the images and their digits as the loss wants them.
func tensorsOf(s digits.Set[float32]) (x, y *tensors.Tensor) {
	return tensors.FromFlatDataAndDimensions(s.X, s.Len(), digits.Pixels),
		tensors.FromFlatDataAndDimensions(s.OneHot(), s.Len(), digits.Classes)
}

// train makes one pass over the set in batches that all have the same size,
// since each size is a graph of its own, and returns the mean loss.
func train(t *trainer, set digits.Set[float32], batch int) (float64, error) {
	mean, n := 0.0, set.Len()/batch
	for i := range n {
		x, y := tensorsOf(set.Slice(i*batch, (i+1)*batch))
		loss, err := t.step(x, y)
		if err != nil {
			return 0, err
		}
		mean += float64(loss) / float64(n)
	}
	return mean, nil
}

// accuracy returns the share of the set's digits that the network reads.
func (n *network) accuracy(set digits.Set[float32]) (float64, error) {
	exec, err := graph.NewExec(backend(), func(in []*graph.Node) *graph.Node {
		return n.logits(in[1:], in[0])
	})
	if err != nil {
		return 0, err
	}
	x, _ := tensorsOf(set)
	args := []any{x}
	for _, w := range n.weights {
		args = append(args, w.tensor)
	}
	out, err := exec.Call1(args...)
	if err != nil {
		return 0, err
	}
	correct := 0
	tensors.MustConstFlatData(out, func(flat []float32) { correct = set.Correct(flat) })
	return float64(correct) / float64(set.Len()), nil
}

func main() {
	learn, test := digits.Load[float32]()
	for _, task := range []struct {
		name string
		net  *network
	}{{"perceptron", perceptron()}, {"attention", attention()}} {
		t, err := newTrainer(backend(), task.net.weights, task.net.loss)
		if err != nil {
			log.Fatal(err)
		}
		t.Hyper.LR = 0.1
		for epoch := range 5 {
			loss, err := train(t, learn, 64)
			if err != nil {
				log.Fatal(err)
			}
			accuracy, err := task.net.accuracy(test)
			if err != nil {
				log.Fatal(err)
			}
			fmt.Printf("%s, epoch %d: loss %.4f, test accuracy %.3f\n", task.name, epoch+1, loss, accuracy)
		}
	}
}
