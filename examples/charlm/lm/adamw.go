package lm

import "math"

// adamW is Adam with decoupled weight decay (Loshchilov and Hutter, "Decoupled
// Weight Decay Regularization", ICLR 2019), with its usual constants:
//
//	m ← β1 m + (1−β1) g        v ← β2 v + (1−β2) g²
//	θ ← θ − η ( m̂ / (√v̂ + ε) + λ θ )
type adamW[T Float] struct {
	AdamWHyper
	m, v  [][]T
	decay []float64 // λ of each tensor
	steps int
}

// AdamWHyper holds the hyperparameters of AdamW, all but the learning rate.
type AdamWHyper struct{ Beta1, Beta2, Decay float64 }

// DefaultAdamW returns the usual decays of the moments, and no weight decay.
func DefaultAdamW() AdamWHyper { return AdamWHyper{Beta1: 0.9, Beta2: 0.999} }

const adamEps = 1e-8

// newAdamWRule takes the weight decay of each tensor instead of that of h.
func newAdamWRule[T Float](values [][]T, decay []float64, h AdamWHyper) *adamW[T] {
	return &adamW[T]{h, zerosLike(values), zerosLike(values), decay, 0}
}

func (a *adamW[T]) update(values, grads [][]T, lr float64) {
	a.steps++
	// √v̂ = √v·root, so m̂/(√v̂ + ε) = m/(√v·root + ε)·(step/lr).
	step := T(lr / (1 - math.Pow(a.Beta1, float64(a.steps))))
	root := T(1 / math.Sqrt(1-math.Pow(a.Beta2, float64(a.steps))))
	b1, c1, b2, c2 := T(a.Beta1), T(1-a.Beta1), T(a.Beta2), T(1-a.Beta2)
	for i, value := range values {
		m, v, g := a.m[i], a.v[i], grads[i]
		keep := T(1 - lr*a.decay[i])
		for j := range value {
			m[j] = b1*m[j] + c1*g[j]
			v[j] = b2*v[j] + c2*g[j]*g[j]
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
