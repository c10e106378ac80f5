package ahautograd

import (
	"errors"
	"math"
	"testing"

	"github.com/adahessian-go/adahessian"
	F "github.com/itsubaki/autograd/function"
	"github.com/itsubaki/autograd/layer"
	"github.com/itsubaki/autograd/variable"
)

// bindTo binds an optimizer to the parameters of a network, and returns these as an
// adahessian.Optimizer sees them, with the network's own values.
func bindTo(t *testing.T, o *AdaHessian, params layer.Parameters) []adahessian.Param[float64] {
	t.Helper()
	if err := o.bind(params); err != nil {
		t.Fatal(err)
	}
	var views []adahessian.Param[float64]
	for name, p := range params.Seq2() {
		views = append(views, adahessian.Param[float64]{Name: name, Value: p.Data.Data})
	}
	return views
}

// gradient returns the grad of FiniteDifference and CheckHVP.
func gradient(n *network) func(grads [][]float64) error {
	return func(grads [][]float64) error {
		n.Cleargrads()
		n.loss().Backward()
		i := 0
		for _, p := range n.Seq2() {
			copy(grads[i], p.Grad.Data.Data)
			i++
		}
		return nil
	}
}

// product returns the optimizer's product at the present values.
func product(o *AdaHessian, n *network) adahessian.HVP[float64] {
	return func(hz, z [][]float64) error {
		n.Cleargrads()
		o.Backward(n.loss())
		for i, p := range o.bound.params {
			o.bound.grads[i] = p.Grad.Data.Data
		}
		defer o.graph.forget()
		return o.product(hz, z)
	}
}

// TestCube proves that the second derivative of x³ at 2 is 12.
func TestCube(t *testing.T) {
	params := layer.Parameters{}
	x := variable.New(2)
	params.Add("x", x)
	o := &AdaHessian{}
	bindTo(t, o, params)
	loss := F.Pow(3)(x)
	o.Backward(loss)
	o.bound.grads[0] = x.Grad.Data.Data
	hz := [][]float64{{math.NaN()}}
	if err := o.product(hz, [][]float64{{1}}); err != nil {
		t.Fatal(err)
	}
	if loss.At() != 8 || x.Grad.At() != 12 || hz[0][0] != 12 {
		t.Errorf("x³ at 2: value %v, derivatives %v and %v, want 8, 12 and 12", loss.At(), x.Grad.At(), hz[0][0])
	}
}

// TestConstantGradient proves that the product is 0 for a parameter in which the loss
// is linear.
func TestConstantGradient(t *testing.T) {
	params := layer.Parameters{}
	x, y := variable.New(1, 2), variable.New(3, 4)
	params.Add("x", x)
	params.Add("y", y)
	o := &AdaHessian{}
	bindTo(t, o, params)
	o.Backward(F.Sum()(F.Add(F.MulC(5, x), F.Pow(2)(y))))
	o.bound.grads = [][]float64{x.Grad.Data.Data, y.Grad.Data.Data}
	hz := [][]float64{{math.NaN(), math.NaN()}, {math.NaN(), math.NaN()}}
	if err := o.product(hz, [][]float64{{1, -1}, {1, -1}}); err != nil {
		t.Fatal(err)
	}
	if hz[0][0] != 0 || hz[0][1] != 0 || hz[1][0] != 2 || hz[1][1] != -2 {
		t.Errorf("H z = %v, want [[0 0] [2 -2]]", hz)
	}
}

func TestCheckHVP(t *testing.T) {
	o, n := &AdaHessian{}, small()
	params := bindTo(t, o, n.Parameters)
	if err := adahessian.CheckHVP(params, gradient(n), product(o, n), 1); err != nil {
		t.Error(err)
	}
}

