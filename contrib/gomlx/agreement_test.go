package ahgomlx

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/adahessian-go/adahessian"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train/optimizer"
)

// given returns a drawFunc that gives the signs that adahessian.Optimizer draws with
// seed 0. Before a step that draws, call the returned function with the number n of the
// refresh, to set its signs.
func given[T float32 | float64](t *testing.T, store *model.Store, samples int) (drawFunc, func(n uint64)) {
	fill := map[string][]T{}
	var order []string
	variables := map[string]*model.Variable{}
	of := func(v *model.Variable, sample int) *model.Variable {
		name := fmt.Sprintf("%s_%d", v.Path(), sample)
		if variables[name] == nil {
			probe := tensors.FromFlatDataAndDimensions(make([]T, v.Shape().Size()), v.Shape().Dimensions...)
			made, err := store.CreateVariable("/signs"+name, probe)
			if err != nil {
				t.Fatal(err)
			}
			variables[name] = made.SetTrainable(false)
			fill[name] = make([]T, v.Shape().Size())
			order = append(order, name)
		}
		return variables[name]
	}
	draw := func(state *Node, params []*param, sample int) (*Node, []*Node) {
		z := make([]*Node, len(params))
		for i, p := range params {
			z[i] = of(p.variable, sample).NodeValue(state.Graph())
		}
		return state, z
	}
	put := func(n uint64) {
		for s := range samples {
			offset := uint64(0)
			for _, path := range trainable(store) {
				v := of(store.GetVariable(path), s)
				z := fill[fmt.Sprintf("%s_%d", path, s)]
				adahessian.Rademacher(z, 0, n*uint64(samples)+uint64(s), offset)
				offset += uint64(len(z))
				if err := v.SetValue(tensors.FromFlatDataAndDimensions(z, v.Shape().Dimensions...)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return draw, put
}

// reference trains the model of newTrainer with adahessian.Optimizer.
type reference[T float32 | float64] struct {
	opt    *adahessian.Optimizer[T]
	exec   *model.Exec
	params []adahessian.Param[T]
	store  *model.Store
}

// newReference makes a reference that starts from the values in a store, in which the
// model's variables have been made.
func newReference[T float32 | float64](t *testing.T, c *Config, from *model.Store, act activationFunc, hidden ...int) *reference[T] {
	r := &reference[T]{store: model.NewStore()}
	for _, path := range trainable(from) {
		v := from.GetVariable(path)
		p := adahessian.Param[T]{Name: path, Value: values[T](t, from, path), Layout: layoutOf(t, v, c.average)}
		r.params = append(r.params, p)
		copied := tensors.FromFlatDataAndDimensions(p.Value, v.Shape().Dimensions...)
		if _, err := r.store.CreateVariable(path, copied); err != nil {
			t.Fatal(err)
		}
	}
	hyper := c.hyper
	hyper.LR = *c.lr
	var err error
	r.opt, err = adahessian.New(adahessian.Options{Hyper: hyper, Samples: c.samples, UpdateEach: c.updateEach}, r.params...)
	if err != nil {
		t.Fatal(err)
	}
	f := perceptron(act, hidden, 3)
	r.exec, err = model.NewExec(backend, r.store, func(scope *model.Scope, in []*Node) []*Node {
		loss := crossEntropy(in[1:2], f(scope, nil, in[:1]))
		var theta []*Node
		for _, path := range trainable(r.store) {
			theta = append(theta, r.store.GetVariable(path).NodeValue(loss.Graph()))
		}
		g := Gradient(loss, theta...)
		along := ScalarZero(loss.Graph(), loss.DType())
		for i, z := range in[2:] {
			along = Add(along, ReduceAllSum(Mul(g[i], z)))
		}
		return append(g, Gradient(along, theta...)...)
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// step makes a step on a batch drawn from numbers.
func (r *reference[T]) step(t *testing.T, numbers *rand.Rand, n int) {
	t.Helper()
	x, y := spirals[T](numbers, n)
	execute := func(z [][]T) []*tensors.Tensor {
		args := []any{x, y}
		for i, p := range r.params {
			dims := r.store.GetVariable(p.Name).Shape().Dimensions
			args = append(args, tensors.FromFlatDataAndDimensions(z[i], dims...))
			if err := r.store.GetVariable(p.Name).SetValue(tensors.FromFlatDataAndDimensions(p.Value, dims...)); err != nil {
				t.Fatal(err)
			}
		}
		out, err := r.exec.Call(args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	take := func(dst [][]T, from []*tensors.Tensor) {
		for i := range dst {
			tensors.MustConstFlatData(from[i], func(flat []T) { copy(dst[i], flat) })
		}
	}
	grads := make([][]T, len(r.params))
	for i, p := range r.params {
		grads[i] = make([]T, len(p.Value))
	}
	take(grads, execute(grads))
	err := r.opt.Step(grads, func(hz, z [][]T) error {
		take(hz, execute(z)[len(r.params):])
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestAgreement proves that, given the same signs, the step in the graph, the step of
// Kernels and the package's Optimizer train in the same way. They may round differently, and a
// step divides by small curvatures. After 12 steps the difference, relative to the
// largest element of a tensor, is at most 1e-5 in float32 and 1e-12 in float64.
func TestAgreement(t *testing.T) {
	for name, c := range map[string]*Config{
		"defaults":     New().LearningRate(0.1),
		"no bound":     New().LearningRate(0.01).MaxUpdate(0).Epsilon(1e-2),
		"per unit":     New().LearningRate(0.1).Average(perUnit),
		"samples":      New().LearningRate(0.1).Samples(3).Average(perUnit),
		"update each":  New().LearningRate(0.1).UpdateEach(5),
		"all":          New().LearningRate(0.1).UpdateEach(4).Samples(2).Average(perUnit),
		"weight decay": New().LearningRate(0.1).WeightDecay(0.1),
		"betas":        New().LearningRate(0.1).Betas(0, 0.5),
		"power 0":      New().LearningRate(0.1).HessianPower(0),
		"power 1/2":    New().LearningRate(0.1).HessianPower(0.5),
		"power 3/2":    New().LearningRate(0.1).HessianPower(1.5),
		"power 2":      New().LearningRate(0.1).HessianPower(2),
	} {
		t.Run(name+"/float32", func(t *testing.T) { agree[float32](t, c, false, 1e-5) })
		t.Run(name+"/float64", func(t *testing.T) { agree[float64](t, c, false, 1e-12) })
		t.Run(name+"/kernels/float32", func(t *testing.T) { agree[float32](t, c, true, 1e-5) })
		t.Run(name+"/kernels/float64", func(t *testing.T) { agree[float64](t, c, true, 1e-12) })
	}
}

func agree[T float32 | float64](t *testing.T, c *Config, kernels bool, tolerance float64) {
	const batch = 60
	store := newStore(t, 1)
	var opt optimizer.Interface = c.Kernels() // which draws the same signs as Optimizer
	put := func(uint64) {}
	if !kernels {
		opt = &inGraph{*c, nil}
		opt.(*inGraph).draw, put = given[T](t, store, c.samples)
	}
	trainer := newTrainer(store, opt, Tanh, 8, 8)
	// An evaluation makes the variables of the model, and no others.
	x, y := spirals[T](rand.New(rand.NewPCG(0, 0)), batch)
	if _, err := model.CallOnce(backend, store, func(scope *model.Scope, x, y *Node) *Node {
		return crossEntropy([]*Node{y}, perceptron(Tanh, []int{8, 8}, 3)(scope, nil, []*Node{x}))
	}, x, y); err != nil {
		t.Fatal(err)
	}
	want := newReference[T](t, c, store, Tanh, 8, 8)
	a, b := rand.New(rand.NewPCG(1, 2)), rand.New(rand.NewPCG(1, 2))
	for i := range 12 {
		if i%c.updateEach == 0 {
			put(uint64(i / c.updateEach))
		}
		step[T](t, trainer, a, batch)
		want.step(t, b, batch)
	}
	for i, p := range want.params {
		m, v := want.opt.State(i)
		for part, w := range map[string][]T{p.Name: p.Value, "/" + DefaultScope + p.Name + "_1st_moment": m, "/" + DefaultScope + p.Name + "_2nd_moment": v} {
			got := values[T](t, store, part)
			if len(got) != len(w) {
				t.Fatalf("%s: %d elements, want %d", part, len(got), len(w))
			}
			if d := distance(got, w); !(d <= tolerance) {
				t.Errorf("%s: differs by %.2g of its largest element, want at most %.0g", part, d, tolerance)
			}
		}
	}
}
