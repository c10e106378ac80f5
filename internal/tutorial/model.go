// Package tutorial holds the code of docs/tutorial.md.
package tutorial

import (
	"math"
	"math/rand/v2"
)

// hidden is the number of hidden units.
const hidden = 16

// A Model is a perceptron 2-16-1 with tanh: f(x) = w₂ᵀ tanh(W₁ᵀ x + b₁) + b₂.
type Model struct {
	W1 []float64 // [2, 16], row-major
	B1 []float64 // [16]
	W2 []float64 // [16]
	B2 []float64 // [1]
}

// NewModel returns a model with random weights.
func NewModel(seed uint64) *Model {
	rng := rand.New(rand.NewPCG(seed, 0))
	m := &Model{
		W1: make([]float64, 2*hidden), B1: make([]float64, hidden),
		W2: make([]float64, hidden), B2: make([]float64, 1),
	}
	for i := range m.W1 {
		m.W1[i] = rng.NormFloat64() / math.Sqrt2
	}
	for i := range m.W2 {
		m.W2[i] = rng.NormFloat64() / 4
	}
	return m
}

// A Point has two coordinates and a label, −1 or +1.
type Point struct{ X0, X1, Label float64 }

// Moons returns n points on two interleaved half circles.
func Moons(n int, seed uint64) []Point {
	rng := rand.New(rand.NewPCG(seed, 1))
	points := make([]Point, n)
	for i := range points {
		angle := math.Pi * rng.Float64()
		p := Point{math.Cos(angle), math.Sin(angle), 1}
		if i%2 == 1 {
			p = Point{1 - p.X0, 0.5 - p.X1, -1}
		}
		p.X0 += 0.1 * rng.NormFloat64()
		p.X1 += 0.1 * rng.NormFloat64()
		points[i] = p
	}
	return points
}

// Gradient sets grads, of W1, B1, W2 and B2, to the gradient of the mean loss
// log(1 + exp(−label·f(x))) over the points, and returns the loss.
func (m *Model) Gradient(grads [][]float64, points []Point) float64 {
	return m.product(grads, nil, nil, points)
}

// Product does the same and sets hz to the product of the Hessian with z.
func (m *Model) Product(grads, hz, z [][]float64, points []Point) float64 {
	return m.product(grads, hz, z, points)
}

// product is one pass forward and one backward. A name that ends in Z is the derivative
// along z of the variable without the Z. Differentiating each line of the gradient once
// more gives the product (Pearlmutter 1994).
func (m *Model) product(grads, hz, z [][]float64, points []Point) float64 {
	along := z != nil
	for i := range grads {
		clear(grads[i])
		if along {
			clear(hz[i])
		}
	}
	loss, scale := 0.0, 1/float64(len(points))
	var h, hZ [hidden]float64
	for _, p := range points {
		f, fZ := m.B2[0], 0.0
		if along {
			fZ = z[3][0]
		}
		for j := range h {
			h[j] = math.Tanh(p.X0*m.W1[j] + p.X1*m.W1[hidden+j] + m.B1[j])
			f += m.W2[j] * h[j]
			if along {
				hZ[j] = (1 - h[j]*h[j]) * (p.X0*z[0][j] + p.X1*z[0][hidden+j] + z[1][j])
				fZ += z[2][j]*h[j] + m.W2[j]*hZ[j]
			}
		}
		wrong := 1 / (1 + math.Exp(p.Label*f)) // the probability of the other label
		loss -= scale * math.Log1p(-wrong)
		df := -scale * p.Label * wrong
		dfZ := scale * wrong * (1 - wrong) * fZ
		grads[3][0] += df
		for j := range h {
			slope := 1 - h[j]*h[j]
			da := df * m.W2[j] * slope
			grads[2][j] += df * h[j]
			grads[1][j] += da
			grads[0][j] += da * p.X0
			grads[0][hidden+j] += da * p.X1
			if along {
				daZ := (dfZ*m.W2[j]+df*z[2][j])*slope - 2*df*m.W2[j]*h[j]*hZ[j]
				hz[2][j] += dfZ*h[j] + df*hZ[j]
				hz[1][j] += daZ
				hz[0][j] += daZ * p.X0
				hz[0][hidden+j] += daZ * p.X1
			}
		}
		if along {
			hz[3][0] += dfZ
		}
	}
	return loss
}
