package main

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/adahessian-go/adahessian"
)

// problem is one random case: a loss, its parameters, and a constant that is
// added to its gradient.
type problem[T adahessian.Float] struct {
	family string
	batch  int
	scale  float64
	offset float64 // the constant, as a multiple of the largest |H z| (times the largest |θ| if that is below 1)

	params   []adahessian.Param[T]
	theta    [][]T // of params
	loss     loss[T]
	exact    loss[float64] // the same in float64
	constant [][]T

	first [][]T // the first gradient that was asked for
	flat  bool  // all gradients since have been the same
}

// ordinary reports whether the case is of the kind most of which can be decided in
// float32.
func (p *problem[T]) ordinary() bool {
	return p.offset <= 1 && p.scale >= 1e-3 && p.scale <= 1e3
}

func (p *problem[T]) String() string {
	return fmt.Sprintf("%s, %d elements in %d tensors, loss × %.0e, offset %.0e", p.family, count(p.theta), len(p.theta), p.scale, p.offset)
}

// gradient is what CheckHVP is given. It adds every sample to the constant, in a plain
// loop.
func (p *problem[T]) gradient(grads [][]T) error {
	for i := range grads {
		copy(grads[i], p.constant[i])
	}
	err := p.loss.Gradient(grads, p.theta)
	if p.first == nil {
		p.first, p.flat = convert[T](grads), true
	}
	p.flat = p.flat && err == nil && same(p.first, grads)
	return err
}

// hessian sets hz to the right product at theta.
func (p *problem[T]) hessian(hz, theta, z [][]T) {
	zero(hz)
	p.loss.Hessian(hz, theta, z)
}

// exactly returns the product at the present values, computed in float64.
func (p *problem[T]) exactly(z [][]T) [][]float64 {
	hz := like[float64](z)
	p.exact.Hessian(hz, convert[float64](p.theta), convert[float64](z))
	return hz
}

func zero[T adahessian.Float](x [][]T) {
	for _, v := range x {
		clear(v)
	}
}

// like returns zeros of the shape of x.
func like[U, T adahessian.Float](x [][]T) [][]U {
	y := make([][]U, len(x))
	for i := range x {
		y[i] = make([]U, len(x[i]))
	}
	return y
}

func convert[U, T adahessian.Float](x [][]T) [][]U {
	y := like[U](x)
	for i := range x {
		for j, e := range x[i] {
			y[i][j] = U(e)
		}
	}
	return y
}

// families are the kinds of losses, each with its parameters.
var families = []string{"quadratic", "tanh network", "ReLU network", "softmax", "Poisson", "log barrier"}

// newProblem makes a case from a random source. All data are float32, so that
// the loss is the same in both types.
func newProblem[T adahessian.Float](r *rand.Rand) *problem[T] {
	p := &problem[T]{
		family: families[r.IntN(len(families))],
		scale:  1,
		offset: 1,
		batch:  4 + r.IntN(17),
	}
	if r.IntN(2) == 0 { // otherwise the case is ordinary
		p.scale = math.Pow(10, float64(r.IntN(41)-20))
		p.offset = math.Pow(10, float64(r.IntN(7)))
	}
	size := int(math.Pow(10, 4*r.Float64())) // 1 to 10,000
	var theta [][]float32
	switch p.family {
	case "quadratic":
		theta = p.quadratic(r, size)
	case "log barrier":
		theta = p.barrier(r, size)
	default:
		theta = p.network(r, size)
	}
	p.theta = convert[T](theta)
	for i, v := range p.theta {
		p.params = append(p.params, adahessian.Param[T]{Name: fmt.Sprint("tensor ", i), Value: v})
	}
	p.constant = like[T](p.theta)
	z := convert[T](like[float32](theta))
	for i := range z {
		adahessian.Rademacher(z[i], r.Uint64(), 0, 0)
	}
	most := p.offset * largest(p.exactly(z)) * min(1, largest(p.theta))
	for i := range p.constant {
		for j := range p.constant[i] {
			p.constant[i][j] = T(most * (0.5 + 0.5*r.Float64()) * float64(1-2*r.IntN(2)))
		}
	}
	return p
}

func largest[T adahessian.Float](x [][]T) float64 {
	m := 0.0
	for _, v := range x {
		for _, e := range v {
			m = max(m, math.Abs(float64(e)))
		}
	}
	return m
}

