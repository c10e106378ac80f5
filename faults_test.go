package adahessian

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"math"
	"os/exec"
	"reflect"
	"slices"
	"strings"
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
	product  bool // in hvp: possible only if hvp is due
	spoil    func(a *attempt[T])
	sentinel error
	words    []string
}

// faultParams are the parameters on which faults are tried. If several workers are to
// take part, the last one is long enough to be divided into several tasks.
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

// label returns the name that errors give a parameter.
func label[T Float](params []Param[T], i int) string {
	return fmt.Sprintf("parameter %d %q", i, params[i].Name)
}

// positions returns the first, the middle and the last of n elements, and those where
// one task ends and the next starts.
func positions(n int) []int {
	var at []int
	for _, e := range []int{0, n / 2, taskLen - 1, taskLen, n - 1} {
		if e >= 0 && e < n && !slices.Contains(at, e) {
			at = append(at, e)
		}
	}
	return at
}

// valueFaults calls add for every way to spoil x, which has one slice for each
// parameter and which errors call what.
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
		{"no gradients", false, func(a *attempt[T]) { a.grads = nil }, ErrShape, []string{"grads has 0 slices, want 4"}},
		{"too few gradients", false, func(a *attempt[T]) { a.grads = a.grads[:3] }, ErrShape, []string{"grads has 3 slices, want 4"}},
		{"too many gradients", false, func(a *attempt[T]) { a.grads = append(a.grads, nil) }, ErrShape, []string{"grads has 5 slices, want 4"}},
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

// productFaults returns the faults of hvp at one probe.
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

// spoilProbe returns an hvp that is good until its call number probe.
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

// TestFaults tries every fault at every step of a period of refreshes. A fault must
// change nothing. The good Step after it must give the same bits as without the fault,
// which are those of a twin that saw none.
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
				t.Fatalf("want %d workers, got %d", c.workers, got)
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

// TestHVPFillsGrads has an hvp that computes the gradients in its own pass. What they
// held before does not matter.
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

// TestHVPChangesItsArguments has an hvp that replaces hz with slices of its own, reuses
// these for something else when it is called again, and overwrites everything that it
// was given, z included.
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

