package adahessian

import (
	"math"
	"unsafe"
)

// stepModel is the optimizer as its mathematics reads: a curvature, a second
// moment and a denominator for every element, and no split, no panel and no
// shared loop. Of the package it uses the bits of Philox, and pow for a power
// without a special case.
type stepModel[T Float] struct {
	opts             Options
	tensors          []tensorModel[T]
	steps, refreshes uint64
}

// tensorModel is a Param with its state, one value for each element.
type tensorModel[T Float] struct {
	layout         Layout
	hyper          *Hyper // nil: the model's
	offset         uint64
	theta, m, v, d []T
}

// newModel makes a model of the parameters, with values of its own.
func newModel[T Float](opts Options, params []Param[T]) *stepModel[T] {
	mo := &stepModel[T]{opts: opts}
	next := uint64(0)
	for _, p := range params {
		n := len(p.Value)
		t := tensorModel[T]{layout: p.Layout, hyper: p.Hyper, offset: p.Offset}
		t.theta, t.m, t.v, t.d = append([]T{}, p.Value...), make([]T, n), make([]T, n), make([]T, n)
		if p.Layout == (Layout{}) {
			t.layout = Layout{n, 1, 1}
		}
		if p.Offset == 0 {
			t.offset = next
		}
		next = t.offset + uint64(n)
		mo.tensors = append(mo.tensors, t)
	}
	return mo
}

// step is Optimizer.Step for calls without a fault.
func (mo *stepModel[T]) step(grads [][]T, hvp HVP[T]) {
	if mo.steps%uint64(mo.opts.UpdateEach) == 0 {
		mo.refresh(hvp)
	}
	mo.steps++
	for i := range mo.tensors {
		t := &mo.tensors[i]
		h := t.hyper
		if h == nil {
			h = &mo.opts.Hyper
		}
		t.step(grads[i], h, mo.steps)
	}
}

// refresh sets every d from new probes.
func (mo *stepModel[T]) refresh(hvp HVP[T]) {
	samples := mo.opts.Samples
	sum := mo.zeros()
	for probe := range samples {
		draw := mo.refreshes*uint64(samples) + uint64(probe)
		z, hz := mo.zeros(), mo.zeros()
		for i, t := range mo.tensors {
			for e := range z[i] {
				z[i][e] = T(sign(mo.opts.Seed, draw, t.offset+uint64(e)))
			}
		}
		if err := hvp(hz, z); err != nil {
			panic(err)
		}
		for i := range sum {
			for e := range sum[i] {
				if samples == 1 {
					sum[i][e] = hz[i][e]
				} else {
					sum[i][e] = T(z[i][e]*hz[i][e]) + sum[i][e]
				}
			}
		}
	}
	mo.refreshes++
	for i := range mo.tensors {
		mo.tensors[i].average(sum[i], samples)
	}
}

func (mo *stepModel[T]) zeros() [][]T {
	var x [][]T
	for _, t := range mo.tensors {
		x = append(x, make([]T, len(t.theta)))
	}
	return x
}

// average gives every element the mean of |h| over its block.
func (t *tensorModel[T]) average(h []T, samples int) {
	l := t.layout
	for o := range l.Outer {
		for i := range l.Inner {
			var block []T
			for b := range l.Block {
				block = append(block, h[(o*l.Block+b)*l.Inner+i])
			}
			d := modelSum(block, l.Inner == 1)
			if l.Block*samples != 1 {
				d /= T(l.Block * samples)
			}
			for b := range l.Block {
				t.d[(o*l.Block+b)*l.Inner+i] = d
			}
		}
	}
}

// modelSum is the sum of |h| over a block.
func modelSum[T Float](h []T, contiguous bool) T {
	if !contiguous {
		var sum T
		for _, x := range h {
			sum += T(math.Abs(float64(x)))
		}
		return sum
	}
	p := make([]T, 64/unsafe.Sizeof(T(0)))
	for i, x := range h {
		p[i%len(p)] += T(math.Abs(float64(x)))
	}
	for len(p) > 1 {
		half := len(p) / 2
		for j := range half {
			p[j] += p[j+half]
		}
		p = p[:half]
	}
	return p[0]
}

// step makes step number n from t.d and the gradient.
func (t *tensorModel[T]) step(grad []T, h *Hyper, n uint64) {
	b1, c1, b2, c2 := T(h.Beta1), T(1-h.Beta1), T(h.Beta2), T(1-h.Beta2)
	s := T(h.LR / (1 - modelPower(h.Beta1, n)))
	w := T(1 - float64(h.LR*h.WeightDecay))
	r := T(1 / modelRoot(1-modelPower(h.Beta2, n), h.HessianPower))
	bound := T(math.Inf(1))
	if h.MaxUpdate != 0 {
		bound = T(h.LR * h.MaxUpdate)
	}
	theta, m, v, d := t.theta, t.m, t.v, t.d
	for e := range theta {
		v[e] = modelFlush(T(b2*v[e]) + T(T(c2*d[e])*d[e]))
		den := T(modelRoot(v[e], h.HessianPower)*r) + T(h.Eps)
		m[e] = modelFlush(T(b1*m[e]) + T(c1*grad[e]))
		u := T(s*m[e]) / den
		if u < -bound {
			u = -bound
		}
		if u > bound {
			u = bound
		}
		theta[e] = T(w*theta[e]) - u
	}
}

// modelPower is b^n.
func modelPower(b float64, n uint64) float64 {
	p := 1.0
	for n > 0 {
		if n%2 == 1 {
			p = p * b
		}
		n, b = n/2, b*b
	}
	return p
}

// modelRoot is x^(k/2).
func modelRoot[T Float](x T, k float64) T {
	root := func(x T) T { return T(math.Sqrt(float64(x))) }
	switch {
	case k == 0:
		return 1
	case k == 0.5:
		return root(root(x))
	case k == 1:
		return root(x)
	case k == 2:
		return x
	case unsafe.Sizeof(x) == 4:
		return T(pow32(float32(x), k/2))
	default:
		return T(pow64(float64(x), k/2))
	}
}

// modelFlush makes a subnormal +0.
func modelFlush[T Float](x T) T {
	if T(math.Abs(float64(x))) < smallestNormal[T]() {
		return 0
	}
	return x
}

func smallestNormal[T Float]() T {
	if unsafe.Sizeof(T(0)) == 4 {
		return T(math.Ldexp(1, -126))
	}
	return T(math.Ldexp(1, -1022))
}
