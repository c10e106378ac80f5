package adahessian

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unsafe"
)

var updateState = flag.Bool("update-state", false, "write the files of testdata/state")

var (
	_ io.WriterTo                = (*Optimizer[float32])(nil)
	_ io.ReaderFrom              = (*Optimizer[float64])(nil)
	_ encoding.BinaryMarshaler   = (*Optimizer[float32])(nil)
	_ encoding.BinaryAppender    = (*Optimizer[weight])(nil)
	_ encoding.BinaryUnmarshaler = (*Optimizer[float64])(nil)
)

// stateRun is a training run.
type stateRun[T Float] struct {
	*Optimizer[T]
	params []Param[T]
	grads  [][]T
}

// newStateRun makes a run with groups, layouts and offsets of every kind. The tensors
// are small, except that the second has large more elements.
func newStateRun[T Float](t testing.TB, opts Options, large int) *stateRun[T] {
	t.Helper()
	slow := &Hyper{LR: 0.01, Beta1: 0.8, Beta2: 0.99, Eps: 1e-3, WeightDecay: 0.1, HessianPower: 1, MaxUpdate: 2}
	power := &Hyper{LR: 0.05, Beta1: 0.7, Beta2: 0.9, Eps: 1e-4, HessianPower: 0.5}
	r := &stateRun[T]{params: []Param[T]{
		{Name: "bias", Layout: Elementwise(7)},
		{Name: "embedding", Layout: Elementwise(11 + large), Hyper: slow},
		{Name: "oihw", Layout: Layout{3, 9, 1}},
		{Name: "hwio", Layout: Layout{1, 9, 4}, Hyper: slow, Offset: 1 << 40},
		{Name: "none", Layout: Elementwise(0)},
		{Name: "middle", Layout: Layout{2, 3, 2}, Hyper: power},
	}}
	for i := range r.params {
		p := &r.params[i]
		p.Value = make([]T, p.Layout.Len())
		for k := range p.Value {
			p.Value[k] = T(k%13-6) / 8
		}
		r.grads = append(r.grads, make([]T, len(p.Value)))
	}
	o, err := New(opts, r.params...)
	if err != nil {
		t.Fatal(err)
	}
	r.Optimizer = o
	return r
}

// product is the product with a matrix that couples neighbours. Each multiplication is
// rounded by itself, so the bits are the same on every architecture.
func (r *stateRun[T]) product(y, x [][]T) {
	for i := range x {
		for k := range x[i] {
			next := x[i][(k+1)%len(x[i])]
			y[i][k] = T(T(k%5+1)*x[i][k]) + T(next*T(i-2)/4)
		}
	}
}

// train makes n steps. The gradient has noise that depends on the step, like that of a
// minibatch.
func (r *stateRun[T]) train(t testing.TB, n int) {
	t.Helper()
	r.trainSome(t, n, 1<<30)
}

// trainSome is train, but each parameter has no gradient in about one of oneOf steps.
func (r *stateRun[T]) trainSome(t testing.TB, n, oneOf int) {
	t.Helper()
	for range n {
		values := make([][]T, len(r.params))
		for i, p := range r.params {
			values[i] = p.Value
		}
		r.product(r.grads, values)
		for i := range r.grads {
			for k := range r.grads[i] {
				r.grads[i][k] += T((uint64(k)+r.Steps()*7)%11) / 16
			}
		}
		grads := slices.Clone(r.grads)
		for i := range grads {
			if (i+int(r.Steps()))%oneOf == oneOf-1 {
				grads[i] = nil
			}
		}
		if err := r.Step(grads, func(hz, z [][]T) error { r.product(hz, z); return nil }); err != nil {
			t.Fatal(err)
		}
	}
}

// bits returns everything that training changes.
func (r *stateRun[T]) bits() string {
	var b []byte
	for _, p := range r.params {
		b = appendStateBits(b, p.Value)
	}
	return string(b) + stateBits(r.Optimizer)
}

// stateBits returns everything that loading may change.
func stateBits[T Float](o *Optimizer[T]) string {
	age := o.age
	if o.NeedsHessian() {
		age = 0 // once a refresh is due, the age no longer matters
	}
	b := fmt.Appendf(nil, "%+v %d %d %d;", o.options, o.steps, o.refreshes, age)
	for i := range o.tensors {
		t := &o.tensors[i]
		b = fmt.Appendf(b, "%q %v %d %d %v;", t.name, t.layout, t.offset, o.stepsOf(i), t.curved)
		b = appendStateBits(appendStateBits(appendStateBits(b, t.m), t.v), t.d)
	}
	return string(b)
}

// appendStateBits appends the memory of x.
func appendStateBits[T Float](b []byte, x []T) []byte {
	n := len(x) * int(unsafe.Sizeof(T(0)))
	return append(b, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), n)...)
}

