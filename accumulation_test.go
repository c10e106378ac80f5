package adahessian_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/adahessian-go/adahessian"
)

// newLine makes a line with n noisy examples.
func newLine(n int) *line {
	l := &line{theta: []float64{0.3, -0.2}, grad: make([]float64, 2)}
	r := rand.New(rand.NewPCG(5, 6))
	for range n {
		x := r.NormFloat64()
		l.x, l.y = append(l.x, x), append(l.y, 2*x+1+r.NormFloat64()/10)
	}
	return l
}

// train makes steps with the given product and returns the parameters.
func (l *line) train(t *testing.T, hvp adahessian.HVP[float64], steps int) []float64 {
	opts := adahessian.DefaultOptions()
	opts.Samples = 2
	o, err := adahessian.New(opts, adahessian.Param[float64]{Value: l.theta})
	if err != nil {
		t.Fatal(err)
	}
	for range steps {
		if err := o.Step([][]float64{l.grad}, hvp); err != nil {
			t.Fatal(err)
		}
	}
	return l.theta
}

// means is accumulate as frameworks that return means have to do it: the
// means of the micro-batches, each with the share of its examples.
func (l *line) means(micro int) adahessian.HVP[float64] {
	return func(hz, z [][]float64) error {
		clear(l.grad)
		clear(hz[0])
		n := len(l.x)
		for lo := 0; lo < n; lo += micro {
			hi := min(lo+micro, n)
			g, h := make([]float64, 2), make([]float64, 2)
			l.add(g, h, z[0], lo, hi)
			size, share := float64(hi-lo), float64(hi-lo)/float64(n)
			for i := range g {
				l.grad[i] += share * (g[i] / size)
				hz[0][i] += share * (h[i] / size)
			}
		}
		return nil
	}
}

// TestAccumulation holds micro-batches against the whole batch. Sums that go
// on from one micro-batch to the next make the same additions, and so the same
// bits; weighted means round differently, within a few units in the last place
// of a step.
func TestAccumulation(t *testing.T) {
	const n, steps = 103, 300
	whole := newLine(n)
	want := slices.Clone(whole.train(t, whole.accumulate(n), steps))
	for _, micro := range []int{1, 7, 16, 64, 102} {
		l := newLine(n)
		if got := l.train(t, l.accumulate(micro), steps); !slices.Equal(got, want) {
			t.Errorf("micro-batches of %d, sums: θ = %v, want the bits of the whole batch, %v", micro, got, want)
		}
		l = newLine(n)
		got := l.train(t, l.means(micro), steps)
		for i := range got {
			if d := math.Abs(got[i] - want[i]); !(d <= 1e-12) {
				t.Errorf("micro-batches of %d, means: θ[%d] is off by %g, want at most 1e-12", micro, i, d)
			}
		}
	}
}
