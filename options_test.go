package adahessian

import (
	"math"
	"slices"
	"testing"
)

var nan, inf = math.NaN(), math.Inf(1)

// hyperFaults are invalid hyperparameters.
var hyperFaults = []struct {
	name  string
	edit  func(*Hyper)
	words []string
}{
	{"rate NaN", func(h *Hyper) { h.LR = nan }, []string{"LR = NaN"}},
	{"rate infinite", func(h *Hyper) { h.LR = inf }, []string{"LR = +Inf"}},
	{"rate negative", func(h *Hyper) { h.LR = -0.1 }, []string{"LR = -0.1"}},
	{"rate overflows", func(h *Hyper) { h.LR, h.Beta1 = 1e308, 0.999999 }, []string{"LR", "too large", "1e+308"}},
	{"beta1 1", func(h *Hyper) { h.Beta1 = 1 }, []string{"Beta1 = 1,"}},
	{"beta1 negative", func(h *Hyper) { h.Beta1 = -0.5 }, []string{"Beta1 = -0.5"}},
	{"beta1 NaN", func(h *Hyper) { h.Beta1 = nan }, []string{"Beta1 = NaN"}},
	{"beta2 1", func(h *Hyper) { h.Beta2 = 1 }, []string{"Beta2 = 1,"}},
	{"beta2 negative", func(h *Hyper) { h.Beta2 = -1e-9 }, []string{"Beta2 = -1e-09"}},
	{"beta2 NaN", func(h *Hyper) { h.Beta2 = nan }, []string{"Beta2 = NaN"}},
	{"epsilon negative", func(h *Hyper) { h.Eps = -1e-4 }, []string{"Eps = -0.0001"}},
	{"epsilon infinite", func(h *Hyper) { h.Eps = inf }, []string{"Eps = +Inf"}},
	{"decay negative", func(h *Hyper) { h.WeightDecay = -2 }, []string{"WeightDecay = -2"}},
	{"decay NaN", func(h *Hyper) { h.WeightDecay = nan }, []string{"WeightDecay = NaN"}},
	{"decay overflows", func(h *Hyper) { h.LR, h.WeightDecay = 10, 1e308 }, []string{"WeightDecay", "too large", "1e+308"}},
	{"power negative", func(h *Hyper) { h.HessianPower = -0.1 }, []string{"HessianPower = -0.1"}},
	{"power above 2", func(h *Hyper) { h.HessianPower = 2.1 }, []string{"HessianPower = 2.1"}},
	{"power NaN", func(h *Hyper) { h.HessianPower = nan }, []string{"HessianPower = NaN"}},
	{"bound negative", func(h *Hyper) { h.MaxUpdate = -1 }, []string{"MaxUpdate = -1"}},
	{"bound infinite", func(h *Hyper) { h.MaxUpdate = inf }, []string{"MaxUpdate = +Inf"}},
}

// TestNewHyper proves that New rejects invalid hyperparameters in Options and in a
// Param.
func TestNewHyper(t *testing.T) {
	forFloats(t, testNewHyper[float32], testNewHyper[float64], testNewHyper[weight])
}

func testNewHyper[T Float](t *testing.T) {
	for _, f := range hyperFaults {
		t.Run(f.name, func(t *testing.T) {
			opts := DefaultOptions()
			f.edit(&opts.Hyper)
			requireRejected(t, opts, goodParams[T](), ErrOption, append(f.words, "Options.Hyper.")...)

			own := DefaultHyper()
			f.edit(&own)
			params := goodParams[T]()
			params[1].Hyper, params[2].Hyper = &own, &own
			requireRejected(t, DefaultOptions(), params, ErrOption, append(f.words, `parameter 1 "weight": Hyper.`)...)
		})
	}
}

// goodParams are three parameters that New accepts.
func goodParams[T Float]() []Param[T] {
	params := []Param[T]{
		{Name: "bias", Layout: Elementwise(5)},
		{Name: "weight", Layout: Layout{4, 3, 1}},
		{Name: "filter", Layout: Layout{2, 3, 2}, Offset: 100},
	}
	return withValues(params)
}

// requireRejected fails the test unless New returns no optimizer, and an error that
// wraps the sentinel and contains every word.
func requireRejected[T Float](t *testing.T, opts Options, params []Param[T], sentinel error, words ...string) {
	t.Helper()
	var before [][]T
	for _, x := range valuesOf(params) {
		before = append(before, slices.Clone(x))
	}
	opt, err := New(opts, params...)
	requireError(t, err, sentinel, words...)
	if opt != nil {
		t.Error("New returned an optimizer with its error")
	}
	for i, x := range valuesOf(params) {
		requireSame(t, x, before[i], "parameter %d: θ", i)
	}
}

