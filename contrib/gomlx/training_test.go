package ahgomlx

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/adahessian-go/adahessian"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/model/checkpoint"
	"github.com/gomlx/gomlx/ml/train"
	"github.com/gomlx/gomlx/ml/train/optimizer"
	"github.com/gomlx/gomlx/ml/train/optimizer/cosineschedule"
)

// TestTraining proves that with its defaults the optimizer trains a network of three
// hidden layers, smooth or not. A network that has died has a loss of ln 3 = 1.1.
func TestTraining(t *testing.T) {
	const batch = 512
	for _, c := range []struct {
		name   string
		act    activationFunc
		config *Config
		steps  int
		want   float64
	}{
		{"tanh", Tanh, New(), 120, 0.8},
		{"relu", relu, New(), 120, 0.8},
		{"tanh, 0.15", Tanh, New().LearningRate(0.15), 80, 0.3},
	} {
		trainer := newTrainer(newStore(t, 1), c.config.Done(), c.act, 64, 64, 64)
		r := rand.New(rand.NewPCG(3, 4))
		last := 0.0
		for i := range c.steps {
			if loss := step[float32](t, trainer, r, batch); i >= c.steps-10 {
				last += loss / 10
			}
		}
		t.Logf("%s: loss %.3f", c.name, last)
		if last > c.want {
			t.Errorf("%s: loss %.3f after %d steps, want at most %.1f", c.name, last, c.steps, c.want)
		}
	}
}

// TestResume proves that training resumed from GoMLX's checkpoint, between two
// estimates of the curvature, gives the bits of uninterrupted training, even if the
// model draws random numbers of its own.
func TestResume(t *testing.T) {
	for name, newOptimizer := range optimizers(New().LearningRate(0.1).UpdateEach(4).Average(perUnit)) {
		dir := t.TempDir()
		store := newStore(t, 7)
		handler, err := checkpoint.Build(store).Dir(dir).Done()
		if err != nil {
			t.Fatal(err)
		}
		trainer := newTrainer(store, newOptimizer(), dropout, 8)
		r := rand.New(rand.NewPCG(1, 1))
		for range 6 {
			step[float32](t, trainer, r, 30)
		}
		if err := handler.Save(); err != nil {
			t.Fatal(err)
		}
		again := model.NewStore()
		if _, err := checkpoint.Load(again).Dir(dir).Done(); err != nil {
			t.Fatal(err)
		}
		resumed := newTrainer(again, newOptimizer(), dropout, 8)
		seed := r.Uint64()
		a, b := rand.New(rand.NewPCG(seed, 0)), rand.New(rand.NewPCG(seed, 0))
		for i := range 9 {
			if x, y := step[float32](t, trainer, a, 30), step[float32](t, resumed, b, 30); x != y {
				t.Fatalf("%s: step %d: loss %v when resumed, want %v", name, 7+i, y, x)
			}
		}
		for _, path := range trainable(store) {
			if !slices.Equal(values[float32](t, store, path), values[float32](t, again, path)) {
				t.Errorf("%s: %s differs when resumed", name, path)
			}
		}
		if n := optimizer.GetGlobalStep(again); n != 15 {
			t.Errorf("%s: global step %d, want 15", name, n)
		}
	}
}

// TestUpdateEachSavesTime proves that between refreshes the second derivative is not
// executed.
func TestUpdateEachSavesTime(t *testing.T) {
	fastest := func(each int) time.Duration {
		trainer := newTrainer(newStore(t, 1), New().UpdateEach(each).Done(), Tanh, 128, 128, 128)
		r := rand.New(rand.NewPCG(1, 1))
		step[float32](t, trainer, r, 512)
		best := time.Hour
		for range 12 {
			start := time.Now()
			step[float32](t, trainer, r, 512)
			best = min(best, time.Since(start))
		}
		return best
	}
	always, never := fastest(1), fastest(1000)
	t.Logf("a step with the second derivative took %v, one without %v", always, never)
	if float64(never) > 0.7*float64(always) {
		t.Errorf("a step without the second derivative took %v, with it %v: want at most 0.7 times that", never, always)
	}
}

