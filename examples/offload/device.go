package main

import (
	"github.com/adahessian-go/adahessian"
)

// A device stands for an accelerator. It holds the weights in 16 bits, and gives gradients
// and Hessian-vector products of a scaled loss in 16 bits. The loss is a quadratic function
// that couples neighbours in a tensor:
//
//	½ Σ aᵢ(wᵢ − cᵢ)² + κ Σ wᵢ·wᵢ₊₁
type device[F adahessian.HalfFormat] struct {
	tensors []deviceTensor[F]
	scale   float32 // of the loss
}

type deviceTensor[F adahessian.HalfFormat] struct {
	weights, g, hz []F
	a, c           []float32
	wide, z, sum   []float32 // what the device computes in
}

const coupling = 0.125

func newDevice[F adahessian.HalfFormat](scale float32, lengths ...int) *device[F] {
	d := &device[F]{scale: scale}
	for k, n := range lengths {
		t := deviceTensor[F]{
			weights: make([]F, n), g: make([]F, n), hz: make([]F, n),
			a: make([]float32, n), c: make([]float32, n), wide: make([]float32, n), z: make([]float32, n), sum: make([]float32, n),
		}
		for i := range n {
			t.a[i], t.c[i] = 0.5+float32((i*7+k)%16)/4, float32(i%9-4)/8
		}
		d.tensors = append(d.tensors, t)
	}
	return d
}

// gradient sets g to the gradient at the present weights.
func (d *device[F]) gradient(k int) {
	t := &d.tensors[k]
	adahessian.Widen[F](t.wide, t.weights)
	for i, w := range t.wide {
		t.sum[i] = d.scale * (float32(t.a[i]*(w-t.c[i])) + float32(coupling*neighbours(t.wide, i)))
	}
	adahessian.Narrow[F](t.g, t.sum)
}

// product sets hz to the product of the Hessian with z.
func (d *device[F]) product(k int, z []float32) {
	t := &d.tensors[k]
	for i := range z {
		t.sum[i] = d.scale * (float32(t.a[i]*z[i]) + float32(coupling*neighbours(z, i)))
	}
	adahessian.Narrow[F](t.hz, t.sum)
}

func neighbours(x []float32, i int) (sum float32) {
	if i > 0 {
		sum = x[i-1]
	}
	if i+1 < len(x) {
		sum += x[i+1]
	}
	return sum
}
