package lm

import (
	"math"
	"slices"
	"testing"
)

// tiny is small enough to differentiate element by element. It has more than one
// sequence, and fewer symbols than places, so that symbols repeat.
var tiny = Shape{Vocab: 7, Embed: 3, Width: 5, Kernel: 4, Batch: 2, Positions: 6, Workers: 1}

// directConvLoss is the loss, written a second time from the formulas in NewConv's
// comment, one prediction and one element at a time.
func directConvLoss(m *Model[float64]) float64 {
	s, v := tiny, m.Values
	sum := 0.0
	for b := range s.Batch {
		symbols := m.symbols[b*s.Span() : (b+1)*s.Span()]
		for t := s.Kernel; t < len(symbols); t++ {
			h := make([]float64, s.Width)
			for o := range h {
				a := v[ConvBias][o]
				for c := range s.Embed {
					for k := range s.Kernel {
						x := v[Embedding][int(symbols[t-s.Kernel+k])*s.Embed+c]
						a += v[ConvWeight][(o*s.Embed+c)*s.Kernel+k] * x
					}
				}
				h[o] = math.Tanh(a)
			}
			y := slices.Clone(v[OutBias])
			for j := range y {
				y[j] += dot(v[OutWeight][j*s.Width:][:s.Width], h)
			}
			sum += directSoftmaxLoss(y, symbols[t])
		}
	}
	return sum / float64(s.Batch*s.Positions)
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

func directSoftmaxLoss(y []float64, target uint8) float64 {
	total := 0.0
	for _, x := range y {
		total += math.Exp(x)
	}
	return math.Log(total) - y[target]
}

func TestConvLossIsTheFormula(t *testing.T) {
	m := newTinyModel[float64](t, tiny)
	if got, want := m.Loss(), directConvLoss(m); math.Abs(got-want) > 1e-14*want {
		t.Errorf("loss %.17g, want %.17g", got, want)
	}
}

func TestContextIsCausal(t *testing.T) {
	m := NewConv[float64](Shape{Vocab: 9, Embed: 1, Width: 1, Kernel: 3, Batch: 2, Positions: 2, Workers: 1}, 1)
	m.Load([]uint8{0, 1, 2, 3, 4, 5, 6, 7, 8}, []int{0, 4})
	for n, want := range []struct {
		context []uint8
		target  uint8
	}{
		{[]uint8{0, 1, 2}, 3},
		{[]uint8{1, 2, 3}, 4},
		{[]uint8{4, 5, 6}, 7},
		{[]uint8{5, 6, 7}, 8},
	} {
		if got := m.before(n); !slices.Equal(got, want.context) || m.target(n) != want.target {
			t.Errorf("prediction %d: %v → %d, want %v → %d", n, got, m.target(n), want.context, want.target)
		}
	}
}