// TestNewOptions proves that New rejects invalid options and accepts those at the
// bounds.
func TestNewOptions(t *testing.T) {
	for _, c := range []struct {
		name  string
		edit  func(*Options)
		words []string
	}{
		{"no probes", func(o *Options) { o.Samples = 0 }, []string{"Options.Samples = 0"}},
		{"negative probes", func(o *Options) { o.Samples = -3 }, []string{"Options.Samples = -3"}},
		{"no interval", func(o *Options) { o.UpdateEach = 0 }, []string{"Options.UpdateEach = 0"}},
		{"negative interval", func(o *Options) { o.UpdateEach = -1 }, []string{"Options.UpdateEach = -1"}},
		{"negative workers", func(o *Options) { o.Workers = -1 }, []string{"Options.Workers = -1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			opts := DefaultOptions()
			c.edit(&opts)
			requireRejected(t, opts, goodParams[float32](), ErrOption, c.words...)
		})
	}
	requireRejected(t, Options{}, goodParams[float32](), ErrOption, "Options.Samples = 0", "start from DefaultOptions")
	requireRejected(t, Options{Hyper: DefaultHyper(), Samples: 1}, goodParams[float32](), ErrOption, "Options.UpdateEach = 0", "start from DefaultOptions")

	for _, h := range []Hyper{{}, {LR: 1, HessianPower: 2, MaxUpdate: 1e308, Eps: 1, WeightDecay: 1}} {
		if _, err := New(Options{Hyper: h, Samples: 1, UpdateEach: 1}, goodParams[float32]()...); err != nil {
			t.Errorf("%+v: %v", h, err)
		}
	}
}

// TestNewParams proves that New rejects invalid parameters.
func TestNewParams(t *testing.T) {
	memory := make([]float32, 40)
	for _, c := range []struct {
		name     string
		edit     func([]Param[float32])
		sentinel error
		words    []string
	}{
		{"layout too short", func(p []Param[float32]) { p[1].Layout = Layout{3, 3, 1} }, ErrLayout,
			[]string{`parameter 1 "weight"`, "Outer:3 Block:3 Inner:1", "9 elements", "12"}},
		{"layout too long", func(p []Param[float32]) { p[0].Layout = Elementwise(6) }, ErrLayout,
			[]string{`parameter 0 "bias"`, "6 elements", "5"}},
		{"block longer than the tensor", func(p []Param[float32]) { p[1].Layout = Layout{1, 13, 1} }, ErrLayout,
			[]string{`parameter 1 "weight"`, "Block:13", "13 elements", "12"}},
		{"block 0", func(p []Param[float32]) { p[2].Layout = Layout{12, 0, 1} }, ErrLayout,
			[]string{`parameter 2 "filter"`, "Block:0"}},
		{"negative axis", func(p []Param[float32]) { p[2].Layout = Layout{-3, 2, -2} }, ErrLayout,
			[]string{`parameter 2 "filter"`, "Outer:-3"}},
		{"layout overflows", func(p []Param[float32]) { p[2].Layout = Layout{math.MaxInt / 2, 3, 1} }, ErrLayout,
			[]string{`parameter 2 "filter"`, "Block:3"}},
		{"layout overflows to the length", func(p []Param[float32]) { p[2].Layout, p[2].Value = Layout{math.MaxInt/2 + 1, 4, 1}, nil }, ErrLayout,
			[]string{`parameter 2 "filter"`, "Block:4"}},
		{"no values", func(p []Param[float32]) { p[1].Value = nil }, ErrLayout,
			[]string{`parameter 1 "weight"`, "12 elements", "0"}},
		{"same values", func(p []Param[float32]) { p[2].Value = p[1].Value }, ErrShape,
			[]string{`parameter 2 "filter": Value shares memory with Value of parameter 1 "weight": make tied weights one parameter`}},
		{"values within values", func(p []Param[float32]) {
			p[1].Layout, p[1].Value = Elementwise(40), memory
			p[0].Value = memory[7:12]
		}, ErrShape, []string{`parameter 1 "weight"`, `parameter 0 "bias"`}},
		{"last value is a first one", func(p []Param[float32]) { p[1].Value, p[2].Value = memory[11:23], memory[:12] }, ErrShape,
			[]string{`parameter 2 "filter"`, `parameter 1 "weight"`}},
		{"indices wrap", func(p []Param[float32]) { p[1].Offset = 1<<64 - 11 }, ErrOption,
			[]string{`parameter 1 "weight"`, "Offset", "18446744073709551605", "12 elements"}},
		{"indices wrap in the parameter after", func(p []Param[float32]) { p[1].Offset, p[2].Offset = 1<<64-20, 0 }, ErrOption,
			[]string{`parameter 2 "filter"`, "Offset", "18446744073709551608", "12 elements"}},
		{"same indices", func(p []Param[float32]) { p[0].Offset, p[2].Offset = 500, 500 }, ErrOption,
			[]string{`parameter 0 "bias"`, `parameter 2 "filter"`, "500 to 504: move one of them"}},
		{"indices within indices", func(p []Param[float32]) { p[2].Offset = 3 }, ErrOption,
			[]string{`parameter 0 "bias"`, `parameter 2 "filter"`, "3 to 4"}},
		{"first index is a last one", func(p []Param[float32]) { p[0].Offset, p[2].Offset = 111, 100 }, ErrOption,
			[]string{`parameter 0 "bias"`, `parameter 2 "filter"`, "111 to 111"}},
		{"no index is left for more", func(p []Param[float32]) { p[1].Offset, p[2].Offset = 1<<64-12, 0 }, ErrOption,
			[]string{`parameter 2 "filter"`, "18446744073709551615", "12 elements"}},
		{"no index is left for one", func(p []Param[float32]) {
			p[1].Offset = 1<<64 - 12
			p[2] = Param[float32]{Name: "filter", Value: p[2].Value[:1]}
		}, ErrOption, []string{`parameter 1 "weight"`, `parameter 2 "filter"`, "18446744073709551615 to 18446744073709551615"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			params := goodParams[float32]()
			c.edit(params)
			requireRejected(t, DefaultOptions(), params, c.sentinel, c.words...)
		})
	}

	// The last possible indices, with nothing after them. A tensor without elements may
	// share an index.
	last := []Param[float32]{
		{Value: make([]float32, 4), Offset: 1<<64 - 4}, {}, {Offset: 1<<64 - 2},
		{Value: make([]float32, 4), Offset: 1<<64 - 8}, {Value: make([]float32, 3), Offset: 1<<64 - 11},
	}
	if _, err := New(DefaultOptions(), last...); err != nil {
		t.Error(err)
	}

	// Neighbours share no memory, and neither do empty slices of one array.
	neighbours := goodParams[float32]()
	neighbours[1].Value, neighbours[2].Value = memory[12:24], memory[:12]
	neighbours[0] = Param[float32]{Value: memory[3:3]}
	if _, err := New(DefaultOptions(), neighbours...); err != nil {
		t.Error(err)
	}
}