func (r *stateRun[T]) save(t testing.TB) []byte {
	t.Helper()
	b, err := r.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func stateOptions(samples, each int) Options {
	o := DefaultOptions()
	o.Samples, o.UpdateEach, o.Seed = samples, each, 0x0123456789abcdef
	return o
}

// stateRows are numbers of samples and steps per refresh. After 5 steps, a period of 3
// or 4 has begun but not ended.
var stateRows = [][2]int{{1, 1}, {3, 1}, {1, 4}, {2, 3}}

// TestStateResume trains 2N steps in one run, and in two runs with a saved state
// between them, on every pair of instruction sets.
func TestStateResume(t *testing.T) {
	for _, first := range isaChoices() {
		for _, second := range isaChoices() {
			for _, row := range stateRows {
				opts := stateOptions(row[0], row[1])
				name := fmt.Sprintf("%s to %s, Samples %d, UpdateEach %d", first.name, second.name, row[0], row[1])
				t.Run(name, func(t *testing.T) {
					t.Run("float32", func(t *testing.T) { testStateResume[float32](t, opts, first, second) })
					t.Run("float64", func(t *testing.T) { testStateResume[float64](t, opts, first, second) })
					t.Run("named", func(t *testing.T) { testStateResume[weight](t, opts, first, second) })
				})
			}
		}
	}
}

func testStateResume[T Float](t *testing.T, opts Options, first, second isaChoice) {
	const n = 5
	large := 0
	if opts.Samples > 1 && opts.UpdateEach > 1 {
		large = 70_000 // takes several pieces of the stream, and several workers
	}
	first.run(t)
	whole := newStateRun[T](t, opts, large)
	whole.train(t, n)
	var saved bytes.Buffer
	if k, err := whole.WriteTo(&saved); err != nil || k != int64(saved.Len()) {
		t.Fatalf("WriteTo = %d, %v; it wrote %d bytes", k, err, saved.Len())
	}
	size := int64(saved.Len())

	opts.Workers = 1 // the first run has as many as there are processors
	resumed := newStateRun[T](t, opts, large)
	resumed.train(t, 2) // ReadFrom must replace all of this
	for i, p := range resumed.params {
		copy(p.Value, whole.params[i].Value)
	}
	m, v := resumed.State(1)
	if k, err := resumed.ReadFrom(&saved); err != nil || k != size {
		t.Fatalf("ReadFrom = %d, %v, want %d", k, err, size)
	}
	if m2, v2 := resumed.State(1); &m[0] != &m2[0] || &v[0] != &v2[0] {
		t.Error("the slices of State are no longer live")
	}
	if resumed.Steps() != n {
		t.Errorf("Steps() = %d, want %d", resumed.Steps(), n)
	}

	whole.train(t, n)
	second.run(t)
	resumed.train(t, n)
	resumed.options.Workers = whole.options.Workers
	if whole.bits() != resumed.bits() {
		t.Error("the resumed run differs")
	}
}

// TestStateOwnSteps resumes runs of parameters that have made different numbers of
// steps: some gradients are missing, and one parameter was added late, between
// refreshes.
func TestStateOwnSteps(t *testing.T) {
	forFloats(t, testStateOwnSteps[float32], testStateOwnSteps[float64], testStateOwnSteps[weight])
}

func testStateOwnSteps[T Float](t *testing.T) {
	for _, row := range stateRows {
		opts := stateOptions(row[0], row[1])
		whole := newStateRun[T](t, opts, 0)
		whole.trainSome(t, 5, 4)
		late := Param[T]{Name: "late", Layout: Layout{2, 2, 3}, Value: make([]T, 12)}
		if err := whole.Add(late); err != nil {
			t.Fatal(err)
		}
		whole.params, whole.grads = append(whole.params, late), append(whole.grads, make([]T, 12))
		for step := range 9 {
			saved, values := whole.save(t), whole.bits()
			resumed := newStateRun[T](t, opts, 0)
			late.Value = make([]T, 12)
			if err := resumed.Add(late); err != nil {
				t.Fatal(err)
			}
			resumed.params, resumed.grads = append(resumed.params, late), append(resumed.grads, make([]T, 12))
			resumed.trainSome(t, 2+step, 3)
			if err := resumed.UnmarshalBinary(saved); err != nil {
				t.Fatal(err)
			}
			copyValues(resumed, values)
			if resumed.bits() != values {
				t.Fatalf("Samples %d, UpdateEach %d, %d steps after the late parameter: the bits that were read are not those that were written", row[0], row[1], step)
			}
			whole.trainSome(t, 1, 4)
			resumed.trainSome(t, 1, 4)
			if resumed.bits() != whole.bits() {
				t.Fatalf("Samples %d, UpdateEach %d, %d steps after the late parameter: the next step differs", row[0], row[1], step)
			}
		}
	}
}

// TestStatePeriods loads a state that was saved with another UpdateEach. If a refresh
// was due, that has the effect of SetUpdateEach. Otherwise it is an error.
func TestStatePeriods(t *testing.T) {
	t.Run("float32", testStatePeriods[float32])
	t.Run("float64", testStatePeriods[float64])
}

func testStatePeriods[T Float](t *testing.T) {
	for _, from := range []int{1, 2, 3} {
		for _, to := range []int{1, 2, 3, 5} {
			for steps := range 7 {
				whole := newStateRun[T](t, stateOptions(2, from), 0)
				whole.trainSome(t, steps, 4)
				saved, version1 := whole.save(t), modelOfVersion1(whole.Optimizer).encode()
				opts := stateOptions(2, to)
				loaded := newStateRun[T](t, opts, 0)
				loaded.train(t, 4)
				if from != to && steps%from != 0 {
					since := fmt.Sprintf("UpdateEach: saved with %d, want %d: %d steps", from, to, steps%from)
					wantStateError(t, loaded.Optimizer, saved, since)
					wantStateError(t, loaded.Optimizer, version1, since)
					continue
				}
				if err := loaded.UnmarshalBinary(saved); err != nil {
					t.Fatal(err)
				}
				if from != to {
					if !loaded.NeedsHessian() {
						t.Fatalf("from %d to %d after %d steps: no refresh is due", from, to, steps)
					}
					if err := whole.SetUpdateEach(to); err != nil {
						t.Fatal(err)
					}
				}
				copyValues(loaded, whole.bits())
				for range 8 {
					if loaded.bits() != whole.bits() {
						t.Fatalf("from %d to %d after %d steps: step %d differs", from, to, steps, whole.Steps())
					}
					whole.trainSome(t, 1, 4)
					loaded.trainSome(t, 1, 4)
				}
			}
		}
	}
}

// TestStateSetSteps takes only the moments and the number of steps from another run. If
// a refresh is due, that is the whole state.
func TestStateSetSteps(t *testing.T) {
	forFloats(t, testStateSetSteps[float32], testStateSetSteps[float64], testStateSetSteps[weight])
}

func testStateSetSteps[T Float](t *testing.T) {
	for _, row := range stateRows {
		opts := stateOptions(row[0], row[1])
		whole := newStateRun[T](t, opts, 0)
		whole.train(t, 3*row[1])
		moved := newStateRun[T](t, opts, 0)
		moved.train(t, 2) // SetSteps forgets its curvature
		for i := range whole.params {
			copy(moved.params[i].Value, whole.params[i].Value)
			m, v := moved.State(i)
			fromM, fromV := whole.State(i)
			copy(m, fromM)
			copy(v, fromV)
		}
		if err := moved.SetSteps(whole.Steps()); err != nil {
			t.Fatal(err)
		}
		before := moved.bits()
		for _, steps := range []uint64{whole.Steps() + 1, math.MaxUint64} {
			if row[1] == 1 && steps < math.MaxUint64 {
				continue
			}
			if err := moved.SetSteps(steps); !errors.Is(err, ErrOption) || moved.bits() != before {
				t.Fatalf("UpdateEach %d: SetSteps(%d) = %v, or it has changed something", row[1], steps, err)
			}
		}
		if moved.Steps() != whole.Steps() || !moved.NeedsHessian() {
			t.Fatalf("%d steps, want %d", moved.Steps(), whole.Steps())
		}
		for range 2 * row[1] {
			whole.train(t, 1)
			moved.train(t, 1)
			if moved.bits() != whole.bits() {
				t.Fatalf("Samples %d, UpdateEach %d: step %d differs", row[0], row[1], whole.Steps())
			}
		}
	}
}

// TestReadNamed continues with a model that has grown at its end. The run has the bits
// of one to which the new parameters were added by Add at that point.
func TestReadNamed(t *testing.T) {
	forFloats(t, testReadNamed[float32], testReadNamed[float64], testReadNamed[weight])
}

func testReadNamed[T Float](t *testing.T) {
	late := func() []Param[T] {
		return []Param[T]{
			{Name: "head", Layout: Layout{2, 2, 3}, Value: make([]T, 12)},
			{Name: "bias", Layout: Elementwise(7), Value: make([]T, 7)}, // another has this name too
		}
	}
	for _, row := range stateRows {
		for steps := range 2 * row[1] {
			opts := stateOptions(row[0], row[1])
			whole := newStateRun[T](t, opts, 0)
			whole.trainSome(t, steps, 4)
			saved := whole.save(t)
			grown := newStateRun[T](t, opts, 0)
			for _, r := range []*stateRun[T]{whole, grown} {
				more := late()
				if err := r.Add(more...); err != nil {
					t.Fatal(err)
				}
				r.params, r.grads = append(r.params, more...), append(r.grads, make([]T, 12), make([]T, 7))
			}
			copyValues(grown, whole.bits())
			missing, unused, err := grown.ReadNamed(io.MultiReader(bytes.NewReader(saved), panicReader{}))
			if err != nil || !slices.Equal(missing, []string{"head", "bias"}) || unused != nil {
				t.Fatalf("ReadNamed = %q, %q, %v", missing, unused, err)
			}
			for range 2*row[1] + 1 {
				if grown.bits() != whole.bits() {
					t.Fatalf("Samples %d, UpdateEach %d, grown after %d steps: step %d differs", row[0], row[1], steps, whole.Steps())
				}
				whole.trainSome(t, 1, 5)
				grown.trainSome(t, 1, 5)
			}
		}
	}
}

// TestReadNamedFits takes what fits from a state with another order, other layouts and
// names that occur several times.
func TestReadNamedFits(t *testing.T) {
	opts := stateOptions(1, 3)
	saved := newStateOptimizer(t, opts, []Param[float64]{
		{Name: "gone", Layout: Elementwise(3)},
		{Name: "a", Layout: Elementwise(4)},
		{Name: "w", Layout: Layout{2, 3, 2}},
		{Name: "w", Layout: Layout{2, 3, 2}},
		{Name: "reshaped", Layout: Layout{2, 3, 2}},
		{Name: "same", Layout: Elementwise(2)},
		{Name: "same", Layout: Elementwise(2)},
		{Name: "same", Layout: Elementwise(2)},
	})
	saved.tensors[1].curved = false
	saved.setCohorts([]uint64{7, 6, 5, 4, 7, 7, 7, 7})
	o := newStateOptimizer(t, opts, []Param[float64]{
		{Name: "w", Layout: Layout{2, 3, 2}, Offset: 1 << 50},
		{Name: "new", Layout: Elementwise(5)},
		{Name: "reshaped", Layout: Layout{4, 3, 1}},
		{Name: "same", Layout: Elementwise(3)},
		{Name: "same", Layout: Elementwise(2)},
		{Name: "a", Layout: Elementwise(4)},
		{Name: "w", Layout: Layout{2, 3, 2}},
	})
	setCounts(o, 4)
	o.setCohorts([]uint64{1, 2, 3, 4, 4, 4, 4})
	o.tensors[1].curved = false
	before := takeSnapshot(o)
	missing, unused, err := o.ReadNamed(bytes.NewReader(modelOf(saved).encode()))
	if err != nil || !slices.Equal(missing, []string{"new", "reshaped", "same"}) || !slices.Equal(unused, []string{"gone", "reshaped", "same", "same"}) {
		t.Fatalf("ReadNamed = %q, %q, %v", missing, unused, err)
	}
	if o.Steps() != 7 || o.refreshes != 3 || o.age != 1 {
		t.Errorf("counts %+v", o.counters)
	}
	for i, from := range []int{2, -1, -1, -1, 6, 1, 3} {
		own := &o.tensors[i]
		m, v, d, steps, curved := before.m[i], before.v[i], before.d[i], uint64(i)+1, i != 1
		if from >= 0 {
			x := &saved.tensors[from]
			m, v, d, steps, curved = x.m, x.v, x.d, saved.stepsOf(from), x.curved
			if !curved {
				d = make([]float64, len(d))
			}
		}
		if i == 3 {
			steps = 4
		}
		requireSame(t, own.m, m, "parameter %d: m", i)
		requireSame(t, own.v, v, "parameter %d: v", i)
		requireSame(t, own.d, d, "parameter %d: D", i)
		if o.stepsOf(i) != steps || own.curved != curved {
			t.Errorf("parameter %d: %d steps, curvature kept: %v, want %d, %v", i, o.stepsOf(i), own.curved, steps, curved)
		}
	}
}

// TestReadNamedFaults makes sure that a stream that is no state, or not of this run,
// changes nothing.
func TestReadNamedFaults(t *testing.T) {
	o := newStateOptimizer(t, stateOptions(2, 3), append(stateParams(), Param[float32]{Name: "new", Layout: Elementwise(2)}))
	setCounts(o, 5)
	from := newStateOptimizer(t, stateOptions(2, 3), append(stateParams()[1:], Param[float32]{Name: "gone", Layout: Elementwise(3)}))
	refuse := func(data []byte, want string) {
		t.Helper()
		before := stateBits(o)
		missing, unused, err := o.ReadNamed(bytes.NewReader(data))
		if !errors.Is(err, ErrState) || !strings.Contains(err.Error(), want) || missing != nil || unused != nil {
			t.Errorf("ReadNamed = %q, %q, %v, want ErrState that says %q", missing, unused, err, want)
		}
		if stateBits(o) != before {
			t.Error("a state that was refused has changed the optimizer")
		}
	}
	saved := modelOf(from).encode()
	for n := range saved {
		refuse(saved[:n], "unexpected EOF")
		for bit := range 8 {
			flipped := bytes.Clone(saved)
			flipped[n] ^= 1 << bit
			refuse(flipped, "")
		}
	}
	for _, c := range []struct {
		name string
		edit func(m *stateModel)
		want string
	}{
		{"seed", func(m *stateModel) { m.seed = 5 }, "header: Seed: saved with 5"},
		{"samples", func(m *stateModel) { m.samples = 3 }, "header: Samples: saved with 3, want 2"},
		{"period", func(m *stateModel) { m.each = 4 }, "header: UpdateEach: saved with 4, want 3: 1 steps"},
		{"type", func(m *stateModel) { m.size = 8 }, "header: bytes of an element"},
		{"parameters", func(m *stateModel) { m.params = 1 << 40 }, "header: number of parameters: saved with 1099511627776, want at most 1048580"},
		{"missing parameter ahead", func(m *stateModel) {
			m.steps, m.refreshes, m.age = 4, 2, 1
			for i := range m.records {
				m.records[i].steps = 4
			}
		}, `parameter 0 "a", which is not in the state: it has made 5 steps, and the state 4`},
		{"unused names", func(m *stateModel) {
			m.params, m.records = 1<<20, nil
			for range 257 {
				m.records = append(m.records, recordModel{layout: [3]uint64{1, 1, 1}, nameLen: 65535, name: strings.Repeat("x", 65535)})
			}
		}, "saved parameter 256 \"xxx"},
		{"elements without end", func(m *stateModel) { m.records[2].layout[0] = 1 << 60 }, "read failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && c.name == "unused names" {
				t.Skip("it takes 17 MB")
			}
			m := modelOf(from)
			c.edit(m)
			refuse(m.encode(), c.want)
		})
	}
	if _, _, err := o.ReadNamed(nil); !errors.Is(err, ErrState) {
		t.Errorf("without a reader: %v", err)
	}
}