// TestSchedule proves that GoMLX's schedules set the learning rate that a step uses.
func TestSchedule(t *testing.T) {
	for name, newOptimizer := range optimizers(New().LearningRate(0.1)) {
		store := newStore(t, 1)
		f := perceptron(Tanh, []int{8}, 3)
		scheduled := func(scope *model.Scope, spec any, in []*Node) []*Node {
			cosineschedule.New(scope, in[0].Graph(), dtypes.Float32).PeriodSteps(4).LearningRate(0.1).MinLearningRate(0).Done()
			return f(scope, spec, in)
		}
		opt := newOptimizer()
		trainer := attach(train.NewTrainer(backend, store, scheduled, crossEntropy, opt, nil, nil), opt)
		r := rand.New(rand.NewPCG(1, 1))
		var before []float32
		for i := range 4 {
			step[float32](t, trainer, r, 30)
			rate := values[float32](t, store, "/optimizers/learning_rate")[0]
			now := values[float32](t, store, "/hidden_0/w")
			if i > 0 {
				moved := float32(0)
				for j := range now {
					moved = max(moved, max(now[j]-before[j], before[j]-now[j]))
				}
				if moved == 0 || moved > rate*1.001 {
					t.Errorf("%s: step %d moved by %v, want more than 0 and at most the learning rate %v", name, i+1, moved, rate)
				}
			}
			before = now
		}
	}
}

// TestLateVariables proves that a variable that is added gets a curvature at once, even
// between refreshes, and its own bias correction. A variable that a graph does not use
// keeps its value and state.
func TestLateVariables(t *testing.T) {
	for name, newOptimizer := range optimizers(New().LearningRate(0.01).MaxUpdate(0).Epsilon(0).Betas(0.9, 0.99).UpdateEach(10)) {
		store := newStore(t, 1)
		// The spec chooses one of two heads on a common body. The loss is quadratic, so
		// the first step of a parameter is Newton's times the learning rate: LR·g/|H|.
		f := func(scope *model.Scope, spec any, in []*Node) []*Node {
			v := func(name string) *Node {
				return scope.VariableWithValue(name, []float32{1, 2, -3}).NodeValue(in[0].Graph())
			}
			body, head := v("body"), v(spec.(string))
			return []*Node{Add(Mul(Square(body), Const(in[0].Graph(), []float32{1, 2, 4})), Square(head))}
		}
		loss := func(_, out []*Node) *Node { return ReduceAllSum(out[0]) }
		opt := newOptimizer()
		trainer := attach(train.NewTrainer(backend, store, f, loss, opt, nil, nil), opt)
		one := func(spec string) {
			x := tensors.FromValue([]float32{0})
			if _, err := trainer.TrainStep(train.Batch{Spec: spec, Inputs: []*tensors.Tensor{x}}); err != nil {
				t.Fatal(name, err)
			}
		}
		for range 3 {
			one("a")
		}
		a := values[float32](t, store, "/a")
		one("b")
		if !slices.Equal(a, values[float32](t, store, "/a")) {
			t.Errorf("%s: a head that is not in use has moved", name)
		}
		// g = 2θ and H = 2, and with the bias corrected m̂ = g and v̂ = H².
		want := []float32{1 - 0.01, 2 - 0.02, -3 + 0.03}
		if got := values[float32](t, store, "/b"); distance(got, want) > 1e-6 {
			t.Errorf("%s: the first step of the late head leads to %v, want %v", name, got, want)
		}
		for path, want := range map[string]int64{"/body": 4, "/a": 3, "/b": 1} {
			if got := values[int64](t, store, "/"+DefaultScope+path+"_steps")[0]; got != want {
				t.Errorf("%s: %s has made %d steps, want %d", name, path, got, want)
			}
		}
	}
}