// TestStepLetsGo makes sure that no slice of the caller's is kept, however a step ends.
// It would keep memory alive, or be read while it is used for something else.
func TestStepLetsGo(t *testing.T) {
	group := DefaultHyper()
	for _, f := range faults(withValues(faultParams[float32](1, &group)), 1) {
		before := group
		r := newRunner(t, DefaultOptions(), faultParams[float32](1, &group)...)
		a := attempt[float32]{slices.Clone(r.gradients()), r.hvp, &group}
		a.hvp = spoilProbe(a.hvp, 0, func(hz, z [][]float32) error {
			for i := range hz {
				hz[i], z[i] = slices.Clone(hz[i]), slices.Clone(z[i])
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
			if unsafe.SliceData(r.opt.probes.zView[i]) != unsafe.SliceData(r.opt.probes.z[i]) {
				t.Errorf("%s: what hvp has put into z is kept", f.name)
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

// TestSkipFiniteCheck lets NaN and infinite values pass. They must affect only their
// own elements.
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

		// Shapes are still checked.
		g := tr.gradients()
		g[0] = g[0][1:]
		requireError(t, tr.opt.Step(g, tr.hvp), ErrShape, "parameter 0", "gradient has 99 elements")
	}
}

// TestFaultsEverywhere spoils every element of every gradient and of every probe's
// products, in tensors of all shapes. With several workers it spoils many of them.
// After each fault nothing has changed, and in the end the run is the same as that of a
// twin without faults.
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

// TestUnwritten has an hvp that leaves elements as it found them, in tensors of every
// size. It does so after good steps, which leave a stale product there, and after steps
// in which hvp used slices of its own.
func TestUnwritten(t *testing.T) {
	forFloats(t, testUnwritten[float32], testUnwritten[float64], testUnwritten[weight])
}

func testUnwritten[T Float](t *testing.T) {
	params := append(smallLayouts[T](), listLayouts[T](nil)[1:20]...)
	params = append(params, Param[T]{Name: "long", Layout: Elementwise(3*taskLen + 100)})
	for _, c := range []struct {
		workers, samples int
		skip             bool
	}{{1, 1, false}, {1, 1, true}, {2, 2, false}, {2, 2, true}} {
		opts := DefaultOptions()
		opts.Workers, opts.Samples, opts.SkipFiniteCheck = c.workers, c.samples, c.skip
		r := newRunner(t, opts, params...)
		good := HVP[T](r.hvp)
		// leave returns a good hvp that, at the last probe, leaves out the elements
		// that left chooses.
		leave := func(left func(i, e int) bool) HVP[T] {
			calls := 0
			return func(hz, z [][]T) error {
				found := make([][]T, len(hz))
				for i := range hz {
					found[i] = slices.Clone(hz[i])
				}
				if err := good(hz, z); err != nil {
					return err
				}
				if calls++; calls < c.samples {
					return nil
				}
				for i := range hz {
					for e := range hz[i] {
						if left(i, e) {
							copy(hz[i][e:e+1], found[i][e:])
						}
					}
				}
				return nil
			}
		}
		refuse := func(hvp HVP[T], i, e int) {
			t.Helper()
			before := takeSnapshot(r.opt)
			requireError(t, r.opt.Step(r.gradients(), hvp), ErrHVP,
				fmt.Sprintf("parameter %d %q: hvp has not written hz[%d][%d]", i, params[i].Name, i, e))
			before.require(t, r.opt)
		}
		r.step(t)
		for i, x := range r.theta {
			if len(x) == 0 {
				continue
			}
			refuse(leave(func(k, _ int) bool { return k == i }), i, 0)
			for _, at := range slices.Compact([]int{0, len(x) / 2, len(x) - 1}) {
				if len(x) > 2*markEach && at == len(x)/2 {
					at = 3 * markEach
				}
				refuse(leave(func(k, e int) bool { return k == i && e == at }), i, at)
			}
			if i%10 == 0 {
				r.step(t)
			}
		}
		refuse(func(hz, z [][]T) error { return nil }, 0, 0)

		// Only the tail is missing, of a tensor that several goroutines have shared.
		long := len(params) - 1
		refuse(leave(func(i, e int) bool { return i == long && e >= 2*markEach+1 }), long, 3*markEach)

		// An hvp that uses slices of its own leaves the marks for the next.
		replaced := func(hz, z [][]T) error {
			for i := range hz {
				hz[i] = make([]T, len(hz[i]))
			}
			return good(hz, z)
		}
		for range 3 {
			if err := r.opt.Step(r.gradients(), replaced); err != nil {
				t.Fatal(err)
			}
		}
		refuse(func(hz, z [][]T) error { return nil }, 0, 0)
		forgetful := func(hz, z [][]T) error { // as replaced, for all but one
			own := hz[7]
			err := replaced(hz, z)
			hz[7] = own
			return err
		}
		refuse(forgetful, 7, 0)
		r.step(t)
		refuse(forgetful, 7, 0)

		// An hvp that uses slices of its own for all but one tensor, which it fills.
		mixed := func(hz, z [][]T) error {
			own := hz[7]
			err := replaced(hz, z)
			copy(own, hz[7])
			hz[7] = own
			return err
		}
		if err := r.opt.Step(r.gradients(), mixed); err != nil {
			t.Fatal(err)
		}
		refuse(forgetful, 7, 0)

		// An hvp that fills our slices and then fails, after one that has left the
		// marks.
		if err := r.opt.Step(r.gradients(), replaced); err != nil {
			t.Fatal(err)
		}
		requireError(t, r.opt.Step(r.gradients(), func(hz, z [][]T) error {
			good(hz, z)
			return errCaller
		}), errCaller)
		refuse(func(hz, z [][]T) error { return nil }, 0, 0)

		// Adding to what is there is not writing.
		err := r.opt.Step(r.gradients(), func(hz, z [][]T) error {
			for i := range hz {
				for e := range hz[i] {
					hz[i][e] += z[i][e]
				}
			}
			return nil
		})
		if !c.skip && !errors.Is(err, ErrHVP) && !errors.Is(err, ErrNonFinite) {
			t.Errorf("an hvp that adds: %v", err)
		}
	}
}

// TestUnwrittenSkipped leaves out the product of a parameter without a gradient, which
// nobody needs.
func TestUnwrittenSkipped(t *testing.T) {
	for _, skip := range []bool{false, true} {
		opts := DefaultOptions()
		opts.SkipFiniteCheck = skip
		r := newRunner(t, opts, Param[float32]{Layout: Elementwise(3)}, Param[float32]{Layout: Elementwise(5)}, Param[float32]{Layout: Layout{2, 3, 2}})
		for _, without := range [][]int{{1}, {0, 2}, {2}} {
			grads := slices.Clone(r.gradients())
			for _, i := range without {
				grads[i] = nil
			}
			err := r.opt.Step(grads, func(hz, z [][]float32) error {
				for i := range hz {
					if grads[i] != nil {
						copy(hz[i], z[i])
					}
				}
				return nil
			})
			if err != nil {
				t.Errorf("without %v: %v", without, err)
			}
		}
	}
}

// TestWithin calls every method within hvp, within the Write of WriteTo, the Read of
// ReadFrom and the gradient of StepGradient. Methods that change the optimizer are
// refused there, and the others return what they returned before. The outer call goes
// on, and the optimizer ends where its twin does. Afterwards, even after a panic, every
// method is allowed.
func TestWithin(t *testing.T) {
	opts := DefaultOptions()
	opts.Samples, opts.UpdateEach = 2, 2
	r, twin := newRunner(t, opts, smallLayouts[float64]()...), newRunner(t, opts, smallLayouts[float64]()...)
	changes := func(state []byte) map[string]func() error {
		return map[string]func() error{
			"Step":            func() error { return r.opt.Step(r.grads, r.hvp) },
			"StepGradient":    func() error { return r.opt.StepGradient(func([][]float64) error { return nil }) },
			"ReadFrom":        func() error { _, err := r.opt.ReadFrom(bytes.NewReader(state)); return err },
			"UnmarshalBinary": func() error { return r.opt.UnmarshalBinary(state) },
			"ReadNamed":       func() error { _, _, err := r.opt.ReadNamed(bytes.NewReader(state)); return err },
			"ReadShards":      func() error { return r.opt.ReadShards(bytes.NewReader(state)) },
			"SetLR":           func() error { return r.opt.SetLR(0.7) },
			"SetSteps":        func() error { return r.opt.SetSteps(4) },
			"SetUpdateEach":   func() error { return r.opt.SetUpdateEach(3) },
			"Add":             func() error { return r.opt.Add(Param[float64]{Value: make([]float64, 3)}) },
			"Rebind":          func() error { return r.opt.Rebind(r.theta) },
		}
	}
	within := func(where string, before []byte) {
		t.Helper()
		for name, call := range changes(before) {
			requireError(t, call(), ErrState, name+" called within "+where+", which must not change the optimizer: call it afterwards")
		}
		now, err := r.opt.MarshalBinary()
		if err != nil || !bytes.Equal(now, before) {
			t.Errorf("within %s the state has changed (%v)", where, err)
		}
	}
	save := func(o *Optimizer[float64]) []byte {
		b, err := o.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for range 5 {
		before := save(r.opt)
		due, steps := r.opt.NeedsHessian(), r.opt.Steps()
		err := r.opt.Step(r.gradients(), func(hz, z [][]float64) error {
			within("hvp", before)
			if r.opt.NeedsHessian() != due || r.opt.Steps() != steps {
				t.Error("NeedsHessian or Steps has changed within hvp")
			}
			return r.hvp(hz, z)
		})
		if err != nil {
			t.Fatal(err)
		}
		twin.step(t)
		takeSnapshot(twin.opt).require(t, r.opt)

		before = save(r.opt)
		if _, err := r.opt.WriteTo(writerFunc(func(p []byte) (int, error) {
			within("the Write of WriteTo", before)
			return len(p), nil
		})); err != nil {
			t.Fatal(err)
		}
		from := bytes.NewReader(before)
		if _, err := r.opt.ReadFrom(readerFunc(func(p []byte) (int, error) {
			within("the Read of ReadFrom", before)
			return from.Read(p)
		})); err != nil {
			t.Fatal(err)
		}
	}

	// If hvp returns the error of the inner call, that ends the outer one.
	for !r.opt.NeedsHessian() {
		r.step(t)
	}
	before := takeSnapshot(r.opt)
	err := r.opt.Step(r.gradients(), func(hz, z [][]float64) error { return r.opt.Step(r.grads, r.hvp) })
	requireError(t, err, ErrHVP, "Step called within hvp")
	requireError(t, err, ErrState)
	before.require(t, r.opt)
	state := save(r.opt)
	err = r.opt.StepGradient(func([][]float64) error { within("grad", state); return errCaller })
	requireError(t, err, errCaller)
	before.require(t, r.opt)

	for name, call := range map[string]func(){
		"hvp":   func() { r.opt.Step(r.grads, func(hz, z [][]float64) error { panic(errCaller) }) },
		"grad":  func() { r.opt.StepGradient(func([][]float64) error { panic(errCaller) }) },
		"Write": func() { r.opt.WriteTo(writerFunc(func([]byte) (int, error) { panic(errCaller) })) },
		"Read":  func() { r.opt.ReadFrom(readerFunc(func([]byte) (int, error) { panic(errCaller) })) },
	} {
		func() {
			defer func() {
				if got := recover(); got != errCaller {
					t.Errorf("%s: recovered %v", name, got)
				}
			}()
			call()
		}()
		if err := r.opt.SetLR(opts.LR); err != nil {
			t.Errorf("after a panic in %s: %v", name, err)
		}
	}
	for _, name := range []string{"Step", "ReadFrom", "UnmarshalBinary", "SetLR", "SetUpdateEach", "Rebind", "Add"} {
		if err := changes(save(r.opt))[name](); err != nil {
			t.Errorf("%s afterwards: %v", name, err)
		}
	}
}

// writerFunc and readerFunc are an io.Writer and an io.Reader.
type (
	writerFunc func(p []byte) (int, error)
	readerFunc func(p []byte) (int, error)
)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
func (f readerFunc) Read(p []byte) (int, error)  { return f(p) }

// TestFirstErrors checks the whole text of the errors that a new user meets first. Each
// says what to do.
func TestFirstErrors(t *testing.T) {
	newOptimizer := func(layout Layout, elements int) (*Optimizer[float32], error) {
		return New(DefaultOptions(), Param[float32]{Name: "w", Value: make([]float32, elements), Layout: layout})
	}
	layoutError := func(layout Layout, elements int) error {
		_, err := newOptimizer(layout, elements)
		return err
	}
	step := func(grads [][]float32, hvp HVP[float32]) error {
		opt, err := newOptimizer(Layout{}, 2)
		if err != nil {
			return err
		}
		return opt.Step(grads, hvp)
	}
	stepGradient := func(grad func(grads [][]float32) error) error {
		opt, err := newOptimizer(Layout{}, 2)
		if err != nil {
			return err
		}
		return opt.StepGradient(grad)
	}
	good := func(hz, z [][]float32) error { copy(hz[0], z[0]); return nil }
	grads := [][]float32{{1, 1}}
	var zero Optimizer[float32]
	_, noOptions := New[float32](Options{})
	calls := 0
	for _, c := range []struct {
		err  error
		want string
	}{
		{noOptions, "invalid option: Options.Samples = 0, want at least 1: start from DefaultOptions"},
		{zero.Step(grads, good), "invalid state: Step called on an Optimizer that was not made by New: call New first"},
		{layoutError(Layout{2, 3, 2}, 24), `invalid layout: parameter 0 "w": Layout {Outer:2 Block:3 Inner:2} has 12 elements, Value has 24: Outer = 4 would fit`},
		{layoutError(Layout{2, 3, 2}, 0), `invalid layout: parameter 0 "w": Layout {Outer:2 Block:3 Inner:2} has 12 elements, Value has 0: Outer = 0 would fit`},
		{layoutError(Layout{2, 3, 2}, 20), `invalid layout: parameter 0 "w": Layout {Outer:2 Block:3 Inner:2} has 12 elements, Value has 20: no Outer fits, since 20 is not a multiple of Block·Inner`},
		{layoutError(Layout{2, 3, 0}, 6), `invalid layout: parameter 0 "w": Layout {Outer:2 Block:3 Inner:0} has 0 elements, Value has 6: no Outer fits, since 6 is not a multiple of Block·Inner`},
		{layoutError(Layout{0, math.MaxInt, 2}, 6), fmt.Sprintf(`invalid layout: parameter 0 "w": Layout {Outer:0 Block:%d Inner:2} has 0 elements, Value has 6: no Outer fits, since 6 is not a multiple of Block·Inner`, math.MaxInt)},
		{step(grads, nil), "Hessian-vector product failed: hvp is nil, but step 1 needs it, as NeedsHessian reports: if you only have gradients, call StepGradient or pass FiniteDifference"},
		{step(grads, func(hz, z [][]float32) error { return nil }),
			`Hessian-vector product failed: step 1: parameter 0 "w": hvp has not written hz[0][0], or has only added to it: it must set every element, zeros included`},
		{step(nil, good), "shape mismatch: grads has 0 slices, want 1, one for each parameter (nil skips it)"},
		{step([][]float32{nil}, good), "shape mismatch: every gradient is nil, which skips every parameter: set at least one, or do not call Step"},
		{step([][]float32{{1, 2, 3}}, good), `shape mismatch: parameter 0 "w": gradient has 3 elements, want 2, as many as Value`},
		{step([][]float32{{}}, good), `shape mismatch: parameter 0 "w": gradient has 0 elements, want 2, as many as Value: only a nil gradient skips a parameter`},
		{step(grads, func(hz, z [][]float32) error { hz[0] = nil; return nil }),
			`shape mismatch: parameter 0 "w": Hessian-vector product has 0 elements, want 2, as many as Value`},
		{step([][]float32{{1, float32(nan)}}, good), `value is not finite: parameter 0 "w": gradient[1] = NaN; the step changed nothing, so this batch can be skipped`},
		{step(grads, func(hz, z [][]float32) error { hz[0][0], hz[0][1] = 1, float32(inf); return nil }),
			`value is not finite: parameter 0 "w": Hessian-vector product[1] = +Inf; the step changed nothing, so this batch can be skipped`},
		{stepGradient(nil), "invalid option: StepGradient: grad is nil: pass a function that fills grads with the gradient"},
		{stepGradient(func(grads [][]float32) error {
			if calls++; calls > 1 {
				grads[0][1] = float32(inf)
			}
			return nil
		}), `Hessian-vector product failed: step 1, probe 0: adahessian: value is not finite: parameter 0 "w": gradient[1] is +Inf at θ+h·z and +Inf at θ−h·z, h = 0.001953125: ` +
			"the loss must be finite at both; FiniteDifference can take a smaller h"},
	} {
		if c.err == nil || c.err.Error() != "adahessian: "+c.want {
			t.Errorf("got  %v\nwant adahessian: %s", c.err, c.want)
		}
	}
}

// unusable calls every method of an optimizer that cannot be used.
func unusable(t *testing.T, o *Optimizer[float32], why string) {
	t.Helper()
	for name, call := range map[string]func() error{
		"Step":            func() error { return o.Step(nil, nil) },
		"StepGradient":    func() error { return o.StepGradient(func([][]float32) error { return nil }) },
		"WriteTo":         func() error { _, err := o.WriteTo(io.Discard); return err },
		"MarshalBinary":   func() error { _, err := o.MarshalBinary(); return err },
		"AppendBinary":    func() error { _, err := o.AppendBinary(nil); return err },
		"ReadFrom":        func() error { _, err := o.ReadFrom(bytes.NewReader(nil)); return err },
		"UnmarshalBinary": func() error { return o.UnmarshalBinary(nil) },
		"ReadNamed":       func() error { _, _, err := o.ReadNamed(bytes.NewReader(nil)); return err },
		"ReadShards":      func() error { return o.ReadShards(bytes.NewReader(nil)) },
		"SetLR":           func() error { return o.SetLR(0.1) },
		"SetSteps":        func() error { return o.SetSteps(0) },
		"SetUpdateEach":   func() error { return o.SetUpdateEach(1) },
		"Add":             func() error { return o.Add() },
		"Rebind":          func() error { return o.Rebind(nil) },
	} {
		err := call()
		if !errors.Is(err, ErrState) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want an ErrState that says %q", name, err, why)
		}
	}
}

// TestZeroOptimizer uses an Optimizer that was not made by New, as gob makes one.
func TestZeroOptimizer(t *testing.T) {
	const why = "an Optimizer that was not made by New: call New first"
	var zero Optimizer[float32]
	unusable(t, &zero, why)
	if zero.NeedsHessian() || zero.Steps() != 0 {
		t.Error("the zero Optimizer has steps or needs a Hessian")
	}

	r := newRunner(t, DefaultOptions(), smallLayouts[float32]()...)
	r.step(t)
	var saved bytes.Buffer
	if err := gob.NewEncoder(&saved).Encode(r.opt); err != nil {
		t.Fatal(err)
	}
	state, err := r.opt.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	requireError(t, zero.UnmarshalBinary(state), ErrState, why)
	var decoded *Optimizer[float32]
	requireError(t, gob.NewDecoder(bytes.NewReader(saved.Bytes())).Decode(&decoded), ErrState, why)
	requireError(t, gob.NewEncoder(io.Discard).Encode(&zero), ErrState, why)

	// gob can decode into an Optimizer that New made.
	resumed := newRunner(t, DefaultOptions(), smallLayouts[float32]()...)
	if err := gob.NewDecoder(&saved).Decode(resumed.opt); err != nil || resumed.opt.Steps() != 1 {
		t.Errorf("gob into an Optimizer: %d steps, %v", resumed.opt.Steps(), err)
	}
}

// TestCopiedOptimizer uses a copy by value, whose goroutines would use the options and
// the counters of the original. The original goes on.
func TestCopiedOptimizer(t *testing.T) {
	r, twin := newRunner(t, DefaultOptions(), smallLayouts[float32]()...), newRunner(t, DefaultOptions(), smallLayouts[float32]()...)
	r.step(t)
	twin.step(t)
	dup := reflect.New(reflect.TypeOf(r.opt).Elem())
	dup.Elem().Set(reflect.ValueOf(r.opt).Elem()) // as dup := *opt, which vet reports
	unusable(t, dup.Interface().(*Optimizer[float32]), "a copy of an Optimizer: use the pointer that New returned")
	r.step(t)
	twin.step(t)
	takeSnapshot(twin.opt).require(t, r.opt)
}

// TestVetSeesCopies runs go vet on a program that copies an Optimizer.
func TestVetSeesCopies(t *testing.T) {
	if brief() {
		t.Skip("vet compiles the package")
	}
	out, err := exec.Command("go", "vet", "-copylocks", "./testdata/copies").CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip(err)
	}
	if err == nil || !strings.Contains(string(out), "assignment copies lock value to dup") {
		t.Errorf("vet: %v\n%s", err, out)
	}
}
