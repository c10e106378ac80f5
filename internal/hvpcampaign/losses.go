//lint:file-ignore U1000 the linter misses what implements loss, since it is generic

package main

import (
	"errors"
	"math"

	"github.com/adahessian-go/adahessian"
)

// loss is a loss whose gradient and products are known in closed form. It
// keeps nothing between calls. The gradient and both products are added to out.
type loss[T adahessian.Float] interface {
	Gradient(out, theta [][]T) error
	Hessian(out, theta, z [][]T)
	GaussNewton(out, theta, z [][]T)
}

var errDomain = errors.New("outside the domain")

// quadratic is s·½θᵀ(diag(d) + UᵀU)θ over all tensors together.
type quadratic[T adahessian.Float] struct {
	d [][]T
	u [][][]T // rows, of the shapes of the parameters
	s T
}

func (q *quadratic[T]) Gradient(out, theta [][]T) error {
	q.Hessian(out, theta, theta)
	return nil
}

func (q *quadratic[T]) Hessian(out, _, z [][]T) {
	along := make([]T, len(q.u))
	for r, u := range q.u {
		along[r] = q.s * inner(u, z)
	}
	for i := range out {
		for j := range out[i] {
			sum := q.s * q.d[i][j] * z[i][j]
			for r, u := range q.u {
				sum += u[i][j] * along[r]
			}
			out[i][j] += sum
		}
	}
}

func (q *quadratic[T]) GaussNewton(out, theta, z [][]T) { q.Hessian(out, theta, z) }

// barrier is s·(mean over k of −ln(c_k − a_kᵀθ) + mean of θ ln θ) for θ > 0.
type barrier[T adahessian.Float] struct {
	a     [][][]T
	c     []T
	s     T
	fails bool // outside the domain the gradient fails with an error instead of being NaN
}

// slack returns c_k − a_kᵀθ.
func (b *barrier[T]) slack(k int, theta [][]T) T { return b.c[k] - inner(b.a[k], theta) }

func (b *barrier[T]) Gradient(out, theta [][]T) error {
	for k, a := range b.a {
		slack := b.slack(k, theta)
		if slack <= 0 {
			if b.fails {
				return errDomain
			}
			slack = T(math.NaN())
		}
		addScaled(out, b.s/T(len(b.a))/slack, a)
	}
	scale := b.s / T(count(theta))
	for i := range out {
		for j, x := range theta[i] {
			if x <= 0 && b.fails {
				return errDomain
			}
			out[i][j] += scale * (T(math.Log(float64(x))) + 1)
		}
	}
	return nil
}

func (b *barrier[T]) Hessian(out, theta, z [][]T) {
	for k, a := range b.a {
		slack := b.slack(k, theta)
		addScaled(out, b.s/T(len(b.a))*inner(a, z)/slack/slack, a)
	}
	scale := b.s / T(count(theta))
	for i := range out {
		for j, x := range theta[i] {
			out[i][j] += scale * z[i][j] / x
		}
	}
}

func (b *barrier[T]) GaussNewton(out, theta, z [][]T) { b.Hessian(out, theta, z) }

// inner returns xᵀy, by a plain loop in T.
func inner[T adahessian.Float](x, y [][]T) T {
	var sum T
	for i := range x {
		for j, e := range x[i] {
			sum += e * y[i][j]
		}
	}
	return sum
}

// addScaled adds a·x to out.
func addScaled[T adahessian.Float](out [][]T, a T, x [][]T) {
	for i := range out {
		for j := range out[i] {
			out[i][j] += a * x[i][j]
		}
	}
}

func count[T adahessian.Float](x [][]T) int {
	n := 0
	for _, v := range x {
		n += len(v)
	}
	return n
}
