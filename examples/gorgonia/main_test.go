package main

import (
	"slices"
	"testing"

	"github.com/adahessian-go/adahessian/examples/digits"
)

// TestTraining trains twice, which must give the same bits.
func TestTraining(t *testing.T) {
	train, test := digits.Load[float64]()
	run := func() (n *network, loss float64) {
		n, err := newNetwork(1)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.machine.Close() })
		solver := newSolver(n)
		for range 5 {
			if loss, err = n.train(solver, train); err != nil {
				t.Fatal(err)
			}
		}
		return n, loss
	}
	a, loss := run()
	accuracy, err := a.accuracy(test)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("loss %.3f, test accuracy %.3f", loss, accuracy)
	if loss > 0.25 || accuracy < 0.82 {
		t.Errorf("loss %.3f, want at most 0.25; test accuracy %.3f, want at least 0.82", loss, accuracy)
	}
	b, _ := run()
	for i := range a.params {
		if !slices.Equal(a.params[i].Value().Data().([]float64), b.params[i].Value().Data().([]float64)) {
			t.Errorf("%s: two runs from the same seed differ", a.params[i].Name())
		}
	}
}
