package ahautograd

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/adahessian-go/adahessian"
	F "github.com/itsubaki/autograd/function"
	"github.com/itsubaki/autograd/hook"
	"github.com/itsubaki/autograd/layer"
	"github.com/itsubaki/autograd/optimizer"
	"github.com/itsubaki/autograd/tensor"
	"github.com/itsubaki/autograd/variable"
)

// perUnit averages over the inputs of each unit.
func perUnit(name string, _ layer.Parameter) []int {
	if strings.HasPrefix(name, "w") {
		return []int{0}
	}
	return nil
}

// TestAgreement compares Update with an adahessian.Optimizer that gets the gradients
// and products of a separate double backward. Both give the same bits, on fresh
// batches, while a parameter has no gradient in some steps.
func TestAgreement(t *testing.T) {
	o := &AdaHessian{
		Alpha: 0.1, Beta1: 0.8, Beta2: 0.99, Epsilon: 1e-3, WeightDecay: 0.1, HessianPower: 0.5, MaxUpdate: 2,
		UpdateEach: 2, Samples: 2, Seed: 9, Average: perUnit,
	}
	hyper := adahessian.Hyper{LR: 0.1, Beta1: 0.8, Beta2: 0.99, Eps: 1e-3, WeightDecay: 0.1, HessianPower: 0.5, MaxUpdate: 2}
	a, b := newNetwork(1, F.Tanh, 2, 8, 3), newNetwork(1, F.Tanh, 2, 8, 3)
	var vars []*variable.Variable
	var params []adahessian.Param[float64]
	for name, p := range b.Seq2() {
		l, err := adahessian.AverageAxes(p.Shape(), perUnit(name, p)...)
		if err != nil {
			t.Fatal(err)
		}
		vars = append(vars, p)
		params = append(params, adahessian.Param[float64]{Name: name, Value: p.Data.Data, Layout: l})
	}
	opt, err := adahessian.New(adahessian.Options{Hyper: hyper, Samples: 2, UpdateEach: 2, Seed: 9}, params...)
	if err != nil {
		t.Fatal(err)
	}
	r, q := rand.New(rand.NewPCG(4, 4)), rand.New(rand.NewPCG(4, 4))
	for step := range 9 {
		frozen := step%3 == 1 // w1, the last by name
		a.see(r, 30)
		b.see(q, 30)
		a.Cleargrads()
		o.Backward(a.loss())
		if frozen {
			a.Parameters["w1"].Cleargrad()
		}
		if err := o.Update(a); err != nil {
			t.Fatal(err)
		}

		b.Cleargrads()
		b.loss().Backward(variable.Opts{CreateGraph: true})
		first, grads := make([]*variable.Variable, len(vars)), make([][]float64, len(vars))
		for i, v := range vars {
			first[i], grads[i] = v.Grad, tensor.Contiguous(v.Grad.Data).Data
		}
		if frozen {
			first[3], grads[3] = nil, nil
		}
		err := opt.Step(grads, func(hz, z [][]float64) error {
			along := variable.New(0)
			for i, v := range vars {
				v.Cleargrad()
				if first[i] != nil {
					z := variable.From(tensor.New(v.Shape(), z[i]))
					along = F.Add(along, F.Sum()(F.Mul(first[i], z)))
				}
			}
			along.Backward()
			for i, v := range vars {
				copy(hz[i], tensor.Contiguous(v.Grad.Data).Data)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	same(t, "Update", values(a.Parameters), values(b.Parameters))
}

// TestDefaults proves that with its defaults the optimizer trains a network of two
// hidden layers, smooth or not, to at most 1.5 times the loss that Adam reaches with
// its own defaults. A network that has died has a loss of ln 3 = 1.1.
func TestDefaults(t *testing.T) {
	for name, activation := range map[string]func(x ...*variable.Variable) *variable.Variable{"tanh": F.Tanh, "ReLU": F.ReLU} {
		train := func(step func(n *network)) (mean float64) {
			n := newNetwork(1, activation, 2, 24, 24, 3)
			r := rand.New(rand.NewPCG(3, 4))
			for i := range 150 {
				n.see(r, 60)
				step(n)
				if i >= 140 {
					mean += n.loss().At() / 10
				}
			}
			return mean
		}
		o, adam := &AdaHessian{}, &optimizer.Adam{Alpha: 0.003, Beta1: 0.9, Beta2: 0.999}
		got := train(func(n *network) { update(t, o, n) })
		want := train(func(n *network) {
			loss := n.loss()
			n.Cleargrads()
			loss.Backward()
			adam.Update(n)
		})
		t.Logf("%s: loss %.3f, Adam's %.3f", name, got, want)
		if got > 1.5*want {
			t.Errorf("%s: loss %.3f, Adam's %.3f: want at most 1.5 times that", name, got, want)
		}
	}
}

// TestLateWeights proves that weights that a layer makes at a later Forward are added
// with a first step of their own, and that a layer that is not used keeps its values
// and state.
func TestLateWeights(t *testing.T) {
	params := layer.Parameters{}
	add := func(name string) *variable.Variable {
		v := variable.New(1, 2, -3)
		params.Add(name, v)
		return v
	}
	// The loss is quadratic and the Hessian diagonal, so the first step of a parameter
	// is Newton's times Alpha: Alpha·g/|H|.
	body, a := add("body"), add("a")
	curvature := variable.New(1, 2, 4)
	o := &AdaHessian{Alpha: 0.01, Beta2: 0.99, Epsilon: 1e-300, MaxUpdate: math.Inf(1)}
	step := func(head *variable.Variable) {
		loss := F.Sum()(F.Add(F.Mul(curvature, F.Pow(2)(body)), F.Pow(2)(head)))
		params.Cleargrads()
		o.Backward(loss)
		if err := o.Update(params); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		step(a)
	}
	before := slices.Clone(a.Data.Data)
	b := add("b")
	step(b)
	if !slices.Equal(a.Data.Data, before) {
		t.Error("a head that is not in use has moved")
	}
	for i, want := range []float64{1 - 0.01, 2 - 0.02, -3 + 0.03} {
		if math.Abs(b.Data.Data[i]-want) > 1e-12 {
			t.Errorf("the first step of the late head leads to %v at %d, want %v", b.Data.Data[i], i, want)
		}
	}
}

// TestTensors proves that Update gives parameters new, row-major tensors and leaves the
// old ones as they are, and that it uses values that the caller sets.
func TestTensors(t *testing.T) {
	n, o := small(), &AdaHessian{}
	w := n.Parameters["w0"]
	w.Data = tensor.Transpose(tensor.Contiguous(tensor.Transpose(w.Data))) // a view, column-major
	if tensor.IsContiguous(w.Data) {
		t.Fatal("the view is row-major")
	}
	straight := small()
	row := n.Parameters["w1"]
	old, before := w.Data, slices.Clone(w.Data.Data)
	oldRow, beforeRow := row.Data, slices.Clone(row.Data.Data)
	update(t, o, n)
	update(t, &AdaHessian{}, straight)
	if w.Data == old || row.Data == oldRow || !slices.Equal(old.Data, before) || !slices.Equal(oldRow.Data, beforeRow) {
		t.Error("Update has written to the tensor that was there")
	}
	same(t, "a view", values(n.Parameters), values(straight.Parameters))

	w.Data = tensor.Zeros[float64](2, 5)
	o.Alpha = 1e-6
	update(t, o, n)
	for _, x := range w.Data.Data {
		if math.Abs(x) > 1e-6 {
			t.Errorf("a weight is %v a step of 1e-6 after it was set to 0", x)
		}
	}
}

// TestHook proves that hooks see the parameters that have gradients, in the order of
// their names, and change the gradients that the step uses. On an error their changes are
// undone.
func TestHook(t *testing.T) {
	clipped, other := small(), small()
	var seen []string
	a := &AdaHessian{Hook: []optimizer.Hook{hook.ClipGrad(0.01), func(params []layer.Parameter) {
		for _, p := range params {
			seen = append(seen, p.Name)
		}
	}}}
	update(t, a, clipped)
	if want := []string{"b0", "b1", "w0", "w1"}; !slices.Equal(seen, want) {
		t.Errorf("a hook saw %v, want %v", seen, want)
	}
	b := &AdaHessian{}
	loss := other.loss()
	other.Cleargrads()
	b.Backward(loss)
	var params []layer.Parameter
	for _, p := range other.Seq2() {
		params = append(params, p)
	}
	hook.ClipGrad(0.01)(params)
	if err := b.Update(other); err != nil {
		t.Fatal(err)
	}
	same(t, "clipped gradients", values(clipped.Parameters), values(other.Parameters))

	before := values(other.Parameters)
	b.Hook = []optimizer.Hook{hook.WeightDecay(math.Inf(1))}
	loss = other.loss()
	other.Cleargrads()
	b.Backward(loss)
	grad := other.Parameters["w0"].Grad.Data
	if err := b.Update(other); !errors.Is(err, adahessian.ErrNonFinite) {
		t.Errorf("error %v, want ErrNonFinite", err)
	}
	if other.Parameters["w0"].Grad.Data != grad {
		t.Error("the gradient is not what it was before the error")
	}
	same(t, "after the error", values(other.Parameters), before)
}

// TestSettings proves that fields may change between updates, and that an error names
// the one at fault.
func TestSettings(t *testing.T) {
	n, o := small(), &AdaHessian{UpdateEach: 4}
	update(t, o, n)
	before := values(n.Parameters)
	o.Alpha, o.MaxUpdate = 1e-9, 1
	update(t, o, n)
	for name, now := range values(n.Parameters) {
		for i := range now {
			if d := math.Abs(now[i] - before[name][i]); d > 1.001e-9 {
				t.Errorf("%s[%d] has moved by %v, want at most 1e-9", name, i, d)
			}
		}
	}
	o.UpdateEach = 1
	update(t, o, n)
	if !o.bound.NeedsHessian() {
		t.Error("UpdateEach is now 1, but no estimate is due")
	}
	for want, o := range map[string]*AdaHessian{
		"LR = -1":                        {Alpha: -1},
		"Beta1 = 1":                      {Beta1: 1},
		"Beta2 = 2":                      {Beta2: 2},
		"Eps = -1":                       {Epsilon: -1},
		"WeightDecay = -1":               {WeightDecay: -1},
		"HessianPower = 3":               {HessianPower: 3},
		"MaxUpdate = -1":                 {MaxUpdate: -1},
		"UpdateEach = -1":                {UpdateEach: -1},
		"Samples = -1":                   {Samples: -1},
		"b0: adahessian: invalid layout": {Average: func(string, layer.Parameter) []int { return []int{5} }},
	} {
		n := small()
		n.Cleargrads()
		o.Backward(n.loss())
		err := o.Update(n)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	n.Cleargrads()
	if err := o.Update(n); err == nil {
		t.Error("no error without any gradient")
	}
}
