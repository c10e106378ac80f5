package main

import (
	"slices"
	"testing"

	"github.com/adahessian-go/adahessian/examples/digits"
	"github.com/nlpodyssey/spago/mat"
	"github.com/nlpodyssey/spago/nn"
)

// TestTraining trains twice, which must give the same bits.
func TestTraining(t *testing.T) {
	train, test := digits.Load[float64]()
	run := func() (n *network, values []mat.Tensor, loss float64) {
		n = newNetwork(1)
		o := newOptimizer(n)
		for range 5 {
			var err error
			if loss, err = n.train(o, train, 64); err != nil {
				t.Fatal(err)
			}
		}
		nn.ForEachParam(n, func(p *nn.Param) { values = append(values, p.Value()) })
		return n, values, loss
	}
	n, a, loss := run()
	accuracy := n.accuracy(test)
	t.Logf("loss %.3f, test accuracy %.3f", loss, accuracy)
	if loss > 0.3 || accuracy < 0.7 {
		t.Errorf("loss %.3f, want at most 0.3; test accuracy %.3f, want at least 0.7", loss, accuracy)
	}
	_, b, _ := run()
	if len(a) != 4 {
		t.Fatalf("%d parameters, want 4", len(a))
	}
	for i := range a {
		if !slices.Equal(a[i].Data().F64(), b[i].Data().F64()) {
			t.Errorf("parameter %d: two runs from the same seed differ", i)
		}
	}
}
