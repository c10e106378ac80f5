package ahgorgonia

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/adahessian-go/adahessian"
)

// TestResume proves that training resumed between two estimates of the curvature gives
// the bits of uninterrupted training.
func TestResume(t *testing.T) {
	t.Run("float32", testResume[float32])
	t.Run("float64", testResume[float64])
}

func testResume[T adahessian.Float](t *testing.T) {
	newSolver := func(n *network[T]) *AdaHessianSolver {
		return NewAdaHessianSolver(n.machine, WithLearnRate(0.05), WithUpdateEach(3), WithSeed(2), WithAverage(perUnit))
	}
	train := func(s *AdaHessianSolver, n *network[T], first, steps int) {
		for i := range steps {
			n.see(t, rand.New(rand.NewPCG(1, uint64(first+i))))
			step(t, s, n)
		}
	}
	n := small[T](t)
	s := newSolver(n)
	if err := s.Save(&bytes.Buffer{}); err == nil {
		t.Error("Save before the first Step is not an error")
	}
	train(s, n, 0, 4)
	var saved bytes.Buffer
	if err := s.Save(&saved); err != nil {
		t.Fatal(err)
	}
	again := small[T](t)
	for i, x := range n.values(t) {
		copy(memory[T](t, again.nodes[i].Value()), x)
	}
	resumed := newSolver(again)
	if err := resumed.Load(again.model()[1:], bytes.NewReader(saved.Bytes())); err == nil {
		t.Error("Load into another model is not an error")
	}
	if err := resumed.Load(again.model(), bytes.NewReader(saved.Bytes())); err != nil {
		t.Fatal(err)
	}
	if err := resumed.Load(again.model(), bytes.NewReader(saved.Bytes()[:100])); err == nil {
		t.Error("Load of a truncated state is not an error")
	}
	train(s, n, 4, 7)
	train(resumed, again, 4, 7)
	same(t, "resumed", again.values(t), n.values(t))
}
