package main

import (
	"math"
	"strings"
	"testing"

	"github.com/adahessian-go/adahessian"
)

var testLayouts = []adahessian.Layout{
	adahessian.Elementwise(3001), {Outer: 70, Block: 9, Inner: 1}, {Outer: 3, Block: 9, Inner: 20}, {Outer: 1, Block: 500, Inner: 1}, adahessian.Elementwise(5),
}

// TestOffload compares the pipeline with steps of an Optimizer that has the same masters,
// and whose gradients and products are widened from the same halves.
func TestOffload(t *testing.T) {
	t.Run("bfloat16", testOffload[adahessian.BFloat16])
	t.Run("float16", testOffload[adahessian.Float16])
}

func testOffload[F adahessian.HalfFormat](t *testing.T) {
	const scale = 256
	opts := adahessian.DefaultOptions()
	opts.Seed, opts.WeightDecay = 5, 0.01
	d := newDevice[F](scale, lengths(testLayouts)...)
	h := newHost(opts, d, testLayouts...)

	other := newDevice[F](scale, lengths(testLayouts)...)
	var params []adahessian.Param[float32]
	var grads [][]float32
	for _, l := range testLayouts {
		params = append(params, adahessian.Param[float32]{Value: make([]float32, l.Len()), Layout: l})
		grads = append(grads, make([]float32, l.Len()))
	}
	opt, err := adahessian.New(opts, params...)
	if err != nil {
		t.Fatal(err)
	}
	widen := func(x []float32, h []F) {
		adahessian.Widen[F](x, h)
		for i := range x {
			x[i] /= scale
		}
	}
	for step := range 12 {
		if err := h.step(d); err != nil {
			t.Fatal(err)
		}
		err := opt.Step(grads, func(hz, z [][]float32) error {
			for k := range z {
				other.gradient(k)
				other.product(k, z[k])
				widen(grads[k], other.tensors[k].g)
				widen(hz[k], other.tensors[k].hz)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for k, p := range params {
			adahessian.Narrow[F](other.tensors[k].weights, p.Value)
			m, v := opt.State(k)
			same(t, step, k, "masters", h.tensors[k].master, p.Value)
			same(t, step, k, "m", h.tensors[k].m, m)
			same(t, step, k, "v", h.tensors[k].v, v)
			for i, w := range d.tensors[k].weights {
				if w != other.tensors[k].weights[i] {
					t.Fatalf("step %d, tensor %d: weights[%d] = %#04x, want %#04x", step, k, i, w, other.tensors[k].weights[i])
				}
			}
		}
	}
	if h.tensors[0].master[1] == 0 {
		t.Error("nothing has moved")
	}
}

func same(t *testing.T, step, k int, name string, got, want []float32) {
	t.Helper()
	for i := range got {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("step %d, tensor %d: %s[%d] = %v, want %v", step, k, name, i, got[i], want[i])
		}
	}
}

// TestOffloadOverflow uses a scale with which the gradients exceed float16.
func TestOffloadOverflow(t *testing.T) {
	d := newDevice[adahessian.Float16](1<<20, 10, 20)
	h := newHost(adahessian.DefaultOptions(), d, adahessian.Elementwise(10), adahessian.Elementwise(20))
	if err := h.step(d); err == nil || !strings.Contains(err.Error(), "tensor 0") {
		t.Fatalf("error %v", err)
	}
	for i, w := range h.tensors[0].master {
		if w != 0 {
			t.Fatalf("masters[%d] = %v", i, w)
		}
	}
}
