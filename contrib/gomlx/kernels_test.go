package ahgomlx

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/adahessian-go/adahessian"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/graph/nanlogger"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/dataset"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/model/checkpoint"
	"github.com/gomlx/gomlx/ml/train"
	"github.com/gomlx/gomlx/ml/train/optimizer"
	"github.com/gomlx/gomlx/support/exceptions"
)

// TestKernelsInPlace proves that a step changes a variable's memory in place.
func TestKernelsInPlace(t *testing.T) {
	store := newStore(t, 1)
	trainer := newTrainer(store, New().Kernels(), Tanh, 8)
	r := rand.New(rand.NewPCG(1, 1))
	step[float32](t, trainer, r, 30)
	address := func() *float32 {
		flat, err := memory(backend, store.GetVariable("/hidden_0/w").MustValue())
		if err != nil {
			t.Fatal(err)
		}
		return &flat.([]float32)[0]
	}
	at := address()
	before := values[float32](t, store, "/hidden_0/w")
	for range 3 {
		// A copy that is made for reading must not stay behind.
		store.GetVariable("/hidden_0/w").MustValue().MaterializeLocal()
		step[float32](t, trainer, r, 30)
	}
	if address() != at {
		t.Error("the variable has moved")
	}
	if slices.Equal(before, values[float32](t, store, "/hidden_0/w")) {
		t.Error("the variable has not changed")
	}
}

// TestKernelsNotFinite proves that a gradient that is not finite changes no variable
// and no state, and that training continues with the next batch.
func TestKernelsNotFinite(t *testing.T) {
	for _, clip := range []bool{false, true} {
		store := newStore(t, 1)
		store.SetParam(optimizer.ParamClipNaN, clip)
		opt := New().UpdateEach(2).Kernels()
		trainer := newTrainer(store, opt, Tanh, 8)
		r := rand.New(rand.NewPCG(1, 1))
		step[float32](t, trainer, r, 30)
		before := map[string][]float32{}
		for v := range store.IterVariables() {
			if strings.HasSuffix(v.Path(), "w") || strings.HasSuffix(v.Path(), "_moment") || strings.Contains(v.Path(), "_probe") {
				before[v.Path()] = values[float32](t, store, v.Path())
			}
		}
		if len(before) < 12 {
			t.Fatalf("only %d tensors", len(before))
		}
		x, y := spirals[float32](r, 30)
		tensors.MustMutableFlatData(x, func(flat []float32) { flat[3] = float32(math.Inf(1)) })
		if _, err := trainer.TrainStep(train.Batch{Inputs: []*tensors.Tensor{x}, Labels: []*tensors.Tensor{y}}); err != nil {
			t.Fatal(err)
		}
		err := opt.Err()
		if clip {
			if err != nil {
				t.Errorf("with clip_nan: %v", err)
			}
			continue
		}
		if !errors.Is(err, adahessian.ErrNonFinite) || !strings.Contains(err.Error(), "/hidden_0/w: gradient: element") {
			t.Errorf("error %v, want one that wraps ErrNonFinite and names the element", err)
		}
		for path, want := range before {
			if !slices.Equal(values[float32](t, store, path), want) {
				t.Errorf("%s has changed", path)
			}
		}
		if n := values[int64](t, store, "/"+DefaultScope+"/hidden_0/w_steps")[0]; n != 1 {
			t.Errorf("%d steps are counted, want 1", n)
		}
		step[float32](t, trainer, r, 30)
		if opt.Err() != nil || slices.Equal(values[float32](t, store, "/hidden_0/w"), before["/hidden_0/w"]) {
			t.Error("the step after changes nothing")
		}
	}
}

// TestKernelsErrors checks the errors for what Kernels cannot do.
func TestKernelsErrors(t *testing.T) {
	try := func(trainer *train.Trainer) string {
		x, y := spirals[float32](rand.New(rand.NewPCG(1, 1)), 30)
		if _, err := trainer.TrainStep(train.Batch{Inputs: []*tensors.Tensor{x}, Labels: []*tensors.Tensor{y}}); err != nil {
			return err.Error()
		}
		return ""
	}
	f := perceptron(Tanh, []int{4}, 3)
	loose := train.NewTrainer(backend, newStore(t, 1), f, crossEntropy, New().Kernels(), nil, nil)
	if err := try(loose); !strings.Contains(err, "AttachToTrainer") {
		t.Errorf("not attached: %q", err)
	}
	changing := func(scope *model.Scope, spec any, in []*Node) []*Node {
		out := f(scope, spec, in)
		v := scope.Store().GetVariable("/out/w")
		v.SetNodeValue(MulScalar(v.NodeValue(in[0].Graph()), 0.5))
		return out
	}
	opt := New().Kernels()
	trainer := attach(train.NewTrainer(backend, newStore(t, 1), changing, crossEntropy, opt, nil, nil), opt)
	if err := try(trainer); !strings.Contains(err, `"/out/w" is changed in the graph`) {
		t.Errorf("a variable that the graph changes: %q", err)
	}
	if err := try(newTrainer(newStore(t, 1), New().DType(dtypeOf[float64]()).Kernels(), Tanh, 4)); !strings.Contains(err, "use Done") {
		t.Errorf("a type of its own: %q", err)
	}
}