// TestTooLargeForFloat32 tries scalars that are finite in float64 but not in float32.
func TestTooLargeForFloat32(t *testing.T) {
	for _, c := range []struct {
		edit func(*Hyper)
		word string
	}{
		{func(h *Hyper) { h.LR = 1e39 }, "LR"},
		{func(h *Hyper) { h.LR = 5e37 }, "LR"}, // divided by 1−β1 at the first step
		{func(h *Hyper) { h.Eps = 1e39 }, "Eps"},
		{func(h *Hyper) { h.WeightDecay = 1e40 }, "WeightDecay"},
	} {
		opts := DefaultOptions()
		c.edit(&opts.Hyper)
		requireRejected(t, opts, goodParams[float32](), ErrOption, "Options.Hyper."+c.word, "too large for float32")
		if _, err := New(opts, goodParams[float64]()...); err != nil {
			t.Error(err)
		}
	}
}

// TestEpsTooSmall tries an Eps that float64 holds but float32 rounds to 0.
func TestEpsTooSmall(t *testing.T) {
	opts := DefaultOptions()
	opts.Eps = 1e-46
	requireRejected(t, opts, goodParams[float32](), ErrOption, "Options.Hyper.Eps = 1e-46", "too small for float32")
	requireRejected(t, opts, goodParams[weight](), ErrOption, "Options.Hyper.Eps = 1e-46", "too small for")
	if _, err := New(opts, goodParams[float64]()...); err != nil {
		t.Error(err)
	}
	_, err := NewCoefficients[float32](opts.Hyper, 1, 1)
	requireError(t, err, ErrOption, "Hyper.Eps = 1e-46", "too small for float32")

	// The smallest float32 is allowed, and so is 0.
	for _, eps := range []float64{math.SmallestNonzeroFloat32, 0} {
		opts.Eps = eps
		if _, err := New(opts, goodParams[float32]()...); err != nil {
			t.Errorf("Eps %v: %v", eps, err)
		}
	}

	// Step finds a Hyper that has become too small.
	own := DefaultHyper()
	r := newRunner(t, DefaultOptions(), Param[float32]{Layout: Elementwise(3), Hyper: &own})
	own.Eps = 1e-46
	before := takeSnapshot(r.opt)
	requireError(t, r.opt.Step(r.gradients(), r.hvp), ErrOption, "Eps = 1e-46")
	before.require(t, r.opt)
}

// TestSetLR proves that SetLR sets the common rate, and keeps it if the new one is
// invalid.
func TestSetLR(t *testing.T) {
	own := DefaultHyper()
	params := smallLayouts[float64]()
	params[3].Hyper = &own
	tr := newTrial(t, DefaultOptions(), params...)
	for _, lr := range []float64{0.3, 0, 1e-3} {
		tr.setLR(t, lr)
		for bad, text := range map[float64]string{-1: "-1", math.Inf(1): "+Inf", math.Inf(-1): "-Inf"} {
			requireError(t, tr.opt.SetLR(bad), ErrOption, "SetLR", "LR = "+text)
		}
		requireError(t, tr.opt.SetLR(nan), ErrOption, "SetLR", "LR = NaN")
		tr.step(t)
	}
	single, double := newTrial(t, DefaultOptions(), smallLayouts[float32]()...), newTrial(t, DefaultOptions(), smallLayouts[float64]()...)
	requireError(t, single.opt.SetLR(1e39), ErrOption, "SetLR", "LR", "too large for float32", "1e+39")
	single.step(t)
	double.setLR(t, 1e39)
	if own != DefaultHyper() {
		t.Errorf("SetLR changed a Param's own: %+v", own)
	}
}
