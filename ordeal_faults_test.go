package adahessian

import (
	"errors"
	"slices"
)

// fault spoils a step of a host. It must fail and change nothing.
func (o *ordeal[T]) fault(h *host[T]) {
	for _, g := range o.gradients() {
		if firstNonFinite(g) >= 0 {
			return
		}
	}
	// A spoiled slice is a copy: shards of one tensor share the gradient's memory.
	grads := h.cut(o.grads)
	for k := range grads {
		grads[k] = slices.Clone(grads[k])
	}
	good := h.hvp(o.problem, o.pick(4))
	hvp, undo := good, func() {}
	probe, k := o.pick(o.opts.Samples), o.pick(len(h.params))
	bad := oneOf(o.choices, T(nan), T(inf), T(-inf))
	var want error
	spoil := func(f func(hz, z [][]T) error) { hvp = spoilProbe(good, probe, f) }
	switch kind := o.pick(12); {
	case kind == 0:
		grads, want = append(grads, nil), ErrShape
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
		grads[k], want = nil, ErrShape
	case kind == 4:
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
}

// stepOrPanic is Step; what it panics with, an error, is an error too.
func stepOrPanic[T Float](opt *Optimizer[T], grads [][]T, hvp HVP[T]) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = r.(error)
		}
	}()
	return opt.Step(grads, hvp)
}