// TestConvolve proves that a layer that GoMLX cannot differentiate twice gives an error
// that says so, and that the model trains with the layer frozen.
func TestConvolve(t *testing.T) {
	for name, newOptimizer := range optimizers(New()) {
		for _, frozen := range []bool{false, true} {
			f := func(scope *model.Scope, _ any, in []*Node) []*Node {
				kernel := scope.VariableWithShape("kernel", shapes.Make(dtypes.Float32, 3, 3, 1, 2)).SetTrainable(!frozen)
				x := Tanh(Convolve(in[0], kernel.NodeValue(in[0].Graph())).PadSame().Done())
				return []*Node{dense(scope.In("out"), Reshape(x, 2, -1), 1)}
			}
			loss := func(_, out []*Node) *Node { return ReduceAllMean(Square(out[0])) }
			opt := newOptimizer()
			trainer := attach(train.NewTrainer(backend, newStore(t, 1), f, loss, opt, nil, nil), opt)
			image := tensors.FromFlatDataAndDimensions(make([]float32, 2*8*8), 2, 8, 8, 1)
			_, err := trainer.TrainStep(train.Batch{Inputs: []*tensors.Tensor{image}})
			switch {
			case frozen && err != nil:
				t.Errorf("%s: with the layer frozen: %v", name, err)
			case !frozen && err == nil:
				t.Errorf("%s: GoMLX can now differentiate Convolve twice: say so in the documentation", name)
			case !frozen && !(strings.Contains(err.Error(), "cannot differentiate the gradient") && strings.Contains(err.Error(), "FiniteDifference")):
				t.Errorf("%s: another error: %v", name, err)
			}
		}
	}
}

// TestHyperparameters proves that GoMLX knows the optimizer by name, with
// hyperparameters from the store.
func TestHyperparameters(t *testing.T) {
	store := newStore(t, 1)
	store.SetParams(map[string]any{
		optimizer.ParamOptimizer: "adahessian", optimizer.ParamLearningRate: 0.25,
		ParamBeta1: 0.5, ParamBeta2: 0.75, ParamEpsilon: 1e-3, ParamWeightDecay: 0.125, ParamHessianPower: 0.5,
		ParamMaxUpdate: 2.0, ParamUpdateEach: 3, ParamSamples: 2, ParamDType: "float64",
	})
	opt, ok := optimizer.FromStore(store).(*inGraph)
	if !ok {
		t.Fatalf("the store's optimizer is %T", optimizer.FromStore(store))
	}
	c := opt.config
	want := adahessian.Hyper{Beta1: 0.5, Beta2: 0.75, Eps: 1e-3, WeightDecay: 0.125, HessianPower: 0.5, MaxUpdate: 2}
	got := c.hyper
	got.LR = 0
	if got != want || c.updateEach != 3 || c.samples != 2 || c.dtype != dtypes.Float64 || c.resolve(store.RootScope()) != 0.25 {
		t.Errorf("the configuration is %+v", c)
	}
	// The moments are then float64, for float32 variables.
	trainer := newTrainer(store, opt, Tanh, 4)
	r := rand.New(rand.NewPCG(1, 1))
	for range 4 {
		step[float32](t, trainer, r, 30)
	}
	values[float64](t, store, "/"+DefaultScope+"/out/w_2nd_moment")
	if err := opt.Clear(store.RootScope()); err != nil {
		t.Fatal(err)
	}
	for v := range store.IterVariables() {
		if strings.HasPrefix(v.Path(), "/"+DefaultScope) {
			t.Errorf("%s is left after Clear", v.Path())
		}
	}
}

// TestBadSettings proves that an error names the setting and the value.
func TestBadSettings(t *testing.T) {
	for want, c := range map[string]*Config{
		"LR = -1":              New().LearningRate(-1),
		"Beta1 = 1":            New().Betas(1, 0.9),
		"Beta2 = 2":            New().Betas(0.9, 2),
		"Eps = -1":             New().Epsilon(-1),
		"WeightDecay = -1":     New().WeightDecay(-1),
		"HessianPower = 3":     New().HessianPower(3),
		"MaxUpdate = -1":       New().MaxUpdate(-1),
		"UpdateEach = 0":       New().UpdateEach(0),
		"samples = 0":          New().Samples(0),
		"DType = Int32":        New().DType(dtypes.Int32),
		`variable "/hidden_0/`: New().Average(func(*model.Variable) []int { return []int{5} }),
	} {
		for name, newOptimizer := range optimizers(c) {
			trainer := newTrainer(newStore(t, 1), newOptimizer(), Tanh, 4)
			x, y := spirals[float32](rand.New(rand.NewPCG(1, 1)), 30)
			_, err := trainer.TrainStep(train.Batch{Inputs: []*tensors.Tensor{x}, Labels: []*tensors.Tensor{y}})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want one with %q", name, err, want)
			}
		}
	}
}
