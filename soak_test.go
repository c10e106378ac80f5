package adahessian

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"
	"unsafe"
)

var (
	soakTime = flag.Duration("soak", 0, "how long TestSoak runs; 0: a moment")
	soakSeed = flag.Uint64("soak-seed", 1, "the seed of TestSoak's ordeals")
)

// FuzzStep runs an ordeal made from the fuzzer's bytes.
func FuzzStep(f *testing.F) {
	for seed := range uint64(40) {
		f.Add(ordealBytes(seed, 0))
	}
	f.Fuzz(func(t *testing.T, data []byte) { runOrdeal(t, data, &tally{}) })
}

// ordealBytes returns random bytes for an ordeal.
func ordealBytes(seed, run uint64) []byte {
	r := rand.New(rand.NewPCG(seed, run))
	data := make([]byte, r.IntN(300))
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return data
}

// TestSoak runs random ordeals for as long as -soak says, or until the first wrong bit.
// A run in which not everything has happened proves nothing, so a slow machine takes
// longer.
func TestSoak(t *testing.T) {
	limit := *soakTime
	if limit == 0 {
		limit = 500 * time.Millisecond
		leave("ordeals of more than half a second", "-soak 15s")
	}
	var n tally
	var data []byte
	defer func() {
		if t.Failed() {
			t.Logf("the ordeal's bytes: %s", hex.EncodeToString(data))
		}
	}()
	start, told := time.Now(), time.Duration(0)
	for run := uint64(0); time.Since(start) < limit || !n.everything() && time.Since(start) < limit+time.Minute; run++ {
		data = ordealBytes(*soakSeed, run)
		runOrdeal(t, data, &n)
		if at := time.Since(start).Truncate(time.Minute); at > told {
			told = at
			t.Logf("%v: %v", at, n)
		}
	}
	t.Logf("%v on %s/%s with %s, seed %d: %v", time.Since(start).Round(time.Second),
		runtime.GOOS, runtime.GOARCH, runtime.Version(), *soakSeed, n)
	if !n.everything() {
		t.Error("not everything has happened")
	}
}

// An ordeal drives optimizers through anything that may happen to them: all
// configurations, tensors in one piece and in shards on several optimizers, changing
// numbers of workers and instruction sets, missing gradients, tensors that move and
// tensors that are added late, faults of every kind, and states that are saved,
// damaged, loaded, and read by other shardings. After every step a model says what the
// bits must be. It knows only the gradients, the new tensors and the hyperparameters.
type ordeal[T Float] struct {
	*testing.T
	*choices
	*tally

	opts    Options
	hosts   []*host[T]
	sharded bool     // tensors are cut, so each has an Offset
	groups  []*Hyper // for the tensors to choose from
	whole   []Param[T]
	used    []indexRange // of each tensor

	*problem[T] // of all tensors, whole
	ref         *stepModel[T]
	refProblem  *problem[T]
}

// host is an optimizer with shards of the ordeal's tensors.
type host[T Float] struct {
	opt    *Optimizer[T]
	params []Param[T]
	shards []shard
}

// shard is a range of a tensor's slices along its outermost axis.
type shard struct{ tensor, lo, hi int }

// indexRange is a range of global indices.
type indexRange struct{ start, n uint64 }

// tally counts what ordeals have gone through.
type tally struct {
	runs, refused, steps, refreshes, faults, saved, loaded, damaged int
	parallel, shards                                                int // of the steps
	skipped, waited                                                 int // parameters, in a step
	moved, added, periods, resharded                                int
	allNil, badRebinds, aliased, badAdds, badShards                 int
	bits                                                            uint64
}

func (n tally) String() string {
	return fmt.Sprintf("%d runs, %d steps (%d on several goroutines, %d in shards), %d Hessian refreshes, %d faults injected, "+
		"%d configurations refused, %d states saved and %d loaded, %d damaged ones refused, "+
		"%d parameters skipped and %d waiting, %d moved and %d added, %d periods set, %d states read by other shardings, "+
		"%d steps without a gradient, %d Rebinds, %d gradients in moved parameters, %d Adds and %d ReadShards refused, %d bits compared",
		n.runs, n.steps, n.parallel, n.shards, n.refreshes, n.faults, n.refused, n.saved, n.loaded, n.damaged,
		n.skipped, n.waited, n.moved, n.added, n.periods, n.resharded, n.allNil, n.badRebinds, n.aliased, n.badAdds, n.badShards, n.bits)
}

