package lm

// sgd is stochastic gradient descent with momentum, and weight decay decoupled
// from the gradient as in adamW:
//
//	m ← μ m + g        θ ← θ − η ( m + λ θ )
type sgd[T Float] struct {
	m     [][]T
	decay []float64 // λ of each tensor
}

const sgdMomentum = 0.9

func newSGDRule[T Float](values [][]T, decay []float64) *sgd[T] {
	return &sgd[T]{m: zerosLike(values), decay: decay}
}

func (s *sgd[T]) update(values, grads [][]T, lr float64) {
	eta := T(lr)
	for i, value := range values {
		m, g := s.m[i], grads[i]
		keep := T(1 - lr*s.decay[i])
		for j := range value {
			m[j] = sgdMomentum*m[j] + g[j]
			value[j] = keep*value[j] - eta*m[j]
		}
	}
}