// normals returns n normal numbers.
func normals(r *rand.Rand, n int, scale float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(scale * r.NormFloat64())
	}
	return x
}

// cut returns a vector in one to four tensors.
func cut(r *rand.Rand, x []float32) [][]float32 {
	var parts [][]float32
	for len(parts) < 3 && len(x) > 1 && r.IntN(4) > 0 {
		n := 1 + r.IntN(len(x)-1)
		parts, x = append(parts, x[:n]), x[n:]
	}
	return append(parts, x)
}

// rebuild returns x cut like shape.
func rebuild(x []float32, shape [][]float32) [][]float32 {
	parts := make([][]float32, len(shape))
	for i, s := range shape {
		parts[i], x = x[:len(s)], x[len(s):]
	}
	return parts
}

func (p *problem[T]) quadratic(r *rand.Rand, size int) [][]float32 {
	theta := cut(r, normals(r, size, 1))
	d := rebuild(normals(r, size, 1), theta)
	var u [][][]float32
	for range r.IntN(4) {
		u = append(u, rebuild(normals(r, size, 1/math.Sqrt(math.Sqrt(float64(size)))), theta))
	}
	p.loss = &quadratic[T]{convert[T](d), convertAll[T](u), T(p.scale)}
	p.exact = &quadratic[float64]{convert[float64](d), convertAll[float64](u), float64(T(p.scale))}
	return theta
}

func convertAll[U, T adahessian.Float](x [][][]T) [][][]U {
	var y [][][]U
	for _, e := range x {
		y = append(y, convert[U](e))
	}
	return y
}

func (p *problem[T]) barrier(r *rand.Rand, size int) [][]float32 {
	typical := math.Pow(10, -3*r.Float64())
	values := make([]float32, size)
	for j := range values {
		values[j] = float32(typical * (0.5 + r.Float64()))
	}
	theta := cut(r, values)
	var a [][][]float32
	var c []float32
	for range p.batch {
		row := rebuild(normals(r, size, 1/(typical*math.Sqrt(float64(size)))), theta)
		a = append(a, row)
		c = append(c, float32(float64(inner(convert[float64](row), convert[float64](theta)))+0.2+2*r.Float64()))
	}
	fails := r.IntN(2) == 0
	p.loss = &barrier[T]{convertAll[T](a), convert[T]([][]float32{c})[0], T(p.scale), fails}
	p.exact = &barrier[float64]{convertAll[float64](a), convert[float64]([][]float32{c})[0], float64(T(p.scale)), fails}
	return theta
}

func (p *problem[T]) network(r *rand.Rand, size int) [][]float32 {
	n := network[float32]{in: 1, out: 1}
	switch p.family {
	case "ReLU network":
		n.activation = relu
	case "softmax":
		n.head, n.out = softmax, 2+r.IntN(5)
	case "Poisson":
		n.head = poisson
	}
	if n.head == square || r.IntN(2) == 0 {
		n.hidden = 1 + r.IntN(max(1, min(64, size/2)))
		n.in = max(1, (size-n.out)/n.hidden-1-n.out)
	} else {
		n.in = max(1, size/n.out-1)
	}
	gain := []float64{0.5, 1, 2}[r.IntN(3)]
	var theta [][]float32
	last := n.in
	if n.hidden > 0 {
		theta = append(theta, normals(r, n.hidden*n.in, gain/math.Sqrt(float64(n.in))), normals(r, n.hidden, 0.1))
		last = n.hidden
	}
	theta = append(theta, normals(r, n.out*last, gain/math.Sqrt(float64(last))), normals(r, n.out, 0.1))
	for range p.batch {
		n.x = append(n.x, normals(r, n.in, 1))
		y := normals(r, n.out, 1)
		switch n.head {
		case softmax:
			clear(y)
			y[r.IntN(n.out)] = 1
		case poisson:
			for i := range y {
				y[i] = float32(r.IntN(5))
			}
		}
		n.y = append(n.y, y)
	}
	p.loss = &network[T]{n.in, n.hidden, n.out, n.activation, n.head, convert[T](n.x), convert[T](n.y), T(p.scale)}
	p.exact = &network[float64]{n.in, n.hidden, n.out, n.activation, n.head, convert[float64](n.x), convert[float64](n.y), float64(T(p.scale))}
	return theta
}
