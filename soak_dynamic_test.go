package adahessian

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"unsafe"
)

// What happens to the parameters of an ordeal besides steps: they move, others join,
// other hosts take them over, and all of that goes wrong at times.

// elementsOf returns the number of the host's elements.
func (h *host[T]) elementsOf() (n int) {
	for _, p := range h.params {
		n += len(p.Value)
	}
	return n
}

// nonEmpty returns the host's parameters that have elements.
func (h *host[T]) nonEmpty() (found []int) {
	for k, p := range h.params {
		if len(p.Value) > 0 {
			found = append(found, k)
		}
	}
	return found
}

// move gives some tensors other memory; two of the same length swap theirs. The memory
// that they leave is poisoned.
func (o *ordeal[T]) move() {
	next := make([][]T, len(o.theta))
	var left [][]T
	for i, x := range o.theta {
		if o.pick(2) == 0 {
			next[i] = slices.Clone(x)
			left = append(left, x)
		}
	}
	for i, x := range o.theta {
		for j, y := range o.theta[:i] {
			if len(x) == len(y) && len(x) > 0 && next[i] == nil && next[j] == nil {
				for e := range x {
					x[e], y[e] = y[e], x[e]
				}
				next[i], next[j] = y, x
			}
		}
	}
	for _, h := range o.hosts {
		values := h.cut(next)
		if err := h.opt.Rebind(values); err != nil {
			o.Fatal(err)
		}
		for k, x := range values {
			if x != nil {
				h.params[k].Value = x
			}
		}
	}
	for i, x := range next {
		if x != nil {
			o.theta[i], o.whole[i].Value = x, x
			o.moved++
		}
	}
	for _, x := range left {
		fillNaN(x)
	}
	o.compare()
}

// add gives new tensors to the hosts.
func (o *ordeal[T]) add() {
	if len(o.whole) > 12 {
		return
	}
	before := make([]int, len(o.hosts))
	for k, h := range o.hosts {
		before[k] = len(h.params)
	}
	params := o.join(1 + o.pick(3))
	o.split(params, o.hosts)
	for k, h := range o.hosts {
		if err := h.opt.Add(h.params[before[k]:]...); err != nil {
			o.Fatal(err)
		}
	}
	o.added += len(params)
	o.compare()
}

// changePeriod sets UpdateEach.
func (o *ordeal[T]) changePeriod() {
	n := 1 + o.pick(5)
	o.ref.setUpdateEach(n)
	o.opts.UpdateEach = n
	for _, h := range o.hosts {
		if err := h.opt.SetUpdateEach(0); !errors.Is(err, ErrOption) {
			o.Fatalf("SetUpdateEach(0) = %v", err)
		}
		if err := h.opt.SetUpdateEach(n); err != nil {
			o.Fatal(err)
		}
	}
	o.periods++
	o.compare()
}

// states saves all hosts.
func (o *ordeal[T]) states() (states [][]byte) {
	for _, h := range o.hosts {
		state, err := h.opt.MarshalBinary()
		if err != nil {
			o.Fatal(err)
		}
		states = append(states, state)
		o.saved++
	}
	return states
}

// readers returns readers of the states in another order.
func (o *ordeal[T]) readers(states [][]byte) (readers []io.Reader) {
	first := o.pick(len(states))
	for k := range states {
		readers = append(readers, bytes.NewReader(states[(first+k)%len(states)]))
	}
	return readers
}

// reshard saves all hosts, and lets new hosts with other shards read the states.
func (o *ordeal[T]) reshard() {
	states := o.states()
	for i := range o.whole {
		o.whole[i].Offset = o.ref.tensors[i].offset
	}
	o.sharded = true
	o.hosts = o.split(o.whole, makeHosts[T](1+o.pick(4)))
	for _, h := range o.hosts {
		h.opt = o.newOptimizer(h)
		if err := h.opt.ReadShards(o.readers(states)...); err != nil {
			o.Fatal(err)
		}
		o.resharded += len(states)
	}
	o.compare()
}

// badShards lets a host read states that are not the states of all hosts at one step.
func (o *ordeal[T]) badShards(h *host[T]) {
	states := o.states()
	own := slices.Index(o.hosts, h)
	switch kind := o.pick(5); {
	case kind == 0: // damaged
		bad := states[o.pick(len(states))]
		bad[o.pick(len(bad))] ^= 1 << o.pick(8)
	case kind == 1: // cut off
		bad := &states[o.pick(len(states))]
		*bad = (*bad)[:o.pick(len(*bad))]
	case kind == 2 && o.ref.steps > 0: // of another step
		early, err := New[T](o.opts)
		if err != nil {
			o.Fatal(err)
		}
		state, err := early.MarshalBinary()
		if err != nil {
			o.Fatal(err)
		}
		states = append(states, state)
	case h.elementsOf() == 0:
		return
	case kind == 3:
		states = slices.Delete(states, own, own+1)
	case kind == 4:
		states = append(states, states[own])
	default:
		return
	}
	before := takeSnapshot(h.opt)
	if err := h.opt.ReadShards(o.readers(states)...); !errors.Is(err, ErrState) {
		o.Fatalf("ReadShards of bad states: %v", err)
	}
	before.require(o.T, h.opt)
	o.tally.badShards++
}

