package lm

import "math"

// adamW is Adam with decoupled weight decay (Loshchilov and Hutter, "Decoupled
// Weight Decay Regularization", ICLR 2019), with its usual constants:
//
//	m ← β1 m + (1−β1) g        v ← β2 v + (1−β2) g²
//	θ ← θ − η ( m̂ / (√v̂ + ε) + λ θ )
type adamW[T Float] struct {
	m, v  [][]T
	decay []float64 // λ of each tensor
	steps int
}

const (
	adamBeta1 = 0.9
	adamBeta2 = 0.999
	adamEps   = 1e-8
)

func newAdamWRule[T Float](values [][]T, decay []float64) *adamW[T] {
	return &adamW[T]{m: zerosLike(values), v: zerosLike(values), decay: decay}
}

func (a *adamW[T]) update(values, grads [][]T, lr float64) {
	a.steps++
	// √v̂ = √v·root, so that m̂/(√v̂ + ε) = m/(√v·root + ε)·(step/lr).
	step := T(lr / (1 - math.Pow(adamBeta1, float64(a.steps))))
	root := T(1 / math.Sqrt(1-math.Pow(adamBeta2, float64(a.steps))))
	for i, value := range values {
		m, v, g := a.m[i], a.v[i], grads[i]
		keep := T(1 - lr*a.decay[i])
		for j := range value {
			m[j] = adamBeta1*m[j] + (1-adamBeta1)*g[j]
			v[j] = adamBeta2*v[j] + (1-adamBeta2)*g[j]*g[j]
			value[j] = keep*value[j] - step*m[j]/(T(math.Sqrt(float64(v[j])))*root+adamEps)
		}
	}
}

// zerosLike returns tensors of zeros with the lengths of the given ones.
func zerosLike[T Float](values [][]T) [][]T {
	zeros := make([][]T, len(values))
	for i, v := range values {
		zeros[i] = make([]T, len(v))
	}
	return zeros
}
