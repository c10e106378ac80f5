package adahessian

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// Float is the element type of tensors and of the optimizer's state.
type Float interface{ ~float32 | ~float64 }

// The errors of this package. Every error that New, Step and the other
// functions return wraps one of them, and names what is at fault, where it
// applies the parameter, the index and the value; test with errors.Is.
var (
	// ErrOption reports a hyperparameter or an option outside its range.
	ErrOption = errors.New("adahessian: invalid option")
	// ErrLayout reports a layout that does not describe its tensor.
	ErrLayout = errors.New("adahessian: invalid layout")
	// ErrShape reports slices whose number or length does not fit, or that
	// share memory where they must not.
	ErrShape = errors.New("adahessian: shape mismatch")
	// ErrNonFinite reports a NaN or an infinity where a finite value is needed.
	ErrNonFinite = errors.New("adahessian: value is not finite")
	// ErrState reports saved state that is damaged or belongs to another
	// configuration, or a stream of it that fails.
	ErrState = errors.New("adahessian: invalid state")
	// ErrHVP reports a Hessian-vector product that is missing, failed, or is
	// not one.
	ErrHVP = errors.New("adahessian: Hessian-vector product failed")
)

// Options configures an Optimizer. Start from DefaultOptions: the zero value is
// not valid.
type Options struct {
	Hyper // of every Param that has none of its own

	// Samples is the number of probes that are averaged for each Hessian
	// refresh, that is, for each new estimate of the curvature; at least 1.
	// z⊙Hz is averaged with its sign, so it tends to the diagonal.
	Samples int

	// UpdateEach is the number of steps for each Hessian refresh, at least 1.
	// The first step refreshes; between refreshes the last curvature is fed to
	// the second moment again, and the Hessian-vector product is not called.
	UpdateEach int

	// Seed selects the sequence of probes; any value, 0 too.
	Seed uint64

	// Workers is the most goroutines of one step, at least 0; 0 means
	// GOMAXPROCS at the time of New. The results do not depend on it.
	Workers int

	// SkipFiniteCheck leaves out the search for NaN and infinite values in
	// gradients and Hessian-vector products. With it such a value is not an
	// error, and stays in the state for good.
	SkipFiniteCheck bool
}

// DefaultOptions returns DefaultHyper with one probe at every step.
func DefaultOptions() Options {
	return Options{Hyper: DefaultHyper(), Samples: 1, UpdateEach: 1}
}

// Param is one tensor that an Optimizer trains. A frozen tensor is not given.
type Param[T Float] struct {
	// Name stands in errors and in saved state. It may be empty, or that of
	// another Param.
	Name string

	// Value is θ, row-major, of any length. The Optimizer keeps the slice, and
	// Step updates its elements in place; the caller may change them between
	// steps. No other Param may share its memory.
	Value []T

	// Layout says which elements share their curvature, and has as many
	// elements as Value; zero means Elementwise(len(Value)).
	Layout Layout

	// Hyper holds the hyperparameters; nil means Options.Hyper. Params that
	// share one form a group. The pointer is kept and read at every step, so
	// that a schedule may change what it points to between steps.
	Hyper *Hyper

	// Offset is the global index of Value[0] for the signs of the probes; 0
	// means directly after the previous Param, or index 0 for the first. A
	// shard of a tensor gives its own, and draws the signs that the whole
	// tensor would. Since 0 cannot be given, a shard that begins at index 0
	// must be the first Param. Shards are cut where one block ends and the next
	// begins, between slices of the Layout's Outer axis.
	Offset uint64
}

// An Optimizer trains tensors with AdaHessian (Yao et al., AAAI 2021,
// arXiv 2006.00719). Its methods must not be called concurrently.
type Optimizer[T Float] struct {
	opts      Options
	tensors   []tensor[T]
	values    [][]T // of the tensors
	groups    []group[T]
	steps     uint64 // steps made
	refreshes uint64 // Hessian refreshes made

	// A probe and its products, tensor by tensor.
	z, hz [][]T // the probe, and room for its Hessian-vector product
	sum   [][]T // of z⊙Hz over the probes; nil when Samples = 1

	zView, hzView [][]T // what hvp gets: it may change these headers
	h             [][]T // what the step reads: hzView or sum
	grads         [][]T // the argument of the present Step

	// The division of a step into items, and the stage under way (see plan.go).
	ranges  []range_[T]
	batches []batch[T]
	stream  bool   // the probe is written past the caches
	scratch [][]T  // for each worker
	worker  func() // the goroutine: made once, so that starting it allocates nothing

	length      int                  // elements of all tensors
	first, last stage                // of those under way
	taken, left [stages]atomic.Int64 // items that have been taken, and that are not done
	workers     atomic.Int64         // started
	done        sync.WaitGroup
	draw        uint64 // stageSigns
	fresh       bool   // stageSum: the first probe of a refresh
	due         bool   // stageInspect, stageStep: there is a new product
	replaced    bool   // stageInspect: hvp has put a slice of its own in the place of one
	nonFinite   atomic.Bool

	overlap
}

// tensor is a Param with its state.
type tensor[T Float] struct {
	name   string
	value  []T
	layout Layout
	offset uint64
	group  int
	m, v   []T
	d      []T // curvature of the last refresh; nil when UpdateEach = 1
	next   []T // curvature of the refresh under way; nil where a step needs only the products
}

