package adahessian

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"unsafe"
)

// errCaller is an error of the caller's own.
var errCaller = errors.New("the caller's own")

// attempt is a call of Step that a fault spoils.
type attempt[T Float] struct {
	grads [][]T
	hvp   HVP[T]
	group *Hyper // of parameter 2
}

// fault is a way to spoil an attempt.
type fault[T Float] struct {
	name     string
	product  bool // in hvp: possible only where it is due
	spoil    func(a *attempt[T])
	sentinel error
	words    []string
}

// faultParams are what faults are tried on. The last is so long, where several
// workers are to take part, that its elements belong to several items.
func faultParams[T Float](workers int, group *Hyper) []Param[T] {
	n := 50
	if workers > 1 {
		n = workers*workerLen + 100
	}
	return []Param[T]{
		{Name: "filter", Layout: Layout{3, 9, 7}},
		{Name: "nothing", Layout: Elementwise(0)},
		{Name: "rows", Layout: Layout{20, 10, 1}, Hyper: group},
		{Name: "wide", Layout: Elementwise(n)},
	}
}

// faults returns all faults of a step with some number of probes.
func faults[T Float](params []Param[T], samples int) []fault[T] {
	list := append(gradFaults(params), hyperFaultsOfGroup[T]()...)
	list = append(list, fault[T]{"no hvp", true, func(a *attempt[T]) { a.hvp = nil }, ErrHVP, []string{"nil"}})
	for _, probe := range slices.Compact([]int{0, samples - 1}) {
		list = append(list, productFaults(params, probe)...)
	}
	return list
}

// label is how errors name a parameter.
func label[T Float](params []Param[T], i int) string {
	return fmt.Sprintf("parameter %d %q", i, params[i].Name)
}

// positions are the first, the middle and the last element of n, and those
// where one item ends and the next starts.
func positions(n int) []int {
	var at []int
	for _, e := range []int{0, n / 2, taskLen - 1, taskLen, n - 1} {
		if e >= 0 && e < n && !slices.Contains(at, e) {
			at = append(at, e)
		}
	}
	return at
}

// valueFaults calls add for every way to spoil x, one slice for each parameter,
// that errors call by the name what.
func valueFaults[T Float](params []Param[T], what string, add func(name string, sentinel error, spoil func(x [][]T), words ...string)) {
	for i := range params {
		n := len(params[i].Value)
		for _, length := range []int{0, n - 1, n + 1} {
			if length < 0 || length == n {
				continue
			}
			wrong := make([]T, length)
			if length == 0 && what != "gradient" { // a nil gradient skips its parameter
				wrong = nil
			}
			add(fmt.Sprintf("%d has length %d", i, length), ErrShape, func(x [][]T) { x[i] = wrong },
				label(params, i), fmt.Sprintf("%s has %d elements", what, length), fmt.Sprint("want ", n))
		}
		for k, at := range positions(n) {
			for kind, bad := range []T{T(nan), T(inf), T(-inf)} {
				if n > taskLen && kind != k%3 {
					continue // to save time
				}
				add(fmt.Sprintf("%d at %d is %v", i, at, bad), ErrNonFinite, func(x [][]T) { x[i][at] = bad },
					label(params, i), fmt.Sprintf("%s[%d] = %v", what, at, bad))
			}
		}
	}
}

func gradFaults[T Float](params []Param[T]) []fault[T] {
	list := []fault[T]{
		{"no gradients", false, func(a *attempt[T]) { a.grads = nil }, ErrShape, []string{"0 gradients", "4 parameters"}},
		{"too few gradients", false, func(a *attempt[T]) { a.grads = a.grads[:3] }, ErrShape, []string{"3 gradients", "4 parameters"}},
		{"too many gradients", false, func(a *attempt[T]) { a.grads = append(a.grads, nil) }, ErrShape, []string{"5 gradients", "4 parameters"}},
	}
	valueFaults(params, "gradient", func(name string, sentinel error, spoil func(x [][]T), words ...string) {
		list = append(list, fault[T]{"gradient " + name, false, func(a *attempt[T]) { spoil(a.grads) }, sentinel, words})
	})
	return list
}

func hyperFaultsOfGroup[T Float]() []fault[T] {
	var list []fault[T]
	for _, f := range hyperFaults {
		list = append(list, fault[T]{
			"hyper: " + f.name, false, func(a *attempt[T]) { f.edit(a.group) },
			ErrOption, append([]string{`parameter 2 "rows": Hyper.`}, f.words...),
		})
	}
	return list
}