// TestCheckHVPNotices makes the usual mistakes in the exact product. CheckHVP must
// notice each.
func TestCheckHVPNotices(t *testing.T) {
	o, n := &AdaHessian{}, small()
	params := bindTo(t, o, n.Parameters)
	exact := product(o, n)
	for name, wrong := range map[string]adahessian.HVP[float64]{
		"no terms across variables": func(hz, z [][]float64) error {
			for i := range z {
				room, own := like(params), like(params)
				copy(own[i], z[i])
				if err := exact(room, own); err != nil {
					return err
				}
				copy(hz[i], room[i])
			}
			return nil
		},
		"a sum for a mean": func(hz, z [][]float64) error {
			err := exact(hz, z)
			for i := range hz {
				for j := range hz[i] {
					hz[i][j] *= 20
				}
			}
			return err
		},
		"the gradient added": func(hz, z [][]float64) error {
			err := exact(hz, z)
			for i := range hz {
				for j := range hz[i] {
					hz[i][j] += o.bound.grads[i][j]
				}
			}
			return err
		},
	} {
		if err := adahessian.CheckHVP(params, gradient(n), wrong, 1); !errors.Is(err, adahessian.ErrHVP) {
			t.Errorf("%s: CheckHVP says %v, want ErrHVP", name, err)
		}
	}
}

// like makes vectors as large as the parameters.
func like(params []adahessian.Param[float64]) [][]float64 {
	x := make([][]float64, len(params))
	for i, p := range params {
		x[i] = make([]float64, len(p.Value))
	}
	return x
}

// TestFiniteDifference compares finite differences with the exact product.
func TestFiniteDifference(t *testing.T) {
	o, n := &AdaHessian{}, small()
	params := bindTo(t, o, n.Parameters)
	z, exact, near := like(params), like(params), like(params)
	for i := range z {
		adahessian.Rademacher(z[i], 5, 0, uint64(100*i))
	}
	if err := product(o, n)(exact, z); err != nil {
		t.Fatal(err)
	}
	if err := adahessian.FiniteDifference(params, gradient(n), 0)(near, z); err != nil {
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

// TestUnchain proves that truncated backpropagation through time gives the same bits
// with UnchainBackward before Update and after it.
func TestUnchain(t *testing.T) {
	train := func(before bool) map[string][]float64 {
		m, o := lstm(), &AdaHessian{}
		loss := variable.New(0)
		for i := range 6 {
			loss = window(m, loss, 3*i)
			m.Cleargrads()
			o.Backward(loss)
			if before {
				loss.UnchainBackward()
			}
			if err := o.Update(m); err != nil {
				t.Fatal(err)
			}
			loss.UnchainBackward()
			inner := 0
			walk(loss, func(v *variable.Variable) {
				if v.Creator != nil {
					inner++
				}
			})
			if inner != 1 { // loss itself
				t.Fatalf("%d variables have a creator after UnchainBackward, want 1", inner)
			}
		}
		return values(m.Params())
	}
	same(t, "UnchainBackward before Update", train(true), train(false))
}

// TestGradientsStay proves that Update leaves all gradients as Backward made them,
// including those of the data, and that gradients kept by RetainGrad do no harm.
func TestGradientsStay(t *testing.T) {
	plain, kept := small(), small()
	o, p := &AdaHessian{}, &AdaHessian{}
	update(t, o, plain)

	loss := kept.loss()
	kept.Cleargrads()
	p.Backward(loss)
	var left []*variable.Variable
	walk(loss, func(v *variable.Variable) { left = append(left, v) })
	for _, v := range left { // as if by RetainGrad
		if v.Grad == nil {
			v.Grad = variable.OneLike(v)
		}
	}
	before := map[*variable.Variable]*variable.Variable{}
	for _, v := range left {
		before[v] = v.Grad
	}
	if err := p.Update(kept); err != nil {
		t.Fatal(err)
	}
	for _, v := range left {
		if v.Grad != before[v] {
			t.Errorf("the gradient of %v has changed in Update", v)
		}
	}
	same(t, "with gradients retained", values(kept.Parameters), values(plain.Parameters))
}

// TestNoGraph proves that gradients of loss.Backward are an error if the curvature is
// to be estimated, and enough otherwise.
func TestNoGraph(t *testing.T) {
	n, o := small(), &AdaHessian{UpdateEach: 2}
	before := values(n.Parameters)
	n.loss().Backward()
	if err := o.Update(n); !errors.Is(err, ErrGraph) {
		t.Fatalf("error %v, want ErrGraph", err)
	}
	same(t, "after the error", values(n.Parameters), before)
	update(t, o, n)
	n.Cleargrads()
	n.loss().Backward()
	if err := o.Update(n); err != nil {
		t.Errorf("between estimates: %v", err)
	}
}