// everything reports whether something of each kind has happened.
func (n tally) everything() bool {
	return !slices.Contains([]int{n.faults, n.refused, n.loaded, n.damaged, n.parallel, n.shards, n.skipped, n.waited,
		n.moved, n.added, n.periods, n.resharded, n.allNil, n.badRebinds, n.aliased, n.badAdds, n.badShards}, 0)
}

// choices makes decisions from bytes. When none is left, it takes the first option each
// time.
type choices struct{ bytes []byte }

func (c *choices) word(bytes int) (w uint64) {
	for range bytes {
		if len(c.bytes) > 0 {
			w = w<<8 | uint64(c.bytes[0])
			c.bytes = c.bytes[1:]
		}
	}
	return w
}

// pick chooses one of n.
func (c *choices) pick(n int) int {
	bytes := 1
	if n > 256 {
		bytes = 3
	}
	return int(c.word(bytes) % uint64(max(1, n)))
}

// oneOf chooses one of the values.
func oneOf[V any](c *choices, values ...V) V { return values[c.pick(len(values))] }

// runOrdeal runs one of float32 or float64.
func runOrdeal(t *testing.T, data []byte, n *tally) {
	defer saveISA()()
	c := &choices{data}
	if c.pick(2) == 0 {
		newOrdeal[float32](t, c, n).run()
	} else {
		newOrdeal[float64](t, c, n).run()
	}
}

func newOrdeal[T Float](t *testing.T, c *choices, n *tally) *ordeal[T] {
	o := &ordeal[T]{T: t, choices: c, tally: n}
	o.opts = Options{
		Hyper: o.hyper(), Samples: 1 + o.pick(3), UpdateEach: 1 + o.pick(4), Seed: o.word(8),
		Workers: o.pick(4), SkipFiniteCheck: false,
	}
	o.sharded = o.pick(3) == 2
	for range o.pick(3) {
		h := o.hyper()
		o.groups = append(o.groups, &h)
	}
	o.groups = append(o.groups, nil)
	hosts := 1
	o.problem, o.refProblem, o.ref = newProblem[T](nil), newProblem[T](nil), newModel[T](o.opts, nil)
	params := o.join(1 + o.pick(6))
	if o.sharded {
		hosts += o.pick(3)
	}
	o.hosts = o.split(params, makeHosts[T](hosts))
	for _, h := range o.hosts {
		o.refuse(h)
		h.opt = o.newOptimizer(h)
	}
	return o
}

// hyper chooses hyperparameters that are allowed.
func (o *ordeal[T]) hyper() Hyper {
	return Hyper{
		LR: oneOf(o.choices, 0.15, 0.01, 0, 0.7), Beta1: oneOf(o.choices, 0.9, 0, 0.5), Beta2: oneOf(o.choices, 0.999, 0, 0.9),
		Eps: oneOf(o.choices, 1e-4, 1e-2), WeightDecay: oneOf(o.choices, 0, 0.1, 0.5),
		HessianPower: oneOf(o.choices, 1, 0.5, 0, 2, 0.75, 1.3), MaxUpdate: oneOf(o.choices, 0, 1, 0.3),
	}
}

// join makes tensors, and adds them to the problem and the model.
func (o *ordeal[T]) join(count int) []Param[T] {
	params := withValues(o.params(count))
	before := len(o.ref.tensors)
	o.ref.add(params)
	for i, x := range o.ref.tensors[before:] {
		o.refProblem.add([][]T{x.theta})
		o.problem.add([][]T{params[i].Value})
	}
	o.whole = append(o.whole, params...)
	return params
}

// params chooses tensors. Those that will be cut have an Offset.
func (o *ordeal[T]) params(count int) (params []Param[T]) {
	for range count {
		i, next := len(o.used), uint64(1) // not 0, which could not be given as an Offset
		if i > 0 {
			next = o.used[i-1].start + o.used[i-1].n
		}
		p := Param[T]{Name: fmt.Sprint("tensor ", i), Layout: o.layout(), Hyper: oneOf(o.choices, o.groups...)}
		n := uint64(p.Layout.Len())
		if o.pick(3) == 2 {
			p.Offset = oneOf(o.choices, 1+o.word(8)>>1, 1<<39-n/2, -max(n, 1), 3)
		} else if o.sharded {
			p.Offset = next
		} else if i == 0 {
			next = 0
		}
		if p.Offset != 0 {
			next = p.Offset
		}
		if wraps := n > 0 && next+n-1 < next || next == 0 && i > 0; wraps || o.taken(next, n) {
			next = o.free(n)
			p.Offset = next
		}
		o.used = append(o.used, indexRange{next, n})
		params = append(params, p)
	}
	return params
}

