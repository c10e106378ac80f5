package adahessian

import (
	"fmt"
	"math"
	"testing"
)

// TestOverlap passes slices that share memory with what a step writes, completely or at
// either end. The step must return an error and change nothing, and the next good step
// must be the same as without it.
func TestOverlap(t *testing.T) {
	forFloats(t, testOverlap[float32], testOverlap[float64], testOverlap[weight])
}

func testOverlap[T Float](t *testing.T) {
	for _, samples := range []int{1, 2} {
		opts := DefaultOptions()
		opts.Samples, opts.UpdateEach = samples, 2
		const n = 12
		all := make([]T, 3*n+4) // the Values, with an element before, between and after them
		for i := range all {
			all[i] = T(i%7) - 3
		}
		params := []Param[T]{
			{Name: "a", Value: all[1:][:n]},
			{Name: "b", Value: all[n+2:][:n], Layout: Layout{4, 3, 1}},
			{Name: "none", Layout: Elementwise(0)},
			{Name: "c", Value: all[2*n+3:][:n], Layout: Layout{1, 4, 3}},
		}
		twin := newRunner(t, opts, params...)
		opt, err := New(opts, params...)
		if err != nil {
			t.Fatal(err)
		}
		r := runner[T]{newProblem(valuesOf(params)), opt}
		m, _ := opt.State(1)
		_, v := opt.State(0) // of n blocks
		for _, c := range []struct {
			name string
			i    int
			x    []T
			with string
		}{
			{"another Value", 0, params[1].Value, `Value of parameter 1 "b"`},
			{"the end of another Value", 0, all[2*n+1:][:n], `Value of parameter 1 "b"`},
			{"the start of another Value", 3, all[3:][:n], `Value of parameter 0 "a"`},
			{"the start of another Value alone", 3, all[:2][:n:n], `Value of parameter 0 "a"`},
			{"its own Value, one too late", 1, all[n+3:][:n], `Value of parameter 1 "b"`},
			{"its own Value, one too early", 1, all[n+1:][:n], `Value of parameter 1 "b"`},
			{"its own m", 1, m, `m of parameter 1 "b"`},
			{"another m", 0, m, `m of parameter 1 "b"`},
			{"another v", 3, v, `v of parameter 0 "a"`},
		} {
			for range opts.UpdateEach {
				for _, what := range []string{"gradient", "Hessian-vector product"} {
					before := takeSnapshot(opt)
					grads, hvp := append([][]T{}, r.gradients()...), HVP[T](r.hvp)
					if what == "gradient" {
						grads[c.i] = c.x
					} else if !opt.NeedsHessian() {
						continue
					} else {
						hvp = spoilProbe(hvp, samples-1, func(hz, _ [][]T) error { hz[c.i] = c.x; return nil })
					}
					err := opt.Step(grads, hvp)
					if err == nil {
						t.Fatalf("%s as a %s: no error", c.name, what)
					}
					requireError(t, err, ErrShape, label(params, c.i)+": "+what+" shares memory with "+c.with)
					before.require(t, opt)
				}
				r.step(t)
				twin.step(t)
				takeSnapshot(twin.opt).require(t, opt)
			}
		}
	}
}

// TestOverlapAllowed shares what a step only reads: one gradient for several
// parameters, a gradient that is also a product, and one product for several
// parameters.
func TestOverlapAllowed(t *testing.T) {
	const n = 40
	params := []Param[float32]{{Layout: Elementwise(n)}, {Layout: Layout{n / 4, 4, 1}}, {Layout: Layout{2, 4, n / 8}}}
	opts := DefaultOptions()
	for opts.Samples = 1; opts.Samples <= 2; opts.Samples++ {
		tr := newTrial(t, opts, params...)
		one := make([]float32, n+1)
		for i := range one {
			one[i] = float32(i%5) - 1.5
		}
		shared := func(hz, z [][]float32) error {
			for i := range hz {
				hz[i] = one[i%2:][:n]
			}
			return nil
		}
		for range 3 {
			grads := [][]float32{one[:n], one[1:], one[:n]}
			if err := tr.opt.Step(grads, shared); err != nil {
				t.Fatal(err)
			}
			tr.ref.step(grads, shared)
			tr.compare(t)
		}
	}
}