// productFaults are those of hvp at one probe.
func productFaults[T Float](params []Param[T], probe int) []fault[T] {
	var list []fault[T]
	add := func(name string, sentinel error, spoil func(hz, z [][]T) error, words ...string) {
		list = append(list, fault[T]{
			fmt.Sprintf("probe %d: %s", probe, name), true,
			func(a *attempt[T]) { a.hvp = spoilProbe(a.hvp, probe, spoil) },
			sentinel, words,
		})
	}
	fail := func(hz, z [][]T) error { return fmt.Errorf("in the framework: %w", errCaller) }
	add("error", ErrHVP, fail, fmt.Sprint("probe ", probe), "in the framework", errCaller.Error())
	add("error, asked for itself", errCaller, fail)
	add("error after writing over everything", ErrHVP, func(hz, z [][]T) error {
		for i := range hz {
			for e := range hz[i] {
				hz[i][e], z[i][e] = T(nan), T(nan)
			}
			hz[i], z[i] = nil, nil
		}
		return errCaller
	}, errCaller.Error())
	add("panic", nil, func(hz, z [][]T) error { panic(errCaller) })
	valueFaults(params, "Hessian-vector product", func(name string, sentinel error, spoil func(x [][]T), words ...string) {
		add(name, sentinel, func(hz, z [][]T) error { spoil(hz); return nil }, words...)
	})
	return list
}

// spoilProbe is the good hvp until its call number probe.
func spoilProbe[T Float](good HVP[T], probe int, spoil func(hz, z [][]T) error) HVP[T] {
	calls := -1
	return func(hz, z [][]T) error {
		if err := good(hz, z); err != nil {
			return err
		}
		if calls++; calls == probe {
			return spoil(hz, z)
		}
		return nil
	}
}

// TestFaults tries every fault at every step of a period of refreshes. It must
// change nothing, and the good Step after it must give the bits that it would
// have given without: those of a twin that has seen no fault.
func TestFaults(t *testing.T) {
	t.Run("float32", testFaults[float32])
	t.Run("float64", testFaults[float64])
}

func testFaults[T Float](t *testing.T) {
	for _, c := range []struct{ workers, samples, each int }{{1, 1, 1}, {1, 3, 2}, {1, 2, 3}, {3, 1, 1}, {2, 2, 2}} {
		t.Run(fmt.Sprintf("%d workers, %d probes, each %d", c.workers, c.samples, c.each), func(t *testing.T) {
			if unsafe.Sizeof(T(0)) == 8 && (c.workers == 3 || c.workers == 2 && brief()) {
				t.Skip("float32 is enough of the slow ones")
			}
			opts := DefaultOptions()
			opts.Workers, opts.Samples, opts.UpdateEach, opts.Seed = c.workers, c.samples, c.each, 4
			group := DefaultHyper()
			params := faultParams[T](c.workers, &group)
			spoiled, twin := newRunner(t, opts, params...), newRunner(t, opts, params...)
			if got := len(spoiled.opt.call.scratch); got != c.workers {
				t.Fatalf("%d workers are %d", c.workers, got)
			}
			for _, f := range faults(withValues(params), c.samples) {
				for range c.each { // at each step of a period
					f.try(t, spoiled, &group)
					spoiled.step(t)
					twin.step(t)
					takeSnapshot(twin.opt).require(t, spoiled.opt)
				}
				if t.Failed() {
					t.Fatalf("after fault %q", f.name)
				}
			}
		})
	}
}

// try makes a spoiled attempt.
func (f *fault[T]) try(t *testing.T, r runner[T], group *Hyper) {
	t.Helper()
	if f.product && !r.opt.NeedsHessian() {
		return
	}
	before, hyper := takeSnapshot(r.opt), *group
	a := attempt[T]{slices.Clone(r.gradients()), r.hvp, group}
	f.spoil(&a)
	err := f.step(t, r.opt, &a)
	*group = hyper
	if f.sentinel != nil {
		if err == nil {
			t.Fatalf("%s: no error", f.name)
		}
		requireError(t, err, f.sentinel, f.words...)
	}
	before.require(t, r.opt)
}

// step calls Step. A panic is an error only where the fault is one.
func (f *fault[T]) step(t *testing.T, o *Optimizer[T], a *attempt[T]) error {
	t.Helper()
	if f.sentinel == nil {
		defer func() {
			if got := recover(); got != errCaller {
				t.Errorf("%s: recovered %v", f.name, got)
			}
		}()
	}
	return o.Step(a.grads, a.hvp)
}