// TestStateLoadsOnlyState makes sure that loading does not change the hyperparameters
// and the values.
func TestStateLoadsOnlyState(t *testing.T) {
	r := newStateRun[float32](t, stateOptions(1, 1), 0)
	r.train(t, 1)
	saved := r.save(t)
	if err := r.SetLR(0.5); err != nil {
		t.Fatal(err)
	}
	r.params[0].Value[0] = 42
	if err := r.UnmarshalBinary(saved); err != nil {
		t.Fatal(err)
	}
	if r.options.LR != 0.5 || r.params[0].Value[0] != 42 {
		t.Errorf("loading a state set LR = %v and a value = %v", r.options.LR, r.params[0].Value[0])
	}
}

func TestStateEmpty(t *testing.T) {
	o, err := New[float32](DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	b, err := o.MarshalBinary()
	if err != nil || len(b) != 76 {
		t.Fatalf("MarshalBinary: %d bytes, %v, want 76", len(b), err)
	}
	if err := o.UnmarshalBinary(b); err != nil {
		t.Error(err)
	}
}

// TestStateStream reads several states, and what lies between them, from one stream.
// The stream must never be asked for more than the rest of a state.
func TestStateStream(t *testing.T) {
	a := newStateRun[float32](t, stateOptions(2, 3), 30_000)
	b := newStateRun[float64](t, stateOptions(1, 1), 0)
	a.train(t, 2)
	b.train(t, 3)
	var stream bytes.Buffer
	for _, w := range []io.WriterTo{a, strings.NewReader("between"), b, a} {
		if _, err := w.WriteTo(&stream); err != nil {
			t.Fatal(err)
		}
	}
	wantA, wantB := a.bits(), b.bits()
	sizeA, sizeB := len(a.save(t)), len(b.save(t))
	a.train(t, 1)
	b.train(t, 1)

	restoreValues := func() { // which bits has too, but the state does not
		copyValues(a, wantA)
		copyValues(b, wantB)
	}
	read := func(o io.ReaderFrom, size int) {
		t.Helper()
		if n, err := o.ReadFrom(&exactReader{t, &stream, size}); err != nil || n != int64(size) {
			t.Fatalf("ReadFrom = %d, %v, want %d", n, err, size)
		}
	}
	read(a, sizeA)
	if s := string(stream.Next(len("between"))); s != "between" {
		t.Fatalf("after a state: %q", s)
	}
	read(b, sizeB)
	restoreValues()
	if a.bits() != wantA || b.bits() != wantB {
		t.Error("the states that were read are not those that were written")
	}
	a.train(t, 1)
	read(a, sizeA)
	restoreValues()
	if a.bits() != wantA || stream.Len() > 0 {
		t.Errorf("the last state differs, or %d bytes are left over", stream.Len())
	}
}

// copyValues sets the parameters to those at the beginning of bits.
func copyValues[T Float](r *stateRun[T], bits string) {
	for _, p := range r.params {
		n := len(p.Value) * int(unsafe.Sizeof(T(0)))
		copy(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(p.Value))), n), bits[:n])
		bits = bits[n:]
	}
}

// exactReader fails the test if more than the rest is asked for.
type exactReader struct {
	t    *testing.T
	r    io.Reader
	rest int
}

func (r *exactReader) Read(p []byte) (int, error) {
	if len(p) > r.rest || len(p) > stateChunk {
		r.t.Errorf("Read of %d bytes where %d are left", len(p), r.rest)
	}
	n, err := r.r.Read(p)
	r.rest -= n
	return n, err
}

func TestStateAppend(t *testing.T) {
	r := newStateRun[float64](t, stateOptions(1, 2), 0)
	r.train(t, 1)
	want := r.save(t)
	for _, room := range []int{0, 10, 10_000} {
		prefix := append(make([]byte, 0, len("prefix")+room), "prefix"...)
		b, err := r.AppendBinary(prefix)
		if err != nil || string(b) != "prefix"+string(want) || string(prefix) != "prefix" {
			t.Errorf("room for %d: AppendBinary: %d bytes, %v, want %d", room, len(b), err, len(prefix)+len(want))
		}
		if inPlace := &b[0] == &prefix[0]; inPlace != (room == 10_000) {
			t.Errorf("room for %d: in place: %v", room, inPlace)
		}
	}
	if cap(want) > len(want)+len(want)/4 {
		t.Errorf("MarshalBinary: %d bytes in %d", len(want), cap(want))
	}
}

func TestStateLongName(t *testing.T) {
	for _, n := range []int{65535, 65536} {
		name := strings.Repeat("n", n)
		o, err := New(DefaultOptions(), Param[float32]{Name: name, Value: make([]float32, 1)})
		if err != nil {
			t.Fatal(err)
		}
		prefix := []byte("prefix")
		b, err := o.AppendBinary(prefix)
		if n == 65535 {
			if err != nil {
				t.Fatal(err)
			}
			if err := o.UnmarshalBinary(b[len(prefix):]); err != nil {
				t.Error(err)
			}
			continue
		}
		if !errors.Is(err, ErrState) || string(b) != "prefix" || len(err.Error()) > 200 {
			t.Errorf("a name of %d bytes: %.300v", n, err)
		}
		var w bytes.Buffer
		if k, err := o.WriteTo(&w); k != 0 || w.Len() != 0 || !errors.Is(err, ErrState) {
			t.Errorf("a name of %d bytes: WriteTo = %d, %.300v", n, k, err)
		}
	}
}