// TestGradientIsValue passes every Value as its own gradient, in all layouts and with
// all powers. Every kernel must read an element before it writes it.
func TestGradientIsValue(t *testing.T) {
	eachISAAndType(t, testGradientIsValue[float32], testGradientIsValue[float64])
}

func testGradientIsValue[T Float](t *testing.T) {
	for _, k := range []float64{1, 2, 0.75} {
		for each := 1; each <= 2; each++ {
			opts := DefaultOptions()
			opts.HessianPower, opts.UpdateEach, opts.WeightDecay = k, each, 0.1
			params := smallLayouts[T]()
			if k == 1 && !brief() {
				params = append(params, longLayouts[T]()...)
			}
			tr := newTrial(t, opts, params...)
			for range 3 {
				if err := tr.opt.Step(tr.theta, tr.hvp); err != nil {
					t.Fatal(err)
				}
				tr.ref.step(tr.refProblem.theta2(), tr.refProblem.hvp)
				tr.compare(t)
			}
		}
	}
}

// TestOverflow documents the effect of finite products that overflow. Their block stays
// where it is, and the others are not affected.
func TestOverflow(t *testing.T) {
	for _, c := range []struct {
		name    string
		samples int
		hz      float32
		layout  Layout
		beta2   float64
		want    float32 // v of the block
	}{
		{"a large one that does not", 1, 0x1p63, Elementwise(4), 0, 0x1p126},
		{"square", 1, 1e21, Elementwise(4), 0.999, float32(inf)},
		{"sum over the block", 1, 3e38, Layout{2, 2, 1}, 0.999, float32(inf)},
		{"sum over the probes", 2, 3e38, Elementwise(4), 0.999, float32(inf)},
		{"then no Beta2", 1, 1e21, Elementwise(4), 0, float32(nan)},
	} {
		opts := DefaultOptions()
		opts.Samples, opts.Beta2 = c.samples, c.beta2
		theta := []float32{1, 1, 1, 1}
		opt, err := New(opts, Param[float32]{Value: theta, Layout: c.layout})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			err := opt.Step([][]float32{{1, 1, 1, 1}}, func(hz, z [][]float32) error {
				copy(hz[0], z[0])
				hz[0][0], hz[0][1] = c.hz*z[0][0], c.hz*z[0][1]
				return nil
			})
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
		}
		_, v := opt.State(0)
		last := len(v) - 1
		if bitsOf(v[0]) != bitsOf(c.want) && !(c.want != c.want && v[0] != v[0]) {
			t.Errorf("%s: v is %v, want %v", c.name, v[0], c.want)
		}
		if stays := theta[0] == 1; c.want == float32(inf) && !stays {
			t.Errorf("%s: θ is %v", c.name, theta[0])
		}
		if !(v[last] > 0 && v[last] < 10) || !(theta[3] < 1 && theta[3] > -10) {
			t.Errorf("%s: a neighbour has v = %v, θ = %v", c.name, v[last], theta[3])
		}
	}
}