// taken reports whether a tensor has any of n indices.
func (o *ordeal[T]) taken(start, n uint64) bool {
	return slices.ContainsFunc(o.used, func(u indexRange) bool {
		return n > 0 && u.n > 0 && start <= u.start+u.n-1 && u.start <= start+n-1
	})
}

// free returns an index from which n indices are free.
func (o *ordeal[T]) free(n uint64) uint64 {
	at := uint64(1) << 45
	for o.taken(at, n) {
		at += 1 << 45
	}
	return at
}

// layout chooses a layout, mostly of some hundred elements.
func (o *ordeal[T]) layout() Layout {
	switch kind := o.pick(64); {
	case kind >= 62: // of several tasks, for several workers
		return oneOf(o.choices, Layout{taskLen + 1 + o.pick(70_000), 1, 1}, Layout{1 + o.pick(8000), 9, 1}, Layout{3, 3, 8000 + o.pick(999)})
	case kind >= 58:
		return Layout{o.pick(3), 1 + o.pick(3), o.pick(3)} // or none
	case kind >= 40:
		return Layout{1 + o.pick(6), 1 + o.pick(9), 1 + o.pick(40)}
	case kind >= 20:
		return Layout{1 + o.pick(40), 1 + o.pick(40), 1}
	default:
		return Elementwise(o.pick(400))
	}
}

func makeHosts[T Float](n int) (hosts []*host[T]) {
	for range n {
		hosts = append(hosts, &host[T]{})
	}
	return hosts
}

// split gives the last tensors to hosts, each whole to one host or in shards to
// several, and returns the hosts.
func (o *ordeal[T]) split(params []Param[T], hosts []*host[T]) []*host[T] {
	for i, p := range params {
		i += len(o.whole) - len(params)
		l := p.Layout
		if !o.sharded {
			hosts[0].take(p, shard{i, 0, l.Outer})
			continue
		}
		slice := l.Block * l.Inner
		for lo := 0; lo < l.Outer || lo == 0; {
			hi := min(l.Outer, lo+1+o.pick(l.Outer))
			if slice == 0 {
				hi = l.Outer
			}
			q := p
			q.Layout.Outer = hi - lo
			q.Value = p.Value[lo*slice : hi*slice : hi*slice]
			q.Offset = p.Offset + uint64(lo*slice)
			oneOf(o.choices, hosts...).take(q, shard{i, lo, hi})
			if lo = hi; lo == 0 {
				break // a tensor without elements
			}
		}
	}
	return hosts
}

func (h *host[T]) take(p Param[T], s shard) {
	h.params, h.shards = append(h.params, p), append(h.shards, s)
}

func (o *ordeal[T]) newOptimizer(h *host[T]) *Optimizer[T] {
	opts := o.opts
	opts.Workers = o.pick(4)
	opt, err := New(opts, h.params...)
	if err != nil {
		o.Fatal(err)
	}
	return opt
}

// refuse makes sure that New refuses a bad configuration.
func (o *ordeal[T]) refuse(h *host[T]) {
	opts, params, want := o.opts, slices.Clone(h.params), ErrOption
	switch kind := o.pick(8); {
	case kind == 1:
		opts.Samples = -o.pick(3)
	case kind == 2:
		opts.UpdateEach = -o.pick(3)
	case kind == 3:
		opts.Workers = -1 - o.pick(3)
	case kind == 4:
		oneOf(o.choices, hyperFaults...).edit(&opts.Hyper)
	case len(params) == 0:
		return
	case kind == 5:
		p := &params[o.pick(len(params))]
		p.Layout.Outer, want = -1, ErrLayout
	case kind == 6:
		p := &params[o.pick(len(params))]
		p.Value, want = append(slices.Clone(p.Value), 0), ErrLayout
	case kind == 7:
		p := params[o.pick(len(params))]
		if len(p.Value) == 0 {
			return
		}
		p.Offset, want = 1, ErrShape
		params = append(params, p) // twice the same memory
		for i := range params {
			params[i].Offset = 1 // and no index wraps
		}
	default:
		return
	}
	if opt, err := New(opts, params...); opt != nil || !errors.Is(err, want) {
		o.Fatalf("New(%+v, …) = %v, %v, want %v", opts, opt, err, want)
	}
	o.refused++
}