// stateModel is a state field by field, as docs/state.md describes it. Its encoding
// shares no code with the package, and its fields can be anything.
type stateModel struct {
	magic              string
	version, size      uint32
	params, seed       uint64
	samples, each      uint64
	steps, refreshes   uint64
	age                uint64 // since version 2
	records            []recordModel
	arrays             [][]uint64 // elements as words
	elementBytes       int        // of an encoded element; usually size
	bytes              []byte     // encoded so far
	unsummed           []byte     // encoded since the last checksum
	wrongSum, sumCount int        // the wrongSum-th checksum, counted from 1, is wrong
}

type recordModel struct {
	layout  [3]uint64
	offset  uint64
	steps   uint64 // since version 2
	curved  uint8  // since version 2
	nameLen uint16
	name    string
}

// modelOf returns the model of the optimizer's state.
func modelOf[T Float](o *Optimizer[T]) *stateModel {
	m := modelOfVersion1(o)
	m.version, m.arrays = 2, nil
	if !o.NeedsHessian() {
		m.age = o.age
	}
	for i := range o.tensors {
		t, r := &o.tensors[i], &m.records[i]
		r.steps = o.stepsOf(i)
		m.arrays = append(m.arrays, stateWords(t.m), stateWords(t.v))
		if t.curved {
			r.curved = 1
			m.arrays = append(m.arrays, stateWords(t.d))
		}
	}
	return m
}

// modelOfVersion1 returns the model of the state in version 1 of the format, which has
// one number of steps for all parameters.
func modelOfVersion1[T Float](o *Optimizer[T]) *stateModel {
	size := int(unsafe.Sizeof(T(0)))
	m := &stateModel{
		magic: "AdaHess\n", version: 1, size: uint32(size), elementBytes: size,
		params: uint64(len(o.tensors)), seed: o.options.Seed,
		samples: uint64(o.options.Samples), each: uint64(o.options.UpdateEach),
		steps: o.steps, refreshes: o.refreshes,
	}
	for i := range o.tensors {
		t := &o.tensors[i]
		m.records = append(m.records, recordModel{
			layout: [3]uint64{uint64(t.layout.Outer), uint64(t.layout.Block), uint64(t.layout.Inner)},
			offset: t.offset, nameLen: uint16(len(t.name)), name: t.name,
		})
		m.arrays = append(m.arrays, stateWords(t.m), stateWords(t.v))
		if o.options.UpdateEach > 1 {
			m.arrays = append(m.arrays, stateWords(t.d))
		}
	}
	return m
}

// stateWords returns the elements' bits.
func stateWords[T Float](x []T) []uint64 {
	w := make([]uint64, len(x))
	for i := range x {
		if p := unsafe.Pointer(&x[i]); unsafe.Sizeof(x[i]) == 4 {
			w[i] = uint64(*(*uint32)(p))
		} else {
			w[i] = *(*uint64)(p)
		}
	}
	return w
}

// encode returns the bytes, least significant first, each part with the
// checksum of everything before it.
func (m *stateModel) encode() []byte {
	m.bytes, m.unsummed, m.sumCount = nil, nil, 0
	sum := ^uint32(0)
	m.add([]byte(m.magic)...)
	m.word(uint64(m.version), 4)
	m.word(uint64(m.size), 4)
	for _, w := range []uint64{m.params, m.seed, m.samples, m.each, m.steps, m.refreshes} {
		m.word(w, 8)
	}
	if m.version != 1 {
		m.word(m.age, 8)
	}
	m.seal(&sum)
	for _, r := range m.records {
		for _, w := range []uint64{r.layout[0], r.layout[1], r.layout[2], r.offset} {
			m.word(w, 8)
		}
		if m.version != 1 {
			m.word(r.steps, 8)
			m.add(r.curved)
		}
		m.word(uint64(r.nameLen), 2)
		m.add([]byte(r.name)...)
		m.seal(&sum)
	}
	for _, x := range m.arrays {
		for _, w := range x {
			m.word(w, m.elementBytes)
		}
		m.seal(&sum)
	}
	return m.bytes
}

func (m *stateModel) add(p ...byte) {
	m.bytes = append(m.bytes, p...)
	m.unsummed = append(m.unsummed, p...)
}

func (m *stateModel) word(w uint64, bytes int) {
	for range bytes {
		m.add(byte(w))
		w >>= 8
	}
}

// seal appends the checksum: CRC-32C by its definition, bit by bit.
func (m *stateModel) seal(sum *uint32) {
	for _, b := range m.unsummed {
		*sum ^= uint32(b)
		for range 8 {
			*sum = *sum>>1 ^ 0x82f63b78*(*sum&1)
		}
	}
	value := ^*sum
	if m.sumCount++; m.sumCount == m.wrongSum {
		value ^= 0x40
	}
	m.word(uint64(value), 4)
	m.unsummed = nil
}

// wantStateError loads data in every way. That must fail with ErrState and the texts,
// and leave the optimizer as it is.
func wantStateError[T Float](t testing.TB, o *Optimizer[T], data []byte, texts ...string) {
	t.Helper()
	before := stateBits(o)
	n, err := o.ReadFrom(bytes.NewReader(data))
	if n < 0 || n > int64(len(data)) {
		t.Errorf("ReadFrom = %d of %d bytes", n, len(data))
	}
	for _, err := range []error{err, o.UnmarshalBinary(data)} {
		if !errors.Is(err, ErrState) {
			t.Errorf("error %v, want ErrState", err)
			continue
		}
		for _, text := range texts {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("error %q does not say %q", err, text)
			}
		}
		if len(err.Error()) > 400 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	}
	if stateBits(o) != before {
		t.Error("a state that was refused has changed the optimizer")
	}
}

// TestStateTruncated cuts a state off at every byte.
func TestStateTruncated(t *testing.T) {
	t.Run("float32", testStateTruncated[float32])
	t.Run("float64", testStateTruncated[float64])
}

func testStateTruncated[T Float](t *testing.T) {
	r := newStateRun[T](t, stateOptions(2, 3), 0)
	r.train(t, 2)
	saved := r.save(t)
	r.train(t, 2)
	before := r.bits()
	for n := range saved {
		wantStateError(t, r.Optimizer, saved[:n])
		if k, err := r.ReadFrom(bytes.NewReader(saved[:n])); k != int64(n) || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d of %d bytes: ReadFrom = %d, %v, want %d, io.ErrUnexpectedEOF", n, len(saved), k, err, n)
		}
	}
	if r.bits() != before {
		t.Error("the run has changed")
	}
	wantStateError(t, r.Optimizer, nil, "header", "after 0 bytes", "unexpected EOF")
	wantStateError(t, r.Optimizer, saved[:len(saved)-1], `parameter 5 "middle": curvature`, "unexpected EOF")
}

// TestStateBitFlips flips every bit of a state.
func TestStateBitFlips(t *testing.T) {
	t.Run("float32", testStateBitFlips[float32])
	t.Run("float64", testStateBitFlips[float64])
}

func testStateBitFlips[T Float](t *testing.T) {
	o, err := New(stateOptions(2, 3),
		Param[T]{Name: "a", Value: make([]T, 4), Layout: Layout{2, 2, 1}},
		Param[T]{Name: "bc", Value: make([]T, 3), Offset: 100})
	if err != nil {
		t.Fatal(err)
	}
	fillState(o)
	saved, err := o.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	o.tensors[0].m[0] = 42
	setCounts(o, 4)
	for bit := range 8 * len(saved) {
		flipped := bytes.Clone(saved)
		flipped[bit/8] ^= 1 << (bit % 8)
		wantStateError(t, o, flipped)
	}
	for _, n := range []int{2, 3, 4, 7, 8, 32, 64} { // bursts, such as a torn write leaves
		for at := range len(saved) - n {
			torn := bytes.Clone(saved)
			clear(torn[at : at+n])
			if !bytes.Equal(torn, saved) {
				wantStateError(t, o, torn)
			}
		}
	}
	if err := o.UnmarshalBinary(saved); err != nil {
		t.Error(err)
	}
}

// setCounts sets the counts of the optimizer and its parameters as if they had made the
// given number of steps since one refresh.
func setCounts[T Float](o *Optimizer[T], steps uint64) {
	each := uint64(o.options.UpdateEach)
	o.counters = counters{steps: steps, refreshes: refreshesAfter(steps, each), age: steps % each}
	own := make([]uint64, len(o.tensors))
	for i := range own {
		own[i] = steps
		o.tensors[i].curved = each > 1
	}
	o.setCohorts(own)
}

