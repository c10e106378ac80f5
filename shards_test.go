package adahessian

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// shardedTensors are whole tensors with blocks of every kind. Two have the same name
// and follow one another, and there is a gap before the sixth.
func shardedTensors[T Float]() []Param[T] {
	power := &Hyper{LR: 0.05, Beta1: 0.7, Beta2: 0.9, Eps: 1e-4, HessianPower: 0.5}
	return []Param[T]{
		{Name: "bias", Layout: Elementwise(37)},
		{Name: "rows", Layout: Layout{7, 9, 1}},
		{Name: "strided", Layout: Layout{6, 3, 5}, Hyper: power},
		{Layout: Layout{4, 5, 1}},
		{Layout: Elementwise(11)},
		{Name: "long", Layout: Elementwise(1500), Offset: 1 << 40},
		{Name: "uncut", Layout: Layout{1, 9, 4}, Hyper: power},
		{Name: "none", Layout: Elementwise(0)},
		{Name: "wide", Layout: Layout{3, 2, 400}, Offset: 1<<64 - 2400}, // up to the last index
	}
}

// shardHost is a process of a run: an optimizer of some shards.
type shardHost[T Float] struct {
	opt    *Optimizer[T]
	shards []shard
	params []Param[T]
}

// shardRun is a run in one piece, which hosts repeat in shards.
type shardRun[T Float] struct {
	runner[T]
	opts    Options
	offsets []uint64
	some    bool // gradients are missing in some steps
}

func newShardRun[T Float](t *testing.T, opts Options, some bool) *shardRun[T] {
	r := &shardRun[T]{runner: newRunner(t, opts, shardedTensors[T]()...), opts: opts, some: some}
	for i := range r.opt.tensors {
		r.offsets = append(r.offsets, r.opt.tensors[i].offset)
	}
	return r
}

// missing reports whether a tensor has no gradient in the next step. The third has none
// in the first step and in every fifth after it, and the sixth has none in every
// fourth.
func (r *shardRun[T]) missing(tensor int) bool {
	steps := r.opt.Steps()
	return r.some && (tensor == 2 && steps%5 == 0 || tensor == 5 && steps%4 == 2)
}

// split cuts the tensors at random and gives the parts to hosts, each of which gets a
// part of the first tensor. The values are those of the run.
func (r *shardRun[T]) split(t *testing.T, random *rand.Rand, hosts int) []*shardHost[T] {
	t.Helper()
	all := make([]*shardHost[T], hosts)
	for h := range all {
		all[h] = &shardHost[T]{}
	}
	for i := range r.opt.tensors {
		outer := r.opt.tensors[i].layout.Outer
		cuts := []int{0, outer}
		for len(cuts) <= hosts && outer > 0 {
			if cut := random.IntN(outer + 1); i > 0 || !slices.Contains(cuts, cut) {
				cuts = append(cuts, cut) // two equal cuts make a shard without elements
			}
		}
		slices.Sort(cuts)
		for k, lo := range cuts[:len(cuts)-1] {
			h := all[random.IntN(hosts)]
			if i == 0 {
				h = all[k]
			}
			if s := (shard{i, lo, cuts[k+1]}); s.hi > s.lo || outer == 0 || r.offset(s) > 0 && random.IntN(2) == 0 {
				h.shards = append(h.shards, s)
			}
		}
	}
	for _, h := range all {
		random.Shuffle(len(h.shards), func(i, k int) { h.shards[i], h.shards[k] = h.shards[k], h.shards[i] })
		if first := slices.IndexFunc(h.shards, func(s shard) bool { return r.offset(s) == 0 }); first > 0 {
			h.shards[0], h.shards[first] = h.shards[first], h.shards[0] // elsewhere, an Offset of 0 would mean after the shard before
		}
		h.opt = r.newOptimizer(t, h)
	}
	return all
}

func (r *shardRun[T]) slice(tensor int) int {
	l := r.opt.tensors[tensor].layout
	return l.Block * l.Inner
}