// run goes through some events and, in between, good steps.
func (o *ordeal[T]) run() {
	o.runs++
	for range 1 + o.pick(12) {
		if len(o.hosts) > 0 {
			h := oneOf(o.choices, o.hosts...)
			switch o.pick(15) {
			case 1, 2, 3:
				o.fault(h)
			case 4:
				o.saveAndLoad(h)
			case 5:
				o.loadDamaged(h)
			case 6:
				o.reschedule()
			case 7:
				oneOf(o.choices, testedISAs()...).use()
			case 8:
				o.move()
			case 9:
				o.add()
			case 10:
				o.reshard()
			case 11:
				o.changePeriod()
			case 12:
				o.badRebind(h)
			case 13:
				o.badAdd(h)
			case 14:
				o.badShards(h)
			}
		}
		if !o.step() {
			return // the parameters have overflowed
		}
	}
}

// step makes a good step of all hosts and of the model, and compares.
func (o *ordeal[T]) step() bool {
	grads := o.gradients()
	for i := range grads {
		if FirstNonFinite(grads[i]) >= 0 {
			return false
		}
	}
	due := o.ref.due()
	grads, refGrads := o.someMissing(grads), slices.Clone(o.refProblem.gradients())
	for i := range grads {
		if grads[i] == nil {
			refGrads[i] = nil
			o.tally.skipped++
		} else if !due && !o.ref.tensors[i].curved {
			o.waited++
		}
	}
	for _, h := range o.hosts {
		if h.opt.NeedsHessian() != due {
			o.Fatalf("after %d steps NeedsHessian is %v", o.ref.steps, !due)
		}
		own := h.cut(grads)
		hvp := h.hvp(o.problem, own, o.pick(4))
		if !due && o.pick(2) == 1 {
			hvp = nil
		}
		if err := h.opt.Step(own, hvp); err != nil {
			o.Fatal(err)
		}
	}
	o.ref.step(refGrads, o.refProblem.hvp)
	o.steps++
	if due {
		o.refreshes++
	}
	if len(o.hosts) > 1 {
		o.shards++
	}
	if slices.ContainsFunc(o.hosts, func(h *host[T]) bool { return len(h.opt.call.scratch) > 1 }) {
		o.parallel++
	}
	o.compare()
	return true
}

// someMissing returns the gradients. At times some are nil, but never all of a host's.
func (o *ordeal[T]) someMissing(grads [][]T) [][]T {
	if o.pick(3) != 2 {
		return grads
	}
	some := slices.Clone(grads)
	for i := range some {
		if o.pick(3) == 2 {
			some[i] = nil
		}
	}
	for _, h := range o.hosts {
		if len(h.shards) > 0 && !slices.ContainsFunc(h.shards, func(s shard) bool { return some[s.tensor] != nil }) {
			i := h.shards[0].tensor
			some[i] = grads[i]
		}
	}
	return some
}

// cut returns the host's parts of x, and nil for nil.
func (h *host[T]) cut(x [][]T) [][]T {
	parts := make([][]T, len(h.shards))
	for k, s := range h.shards {
		if whole := x[s.tensor]; whole != nil {
			lo, hi := h.elements(k, s)
			parts[k] = whole[lo:hi:hi]
		}
	}
	return parts
}

// elements returns where a shard lies in its tensor.
func (h *host[T]) elements(k int, s shard) (lo, hi int) {
	l := h.params[k].Layout
	return s.lo * l.Block * l.Inner, s.hi * l.Block * l.Inner
}

// hvp returns the host's part of a product, computed in one of several ways, for those
// of its gradients that are not nil.
func (h *host[T]) hvp(p *problem[T], grads [][]T, way int) HVP[T] {
	return func(hz, z [][]T) error {
		a, b := h.cut(p.a), h.cut(p.b)
		for k := range hz {
			if k < len(grads) && grads[k] == nil {
				h.leaveNothing(hz, k, way)
				continue
			}
			switch way {
			case 1:
				hz[k] = make([]T, len(hz[k]))
			case 2:
				hz[k] = z[k] // in place
			}
			for e, s := range z[k] {
				hz[k][e] = T(a[k][e]*s) + b[k][e]
			}
			if way == 3 {
				clear(z[k])
			}
		}
		return nil
	}
}