// fillState gives the optimizer 7 steps, and fills its arrays with words that are
// easily lost (signs of zero, subnormals, infinities, and NaN of every kind) and then
// 1, 2, 3, …
func fillState[T Float](o *Optimizer[T]) {
	setCounts(o, 7)
	special := []uint64{0x80000000, 0x00000001, 0x7f800000, 0xff800000, 0x7fc12345, 0xff80abcd}
	if unsafe.Sizeof(T(0)) == 8 {
		special = []uint64{1 << 63, 1, 0x7ff0 << 48, 0xfff0 << 48, 0x7ff8_0123_4567_89ab, 0xfff0_0000_0000_abcd}
	}
	next := 0
	for i := range o.tensors {
		for _, x := range o.tensors[i].saved() {
			for k := range x {
				if next++; next > len(special) {
					x[k] = T(next - len(special))
				} else if p := unsafe.Pointer(&x[k]); unsafe.Sizeof(x[k]) == 4 {
					*(*uint32)(p) = uint32(special[next-1])
				} else {
					*(*uint64)(p) = special[next-1]
				}
			}
		}
	}
}

// stateParams are small parameters for states of other configurations.
func stateParams() []Param[float32] {
	return []Param[float32]{
		{Name: "a", Layout: Elementwise(4)},
		{Name: "b", Layout: Elementwise(4)},
		{Name: "conv", Layout: Layout{2, 3, 2}, Offset: 1000},
	}
}

func newStateOptimizer[T Float](t testing.TB, opts Options, params []Param[T]) *Optimizer[T] {
	t.Helper()
	for i := range params {
		params[i].Value = make([]T, params[i].Layout.Len())
	}
	o, err := New(opts, params...)
	if err != nil {
		t.Fatal(err)
	}
	fillState(o)
	return o
}

// TestStateConfigurations loads states of optimizers that differ in one thing.
func TestStateConfigurations(t *testing.T) {
	o := newStateOptimizer(t, stateOptions(2, 3), stateParams())
	for _, c := range []struct {
		name string
		edit func(opts *Options, params []Param[float32]) []Param[float32]
		want []string
	}{
		{"seed", func(o *Options, p []Param[float32]) []Param[float32] { o.Seed = 5; return p },
			[]string{"header: Seed: saved with 5, want 81985529216486895"}},
		{"samples", func(o *Options, p []Param[float32]) []Param[float32] { o.Samples = 1; return p },
			[]string{"header: Samples: saved with 1, want 2"}},
		{"period", func(o *Options, p []Param[float32]) []Param[float32] { o.UpdateEach = 5; return p },
			[]string{"header: UpdateEach: saved with 5, want 3: 2 steps have been made since the last refresh"}},
		{"fewer parameters", func(_ *Options, p []Param[float32]) []Param[float32] { return p[:2] },
			[]string{"header: number of parameters: saved with 2, want 3"}},
		{"more parameters", func(_ *Options, p []Param[float32]) []Param[float32] { return append(p, Param[float32]{}) },
			[]string{"header: number of parameters: saved with 4, want 3"}},
		{"name", func(_ *Options, p []Param[float32]) []Param[float32] { p[1].Name = "β"; return p },
			[]string{`parameter 1 "b": saved with the name "β"`}},
		{"no name", func(_ *Options, p []Param[float32]) []Param[float32] { p[1].Name = ""; return p },
			[]string{`parameter 1 "b": saved with the name ""`}},
		{"longest name", func(_ *Options, p []Param[float32]) []Param[float32] {
			p[2].Name = strings.Repeat("x", 65535)
			return p
		}, []string{`parameter 2 "conv": saved with the name "xxxxx`}},
		{"order", func(_ *Options, p []Param[float32]) []Param[float32] { p[0], p[1] = p[1], p[0]; return p },
			[]string{`parameter 0 "a": saved with the name "b"`}},
		{"offset", func(_ *Options, p []Param[float32]) []Param[float32] { p[2].Offset = 8; return p },
			[]string{`parameter 2 "conv": saved with Offset 8, want 1000`}},
		{"offset that another parameter's makes", func(_ *Options, p []Param[float32]) []Param[float32] {
			p[0].Offset = 16
			return p
		}, []string{`parameter 0 "a": saved with Offset 16, want 0`}},
		{"length", func(_ *Options, p []Param[float32]) []Param[float32] { p[1].Layout = Elementwise(5); return p },
			[]string{`parameter 1 "b": saved with Layout {5 1 1}, want {4 1 1}`}},
		{"block", func(_ *Options, p []Param[float32]) []Param[float32] { p[2].Layout.Block = 4; return p },
			[]string{`parameter 2 "conv": saved with Layout {2 4 2}, want {2 3 2}`}},
		{"inner", func(_ *Options, p []Param[float32]) []Param[float32] { p[2].Layout.Inner = 3; return p },
			[]string{`parameter 2 "conv": saved with Layout {2 3 3}, want {2 3 2}`}},
		{"layout of as many elements and blocks", func(_ *Options, p []Param[float32]) []Param[float32] {
			p[2].Layout = Layout{4, 3, 1}
			return p
		}, []string{`parameter 2 "conv": saved with Layout {4 3 1}, want {2 3 2}`}},
		{"layout of as many elements", func(_ *Options, p []Param[float32]) []Param[float32] {
			p[2].Layout = Layout{2, 2, 3}
			return p
		}, []string{`parameter 2 "conv": saved with Layout {2 2 3}, want {2 3 2}`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			opts := stateOptions(2, 3)
			params := c.edit(&opts, stateParams())
			other := newStateOptimizer(t, opts, params)
			saved, err := other.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			wantStateError(t, o, saved, c.want...)
		})
	}
	t.Run("element type", func(t *testing.T) {
		wide := newStateOptimizer(t, stateOptions(2, 3), []Param[float64]{
			{Name: "a", Layout: Elementwise(4)},
			{Name: "b", Layout: Elementwise(4)},
			{Name: "conv", Layout: Layout{2, 3, 2}, Offset: 1000},
		})
		wantStateError(t, o, modelOf(wide).encode(), "header: bytes of an element: saved with 8, want 4")
		wantStateError(t, wide, modelOf(o).encode(), "header: bytes of an element: saved with 4, want 8")
	})
	t.Run("other named type", func(t *testing.T) {
		named := newStateOptimizer(t, stateOptions(2, 3), []Param[weight]{
			{Name: "a", Layout: Elementwise(4)},
			{Name: "b", Layout: Elementwise(4)},
			{Name: "conv", Layout: Layout{2, 3, 2}, Offset: 1000},
		})
		named.tensors[2].d[3] = 42
		if err := named.UnmarshalBinary(modelOf(o).encode()); err != nil {
			t.Error(err)
		}
		if stateBits(named) != stateBits(o) {
			t.Error("the elements differ")
		}
	})
}