// badRebind tries to move a host's parameters to where they cannot be.
func (o *ordeal[T]) badRebind(h *host[T]) {
	found := h.nonEmpty()
	values := make([][]T, len(h.params))
	kind := o.pick(5)
	if kind > 0 && len(found) == 0 || kind > 2 && len(found) == 1 {
		return
	}
	at := o.pick(len(found))
	switch kind {
	case 0:
		values = append(values, nil)
	case 1:
		k := found[at]
		values[k] = make([]T, len(h.params[k].Value)+1)
	case 2:
		k := found[at]
		values[k], _ = h.opt.State(k)
	case 3:
		k, j := found[at], found[(at+1)%len(found)]
		n, more := len(h.params[k].Value), len(h.params[j].Value)
		both := make([]T, n+more-1)
		values[k], values[j] = both[:n], both[n-1:]
	case 4:
		o.moveToGradient(h, found[at], found[(at+1)%len(found)])
		return
	}
	before := takeSnapshot(h.opt)
	if err := h.opt.Rebind(values); !errors.Is(err, ErrShape) {
		o.Fatalf("a bad Rebind: %v", err)
	}
	before.require(o.T, h.opt)
	for k, p := range h.params {
		if unsafe.SliceData(h.opt.tensors[k].value) != unsafe.SliceData(p.Value) {
			o.Fatalf("a bad Rebind has moved parameter %d", k)
		}
	}
	o.badRebinds++
}

// moveToGradient moves parameter k to memory that steps have used as the gradient of j,
// where that gradient must no longer be, and back.
func (o *ordeal[T]) moveToGradient(h *host[T], k, j int) {
	grads := h.cut(o.gradients())
	own := h.params[k].Value
	n := len(own)
	if len(grads[j]) < n {
		return
	}
	there := grads[j][:n:n]
	copy(there, own)
	values := make([][]T, len(h.params))
	values[k] = there
	if err := h.opt.Rebind(values); err != nil {
		o.Fatal(err)
	}
	before := takeSnapshot(h.opt)
	if err := h.opt.Step(grads, h.hvp(o.problem, grads, 0)); !errors.Is(err, ErrShape) {
		o.Fatalf("a gradient in the memory of a parameter that has moved there: %v", err)
	}
	before.require(o.T, h.opt)
	values[k] = own
	if err := h.opt.Rebind(values); err != nil {
		o.Fatal(err)
	}
	before.require(o.T, h.opt)
	o.aliased++
}

// badAdd tries to add an invalid parameter after a valid one.
func (o *ordeal[T]) badAdd(h *host[T]) {
	at := o.free(8)
	good := Param[T]{Name: "good", Value: make([]T, 3), Hyper: &Hyper{LR: 1, Eps: 1}, Offset: at}
	bad := Param[T]{Name: "bad", Value: make([]T, 4), Offset: at + 3}
	found := h.nonEmpty()
	var want error
	switch kind := o.pick(6); {
	case kind == 0:
		bad.Layout, want = Layout{1, 3, 1}, ErrLayout
	case kind == 1:
		bad.Value, want = good.Value[2:], ErrShape
	case kind == 2:
		own := o.hyper()
		oneOf(o.choices, hyperFaults...).edit(&own)
		bad.Hyper, want = &own, ErrOption
	case len(found) == 0:
		return
	case kind == 3:
		k := found[o.pick(len(found))]
		bad.Value, want = h.params[k].Value[:1], ErrShape
	case kind == 4:
		k := found[o.pick(len(found))]
		m, _ := h.opt.State(k)
		bad.Value, want = m[:1], ErrShape
	case kind == 5:
		k := found[o.pick(len(found))]
		bad.Value, bad.Offset, want = bad.Value[:1], h.opt.tensors[k].offset, ErrOption
		if bad.Offset == 0 {
			return
		}
	}
	before, groups := takeSnapshot(h.opt), len(h.opt.groups)
	if err := h.opt.Add(good, bad); !errors.Is(err, want) {
		o.Fatalf("a bad Add: %v, want %v", err, want)
	}
	before.require(o.T, h.opt)
	if len(h.opt.groups) != groups {
		o.Fatal("a bad Add has left a group")
	}
	o.badAdds++
}