// leaveNothing leaves something meaningless as the product of parameter k.
func (h *host[T]) leaveNothing(hz [][]T, k, way int) {
	switch way {
	case 1:
		hz[k] = nil
	case 2:
		hz[k] = h.params[k].Value
	default:
		fillNaN(hz[k])
	}
}

func fillNaN[T Float](x []T) {
	for e := range x {
		x[e] = T(nan)
	}
}

// compare compares everything that the hosts have with the model.
func (o *ordeal[T]) compare() {
	isaTested[isa()] = true
	for _, h := range o.hosts {
		if h.opt.Steps() != o.ref.steps || h.opt.refreshes != o.ref.refreshes {
			o.Fatalf("%d steps with %d refreshes, want %d with %d", h.opt.Steps(), h.opt.refreshes, o.ref.steps, o.ref.refreshes)
		}
		for k, s := range h.shards {
			want, l := &o.ref.tensors[s.tensor], h.params[k].Layout
			lo, hi := h.elements(k, s)
			if own := h.opt.stepsOf(k); hi > lo && (own != want.steps || h.opt.tensors[k].curved != want.curved) {
				o.Fatalf("step %d, tensor %d: %d steps of its own, curvature kept: %v, want %d, %v",
					o.ref.steps, s.tensor, own, h.opt.tensors[k].curved, want.steps, want.curved)
			}
			m, v := h.opt.State(k)
			all := []struct {
				what      string
				got, want []T
			}{{"θ", h.params[k].Value, want.theta}, {"m", m, want.m}, {"v", expand(v, l), want.v}}
			if d := h.opt.tensors[k].d; d != nil {
				all = append(all, struct {
					what      string
					got, want []T
				}{"D", expand(d, l), want.d})
			}
			for _, x := range all {
				requireSame(o.T, x.got, x.want[lo:hi], "%s, %d workers, step %d, tensor %d %+v, shard %d to %d: %s",
					isa(), len(h.opt.call.scratch), o.ref.steps, s.tensor, want.layout, s.lo, s.hi, x.what)
				o.bits += uint64(hi-lo) * uint64(unsafe.Sizeof(T(0))) * 8
			}
		}
	}
}

// reschedule changes hyperparameters, as a schedule does.
func (o *ordeal[T]) reschedule() {
	rate := oneOf(o.choices, 0.1, 0.02, 0)
	o.ref.opts.LR, o.opts.LR = rate, rate
	for _, h := range o.hosts {
		if err := h.opt.SetLR(rate); err != nil {
			o.Fatal(err)
		}
		if err := h.opt.SetLR(-1); !errors.Is(err, ErrOption) {
			o.Fatalf("SetLR(-1) = %v", err)
		}
	}
	for i := range o.ref.tensors {
		if own := o.ref.tensors[i].hyper; own != nil {
			*own = o.hyper()
		}
	}
}

// saveAndLoad replaces a host's optimizer with another that loads its state.
func (o *ordeal[T]) saveAndLoad(h *host[T]) {
	var saved bytes.Buffer
	if _, err := h.opt.WriteTo(&saved); err != nil {
		o.Fatal(err)
	}
	o.saved++
	before := takeSnapshot(h.opt)
	if o.pick(2) == 1 { // load into an optimizer that has made steps since
		copies := slices.Clone(h.params)
		for i := range copies {
			copies[i].Value = slices.Clone(copies[i].Value)
		}
		moved := &host[T]{params: copies, shards: h.shards}
		moved.opt = o.newOptimizer(moved)
		for range 1 + o.pick(3) {
			grads := h.cut(o.c)
			if err := moved.opt.Step(grads, h.hvp(o.problem, grads, 0)); err != nil {
				o.Fatal(err)
			}
		}
		if err := moved.opt.UnmarshalBinary(saved.Bytes()); err != nil {
			o.Fatal(err)
		}
		for i := range copies {
			copy(copies[i].Value, h.params[i].Value)
		}
		before.require(o.T, moved.opt)
		o.loaded++
	}
	h.opt = o.newOptimizer(h)
	if _, err := h.opt.ReadFrom(&saved); err != nil {
		o.Fatal(err)
	}
	o.loaded++
	before.require(o.T, h.opt)
}

