package main

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/adahessian-go/adahessian"
	"github.com/adahessian-go/adahessian/examples/digits"
	F "github.com/itsubaki/autograd/function"
	"github.com/itsubaki/autograd/variable"
)

// small is a network with few images to look at.
func small() *network {
	train, _ := digits.Load[float64]()
	n := newNetwork(3)
	n.see(train.Slice(0, 20))
	return n
}

// signs makes a probe and room for its product.
func signs(params []adahessian.Param[float64], seed uint64) (z, hz [][]float64) {
	offset := uint64(0)
	for _, p := range params {
		x := make([]float64, len(p.Value))
		adahessian.Rademacher(x, seed, 0, offset)
		offset += uint64(len(x))
		z, hz = append(z, x), append(hz, make([]float64, len(x)))
	}
	return z, hz
}

// TestCube: the second derivative of x³ at 2 is 12.
func TestCube(t *testing.T) {
	x := variable.New(2)
	m := newModel([]*variable.Variable{x}, func() *variable.Variable { return F.Pow(3)(x) })
	hz := [][]float64{{0}}
	if err := m.hessianVector(hz, [][]float64{{1}}); err != nil {
		t.Fatal(err)
	}
	if m.last != 8 || m.grads[0][0] != 12 || hz[0][0] != 12 {
		t.Errorf("x³ at 2: value %v, derivatives %v and %v, want 8, 12 and 12", m.last, m.grads[0][0], hz[0][0])
	}
}

func TestCheckHVP(t *testing.T) {
	n := small()
	if err := adahessian.CheckHVP(n.params(layouts()...), n.gradient, n.hessianVector, 1); err != nil {
		t.Error(err)
	}
}

// TestCheckHVPNotices turns the exact product wrong in the usual ways.
// CheckHVP must notice each.
func TestCheckHVPNotices(t *testing.T) {
	n := small()
	params := n.params(layouts()...)
	for name, wrong := range map[string]adahessian.HVP[float64]{
		"no terms across variables": func(hz, z [][]float64) error {
			room, own := make([][]float64, len(z)), make([][]float64, len(z))
			for i := range z {
				for j := range z {
					room[j], own[j] = make([]float64, len(z[j])), make([]float64, len(z[j]))
				}
				copy(own[i], z[i])
				if err := n.hessianVector(room, own); err != nil {
					return err
				}
				copy(hz[i], room[i])
			}
			return nil
		},
		"a sum for a mean": func(hz, z [][]float64) error {
			err := n.hessianVector(hz, z)
			for i := range hz {
				for j := range hz[i] {
					hz[i][j] *= 20
				}
			}
			return err
		},
		"the gradient added": func(hz, z [][]float64) error {
			err := n.hessianVector(hz, z)
			for i := range hz {
				for j := range hz[i] {
					hz[i][j] += n.grads[i][j]
				}
			}
			return err
		},
	} {
		if err := adahessian.CheckHVP(params, n.gradient, wrong, 1); !errors.Is(err, adahessian.ErrHVP) {
			t.Errorf("%s: CheckHVP says %v, want ErrHVP", name, err)
		}
	}
}

// TestFiniteDifference measures finite differences against the exact product.
func TestFiniteDifference(t *testing.T) {
	n := small()
	params := n.params(layouts()...)
	z, exact := signs(params, 5)
	if err := n.hessianVector(exact, z); err != nil {
		t.Fatal(err)
	}
	_, near := signs(params, 5)
	if err := adahessian.FiniteDifference(params, n.gradient, 0)(near, z); err != nil {
		t.Fatal(err)
	}
	worst, largest := 0.0, 0.0
	for i := range exact {
		for j := range exact[i] {
			worst = max(worst, math.Abs(exact[i][j]-near[i][j]))
			largest = max(largest, math.Abs(exact[i][j]))
		}
	}
	t.Logf("largest |Hz| %.3g, finite differences are off by %.2g of it", largest, worst/largest)
	if !(worst <= 1e-6*largest) || largest < 0.1 {
		t.Errorf("finite differences are off by %g, of |Hz| up to %g; want 1e-6 of it", worst, largest)
	}
}

func TestTraining(t *testing.T) {
	train, test := digits.Load[float64]()
	run := func() (*network, float64) {
		n := newNetwork(1)
		opts := adahessian.DefaultOptions()
		opts.LR = 0.1
		opt, err := adahessian.New(opts, n.params(layouts()...)...)
		if err != nil {
			t.Fatal(err)
		}
		loss, err := n.train(opt, train, 5, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n, loss
	}
	a, loss := run()
	if accuracy := a.accuracy(test); loss > 0.25 || accuracy < 0.82 {
		t.Errorf("loss %.3f, want at most 0.25; test accuracy %.3f, want at least 0.82", loss, accuracy)
	}
	b, _ := run()
	for i := range a.vars {
		if !slices.Equal(a.vars[i].Data.Data, b.vars[i].Data.Data) {
			t.Errorf("%s: two runs from the same seed differ", a.vars[i].Name)
		}
	}
}