// group is the hyperparameters that some tensors share.
type group[T Float] struct {
	hyper *Hyper
	where string // begins the name of a hyperparameter in an error
	coef  Coefficients[T]
}

// New returns an optimizer for the given parameters, with all its memory. The
// moments are zero. It keeps each Value and Hyper, and not the slice params. No
// parameters at all, and parameters without elements, are allowed.
//
// The error wraps ErrOption for a hyperparameter, a number of samples, steps
// or workers outside its range, or an Offset so large that the tensor's
// indices wrap; ErrLayout for a Layout that does not describe its Value; and
// ErrShape where the Values of two parameters overlap.
func New[T Float](opts Options, params ...Param[T]) (*Optimizer[T], error) {
	for _, f := range [...]struct {
		name       string
		value, min int
	}{{"Samples", opts.Samples, 1}, {"UpdateEach", opts.UpdateEach, 1}, {"Workers", opts.Workers, 0}} {
		if f.value < f.min {
			return nil, fmt.Errorf("%w: Options.%s = %d, want at least %d", ErrOption, f.name, f.value, f.min)
		}
	}
	o := &Optimizer[T]{opts: opts}
	if o.opts.Workers == 0 {
		o.opts.Workers = runtime.GOMAXPROCS(0)
	}
	o.groups = []group[T]{{hyper: &o.opts.Hyper, where: "Options.Hyper."}}
	var next uint64
	for i, p := range params {
		t, err := o.newTensor(i, p, next)
		if err != nil {
			return nil, err
		}
		next = t.offset + uint64(len(t.value))
		o.tensors = append(o.tensors, t)
		o.values = append(o.values, t.value)
	}
	if err := o.checkOverlap(); err != nil {
		return nil, err
	}
	for i := range o.groups {
		if _, err := o.groups[i].at(1, opts.Samples); err != nil {
			return nil, err
		}
	}
	o.makeSplit(o.makeState())
	o.makeOverlap()
	return o, nil
}

// newTensor checks p, the i-th parameter, and finds its group. Its indices
// start at next if it has no Offset.
func (o *Optimizer[T]) newTensor(i int, p Param[T], next uint64) (tensor[T], error) {
	t := tensor[T]{name: p.Name, value: p.Value, layout: p.Layout, offset: p.Offset}
	if t.layout == (Layout{}) {
		t.layout = Elementwise(len(p.Value))
	}
	if err := t.layout.check(); err != nil {
		return t, fmt.Errorf("%w (Layout of parameter %d %q)", err, i, p.Name)
	}
	if t.layout.Len() != len(p.Value) {
		return t, fmt.Errorf("%w: parameter %d %q: Layout %+v has %d elements, Value has %d",
			ErrLayout, i, p.Name, t.layout, t.layout.Len(), len(p.Value))
	}
	if t.offset == 0 {
		t.offset = next
	}
	if t.offset+uint64(len(p.Value)) < t.offset {
		return t, fmt.Errorf("%w: parameter %d %q: Offset %d and %d elements exceed 64 bits",
			ErrOption, i, p.Name, t.offset, len(p.Value))
	}
	if p.Hyper == nil {
		return t, nil
	}
	t.group = slices.IndexFunc(o.groups, func(g group[T]) bool { return g.hyper == p.Hyper })
	if t.group < 0 {
		t.group = len(o.groups)
		o.groups = append(o.groups, group[T]{hyper: p.Hyper, where: fmt.Sprintf("parameter %d %q: Hyper.", i, p.Name)})
	}
	return t, nil
}

// at returns the group's coefficients of a step, or what is wrong with its
// hyperparameters.
func (g *group[T]) at(step uint64, samples int) (Coefficients[T], error) {
	if err := g.hyper.check(g.where); err != nil {
		return Coefficients[T]{}, err
	}
	return newCoefficients[T](g.hyper, g.where, step, samples)
}

// NeedsHessian reports whether the next Step will call its hvp: at the first
// step and then at every UpdateEach-th.
func (o *Optimizer[T]) NeedsHessian() bool {
	return o.steps%uint64(o.opts.UpdateEach) == 0
}

// Steps returns the number of steps made.
func (o *Optimizer[T]) Steps() uint64 { return o.steps }

// SetLR sets the learning rate of Options.Hyper, that is, of every Param
// without a Hyper of its own; a schedule sets the others in their Hyper. lr is
// finite and at least 0. Else, or if the step's scalars overflow T with it, the
// error wraps ErrOption and the rate is unchanged.
func (o *Optimizer[T]) SetLR(lr float64) error {
	h := o.opts.Hyper
	h.LR = lr
	g := group[T]{hyper: &h, where: "SetLR: "}
	if _, err := g.at(o.steps+1, o.opts.Samples); err != nil {
		return err
	}
	o.opts.Hyper.LR = lr
	return nil
}

// State returns the moments of the i-th parameter, from 0: m with one value for
// each element, and v with one for each block, Layout.Blocks(). Neither is
// bias-corrected. The slices are the optimizer's own: they follow every step and
// every ReadFrom, and what is written there between steps counts (v must not be
// negative). State panics if i is out of range.
func (o *Optimizer[T]) State(i int) (m, v []T) {
	return o.tensors[i].m, o.tensors[i].v
}