// offset is the global index of a shard's first element.
func (r *shardRun[T]) offset(s shard) uint64 {
	return r.offsets[s.tensor] + uint64(s.lo*r.slice(s.tensor))
}

// cut returns the part of a whole tensor that is a shard's.
func (r *shardRun[T]) cut(x [][]T, s shard) []T {
	n := r.slice(s.tensor)
	return x[s.tensor][s.lo*n : s.hi*n]
}

// newOptimizer makes an optimizer of a host's shards, with copies of the run's values.
func (r *shardRun[T]) newOptimizer(t *testing.T, h *shardHost[T]) *Optimizer[T] {
	t.Helper()
	h.params = nil
	for _, s := range h.shards {
		whole := &r.opt.tensors[s.tensor]
		p := Param[T]{Name: whole.name, Offset: r.offset(s), Layout: whole.layout, Value: slices.Clone(r.cut(r.theta, s))}
		p.Layout.Outer = s.hi - s.lo
		if whole.group > 0 {
			p.Hyper = r.opt.groups[whole.group].hyper
		}
		h.params = append(h.params, p)
	}
	opts := r.opts
	opts.UpdateEach = r.opt.options.UpdateEach
	opts.Workers = 1 + len(h.shards)%3
	o, err := New(opts, h.params...)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// train makes steps of the run and of the hosts.
func (r *shardRun[T]) train(t *testing.T, hosts []*shardHost[T], n int) {
	t.Helper()
	for range n {
		whole := slices.Clone(r.gradients())
		for i := range whole {
			if r.missing(i) {
				whole[i] = nil
			}
		}
		for _, h := range hosts {
			var grads [][]T
			for k, s := range h.shards {
				a, c := r.cut(r.a, s), r.cut(r.c, s)
				g := make([]T, len(a))
				for e, x := range h.params[k].Value {
					g[e] = T(a[e]*x) - c[e]
				}
				if r.missing(s.tensor) {
					g = nil
				}
				grads = append(grads, g)
			}
			err := h.opt.Step(grads, func(hz, z [][]T) error {
				for k, s := range h.shards {
					a, b := r.cut(r.a, s), r.cut(r.b, s)
					for e, z := range z[k] {
						hz[k][e] = T(a[e]*z) + b[e]
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := r.opt.Step(whole, r.hvp); err != nil {
			t.Fatal(err)
		}
	}
}

// require compares hosts with the run in one piece.
func (r *shardRun[T]) require(t *testing.T, hosts []*shardHost[T], when string) {
	t.Helper()
	for _, h := range hosts {
		if h.opt.steps != r.opt.steps || h.opt.refreshes != r.opt.refreshes || h.opt.NeedsHessian() != r.opt.NeedsHessian() {
			t.Fatalf("%s: counts %+v, want %+v", when, h.opt.counters, r.opt.counters)
		}
		for k, s := range h.shards {
			whole, part := &r.opt.tensors[s.tensor], &h.opt.tensors[k]
			inner := whole.layout.Inner
			requireSame(t, part.value, r.cut(r.theta, s), "%s: %+v: θ", when, s)
			requireSame(t, part.m, whole.m[s.lo*r.slice(s.tensor):s.hi*r.slice(s.tensor)], "%s: %+v: m", when, s)
			requireSame(t, part.v, whole.v[s.lo*inner:s.hi*inner], "%s: %+v: v", when, s)
			if s.lo == s.hi {
				continue // the steps of a tensor without elements are not counted
			}
			if got, want := h.opt.stepsOf(k), r.opt.stepsOf(s.tensor); got != want || part.curved != whole.curved {
				t.Fatalf("%s: %+v: %d steps, curvature kept: %v, want %d, %v", when, s, got, part.curved, want, whole.curved)
			}
			if whole.curved {
				requireSame(t, part.d, whole.d[s.lo*inner:s.hi*inner], "%s: %+v: D", when, s)
			}
		}
	}
}

// saveShards returns the hosts' states, in version 1 if old says so.
func saveShards[T Float](t *testing.T, hosts []*shardHost[T], old func() bool) (states [][]byte) {
	t.Helper()
	for _, h := range hosts {
		saved, err := h.opt.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if old() {
			saved = modelOfVersion1(h.opt).encode()
		}
		states = append(states, saved)
	}
	return states
}

func readersOf(states [][]byte) (readers []io.Reader) {
	for _, s := range states {
		readers = append(readers, bytes.NewReader(s))
	}
	return readers
}

// TestReadShards trains in a random sharding, saves after every step, and continues in
// another sharding, with the bits of a run in one piece.
func TestReadShards(t *testing.T) {
	forFloats(t, testReadShards[float32], testReadShards[float64], testReadShards[weight])
}

func testReadShards[T Float](t *testing.T) {
	random := rand.New(rand.NewPCG(18, uint64(bitsOf(T(1)))))
	for _, samples := range []int{1, 2} {
		for _, each := range []int{1, 3} {
			for _, some := range []bool{false, true} {
				opts := stateOptions(samples, each)
				run := newShardRun[T](t, opts, some)
				hosts := run.split(t, random, 1+random.IntN(4))
				for step := range 8 {
					states := saveShards(t, hosts, func() bool { return !some && random.IntN(3) == 0 })
					random.Shuffle(len(states), func(i, k int) { states[i], states[k] = states[k], states[i] })
					readers := readersOf(states)
					if step%3 == 1 { // all in one stream
						stream := bytes.NewReader(slices.Concat(states...))
						for i := range readers {
							readers[i] = stream
						}
					}
					next := run.split(t, random, 1+random.IntN(5))
					when := fmt.Sprintf("Samples %d, UpdateEach %d, after step %d, %d states for %d hosts",
						samples, each, step, len(states), len(next))
					for _, h := range next {
						if step%3 != 1 {
							readers = readersOf(states)
						} else if _, err := readers[0].(io.Seeker).Seek(0, io.SeekStart); err != nil {
							t.Fatal(err)
						}
						if err := h.opt.ReadShards(readers...); err != nil {
							t.Fatalf("%s: %v", when, err)
						}
					}
					run.require(t, next, when)
					hosts = next
					run.train(t, hosts, 1)
					run.require(t, hosts, when+", and a step")
				}
			}
		}
	}
}

// TestReadShardsWhole reads shards into an optimizer of whole tensors and back. Its state
// is that of the run in one piece, to the byte.
func TestReadShardsWhole(t *testing.T) {
	run := newShardRun[float32](t, stateOptions(2, 3), true)
	random := rand.New(rand.NewPCG(3, 4))
	hosts := run.split(t, random, 4)
	for range 5 {
		run.train(t, hosts, 1)
		whole, err := New(run.opts, withValues(shardedTensors[float32]())...)
		if err != nil {
			t.Fatal(err)
		}
		if err := whole.ReadShards(readersOf(saveShards(t, hosts, func() bool { return false }))...); err != nil {
			t.Fatal(err)
		}
		got, err := whole.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		want, err := run.opt.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("step %d: the state of all shards is not that of a run in one piece", run.opt.Steps())
		}
		for _, h := range hosts {
			fillState(h.opt)
			if err := h.opt.ReadShards(bytes.NewReader(got)); err != nil {
				t.Fatal(err)
			}
		}
		run.require(t, hosts, "shards of the whole state")
	}
}

// TestReadShardsPeriod reads states with another UpdateEach, as ReadFrom does.
func TestReadShardsPeriod(t *testing.T) {
	run := newShardRun[float64](t, stateOptions(1, 3), false)
	random := rand.New(rand.NewPCG(5, 6))
	hosts := run.split(t, random, 3)
	for range 4 {
		run.train(t, hosts, 1)
		states := saveShards(t, hosts, func() bool { return false })
		for _, each := range []int{1, 5} {
			h := run.split(t, random, 1)[0]
			if err := h.opt.SetUpdateEach(each); err != nil {
				t.Fatal(err)
			}
			err := h.opt.ReadShards(readersOf(states)...)
			if run.opt.Steps()%3 != 0 {
				requireError(t, err, ErrState, fmt.Sprintf("states[0]: header: UpdateEach: saved with 3, want %d", each))
			} else if err != nil || !h.opt.NeedsHessian() || h.opt.Steps() != run.opt.Steps() {
				t.Errorf("period %d after %d steps: %v", each, run.opt.Steps(), err)
			}
		}
	}
}

// smallShards returns two hosts of the tensors "a", with 6 elements from index 0 on,
// and "b", with 4 slices of 6 elements and 2 blocks from index 100 on. It also returns
// an optimizer of both tensors, with other values in all its arrays.
func smallShards[T Float](t testing.TB) (whole *Optimizer[T], hosts [2]*Optimizer[T]) {
	opts := stateOptions(2, 3)
	hosts = [2]*Optimizer[T]{
		newStateOptimizer(t, opts, []Param[T]{
			{Name: "a", Layout: Elementwise(2)}, {Name: "b", Layout: Layout{1, 3, 2}, Offset: 100}, {Name: "b", Layout: Layout{1, 3, 2}, Offset: 118}}),
		newStateOptimizer(t, opts, []Param[T]{
			{Name: "b", Layout: Layout{2, 3, 2}, Offset: 106}, {Name: "a", Layout: Elementwise(4), Offset: 2}}),
	}
	whole = newStateOptimizer(t, opts, []Param[T]{
		{Name: "a", Layout: Elementwise(6)}, {Name: "b", Layout: Layout{4, 3, 2}, Offset: 100}})
	whole.tensors[0].m[0] = 42
	setCounts(whole, 4)
	return whole, hosts
}

// wantShardError reads states. That must fail with ErrState and the text, and leave the
// optimizer as it is.
func wantShardError[T Float](t *testing.T, o *Optimizer[T], readers []io.Reader, text string) {
	t.Helper()
	before := stateBits(o)
	err := o.ReadShards(readers...)
	if !errors.Is(err, ErrState) || !strings.Contains(err.Error(), text) || len(err.Error()) > 400 {
		t.Errorf("error %v, want ErrState that says %q", err, text)
	}
	if stateBits(o) != before {
		t.Error("states that were refused have changed the optimizer")
	}
}

// TestReadShardsFaults reads states that do not add up to the whole model.
func TestReadShardsFaults(t *testing.T) {
	t.Run("float32", testReadShardsFaults[float32])
	t.Run("float64", testReadShardsFaults[float64])
}

func testReadShardsFaults[T Float](t *testing.T) {
	whole, hosts := smallShards[T](t)
	for _, c := range []struct {
		name string
		edit func(m []*stateModel) []*stateModel
		want string
	}{
		{"no state", func(m []*stateModel) []*stateModel { return nil }, "ReadShards without a state: pass every state that was saved"},
		{"the first missing", func(m []*stateModel) []*stateModel { return m[1:] }, `parameter 0 "a", global indices 0 to 1: in none of the states`},
		{"the second missing", func(m []*stateModel) []*stateModel { return m[:1] }, `parameter 0 "a", global indices 2 to 5: in none of the states`},
		{"a parameter missing", func(m []*stateModel) []*stateModel { m[0].dropTensor(1); return m }, `parameter 1 "b", global indices 100 to 105: in none of the states`},
		{"the middle missing", func(m []*stateModel) []*stateModel { m[1].dropTensor(0); return m }, `parameter 1 "b", global indices 106 to 117: in none of the states`},
		{"the end missing", func(m []*stateModel) []*stateModel { m[0].dropTensor(2); return m }, `parameter 1 "b", global indices 118 to 123: in none of the states`},
		{"all of one missing", func(m []*stateModel) []*stateModel { m[0].dropTensor(0); m[1].dropTensor(1); return m }, `parameter 0 "a", global indices 0 to 5: in none of the states`},
		{"another name", func(m []*stateModel) []*stateModel { m[1].records[0].name = "c"; return m }, `parameter 1 "b", global indices 106 to 117: in none of the states`},
		{"a state twice", func(m []*stateModel) []*stateModel { return append(m, m[1]) }, `states[2]: parameter 1 "b", global indices 106 to 117: saved twice`},
		{"part of another", func(m []*stateModel) []*stateModel { m[0].records[2].offset = 112; return m }, `states[1]: parameter 1 "b", global indices 112 to 117: saved twice`},
		{"twice in one state", func(m []*stateModel) []*stateModel { m[0].records[2].offset = 100; return m }, `states[0]: parameter 1 "b", global indices 100 to 105: saved twice`},
		{"other blocks", func(m []*stateModel) []*stateModel { m[1].records[0].layout = [3]uint64{4, 3, 1}; return m },
			`states[1]: saved parameter 0 "b": parameter 1 "b", global indices 106 to 117: saved with Layout {4 3 1}, want Block 3 and Inner 2`},
		{"other axes", func(m []*stateModel) []*stateModel { m[1].records[0].layout = [3]uint64{2, 2, 3}; return m },
			`saved with Layout {2 2 3}, want Block 3 and Inner 2`},
		{"cut within a slice", func(m []*stateModel) []*stateModel { m[0].records[1].offset = 98; return m },
			`states[0]: saved parameter 1 "b": parameter 1 "b", global indices 100 to 103: saved from global index 98 on, which is not a whole number of slices (6 elements each) from 100`},
		{"cut within a slice, late", func(m []*stateModel) []*stateModel { m[0].records[1].offset = 101; return m }, `saved from global index 101 on`},
		{"other steps", func(m []*stateModel) []*stateModel { m[1].steps = 10; return m }, "states[1]: header: steps: saved with 10, and states[0] with 7"},
		{"other refreshes", func(m []*stateModel) []*stateModel { m[1].refreshes = 2; return m }, "states[1]: header: refreshes: saved with 2, and states[0] with 3"},
		{"another age", func(m []*stateModel) []*stateModel { m[1].age = 2; return m }, "states[1]: header: age of the curvature: saved with 2, and states[0] with 1"},
		{"another period", func(m []*stateModel) []*stateModel {
			m[0].age, m[1].age, m[1].each = 0, 0, 5
			return m
		}, "states[1]: header: UpdateEach: saved with 5, and states[0] with 3"},
		{"other steps of a parameter", func(m []*stateModel) []*stateModel { m[1].records[0].steps = 6; return m },
			`states[1]: saved parameter 0 "b": parameter 1 "b", global indices 106 to 117: saved after 6 steps, curvature kept: true, and another part after 7 steps, curvature kept: true`},
		{"a curvature less", func(m []*stateModel) []*stateModel {
			m[1].records[0].curved = 0
			m[1].arrays = slices.Delete(m[1].arrays, 2, 3)
			return m
		}, `saved after 7 steps, curvature kept: false, and another part after 7 steps, curvature kept: true`},
		{"another seed", func(m []*stateModel) []*stateModel { m[1].seed++; return m }, "states[1]: header: Seed: saved with"},
		{"other samples", func(m []*stateModel) []*stateModel { m[0].samples = 1; return m }, "states[0]: header: Samples: saved with 1, want 2"},
		{"other elements", func(m []*stateModel) []*stateModel { m[0].size = 2; return m }, "states[0]: header: bytes of an element: saved with 2"},
		{"too many parameters", func(m []*stateModel) []*stateModel { m[0].params = 1<<20 + 3; return m }, "states[0]: header: number of parameters: saved with 1048579, want at most 1048578"},
		{"more parameters than there are", func(m []*stateModel) []*stateModel { m[0].params = 1 << 20; return m }, `states[0]: saved parameter 3 "": `},
		{"2⁶⁴−1 elements", func(m []*stateModel) []*stateModel { m[0].records[1].layout = [3]uint64{1<<64 - 1, 1, 1}; return m }, "which exceed 64 bits"},
		{"2⁶⁴ elements", func(m []*stateModel) []*stateModel { m[0].records[1].layout = [3]uint64{1 << 62, 2, 2}; return m }, "which exceed 64 bits"},
		{"indices that wrap", func(m []*stateModel) []*stateModel { m[0].records[1].offset = 1<<64 - 5; return m }, "which exceed 64 bits"},
		{"the last indices", func(m []*stateModel) []*stateModel { m[0].records[1].offset = 1<<64 - 6; return m }, `parameter 1 "b", global indices 100 to 105: in none of the states`},
		{"no block", func(m []*stateModel) []*stateModel { m[0].records[1].layout[1] = 0; return m }, "saved with Layout {1 0 2}"},
		{"the checksum of a foreign parameter", func(m []*stateModel) []*stateModel {
			m[0].records[0].name, m[0].records[0].nameLen, m[0].wrongSum = "foreign", 7, 5
			return m
		}, `states[0]: saved parameter 0 "": m: checksum`},
		{"version 1 of other steps", func(m []*stateModel) []*stateModel {
			setCounts(hosts[1], 8)
			m[1] = modelOfVersion1(hosts[1])
			setCounts(hosts[1], 7)
			return m
		}, "states[1]: header: steps: saved with 8, and states[0] with 7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			models := c.edit([]*stateModel{modelOf(hosts[0]), modelOf(hosts[1])})
			var states [][]byte
			for _, m := range models {
				states = append(states, m.encode())
			}
			wantShardError(t, whole, readersOf(states), c.want)
			if n := stateAllocated(func() { whole.ReadShards(readersOf(states)...) }); n > 8*stateChunk {
				t.Errorf("ReadShards allocated %d bytes", n)
			}
		})
	}
	t.Run("nil reader", func(t *testing.T) {
		wantShardError(t, whole, []io.Reader{nil}, "states[0]: header: read failed after 0 bytes: the reader is nil")
	})
}

// dropTensor removes a tensor of a state in which every tensor has three arrays.
func (m *stateModel) dropTensor(i int) {
	m.params--
	m.records = slices.Delete(m.records, i, i+1)
	m.arrays = slices.Delete(m.arrays, 3*i, 3*i+3)
}

// TestReadShardsDamaged cuts the second state off at every byte, flips every bit, and
// reads from readers that fail.
func TestReadShardsDamaged(t *testing.T) {
	whole, hosts := smallShards[float32](t)
	first, second := modelOf(hosts[0]).encode(), modelOf(hosts[1]).encode()
	for n := range second {
		wantShardError(t, whole, readersOf([][]byte{first, second[:n]}), "states[1]: ")
		if err := whole.ReadShards(readersOf([][]byte{first, second[:n]})...); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d of %d bytes: %v", n, len(second), err)
		}
		broken := io.MultiReader(bytes.NewReader(second[:n]), iotest.ErrReader(errStateTest))
		if err := whole.ReadShards(bytes.NewReader(first), broken); !errors.Is(err, errStateTest) || !errors.Is(err, ErrState) {
			t.Errorf("failure after %d bytes: %v", n, err)
		}
		before := stateBits(whole)
		func() {
			defer func() { recover() }()
			whole.ReadShards(bytes.NewReader(first), io.MultiReader(bytes.NewReader(second[:n]), panicReader{}))
			t.Errorf("after %d bytes: no panic", n)
		}()
		if stateBits(whole) != before {
			t.Fatalf("a reader that panics after %d bytes has changed the optimizer", n)
		}
	}
	for bit := range 8 * len(second) {
		flipped := bytes.Clone(second)
		flipped[bit/8] ^= 1 << (bit % 8)
		wantShardError(t, whole, readersOf([][]byte{first, flipped}), "states[1]: ")
	}
	want := stateBits(newStateOptimizer(t, stateOptions(2, 3), []Param[float32]{
		{Name: "a", Layout: Elementwise(6)}, {Name: "b", Layout: Layout{4, 3, 2}, Offset: 100}}))
	if err := whole.ReadShards(iotest.OneByteReader(bytes.NewReader(second)), iotest.DataErrReader(bytes.NewReader(first))); err != nil {
		t.Fatal(err)
	}
	if len(stateBits(whole)) != len(want) || whole.tensors[0].m[1] != hosts[0].tensors[0].m[1] || whole.tensors[1].d[7] != hosts[0].tensors[2].d[1] {
		t.Error("the good states were not read")
	}
}

// TestReadShardsMemory makes sure that reading takes a second set of arrays, whatever the
// states are, and that states that repeat elements without end are refused.
func TestReadShardsMemory(t *testing.T) {
	const n = 1 << 18
	opts := stateOptions(1, 2)
	whole := newStateOptimizer(t, opts, []Param[float64]{{Name: "w", Layout: Elementwise(n)}, {Name: "x", Layout: Elementwise(10)}})
	setCounts(whole, 7)
	var states [][]byte
	for k := range 4 {
		o := newStateOptimizer(t, opts, []Param[float64]{
			{Name: "foreign", Layout: Elementwise(n / 2)}, {Name: "w", Layout: Elementwise(n / 4)}})
		m := modelOf(o)
		m.records[1].offset = uint64(k * n / 4) // in a state, 0 does not mean after the tensor before
		if k == 2 {
			m.params++
			m.records = append(m.records, recordModel{layout: [3]uint64{10, 1, 1}, offset: n, steps: 7, curved: 1, nameLen: 1, name: "x"})
			m.arrays = append(m.arrays, make([]uint64, 10), make([]uint64, 10), make([]uint64, 10))
		}
		states = append(states, m.encode())
	}
	const own = 3 * 8 * n
	var err error
	if n := stateAllocated(func() { err = whole.ReadShards(readersOf(states)...) }); err != nil || n > own+12*stateChunk {
		t.Errorf("ReadShards allocated %d bytes, %v; the optimizer has %d", n, err, own)
	}

	many := func(count int, r recordModel) []byte {
		m := modelOf(whole)
		m.params, m.records, m.arrays = uint64(count), nil, nil
		for range count {
			m.records = append(m.records, r)
		}
		return m.encode()
	}
	small := newStateOptimizer(t, opts, []Param[float64]{{Name: "w", Layout: Elementwise(8)}})
	twice := many(100_000, recordModel{layout: [3]uint64{1, 1, 1}, steps: 7, curved: 1, nameLen: 1, name: "w"})
	if n := stateAllocated(func() {
		wantShardError(t, small, []io.Reader{bytes.NewReader(twice)}, "global indices 0 to 0: saved twice")
	}); n > 4*stateChunk {
		t.Errorf("for an element that is saved 100,000 times ReadShards allocated %d bytes", n)
	}
	foreign := many(100_000, recordModel{layout: [3]uint64{1 << 40, 1 << 10, 1 << 8}, nameLen: 1, name: "f"})
	if n := stateAllocated(func() { wantShardError(t, small, []io.Reader{bytes.NewReader(foreign)}, "read failed") }); n > 100_000*400+4*stateChunk {
		t.Errorf("for 100,000 foreign parameters ReadShards allocated %d bytes", n)
	}
}

// FuzzReadShards reads any bytes as two states that follow one another. If they do not
// add up to the whole model, that is an error and changes nothing. If they do, the
// result can be saved and read again.
func FuzzReadShards(f *testing.F) {
	narrow, narrowHosts := smallShards[float32](f)
	wide, wideHosts := smallShards[float64](f)
	for _, m := range [][2]*stateModel{
		{modelOf(narrowHosts[0]), modelOf(narrowHosts[1])},
		{modelOfVersion1(narrowHosts[1]), modelOf(narrowHosts[0])},
		{modelOf(wideHosts[0]), modelOfVersion1(wideHosts[1])},
	} {
		first, second := m[0].encode(), m[1].encode()
		both := append(first, second...)
		f.Add(both, false)
		f.Add(append(second, first...), true)
		f.Add(append(bytes.Clone(second), second...), true)
		for at := 0; at < len(both); at += 3 {
			flipped := bytes.Clone(both)
			flipped[at] ^= 1 << (at % 8)
			f.Add(flipped, true)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, seal bool) {
		if seal {
			data = sealState(data)
		}
		fuzzShards(t, narrow, data)
		fuzzShards(t, wide, data)
	})
}

func fuzzShards[T Float](t *testing.T, o *Optimizer[T], data []byte) {
	before := stateBits(o)
	r := bytes.NewReader(data)
	if err := o.ReadShards(r, r); err != nil {
		if !errors.Is(err, ErrState) {
			t.Errorf("error %v, want ErrState", err)
		}
		if stateBits(o) != before {
			t.Error("states that were refused have changed the optimizer")
		}
		return
	}
	read := stateBits(o)
	saved, err := o.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if err := o.ReadShards(bytes.NewReader(saved)); err != nil || stateBits(o) != read {
		t.Errorf("what was read is written as %x, which is read as something else: %v", saved, err)
	}
}

// TestReadMisuse reads a state from within a step and from within its own reader, and
// into an Optimizer that was not made by New.
func TestReadMisuse(t *testing.T) {
	run := newStateRun[float32](t, stateOptions(1, 1), 0)
	run.train(t, 1)
	saved := run.save(t)
	run.train(t, 1)
	before := run.bits()
	reads := map[string]func(o *Optimizer[float32], r io.Reader) error{
		"ReadFrom":   func(o *Optimizer[float32], r io.Reader) error { _, err := o.ReadFrom(r); return err },
		"ReadNamed":  func(o *Optimizer[float32], r io.Reader) error { _, _, err := o.ReadNamed(r); return err },
		"ReadShards": func(o *Optimizer[float32], r io.Reader) error { return o.ReadShards(r) },
	}
	for name, read := range reads {
		err := run.Step(run.grads, func(hz, z [][]float32) error { return read(run.Optimizer, bytes.NewReader(saved)) })
		requireError(t, err, ErrState, name+" called within hvp")
		for inner, again := range reads {
			err := read(run.Optimizer, readerFunc(func([]byte) (int, error) {
				return 0, again(run.Optimizer, bytes.NewReader(saved))
			}))
			requireError(t, err, ErrState, inner+" called within the Read of "+name)
		}
		requireError(t, read(&Optimizer[float32]{}, bytes.NewReader(saved)), ErrState, name+" called on an Optimizer that was not made by New")
		if run.bits() != before {
			t.Fatalf("%s: the optimizer has changed", name)
		}
	}
}

// TestReadShardsEmpty proves that parameters without elements take the steps of those
// with the same name and place or, if the state has none there, those of the state.
func TestReadShardsEmpty(t *testing.T) {
	opts := stateOptions(1, 1)
	params := func(offset uint64) []Param[float32] {
		return []Param[float32]{
			{Name: "w", Layout: Elementwise(4)},
			{Name: "none", Layout: Elementwise(0), Offset: 100},
			{Name: "none", Layout: Layout{3, 2, 0}, Offset: 50},
			{Name: "w", Layout: Elementwise(0), Offset: offset},
		}
	}
	saved := newStateOptimizer(t, opts, params(4)[:3])
	for _, c := range []struct{ offset, steps uint64 }{{4, 3}, {5, 7}} { // at the end of w, and apart from it
		saved.setCohorts([]uint64{3, 5, 6})
		o := newStateOptimizer(t, opts, params(c.offset))
		setCounts(o, 2)
		if err := o.ReadShards(bytes.NewReader(modelOf(saved).encode())); err != nil {
			t.Fatal(err)
		}
		for i, want := range []uint64{3, 5, 6, c.steps} {
			if got := o.stepsOf(i); got != want {
				t.Errorf("parameter %d after %d steps, want %d", i, got, want)
			}
		}
	}
}
