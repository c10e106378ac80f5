package ahspago

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/nlpodyssey/spago/ag"
	"github.com/nlpodyssey/spago/mat/float"
	"github.com/nlpodyssey/spago/nn"
)

// TestResume saves a network with spaGO's Dump, between two estimates of the curvature,
// and continues with what was read. This gives the same bits as without the
// interruption.
func TestResume(t *testing.T) {
	t.Run("float32", testResume[float32])
	t.Run("float64", testResume[float64])
}

func testResume[T float.DType](t *testing.T) {
	c := NewDefaultConfig()
	c.UpdateEach, c.Seed, c.Average = 3, 2, perUnit
	train := func(o *AdaHessian, n *network[T], first, steps int) {
		for i := range steps {
			n.see(rand.New(rand.NewPCG(1, uint64(first+i))))
			n.optimize(t, o)
		}
	}
	n := small[T]()
	o := n.optimizer(c)
	train(o, n, 0, 4)
	var saved bytes.Buffer
	if err := nn.Dump(n.params, &saved); err != nil {
		t.Fatal(err)
	}
	train(o, n, 4, 7)

	params, err := nn.Load[[]*nn.Param](&saved)
	if err != nil {
		t.Fatal(err)
	}
	again := &network[T]{params: params, activation: ag.Tanh}
	train(again.optimizer(c), again, 4, 7)
	same(t, "resumed", again.values(t), n.values(t))
}

// TestForeignState proves that an error names the parameter whose State belongs to
// something else.
func TestForeignState(t *testing.T) {
	n := small[float64]()
	n.optimize(t, n.optimizer(NewDefaultConfig()))
	first := n.params[0].State
	for want, spoil := range map[string]func(){
		"parameter 2: its State is a string":    func() { n.params[2].State = "Adam was here" },
		"parameter 1: its State is that of the": func() { n.params[0].State, n.params[1].State = nil, first },
		"invalid state":                         func() { n.params[0].State = &State{saved: []byte("junk")} },
	} {
		for _, p := range n.params {
			p.State = nil
		}
		spoil()
		if err := n.compute(); err != nil {
			t.Fatal(err)
		}
		before := n.values(t)
		if err := n.optimizer(NewDefaultConfig()).Optimize(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
		same(t, want, n.values(t), before)
	}
}