// loadDamaged tries to load a damaged state.
func (o *ordeal[T]) loadDamaged(h *host[T]) {
	saved, err := h.opt.MarshalBinary()
	if err != nil {
		o.Fatal(err)
	}
	o.saved++
	at := o.pick(len(saved))
	switch o.pick(4) {
	case 0:
		saved[at] ^= 1 << o.pick(8)
	case 1:
		saved = saved[:at]
	case 2:
		saved = append(saved, 0)
	case 3:
		saved = slices.Delete(saved, at, min(len(saved), at+1+o.pick(100)))
	}
	before := takeSnapshot(h.opt)
	if err := h.opt.UnmarshalBinary(saved); !errors.Is(err, ErrState) {
		o.Fatalf("a damaged state: %v", err)
	}
	before.require(o.T, h.opt)
	o.damaged++
}

// fault spoils a step of a host. It must fail and change nothing.
func (o *ordeal[T]) fault(h *host[T]) {
	for _, g := range o.gradients() {
		if FirstNonFinite(g) >= 0 {
			return
		}
	}
	// A spoiled slice is a copy: shards of one tensor share the gradient's memory.
	grads := h.cut(o.grads)
	for k := range grads {
		grads[k] = slices.Clone(grads[k])
	}
	way := o.pick(4)
	probe, k := o.pick(o.opts.Samples), o.pick(len(h.params))
	if o.pick(3) == 2 { // together with missing gradients
		for j := range grads {
			if j != k && o.pick(2) == 1 {
				grads[j] = nil
			}
		}
	}
	good, none := h.hvp(o.problem, grads, way), false
	hvp, undo := good, func() {}
	bad := oneOf(o.choices, T(nan), T(inf), T(-inf))
	var want error
	spoil := func(f func(hz, z [][]T) error) { hvp = spoilProbe(good, probe, f) }
	switch kind := o.pick(14); {
	case kind == 0:
		grads, want = append(grads, nil), ErrShape
	case kind == 12:
		if h.elementsOf() == 0 {
			return
		}
		clear(grads)
		none, want = true, ErrShape
	case kind >= 6 && !h.opt.NeedsHessian():
		return
	case kind == 6:
		hvp, want = nil, ErrHVP
	case kind == 7:
		spoil(func(_, _ [][]T) error { return errCaller })
		want = errCaller
	case kind == 8:
		spoil(func(_, _ [][]T) error { panic(errCaller) })
		want = errCaller
	case len(h.params) == 0:
		return
	case kind == 1:
		grads[k], want = append(grads[k], 0), ErrShape
	case kind == 2 && h.params[k].Hyper != nil:
		own := h.params[k].Hyper
		before := *own
		oneOf(o.choices, hyperFaults...).edit(own)
		undo, want = func() { *own = before }, ErrOption
	case kind == 9:
		spoil(func(hz, _ [][]T) error { hz[k] = append(hz[k], 0); return nil })
		want = ErrShape
	case len(grads[k]) == 0:
		return
	case kind == 3:
		grads[k], want = grads[k][:0], ErrShape
	case kind == 4 && (h.opt.NeedsHessian() || h.opt.tensors[k].curved):
		grads[k][o.pick(len(grads[k]))], want = bad, ErrNonFinite
	case kind == 5:
		grads[k], _ = h.opt.State(k)
		want = ErrShape
	case kind == 10:
		at := o.pick(len(grads[k]))
		spoil(func(hz, _ [][]T) error { hz[k][at] = bad; return nil })
		want = ErrNonFinite
	case kind == 11:
		spoil(func(hz, z [][]T) error {
			hz[k] = h.params[k].Value
			clear(z[k])
			return nil
		})
		want = ErrShape
	case kind == 13 && o.opts.Samples > 1:
		probe = 1 + probe%(o.opts.Samples-1)
		spoil(func(_, _ [][]T) error { grads[k] = nil; return nil })
		want = ErrShape
	default:
		return
	}
	before := takeSnapshot(h.opt)
	err := stepOrPanic(h.opt, grads, hvp)
	undo()
	if !errors.Is(err, want) {
		o.Fatalf("a fault gives %v, want %v", err, want)
	}
	before.require(o.T, h.opt)
	o.faults++
	if none {
		o.allNil++
	}
}

// stepOrPanic is Step. If Step panics with an error, stepOrPanic returns that error.
func stepOrPanic[T Float](opt *Optimizer[T], grads [][]T, hvp HVP[T]) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = r.(error)
		}
	}()
	return opt.Step(grads, hvp)
}