// TestHVPFillsGrads has an hvp that computes the gradients in its own pass:
// what they held before does not matter.
func TestHVPFillsGrads(t *testing.T) {
	tr := newTrial(t, DefaultOptions(), smallLayouts[float32]()...)
	for range 3 {
		for _, filled := range []bool{true, false} {
			grads := make([][]float32, len(tr.theta)) // nil slices, or stale ones
			if filled {
				grads = tr.ref.zeros()
				for i := range grads {
					for e := range grads[i] {
						grads[i][e] = float32(nan)
					}
				}
			}
			err := tr.opt.Step(grads, func(hz, z [][]float32) error {
				for i, g := range tr.gradients() {
					if filled {
						copy(grads[i], g)
					} else {
						grads[i] = g
					}
				}
				return tr.hvp(hz, z)
			})
			if err != nil {
				t.Fatal(err)
			}
			tr.ref.step(tr.refProblem.gradients(), tr.refProblem.hvp)
			tr.compare(t)
		}
	}
}

// TestHVPChangesItsArguments has an hvp that leaves in place of hz slices of
// its own, which it uses otherwise when it is called again, and writes over
// all that it was given, z included.
func TestHVPChangesItsArguments(t *testing.T) {
	for samples := 1; samples <= 3; samples++ {
		opts := DefaultOptions()
		opts.Samples, opts.UpdateEach = samples, 2
		tr := newTrial(t, opts, append(smallLayouts[float64](), Param[float64]{Layout: Elementwise(taskLen + sumTile + 9)})...)
		fillNaN := func(x [][]float64) {
			for i := range x {
				for e := range x[i] {
					x[i][e] = nan
				}
			}
		}
		var own [][]float64
		hvp := func(hz, z [][]float64) error {
			fillNaN(own)
			fillNaN(hz)
			own = tr.ref.zeros()
			copy(hz, own)
			err := tr.hvp(hz, z)
			fillNaN(z)
			clear(z)
			return err
		}
		for range 3 {
			if err := tr.opt.Step(tr.gradients(), hvp); err != nil {
				t.Fatal(err)
			}
			tr.ref.step(tr.refProblem.gradients(), tr.refProblem.hvp)
			tr.compare(t)
		}
	}
}

// TestHVPInPlace has an hvp that computes its product in z.
func TestHVPInPlace(t *testing.T) {
	for samples := 1; samples <= 3; samples++ {
		opts := DefaultOptions()
		opts.Samples = samples
		tr := newTrial(t, opts, smallLayouts[float32]()...)
		for range 3 {
			err := tr.opt.Step(tr.gradients(), func(hz, z [][]float32) error {
				copy(hz, z)
				return tr.hvp(hz, z)
			})
			if err != nil {
				t.Fatal(err)
			}
			tr.ref.step(tr.refProblem.gradients(), tr.refProblem.hvp)
			tr.compare(t)
		}
	}
}

// TestStepLetsGo makes sure that no slice of the caller's is kept, however a
// step ends: it would keep memory alive, or be read when it is in other use.
func TestStepLetsGo(t *testing.T) {
	group := DefaultHyper()
	for _, f := range faults(withValues(faultParams[float32](1, &group)), 1) {
		before := group
		r := newRunner(t, DefaultOptions(), faultParams[float32](1, &group)...)
		a := attempt[float32]{slices.Clone(r.gradients()), r.hvp, &group}
		a.hvp = spoilProbe(a.hvp, 0, func(hz, z [][]float32) error {
			for i := range hz {
				hz[i] = slices.Clone(hz[i])
			}
			return nil
		})
		f.spoil(&a)
		f.step(t, r.opt, &a)
		group = before
		if r.opt.call.grads != nil {
			t.Errorf("%s: the gradients are kept", f.name)
		}
		for i := range r.opt.probes.hz {
			if unsafe.SliceData(r.opt.probes.hzView[i]) != unsafe.SliceData(r.opt.probes.hz[i]) {
				t.Errorf("%s: a product is kept", f.name)
			}
		}
	}
}