// TestNoCurvature documents what happens to a parameter whose curvature vanishes. Its
// neighbour, which has some, is not affected.
func TestNoCurvature(t *testing.T) {
	for _, c := range []struct {
		name             string
		eps, bound, grad float64
		want             float64 // θ, from 1
	}{
		{"Eps alone divides", 0.5, 0, 1, 1 - 0.1/0.5},
		{"the default Eps throws it away", 1e-4, 0, 1, 1 - 0.1/1e-4},
		{"a bound", 1e-4, 2, 1, 1 - 0.1*2},
		{"a finite gradient that is too large", 1e-4, 0, 1e308, -inf},
		{"bounded", 1e-4, 2, 1e308, 1 - 0.1*2},
		{"no Eps", 0, 0, 1, -inf},
		{"no Eps, bounded", 0, 2, 1, 1 - 0.1*2},
		{"no Eps and no gradient", 0, 0, 0, nan},
		{"no Eps and no gradient, bounded", 0, 2, 0, nan},
		{"Eps and no gradient", 1e-4, 0, 0, 1},
	} {
		opts := DefaultOptions()
		opts.LR, opts.Eps, opts.MaxUpdate = 0.1, c.eps, c.bound
		theta := []float64{1, 1}
		opt, err := New(opts, Param[float64]{Value: theta})
		if err != nil {
			t.Fatal(err)
		}
		err = opt.Step([][]float64{{c.grad, 1}}, func(hz, z [][]float64) error {
			hz[0][0], hz[0][1] = 0, 2*z[0][1]
			return nil
		})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if x := theta[0]; fmt.Sprintf("%.9g", x) != fmt.Sprintf("%.9g", c.want) {
			t.Errorf("%s: θ is %v, want %v", c.name, x, c.want)
		}
		if want := 1 - 0.1/(2+c.eps); !(math.Abs(theta[1]-want) <= 1e-9) {
			t.Errorf("%s: the neighbour is %v, want %v", c.name, theta[1], want)
		}
	}
}

// TestNotFinite tries each way in which finite input makes a parameter infinite or NaN,
// and shows what else an infinite v does.
func TestNotFinite(t *testing.T) {
	for _, c := range []struct {
		name     string
		edit     func(*Hyper)
		grad, hz float32
		want     [2]float32 // θ after each step, from 1
	}{
		{"v infinite, power 1: it stays", func(h *Hyper) {}, 1, 1e30, [2]float32{1, 1}},
		{"and decays", func(h *Hyper) { h.LR, h.WeightDecay = 1, 0.5 }, 1, 1e30, [2]float32{0.5, 0.25}},
		{"power 2", func(h *Hyper) { h.HessianPower = 2 }, 1, 1e30, [2]float32{1, 1}},
		{"power 0: v does not count", func(h *Hyper) { h.HessianPower, h.LR, h.Eps = 0, 0.25, 0 }, 1, 1e30, [2]float32{0.75, 0.5}},
		{"∞/∞", func(h *Hyper) { h.LR = 100 }, 3e38, 1e30, [2]float32{float32(nan), float32(nan)}},
		{"∞/∞, bounded", func(h *Hyper) { h.LR, h.MaxUpdate = 100, 1 }, 3e38, 1e30, [2]float32{float32(nan), float32(nan)}},
		{"power 0 has no ∞/∞", func(h *Hyper) { h.HessianPower, h.LR = 0, 100 }, 3e38, 1e30, [2]float32{float32(-inf), float32(-inf)}},
		{"0·∞", func(h *Hyper) { h.Beta2 = 0 }, 1, 1e30, [2]float32{1, float32(nan)}},
		{"0·∞ where Beta2 rounds to 0", func(h *Hyper) { h.Beta2 = 1e-60 }, 1, 1e30, [2]float32{1, float32(nan)}},
		{"0/0: no gradient", func(h *Hyper) { h.Eps = 0 }, 0, 0, [2]float32{float32(nan), float32(nan)}},
		{"0/0: no rate", func(h *Hyper) { h.Eps, h.LR = 0, 0 }, 1, 0, [2]float32{float32(nan), float32(nan)}},
		{"LR·m̂ alone", func(h *Hyper) { h.LR = 100 }, 3e38, 1, [2]float32{float32(-inf), float32(-inf)}},
		{"LR·m̂ alone, bounded", func(h *Hyper) { h.LR, h.MaxUpdate = 0.5, 0.5 }, 3e38, 1, [2]float32{0.75, 0.5}},
	} {
		opts := DefaultOptions()
		c.edit(&opts.Hyper)
		theta := []float32{1}
		o, err := New(opts, Param[float32]{Value: theta})
		if err != nil {
			t.Fatal(err)
		}
		for n, want := range c.want {
			err := o.Step([][]float32{{c.grad}}, func(hz, z [][]float32) error { hz[0][0] = c.hz * z[0][0]; return nil })
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if !equalBits(theta[0], want) {
				t.Errorf("%s: θ = %v after step %d, want %v", c.name, theta[0], n+1, want)
			}
		}
	}
}
