package main

import (
	"slices"
	"testing"

	"github.com/adahessian-go/adahessian/examples/digits"
	"github.com/itsubaki/autograd/model"
)

// TestTraining trains twice, which must give the same bits.
func TestTraining(t *testing.T) {
	training, test := digits.Load[float64]()
	run := func() (m *model.MLP, loss float64) {
		m, o := newNetwork(1), newOptimizer()
		for range 5 {
			var err error
			if loss, err = train(m, o, training); err != nil {
				t.Fatal(err)
			}
		}
		return m, loss
	}
	a, loss := run()
	if accuracy := accuracy(a, test); loss > 0.25 || accuracy < 0.82 {
		t.Errorf("loss %.3f, want at most 0.25; test accuracy %.3f, want at least 0.82", loss, accuracy)
	}
	b, _ := run()
	for name, p := range a.Params().Seq2() {
		if !slices.Equal(p.Data.Data, b.Params()[name].Data.Data) {
			t.Errorf("%s: two runs from the same seed differ", name)
		}
	}
}