// TestStateForged loads states that no optimizer writes, with right checksums unless
// said otherwise, and measures the memory that this takes.
func TestStateForged(t *testing.T) {
	o := newStateOptimizer(t, stateOptions(2, 3), stateParams())
	const most = 1<<64 - 1
	forged := func(t *testing.T, m *stateModel, edit func(m *stateModel), want string) {
		edit(m)
		data := m.encode()
		wantStateError(t, o, data, want)
		if n := stateAllocated(func() { o.ReadFrom(bytes.NewReader(data)) }); n > 4*stateChunk {
			t.Errorf("ReadFrom allocated %d bytes", n)
		}
	}
	type row struct {
		name string
		edit func(m *stateModel)
		want string
	}
	for _, c := range []row{
		{"magic", func(m *stateModel) { m.magic = "AdaHess\r" }, `header: begins with "AdaHess\r", want "AdaHess\n": not a state that WriteTo wrote`},
		{"line ends", func(m *stateModel) { m.magic = "AdaHess\r\n" }, "not a state that WriteTo wrote"},
		{"version 0", func(m *stateModel) { m.version = 0 }, "header: version 0 of the format, want 1"},
		{"version 3", func(m *stateModel) { m.version = 3 }, "header: version 3 of the format, want 1 or 2"},
		{"big-endian", func(m *stateModel) { m.version = 1 << 24 }, "header: version 16777216 of the format, want 1"},
		{"element of 0 bytes", func(m *stateModel) { m.size = 0 }, "saved with 0, want 4"},
		{"element of 4 GiB", func(m *stateModel) { m.size = 1<<32 - 1 }, "saved with 4294967295, want 4"},
		{"no parameters", func(m *stateModel) { m.params = 0 }, "number of parameters: saved with 0, want 3"},
		{"2⁶⁴−1 parameters", func(m *stateModel) { m.params = most }, "number of parameters: saved with 18446744073709551615, want 3"},
		{"no samples", func(m *stateModel) { m.samples = 0 }, "Samples: saved with 0, want 2"},
		{"samples beyond 32 bits", func(m *stateModel) { m.samples += 1 << 32 }, "Samples: saved with 4294967298, want 2"},
		{"no period", func(m *stateModel) { m.each = 0 }, "UpdateEach: saved with 0, want 3"},
		{"length beyond 32 bits", func(m *stateModel) { m.records[1].layout[0] += 1 << 32 }, "saved with Layout {4294967300 1 1}, want {4 1 1}"},
		{"terabytes", func(m *stateModel) { m.records[1].layout = [3]uint64{1 << 42, 1, 1} }, "saved with Layout {4398046511104 1 1}, want {4 1 1}"},
		{"length that wraps to the right one", func(m *stateModel) { m.records[0].layout = [3]uint64{1<<62 + 1, 4, 1} }, "Layout {4611686018427387905 4 1}"},
		{"negative length", func(m *stateModel) { m.records[0].layout[2] = most }, "Layout {4 1 18446744073709551615}"},
		{"name longer than the file", func(m *stateModel) { m.records[2].nameLen = 65535 }, `parameter 2 "conv": read failed after`},
		{"name cut short", func(m *stateModel) { m.records[2].nameLen = 3 }, `parameter 2 "conv": checksum`},
		{"name of noise", func(m *stateModel) {
			m.records[2].nameLen, m.records[2].name = 65535, strings.Repeat("\x00", 65535)
		}, `parameter 2 "conv": saved with the name "\x00`},
		{"header's checksum", func(m *stateModel) { m.wrongSum = 1 }, "header: checksum"},
		{"record's checksum", func(m *stateModel) { m.wrongSum = 3 }, `parameter 1 "b": checksum`},
		{"checksum of m", func(m *stateModel) { m.wrongSum = 5 }, `parameter 0 "a": m: checksum`},
		{"checksum of v", func(m *stateModel) { m.wrongSum = 9 }, `parameter 1 "b": v: checksum`},
		{"checksum of the curvature", func(m *stateModel) { m.wrongSum = 13 }, `parameter 2 "conv": curvature: checksum`},
		{"array too short", func(m *stateModel) { m.arrays[3] = m.arrays[3][:3] }, `parameter 1 "b": m: checksum`},
		{"array missing", func(m *stateModel) { m.arrays = m.arrays[:8] }, `parameter 2 "conv": curvature: read failed after`},
		{"wide elements", func(m *stateModel) { m.elementBytes = 8 }, `parameter 0 "a": m: checksum`},
	} {
		t.Run(c.name, func(t *testing.T) {
			forged(t, modelOf(o), c.edit, c.want)
			forged(t, modelOfVersion1(o), c.edit, c.want)
		})
	}
	for _, c := range []row{
		{"too few refreshes", func(m *stateModel) { m.refreshes-- }, "number of refreshes: saved with 2, want 3"},
		{"too many refreshes", func(m *stateModel) { m.refreshes++ }, "number of refreshes: saved with 4, want 3"},
		{"a step more", func(m *stateModel) { m.steps = 10 }, "number of refreshes: saved with 3, want 4"},
		{"no step", func(m *stateModel) { m.steps = 0 }, "number of refreshes: saved with 3, want 0"},
	} {
		t.Run("version 1, "+c.name, func(t *testing.T) { forged(t, modelOfVersion1(o), c.edit, c.want) })
	}
	for _, c := range []row{
		{"age beyond the period", func(m *stateModel) { m.age = 3 }, "age of the curvature: saved with 3 of UpdateEach = 3"},
		{"age of 2⁶⁴−1", func(m *stateModel) { m.age = most }, "age of the curvature: saved with 18446744073709551615"},
		{"age beyond the steps", func(m *stateModel) { m.steps, m.refreshes, m.age = 1, 1, 2 }, "age of the curvature: saved with 2 after 1 steps"},
		{"no refresh", func(m *stateModel) { m.refreshes = 0 }, "number of refreshes: saved with 0 after 7 steps"},
		{"no refresh, and one is due", func(m *stateModel) { m.refreshes, m.age = 0, 0 }, "number of refreshes: saved with 0 after 7 steps"},
		{"more refreshes than steps", func(m *stateModel) { m.refreshes, m.age = 8, 0 }, "number of refreshes: saved with 8 after 7 steps"},
		{"refreshes after the last", func(m *stateModel) { m.refreshes, m.age = 7, 2 }, "number of refreshes: saved with 7 after 7 steps, the last one 2 steps ago"},
		{"no step", func(m *stateModel) { m.steps, m.age = 0, 0 }, "number of refreshes: saved with 3 after 0 steps"},
		{"a parameter ahead", func(m *stateModel) { m.records[1].steps = 8 }, `parameter 1 "b": saved with 8 steps, and its state has made 7`},
		{"a parameter far ahead", func(m *stateModel) { m.records[0].steps = most }, `parameter 0 "a": saved with 18446744073709551615 steps`},
		{"a curvature without a step", func(m *stateModel) { m.records[1].steps = 0 }, `parameter 1 "b": saved with a curvature after 0 steps`},
		{"a curvature that is not kept", func(m *stateModel) { m.each, m.age = 1, 0 }, `parameter 0 "a": saved with a curvature after 7 steps with UpdateEach = 1`},
		{"a flag of 2", func(m *stateModel) { m.records[2].curved = 2 }, `parameter 2 "conv": flag of the curvature: saved with 2, want 0 or 1`},
		{"a flag of 255", func(m *stateModel) { m.records[0].curved = 255 }, `parameter 0 "a": flag of the curvature: saved with 255`},
		{"a curvature less", func(m *stateModel) { m.records[0].curved = 0 }, `parameter 2 "conv": m: checksum`},
		{"another period in the middle of one", func(m *stateModel) { m.each = 2; m.age = 1 }, "header: UpdateEach: saved with 2, want 3: 1 steps"},
	} {
		t.Run("version 2, "+c.name, func(t *testing.T) { forged(t, modelOf(o), c.edit, c.want) })
	}
	t.Run("state that follows", func(t *testing.T) {
		data := append(modelOf(o).encode(), 0)
		before := stateBits(o)
		o.tensors[0].m[0] = 42
		changed := stateBits(o)
		if err := o.UnmarshalBinary(data); !errors.Is(err, ErrState) || !strings.Contains(err.Error(), "1 bytes follow the state") {
			t.Errorf("UnmarshalBinary with one byte too many: %v", err)
		}
		if stateBits(o) != changed {
			t.Error("UnmarshalBinary has changed the optimizer")
		}
		if n, err := o.ReadFrom(bytes.NewReader(data)); err != nil || n != int64(len(data)-1) || stateBits(o) != before {
			t.Errorf("ReadFrom = %d, %v, want %d", n, err, len(data)-1)
		}
	})
	t.Run("last step", func(t *testing.T) {
		for _, m := range []*stateModel{modelOfVersion1(o), modelOf(o)} {
			m.steps, m.refreshes, m.age = most, most/3, 0
			fillState(o)
			if err := o.UnmarshalBinary(m.encode()); err != nil || o.Steps() != most {
				t.Errorf("version %d, the last step: %v", m.version, err)
			}
		}
	})
}

// TestStateSwapped exchanges parts of a state. Their own bytes are right, but each
// checksum also covers everything before it.
func TestStateSwapped(t *testing.T) {
	o := newStateOptimizer(t, stateOptions(1, 1), []Param[float32]{
		{Name: "w", Layout: Elementwise(8)}, {Name: "w", Layout: Elementwise(8)},
	})
	saved, err := o.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	const array = 8*4 + 4
	first := len(saved) - 4*array
	for i := range 4 {
		for k := range i {
			b := bytes.Clone(saved)
			copy(b[first+i*array:][:array], saved[first+k*array:])
			copy(b[first+k*array:][:array], saved[first+i*array:])
			wantStateError(t, o, b, "the state is damaged")
		}
	}
	other := newStateOptimizer(t, stateOptions(1, 1), []Param[float32]{
		{Name: "w", Layout: Elementwise(8)}, {Name: "w", Layout: Elementwise(8)},
	})
	setCounts(other, 8)
	mixed, err := other.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	copy(mixed[:76], saved[:76])
	wantStateError(t, o, mixed, "the state is damaged")
}

// stateAllocated returns the number of bytes that f allocates.
func stateAllocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestStateMemory makes sure that writing a large state takes no more memory than a
// small one, and reading one takes only a second set of arrays in addition.
func TestStateMemory(t *testing.T) {
	o, err := New(stateOptions(1, 2), Param[float64]{Name: "w", Value: make([]float64, 1<<20)})
	if err != nil {
		t.Fatal(err)
	}
	setCounts(o, 1)
	const own = 3 * 8 << 20
	var f sizesWriter
	if n := stateAllocated(func() { _, err = o.WriteTo(&f) }); err != nil || n > 4*stateChunk {
		t.Errorf("WriteTo allocated %d bytes, %v", n, err)
	}
	if f.most > stateChunk || f.total < own {
		t.Errorf("WriteTo wrote %d bytes, %d at a time", f.total, f.most)
	}
	var saved []byte
	// With the race detector the compiled code allocates the buffer twice.
	if n := stateAllocated(func() { saved, err = o.MarshalBinary() }); err != nil || n > 2*own+4*stateChunk {
		t.Errorf("MarshalBinary allocated %d bytes, %v; the state has %d", n, err, own)
	}
	if n := stateAllocated(func() { _, err = o.ReadFrom(bytes.NewReader(saved)) }); err != nil || n > own+4*stateChunk {
		t.Errorf("ReadFrom allocated %d bytes, %v; the state has %d", n, err, own)
	}
}