// TestKernelsLoop proves that a loop ends with the error of a step that is refused,
// even if the loss is finite.
func TestKernelsLoop(t *testing.T) {
	steep := func(scope *model.Scope, _ any, in []*Node) []*Node {
		x := scope.VariableWithValue("x", []float32{0}).NodeValue(in[0].Graph())
		return []*Node{Add(Sqrt(Abs(x)), MulScalar(ReduceAllSum(in[0]), 0))}
	}
	loss := func(_, out []*Node) *Node { return ReduceAllSum(out[0]) }
	opt := New().Kernels()
	store := newStore(t, 1)
	loop := train.NewLoop(train.NewTrainer(backend, store, steep, loss, opt, nil, nil))
	opt.AttachToLoop(loop)
	ds, err := dataset.InMemoryFromData(backend, "zeros", []any{[][]float32{{0}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := loop.RunSteps(ds.BatchSize(1, false).Infinite(true), 3); !errors.Is(err, adahessian.ErrNonFinite) {
		t.Errorf("error %v, want one that wraps ErrNonFinite", err)
	}
	if loop.LoopStep != 0 || values[float32](t, store, "/x")[0] != 0 {
		t.Errorf("the loop went on to step %d", loop.LoopStep)
	}
}

// TestKernelsLoggers proves that a logger that was attached before gets its nodes. One
// that is attached after would pass on wrong values, and is refused.
func TestKernelsLoggers(t *testing.T) {
	for _, last := range []bool{true, false} {
		store := newStore(t, 1)
		reports := 0
		nans := nanlogger.New().WithHandler(func(*nanlogger.Trace) { reports++ })
		store.SetParam(optimizer.ParamNanLogger, nans)
		store.SetParam(optimizer.ParamClipNaN, true)
		opt := New().Kernels()
		trainer := train.NewTrainer(backend, store, perceptron(Tanh, []int{4}, 3), crossEntropy, opt, nil, nil)
		if last {
			nans.AttachToTrainer(trainer)
		}
		opt.AttachToTrainer(trainer)
		r := rand.New(rand.NewPCG(1, 1))
		if !last {
			nans.AttachToTrainer(trainer)
			err := exceptions.TryCatch[error](func() { step[float32](t, trainer, r, 30) })
			if err == nil || !strings.Contains(err.Error(), "attach Kernels last") {
				t.Errorf("attached first: error %v", err)
			}
			continue
		}
		for range 3 {
			var before []float32
			if store.GetVariable("/out/w") != nil {
				before = values[float32](t, store, "/out/w")
			}
			step[float32](t, trainer, r, 30)
			if reports != 0 || opt.Err() != nil || slices.Equal(before, values[float32](t, store, "/out/w")) {
				t.Errorf("%d reports, error %v, or no step", reports, opt.Err())
			}
		}
		x, y := spirals[float32](r, 30)
		tensors.MustMutableFlatData(x, func(flat []float32) { flat[3] = float32(math.NaN()) })
		if _, err := trainer.TrainStep(train.Batch{Inputs: []*tensors.Tensor{x}, Labels: []*tensors.Tensor{y}}); err != nil {
			t.Fatal(err)
		}
		if reports == 0 {
			t.Error("the NaN was not reported")
		}
	}
}

// TestSwitch proves that Kernels continues from a checkpoint of the step in the graph,
// and the other way round.
func TestSwitch(t *testing.T) {
	all := optimizers(New().LearningRate(0.1).UpdateEach(3))
	for from, makeFirst := range all {
		dir := t.TempDir()
		store := newStore(t, 1)
		handler, err := checkpoint.Build(store).Dir(dir).Done()
		if err != nil {
			t.Fatal(err)
		}
		trainer := newTrainer(store, makeFirst(), Tanh, 8)
		r := rand.New(rand.NewPCG(1, 1))
		for range 4 {
			step[float32](t, trainer, r, 30)
		}
		if err := handler.Save(); err != nil {
			t.Fatal(err)
		}
		seed := r.Uint64()
		got := map[string][]float32{}
		for to, makeSecond := range all {
			again := model.NewStore()
			if _, err := checkpoint.Load(again).Dir(dir).Done(); err != nil {
				t.Fatal(err)
			}
			trainer := newTrainer(again, makeSecond(), Tanh, 8)
			r := rand.New(rand.NewPCG(seed, 0))
			for range 2 { // until the next refresh, which draws other signs
				step[float32](t, trainer, r, 30)
			}
			got[to] = values[float32](t, again, "/hidden_0/w")
		}
		if d := distance(got["kernels"], got["in the graph"]); d > 1e-5 {
			t.Errorf("from %s, the two differ by %.2g of the largest element, want at most 1e-5", from, d)
		}
	}
}