// TestHVPOfIdentity has the Hessian of ½|θ|²: z itself may be put into hz.
func TestHVPOfIdentity(t *testing.T) {
	for samples := 1; samples <= 3; samples++ {
		opts := DefaultOptions()
		opts.Samples = samples
		tr := newTrial(t, opts, smallLayouts[float32]()...)
		for range 3 {
			if err := tr.opt.Step(tr.theta2(), func(hz, z [][]float32) error { copy(hz, z); return nil }); err != nil {
				t.Fatal(err)
			}
			tr.ref.step(tr.refProblem.theta2(), func(hz, z [][]float32) error {
				for i := range z {
					copy(hz[i], z[i])
				}
				return nil
			})
			tr.compare(t)
		}
	}
}

// theta2 returns the gradient of ½|θ|².
func (p *problem[T]) theta2() [][]T {
	for i := range p.theta {
		copy(p.grads[i], p.theta[i])
	}
	return p.grads
}

// TestSkipFiniteCheck lets NaN and infinite values pass, and reach only what
// they belong to.
func TestSkipFiniteCheck(t *testing.T) {
	opts := DefaultOptions()
	opts.SkipFiniteCheck = true
	for _, workers := range []int{1, 4} {
		opts.Workers = workers
		tr := newTrial(t, opts, append(smallLayouts[float32](), Param[float32]{Layout: Elementwise(2*taskLen + 5)})...)
		spoil := func(p *problem[float32]) ([][]float32, HVP[float32]) {
			g := p.gradients()
			g[0][3], g[7][20], g[12][40] = float32(nan), float32(inf), float32(-inf)
			return g, func(hz, z [][]float32) error {
				err := p.hvp(hz, z)
				hz[0][50], hz[7][100], hz[12][7], hz[18][taskLen] = float32(nan), float32(inf), float32(nan), float32(-inf)
				return err
			}
		}
		for range 2 {
			if err := tr.opt.Step(spoil(tr.problem)); err != nil {
				t.Fatal(err)
			}
			tr.ref.step(spoil(tr.refProblem))
			tr.compare(t)
			tr.step(t)
		}
		if x := tr.theta[0][3]; x == x {
			t.Errorf("θ is %v after a gradient of NaN", x)
		}
		if x := tr.theta[0][4]; x != x {
			t.Error("NaN reached a neighbour")
		}

		// Shapes are checked all the same.
		g := tr.gradients()
		g[0] = g[0][1:]
		requireError(t, tr.opt.Step(g, tr.hvp), ErrShape, "parameter 0", "gradient has 99 elements")
	}
}

// TestFaultsEverywhere spoils every element of every gradient and of every
// probe's products, in tensors of all shapes, and with several workers many of
// them. After each fault nothing has changed; in the end the run is the same as
// that of a twin without faults.
func TestFaultsEverywhere(t *testing.T) {
	t.Run("float32", testFaultsEverywhere[float32])
	t.Run("float64", testFaultsEverywhere[float64])
}

func testFaultsEverywhere[T Float](t *testing.T) {
	for _, workers := range []int{1, 2} {
		opts := DefaultOptions()
		opts.Workers, opts.Samples, opts.UpdateEach = workers, 2, 2
		params := faultParams[T](workers, nil)
		spoiled, twin := newRunner(t, opts, params...), newRunner(t, opts, params...)
		tried := 0
		for i, x := range spoiled.theta {
			apart := 1
			if len(x) > 1000 || brief() {
				apart = 1 + len(x)/10
				if !brief() {
					apart = 509
				}
			}
			for e := 0; e < len(x); e += apart {
				bad := [...]T{T(nan), T(inf), T(-inf)}[tried%3]
				before := takeSnapshot(spoiled.opt)
				if spoiled.opt.NeedsHessian() {
					for probe := range opts.Samples {
						hvp := spoilProbe(spoiled.hvp, probe, func(hz, _ [][]T) error { hz[i][e] = bad; return nil })
						requireError(t, spoiled.opt.Step(spoiled.gradients(), hvp), ErrNonFinite,
							label(params, i), fmt.Sprintf("Hessian-vector product[%d] = %v", e, bad))
					}
				}
				grads := spoiled.gradients()
				grads[i][e] = bad
				requireError(t, spoiled.opt.Step(grads, spoiled.hvp), ErrNonFinite,
					label(params, i), fmt.Sprintf("gradient[%d] = %v", e, bad))
				before.require(t, spoiled.opt)
				spoiled.step(t)
				twin.step(t)
				tried++
			}
		}
		takeSnapshot(twin.opt).require(t, spoiled.opt)
		t.Logf("%d workers: %d elements", workers, tried)
	}
}
