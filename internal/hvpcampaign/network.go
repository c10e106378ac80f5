//lint:file-ignore U1000 the linter misses what implements loss, since it is generic

package main

import (
	"math"

	"github.com/adahessian-go/adahessian"
)

// network is s times the mean loss over some samples of a linear model, with
// parameters W and b, or of a network with one hidden layer, with W1, b1, W2, b2.
type network[T adahessian.Float] struct {
	in, hidden, out int // hidden: 0 for a linear model
	activation      activation
	head            head
	x, y            [][]T
	s               T
}

type activation int

const (
	tanh activation = iota
	relu
)

// at returns the value of an activation and its first two derivatives.
func (f activation) at(a float64) (v, d1, d2 float64) {
	if f == relu {
		if a > 0 {
			return a, 1, 0
		}
		return 0, 0, 0
	}
	v = math.Tanh(a)
	d1 = 1 - v*v
	return v, d1, -2 * v * d1
}

type head int

const (
	square head = iota
	softmax
	poisson
)

// pass holds what is kept of one sample.
type pass[T adahessian.Float] struct {
	v, d1, d2 []T // of the hidden units
	u, du     []T // the outputs and their tangents
	delta     []T // the derivative of the loss with respect to the outputs
	ddelta    []T // and its tangent
	dv, da    []T // tangents of the hidden units, and of their inputs
}

func (n *network[T]) newPass() *pass[T] {
	h, o := n.hidden, n.out
	return &pass[T]{make([]T, h), make([]T, h), make([]T, h), make([]T, o), make([]T, o), make([]T, o), make([]T, o), make([]T, h), make([]T, h)}
}

// affine sets y to W x + b.
func affine[T adahessian.Float](y, w, b, x []T) {
	for i := range y {
		sum := b[i]
		for j, e := range x {
			sum += w[i*len(x)+j] * e
		}
		y[i] = sum
	}
}

// addOuter adds a xᵀ to w and a to b.
func addOuter[T adahessian.Float](w, b, a, x []T) {
	for i, e := range a {
		for j, f := range x {
			w[i*len(x)+j] += e * f
		}
		b[i] += e
	}
}

// transposed returns (Wᵀa)[j].
func transposed[T adahessian.Float](w, a []T, j, width int) T {
	var sum T
	for i, e := range a {
		sum += w[i*width+j] * e
	}
	return sum
}

// forward fills v, its derivatives, u and delta.
func (n *network[T]) forward(p *pass[T], theta [][]T, x, y []T) {
	if n.hidden > 0 {
		affine(p.v, theta[0], theta[1], x)
		for i, a := range p.v {
			v, d1, d2 := n.activation.at(float64(a))
			p.v[i], p.d1[i], p.d2[i] = T(v), T(d1), T(d2)
		}
		affine(p.u, theta[2], theta[3], p.v)
	} else {
		affine(p.u, theta[0], theta[1], x)
	}
	scale := n.s / T(len(n.x))
	sum := 0.0
	for i, u := range p.u {
		e := math.Exp(float64(u))
		sum += e
		p.delta[i] = T(e)
	}
	for i, u := range p.u {
		switch n.head {
		case square:
			p.delta[i] = u
		case softmax:
			p.delta[i] = T(float64(p.delta[i]) / sum)
		}
		p.delta[i] = scale * (p.delta[i] - y[i])
	}
}

// tangents fills da, dv and du along z, and ddelta.
func (n *network[T]) tangents(p *pass[T], theta, z [][]T, x, y []T) {
	if n.hidden > 0 {
		affine(p.da, z[0], z[1], x)
		for i := range p.dv {
			p.dv[i] = p.d1[i] * p.da[i]
		}
		affine(p.du, z[2], z[3], p.v)
		for i := range p.du {
			for j, e := range p.dv {
				p.du[i] += theta[2][i*n.hidden+j] * e
			}
		}
	} else {
		affine(p.du, z[0], z[1], x)
	}
	scale := n.s / T(len(n.x))
	mean := T(0)
	for i, du := range p.du {
		mean += (p.delta[i]/scale + y[i]) * du
	}
	for i, du := range p.du {
		switch prob := p.delta[i]/scale + y[i]; n.head {
		case square:
			p.ddelta[i] = scale * du
		case poisson:
			p.ddelta[i] = scale * prob * du
		default:
			p.ddelta[i] = scale * prob * (du - mean)
		}
	}
}

func (n *network[T]) Gradient(out, theta [][]T) error {
	p, back := n.newPass(), make([]T, n.hidden)
	for k, x := range n.x {
		n.forward(p, theta, x, n.y[k])
		if n.hidden == 0 {
			addOuter(out[0], out[1], p.delta, x)
			continue
		}
		addOuter(out[2], out[3], p.delta, p.v)
		for j := range back {
			back[j] = p.d1[j] * transposed(theta[2], p.delta, j, n.hidden)
		}
		addOuter(out[0], out[1], back, x)
	}
	return nil
}

func (n *network[T]) Hessian(out, theta, z [][]T) { n.product(out, theta, z, true) }

func (n *network[T]) GaussNewton(out, theta, z [][]T) { n.product(out, theta, z, false) }

// product adds the product with the Hessian or, unless full is set, with the
// Gauss-Newton matrix, which leaves out the curvature of the network itself.
func (n *network[T]) product(out, theta, z [][]T, full bool) {
	p, back := n.newPass(), make([]T, n.hidden)
	for k, x := range n.x {
		n.forward(p, theta, x, n.y[k])
		n.tangents(p, theta, z, x, n.y[k])
		if n.hidden == 0 {
			addOuter(out[0], out[1], p.ddelta, x)
			continue
		}
		addOuter(out[2], out[3], p.ddelta, p.v)
		for j := range back {
			back[j] = p.d1[j] * transposed(theta[2], p.ddelta, j, n.hidden)
		}
		if full {
			for i, d := range p.delta {
				for j, e := range p.dv {
					out[2][i*n.hidden+j] += d * e
				}
			}
			for j := range back {
				back[j] += p.d1[j]*transposed(z[2], p.delta, j, n.hidden) +
					p.d2[j]*p.da[j]*transposed(theta[2], p.delta, j, n.hidden)
			}
		}
		addOuter(out[0], out[1], back, x)
	}
}