// sizesWriter remembers how much was written.
type sizesWriter struct{ most, total int }

func (w *sizesWriter) Write(p []byte) (int, error) {
	w.most = max(w.most, len(p))
	w.total += len(p)
	return len(p), nil
}

var errStateTest = errors.New("the disk is on fire")

// TestStateReaders reads from readers that give few bytes at a time, and from readers
// that fail at every byte.
func TestStateReaders(t *testing.T) {
	r := newStateRun[float32](t, stateOptions(2, 3), 0)
	r.train(t, 2)
	saved, want := r.save(t), stateBits(r.Optimizer)
	for _, c := range []struct {
		name string
		wrap func(io.Reader) io.Reader
	}{
		{"one byte", iotest.OneByteReader},
		{"half", iotest.HalfReader},
		{"EOF with the data", iotest.DataErrReader},
		{"one byte, EOF with it", func(r io.Reader) io.Reader { return iotest.DataErrReader(iotest.OneByteReader(r)) }},
		{"error after the end", func(r io.Reader) io.Reader { return io.MultiReader(r, iotest.ErrReader(errStateTest)) }},
	} {
		r.train(t, 1)
		n, err := r.ReadFrom(c.wrap(bytes.NewReader(saved)))
		if n != int64(len(saved)) || err != nil || stateBits(r.Optimizer) != want {
			t.Errorf("%s: ReadFrom = %d, %v, or the state differs", c.name, n, err)
		}
	}
	r.train(t, 1)
	before := stateBits(r.Optimizer)
	for k := range saved {
		n, err := r.ReadFrom(io.MultiReader(bytes.NewReader(saved[:k]), iotest.ErrReader(errStateTest)))
		if n != int64(k) || !errors.Is(err, ErrState) || !errors.Is(err, errStateTest) || errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("failure after %d bytes: ReadFrom = %d, %v", k, n, err)
		}
		if stateBits(r.Optimizer) != before {
			t.Fatalf("failure after %d bytes: the optimizer has changed", k)
		}
	}
	for _, c := range []struct {
		name string
		r    io.Reader
		want error
	}{
		{"that times out", iotest.TimeoutReader(bytes.NewReader(saved)), iotest.ErrTimeout},
		{"that gives nothing", claimingReader(0), io.ErrNoProgress},
		{"that claims -1 bytes", claimingReader(-1), ErrState},
		{"that claims 2³⁰ bytes", claimingReader(1 << 30), ErrState},
	} {
		if _, err := r.ReadFrom(c.r); !errors.Is(err, ErrState) || !errors.Is(err, c.want) {
			t.Errorf("a reader %s: %v", c.name, err)
		}
	}
	if stateBits(r.Optimizer) != before {
		t.Error("the optimizer has changed")
	}
}

// claimingReader claims to have read this many bytes.
type claimingReader int

func (r claimingReader) Read([]byte) (int, error) { return int(r), nil }

// TestStateReaderPanics makes sure that a reader that panics changes nothing.
func TestStateReaderPanics(t *testing.T) {
	r := newStateRun[float64](t, stateOptions(1, 2), 0)
	r.train(t, 2)
	saved := r.save(t)
	r.train(t, 1)
	before := r.bits()
	for k := 0; k < len(saved); k += 7 {
		func() {
			defer func() { recover() }()
			r.ReadFrom(io.MultiReader(bytes.NewReader(saved[:k]), panicReader{}))
			t.Errorf("after %d bytes: no panic", k)
		}()
	}
	if r.bits() != before {
		t.Error("the optimizer has changed")
	}
}

type panicReader struct{}

func (panicReader) Read([]byte) (int, error) { panic("the reader is out of order") }

// faultyWriter takes a number of bytes, and then does what fault says.
type faultyWriter struct {
	room  int
	taken []byte
	fault func(n, asked int) (int, error)
}

func (w *faultyWriter) Write(p []byte) (int, error) {
	n := min(len(p), w.room-len(w.taken))
	w.taken = append(w.taken, p[:n]...)
	if n < len(p) {
		return w.fault(n, len(p))
	}
	return n, nil
}

// TestStateWriters writes to writers that fail at every byte.
func TestStateWriters(t *testing.T) {
	r := newStateRun[float32](t, stateOptions(2, 3), 0)
	r.train(t, 2)
	saved, before := r.save(t), r.bits()
	for room := range saved {
		for _, c := range []struct {
			name  string
			fault func(n, asked int) (int, error)
			want  error
		}{
			{"an error", func(n, _ int) (int, error) { return n, errStateTest }, errStateTest},
			{"a short write", func(n, _ int) (int, error) { return n, nil }, io.ErrShortWrite},
		} {
			w := &faultyWriter{room: room, fault: c.fault}
			n, err := r.WriteTo(w)
			if !errors.Is(err, ErrState) || !errors.Is(err, c.want) || n != int64(room) || !bytes.Equal(w.taken, saved[:room]) {
				t.Errorf("%s after %d bytes: WriteTo = %d, %v", c.name, room, n, err)
			}
		}
	}
	for _, claim := range []int{-1, 1 << 30} {
		w := &faultyWriter{fault: func(int, int) (int, error) { return claim, nil }}
		if n, err := r.WriteTo(w); n != 0 || !errors.Is(err, ErrState) {
			t.Errorf("a writer that claims %d bytes: WriteTo = %d, %v", claim, n, err)
		}
	}
	if r.bits() != before {
		t.Error("writing has changed the run")
	}

	large := newStateRun[float64](t, stateOptions(1, 2), 50_000)
	saved = large.save(t)
	for room := 1000; room < len(saved); room += 99_991 {
		w := &faultyWriter{room: room, fault: func(n, _ int) (int, error) { return n, errStateTest }}
		if n, err := large.WriteTo(w); n != int64(room) || !errors.Is(err, errStateTest) || !bytes.Equal(w.taken, saved[:room]) {
			t.Errorf("an error after %d of %d bytes: WriteTo = %d, %v", room, len(saved), n, err)
		}
	}
}

// goldenState is the optimizer of special32.state and special64.state. docs/state.md
// lists its fields, and fillState makes its words.
func goldenState[T Float](t testing.TB) *Optimizer[T] {
	return newStateOptimizer(t, stateOptions(2, 3), []Param[T]{
		{Name: "w", Layout: Elementwise(3)},
		{Name: "none", Layout: Elementwise(0)},
		{Name: "läuft", Layout: Layout{1, 3, 2}, Offset: 0xfedcba9876543210},
	})
}

// goldenState2 is the optimizer of special32.v2.state and special64.v2.state: the
// second parameter has never had a curvature, and the third was added later.
func goldenState2[T Float](t testing.TB) *Optimizer[T] {
	o := goldenState[T](t)
	o.tensors[1].curved = false
	o.setCohorts([]uint64{7, 7, 4})
	return o
}

// TestStateGolden compares with the files of testdata/state, which an amd64 machine
// wrote. It writes and reads the present version, and only reads version 1.
func TestStateGolden(t *testing.T) {
	t.Run("float32", func(t *testing.T) { testStateGolden[float32](t, "special32") })
	t.Run("float64", func(t *testing.T) { testStateGolden[float64](t, "special64") })
	t.Run("named", func(t *testing.T) { testStateGolden[wide](t, "special64") })
}

func testStateGolden[T Float](t *testing.T, file string) {
	o := goldenState2[T](t)
	saved, err := o.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if model := modelOf(o).encode(); !bytes.Equal(saved, model) {
		t.Fatalf("MarshalBinary does not write the format of docs/state.md:\n%swant\n%s", hex.Dump(saved), hex.Dump(model))
	}
	golden := goldenFile(t, file+".v2.state", saved)
	if !bytes.Equal(saved, golden) {
		t.Fatalf("%s.v2.state differs:\n%swant\n%s", file, hex.Dump(saved), hex.Dump(golden))
	}
	requireGolden(t, o, golden)

	o = goldenState[T](t)
	golden = goldenFile(t, file+".state", nil)
	if model := modelOfVersion1(o).encode(); !bytes.Equal(model, golden) {
		t.Fatalf("%s.state is not what version 1 of docs/state.md describes:\n%swant\n%s", file, hex.Dump(golden), hex.Dump(model))
	}
	requireGolden(t, o, golden)
}

