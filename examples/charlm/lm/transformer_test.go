package lm

import (
	"math"
	"slices"
	"testing"
)

var tinyTransformer = TransformerShape{Vocab: 7, Width: 6, Heads: 2, Layers: 2, Batch: 4, Positions: 5, Workers: 1}

// directTransformerLoss is the loss, written a second time from the formulas in
// NewTransformer's comment, one prediction and one element at a time. It takes the
// parameters by name.
func directTransformerLoss(m *Model[float64], s TransformerShape) float64 {
	byName := map[string][]float64{}
	for i, p := range m.Parameters() {
		byName[p.Name] = m.Values[i]
	}
	// apply returns W x.
	apply := func(name string, x []float64) []float64 {
		w := byName[name]
		var y []float64
		for i := 0; i < len(w); i += len(x) {
			y = append(y, dot(w[i:i+len(x)], x))
		}
		return y
	}
	norm := func(name string, x []float64) []float64 {
		mean, variance := 0.0, 0.0
		for _, v := range x {
			mean += v / float64(len(x))
		}
		for _, v := range x {
			variance += (v - mean) * (v - mean) / float64(len(x))
		}
		y := make([]float64, len(x))
		for j, v := range x {
			y[j] = byName[name+"norm.gain"][j]*(v-mean)/math.Sqrt(variance+normEps) + byName[name+"norm.bias"][j]
		}
		return y
	}
	add := func(x, y []float64) {
		for i := range x {
			x[i] += y[i]
		}
	}
	sum := 0.0
	size := s.Width / s.Heads
	for b := range s.Batch {
		symbols := m.symbols[b*(s.Positions+1):][:s.Positions+1]
		x := make([][]float64, s.Positions)
		for t := range x {
			x[t] = slices.Clone(byName["embedding"][int(symbols[t])*s.Width:][:s.Width])
			add(x[t], byName["places"][t*s.Width:][:s.Width])
		}
		for _, block := range []string{"block0.", "block1."} {
			var q, k, v [][]float64
			for t := range x {
				all := apply(block+"attention.in", norm(block+"attention.", x[t]))
				q, k, v = append(q, all[:s.Width]), append(k, all[s.Width:2*s.Width]), append(v, all[2*s.Width:])
			}
			for t := range x {
				heads := make([]float64, s.Width)
				for first := 0; first < s.Width; first += size {
					total := 0.0
					weights := make([]float64, t+1)
					for u := range weights {
						weights[u] = math.Exp(dot(q[t][first:first+size], k[u][first:first+size]) / math.Sqrt(float64(size)))
						total += weights[u]
					}
					for u, w := range weights {
						for c := first; c < first+size; c++ {
							heads[c] += w / total * v[u][c]
						}
					}
				}
				add(x[t], apply(block+"attention.out", heads))
			}
			for t := range x {
				h := apply(block+"perceptron.in", norm(block+"perceptron.", x[t]))
				for j, a := range h {
					h[j] = a / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(a+0.044715*a*a*a)))
				}
				add(x[t], apply(block+"perceptron.out", h))
			}
		}
		for t := range x {
			y := apply("out.weight", norm("out.", x[t]))
			add(y, byName["out.bias"])
			sum += directSoftmaxLoss(y, symbols[t+1])
		}
	}
	return sum / float64(s.Batch*s.Positions)
}

func TestTransformerLossIsTheFormula(t *testing.T) {
	m := NewTransformer[float64](tinyTransformer, 3)
	prepare(t, m, tinyTransformer.Vocab)
	if got, want := m.Loss(), directTransformerLoss(m, tinyTransformer); math.Abs(got-want) > 1e-14*want {
		t.Errorf("loss %.17g, want %.17g", got, want)
	}
}