// requireGolden makes sure that reading the state restores the optimizer, whose own
// state it clears first.
func requireGolden[T Float](t *testing.T, o *Optimizer[T], golden []byte) {
	t.Helper()
	want := stateBits(o)
	for i := range o.tensors {
		t := &o.tensors[i]
		for _, x := range [][]T{t.m, t.v, t.d} {
			clear(x)
		}
	}
	setCounts(o, 0)
	if err := o.UnmarshalBinary(golden); err != nil {
		t.Fatal(err)
	}
	if stateBits(o) != want {
		t.Error("the bits that were read are not those that were written")
	}
}

// goldenFile returns the file. With -update-state it writes the file first, unless
// saved is nil: files of version 1 stay as they are.
func goldenFile(t *testing.T, file string, saved []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", "state", file)
	if *updateState && saved != nil {
		if err := os.WriteFile(path, saved, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestStateElsewhere resumes runs from files that were written on an amd64 machine with
// AVX2, with any instruction set on any architecture.
func TestStateElsewhere(t *testing.T) {
	eachISAAndType(t,
		func(t *testing.T) { testStateElsewhere[float32](t, "trained32") },
		func(t *testing.T) { testStateElsewhere[float64](t, "trained64") })
}

func testStateElsewhere[T Float](t *testing.T, file string) {
	here := newStateRun[T](t, stateOptions(2, 3), 0)
	here.train(t, 5)
	goldens := [][]byte{
		goldenFile(t, file+".state", nil),
		goldenFile(t, file+".v2.state", here.save(t)),
	}
	for k, saved := range [][]byte{modelOfVersion1(here.Optimizer).encode(), here.save(t)} {
		if !bytes.Equal(saved, goldens[k]) {
			t.Errorf("5 steps do not give the state of %s in version %d", file, k+1)
		}
	}
	var resumed []*stateRun[T]
	for _, golden := range goldens {
		r := newStateRun[T](t, stateOptions(2, 3), 0)
		for i, p := range r.params {
			copy(p.Value, here.params[i].Value)
		}
		if err := r.UnmarshalBinary(golden); err != nil {
			t.Fatal(err)
		}
		resumed = append(resumed, r)
	}
	here.train(t, 5)
	for k, r := range resumed {
		r.train(t, 5)
		if here.bits() != r.bits() {
			t.Errorf("the run that was resumed from %s in version %d differs", file, k+1)
		}
	}
}

// TestStateDocs makes sure that docs/state.md shows special32.v2.state and the
// code of the example.
func TestStateDocs(t *testing.T) {
	docs := strings.ReplaceAll(readStateFile(t, "docs/state.md"), "\r\n", "\n")
	source := strings.ReplaceAll(readStateFile(t, "example_save_test.go"), "\r\n", "\n")
	var dump []byte
	for i, block := range strings.Split(docs, "```") {
		code, isGo := strings.CutPrefix(block, "go\n")
		bytes, isHex := strings.CutPrefix(block, "hex\n")
		switch {
		case i%2 == 0: // between the blocks of code
		case isGo && !strings.Contains(source, code):
			t.Errorf("example_save_test.go does not have the code of docs/state.md:\n%s", code)
		case isHex:
			for line := range strings.Lines(bytes) {
				digits, _, _ := strings.Cut(line, ";")
				b, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
				if err != nil {
					t.Errorf("%q: %v", line, err)
				}
				dump = append(dump, b...)
			}
		}
	}
	if want := readStateFile(t, "testdata/state/special32.v2.state"); string(dump) != want {
		t.Errorf("docs/state.md does not show special32.v2.state:\n%swant\n%s", hex.Dump(dump), hex.Dump([]byte(want)))
	}
}

func readStateFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.FromSlash(path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestRefreshesAfter compares with counting, and checks the end of the range.
func TestRefreshesAfter(t *testing.T) {
	for each := uint64(1); each < 6; each++ {
		refreshes := uint64(0)
		for steps := uint64(0); steps < 20; steps++ {
			if n := refreshesAfter(steps, each); n != refreshes {
				t.Errorf("refreshesAfter(%d, %d) = %d, want %d", steps, each, n, refreshes)
			}
			if steps%each == 0 {
				refreshes++
			}
		}
	}
	if n := refreshesAfter(math.MaxUint64, 2); n != 1<<63 {
		t.Errorf("refreshesAfter(2⁶⁴−1, 2) = %d, want 2⁶³", n)
	}
}

func BenchmarkState(b *testing.B) {
	o, err := New(DefaultOptions(), Param[float32]{Name: "w", Value: make([]float32, 4<<20)})
	if err != nil {
		b.Fatal(err)
	}
	saved, err := o.MarshalBinary()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("WriteTo", func(b *testing.B) {
		b.SetBytes(int64(len(saved)))
		for b.Loop() {
			o.WriteTo(io.Discard)
		}
	})
	b.Run("ReadFrom", func(b *testing.B) {
		b.SetBytes(int64(len(saved)))
		for b.Loop() {
			o.ReadFrom(bytes.NewReader(saved))
		}
	})
}

// FuzzUnmarshalBinary loads any bytes. If they are not a state, that is an error and
// changes nothing. If they are, the state is written again as the same bytes. With seal
// the checksums are made right first, since otherwise nothing behind them would be
// tested.
func FuzzUnmarshalBinary(f *testing.F) {
	narrow, wide := goldenState2[float32](f), goldenState2[float64](f)
	for _, m := range []*stateModel{modelOf(narrow), modelOf(wide), modelOfVersion1(narrow), modelOfVersion1(wide)} {
		saved := m.encode()
		f.Add(saved, false)
		f.Add(saved, true)
		f.Add(saved[:len(saved)-1], false)
		f.Add(append(bytes.Clone(saved), 0), false)
		for _, at := range []int{0, 8, 12, 16, 24, 32, 40, 48, 56, 64, 68, 72, 76, 84, 92, 100, 102, 108, 116, 117, 119, len(saved) / 2, len(saved) - 1} {
			flipped := bytes.Clone(saved)
			flipped[at] ^= 0x81
			f.Add(flipped, true)
		}
	}
	f.Add([]byte(nil), true)
	f.Fuzz(func(t *testing.T, data []byte, seal bool) {
		fuzzUnmarshal(t, narrow, data, seal)
		fuzzUnmarshal(t, wide, data, seal)
	})
}

func fuzzUnmarshal[T Float](t *testing.T, o *Optimizer[T], data []byte, seal bool) {
	if seal {
		data = sealState(data)
	}
	before := stateBits(o)
	if err := o.UnmarshalBinary(data); err != nil {
		if !errors.Is(err, ErrState) {
			t.Errorf("error %v, want ErrState", err)
		}
		if stateBits(o) != before {
			t.Error("a state that was refused has changed the optimizer")
		}
		return
	}
	saved, err := o.MarshalBinary()
	if version := data[8]; err != nil || version == 2 && !bytes.Equal(saved, data) {
		t.Errorf("the state is written as %x, %v, and was read as %x", saved, err, data)
	}
	read := stateBits(o)
	if err := o.UnmarshalBinary(saved); err != nil || stateBits(o) != read {
		t.Errorf("what was read is written as %x, which is read as something else: %v", saved, err)
	}
}

// sealState returns a copy of data with right checksums, as far as data has the parts
// that it claims to have.
func sealState(data []byte) []byte {
	data = bytes.Clone(data)
	at, number := 0, func(at, size int) (n uint64) { // the number at a place
		for i := size - 1; i >= 0 && at+size <= len(data); i-- {
			n = n<<8 | uint64(data[at+i])
		}
		return n
	}
	for at < len(data) { // of states that follow one another
		sum := uint32(0)
		part := func(n uint64) {
			if n > uint64(len(data)-at) || len(data)-at-int(n) < sumLen {
				at = len(data)
				return
			}
			sum = crc32.Update(sum, crcTable, data[at:at+int(n)])
			binary.LittleEndian.PutUint32(data[at+int(n):], sum)
			at += int(n) + sumLen
		}
		header, record := 72, 43
		if number(at+8, 4) == 1 {
			header, record = 64, 34
		}
		size, params, each := number(at+12, 4), number(at+16, 8), number(at+40, 8)
		var arrays []uint64
		part(uint64(header))
		for range params {
			if at >= len(data) {
				break
			}
			outer, block, inner := number(at, 8), number(at+8, 8), number(at+16, 8)
			arrays = append(arrays, outer*block*inner*size, outer*inner*size)
			if header == 72 && number(at+40, 1) == 1 || header == 64 && each > 1 {
				arrays = append(arrays, outer*inner*size)
			}
			part(uint64(record) + number(at+record-2, 2))
		}
		for _, n := range arrays {
			part(n)
		}
	}
	return data
}
