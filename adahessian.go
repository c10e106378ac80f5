package adahessian

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
)

// Float is the element type of tensors and of the optimizer's state.
type Float interface{ ~float32 | ~float64 }

// The errors of this package. Every error that New, Step and the other
// functions return wraps one of them; test with errors.Is. The text says what is
// wrong and, where they apply, names the parameter, the index and the value.
var (
	// ErrOption reports a hyperparameter or an option outside its range.
	ErrOption = errors.New("adahessian: invalid option")
	// ErrLayout reports a layout that does not describe its tensor.
	ErrLayout = errors.New("adahessian: invalid layout")
	// ErrShape reports the wrong number of slices, slices of the wrong length,
	// and slices that must not share memory but do.
	ErrShape = errors.New("adahessian: shape mismatch")
	// ErrNonFinite reports a NaN or an infinity where a finite value is needed.
	ErrNonFinite = errors.New("adahessian: value is not finite")
	// ErrState reports saved state that is damaged, that belongs to another
	// configuration, or whose stream fails. It also reports an Optimizer that
	// was not made by New, is a copy, or is in the middle of another call.
	ErrState = errors.New("adahessian: invalid state")
	// ErrHVP reports a Hessian-vector product that is missing, incomplete or
	// wrong, or that failed with an error of its own.
	ErrHVP = errors.New("adahessian: Hessian-vector product failed")
)

// Options configures an Optimizer. Start from DefaultOptions: the zero value is
// not valid.
type Options struct {
	Hyper // for every Param without a Hyper of its own

	// Samples is the number of probes averaged in each Hessian refresh (each new
	// estimate of the curvature), at least 1. z⊙Hz is averaged with its sign, so the
	// mean tends to the diagonal.
	Samples int

	// UpdateEach is the number of steps from one Hessian refresh to the next, at least
	// 1. The first step refreshes. Between refreshes the Hessian-vector product is not
	// called, and the second moment is updated with the last curvature again.
	UpdateEach int

	// Seed selects the sequence of probes. Any value is valid, 0 included.
	Seed uint64

	// Workers is the maximum number of goroutines in one step, at least 0; 0 means
	// GOMAXPROCS at the time of New. The results do not depend on it.
	Workers int

	// SkipFiniteCheck turns off the search for NaN and infinite values in gradients
	// and Hessian-vector products. Such a value is then not an error, and it stays in
	// the state for good.
	SkipFiniteCheck bool
}

// DefaultOptions returns the options with DefaultHyper and one probe in every step.
func DefaultOptions() Options {
	return Options{Hyper: DefaultHyper(), Samples: 1, UpdateEach: 1}
}

// Param is one tensor that an Optimizer trains. To freeze a tensor for good, leave it
// out. To freeze it for some steps, pass a nil gradient (see Step).
type Param[T Float] struct {
	// Name appears in errors and in saved state. It may be empty, and several Params
	// may share one.
	Name string

	// Value is θ, row-major, of any length. The Optimizer keeps the slice, and Step
	// updates its elements in place. Between steps the caller may change the elements,
	// and Rebind gives the parameter another slice. No other Param may share its
	// memory.
	Value []T

	// Layout says which elements share their curvature. It has as many elements as
	// Value; the zero Layout means Elementwise(len(Value)).
	Layout Layout

	// Hyper holds the hyperparameters; nil means Options.Hyper. Params with the same
	// pointer form a group. The Optimizer keeps the pointer and reads it at every
	// step, so a schedule may change the values between steps.
	Hyper *Hyper

	// Offset is the global index of Value[0], which selects the signs of the probes; 0
	// means directly after the previous Param, or index 0 for the first. A shard of a
	// tensor sets its own Offset and so draws the signs that the whole tensor would.
	// Since 0 has this meaning, a shard that begins at index 0 must be the first
	// Param. Cut shards between blocks, that is, between slices of the Layout's Outer
	// axis. No two Params may have an index in common, because they would draw the
	// same signs.
	Offset uint64
}

// An Optimizer trains tensors with AdaHessian (Yao et al., AAAI 2021, arXiv
// 2006.00719). Make one with New. Its methods must not be called concurrently. It must
// not be copied: on a copy, as on the zero Optimizer, every method that returns an
// error returns one that wraps ErrState.
type Optimizer[T Float] struct {
	usage   usage[T]
	options Options
	tensors []tensor[T]
	groups  []group[T]
	cohorts []cohort[T]
	counters
	probes probes[T]
	plan   plan[T]
	pool   pool
	call   stepCall[T]
	memory memoryMap[T]

	gradient *gradientStep[T] // made by the first StepGradient
}

// tensor is a Param with its state.
type tensor[T Float] struct {
	name   string
	value  []T
	layout Layout
	offset uint64
	group  int
	cohort int
	m, v   []T
	d      []T  // curvature of the last refresh; nil when UpdateEach = 1
	curved bool // d has been set
	next   []T  // new curvature during a refresh; nil where the step works from the products
}

// counters count steps and refreshes.
type counters struct {
	steps, refreshes uint64
	age              uint64 // steps made with the present curvature; 0: there is none
}

// New returns an optimizer for the given parameters and allocates all its memory. The
// moments start at zero. New keeps each Value and Hyper, but not the slice params.
// There may be no parameters, and a parameter may have no elements.
//
// The error wraps ErrOption for a hyperparameter, Samples, UpdateEach or Workers
// outside its range, for an Eps above 0 that rounds to 0 in T, for an Offset so large
// that the tensor's indices wrap, and for two parameters with an index in common. It
// wraps ErrLayout for a Layout that does not describe its Value, and ErrShape if the
// Values of two parameters overlap.
func New[T Float](opts Options, params ...Param[T]) (*Optimizer[T], error) {
	for _, f := range [...]struct {
		name       string
		value, min int
	}{{"Samples", opts.Samples, 1}, {"UpdateEach", opts.UpdateEach, 1}, {"Workers", opts.Workers, 0}} {
		if f.value < f.min {
			return nil, fmt.Errorf("%w: Options.%s = %d, want at least %d: start from DefaultOptions", ErrOption, f.name, f.value, f.min)
		}
	}
	o := &Optimizer[T]{options: opts}
	o.usage.self = o
	if o.options.Workers == 0 {
		o.options.Workers = runtime.GOMAXPROCS(0)
	}
	o.groups = []group[T]{{hyper: &o.options.Hyper, where: "Options.Hyper."}}
	if _, err := o.groups[0].at(1, opts.Samples); err != nil {
		return nil, err
	}
	if err := o.Add(params...); err != nil {
		return nil, err
	}
	return o, nil
}

// Add appends parameters after the present ones, with moments of zero. Nothing else
// changes, not even a bit: the other parameters keep their state, their signs and
// their next steps. The bias correction of a new parameter starts with its own first
// step.
//
// If Options.UpdateEach exceeds 1 and no refresh is due, the new parameters have no
// curvature yet. They are skipped until the next refresh, as if their gradients were
// nil (see Step).
//
// The arguments and the errors are those of New; a new Value must not overlap that of
// a present parameter either. On an error nothing has changed. Add allocates memory.
// Within hvp it returns an error that wraps ErrState.
func (o *Optimizer[T]) Add(params ...Param[T]) error {
	if err := o.idle("Add"); err != nil {
		return err
	}
	before, groups := len(o.tensors), len(o.groups)
	err := o.appendTensors(params)
	if err == nil {
		err = checkOverlap(o.tensors)
	}
	if err == nil {
		err = checkIndices(o.tensors)
	}
	for i := groups; i < len(o.groups) && err == nil; i++ {
		_, err = o.groups[i].at(1, o.options.Samples)
	}
	if err == nil {
		err = o.checkNew(before)
	}
	if err != nil {
		o.tensors, o.groups = o.tensors[:before], o.groups[:groups]
		return err
	}
	steps := make([]uint64, len(o.tensors))
	for i := range before {
		steps[i] = o.stepsOf(i)
	}
	o.gradient = nil
	o.prepare(append(o.plan.buckets, o.makeState(makeBuckets(o.tensors, before))...))
	o.setCohorts(steps)
	return nil
}

// appendTensors checks the parameters one by one and appends them.
func (o *Optimizer[T]) appendTensors(params []Param[T]) error {
	for _, p := range params {
		t, err := o.newTensor(len(o.tensors), p)
		if err == nil {
			err = t.place(len(o.tensors), nextIndex(o.tensors))
		}
		if err != nil {
			return err
		}
		o.tensors = append(o.tensors, t)
	}
	return nil
}

// checkNew reports a Value that shares memory with a moment, among the tensors from the
// given one on.
func (o *Optimizer[T]) checkNew(first int) error {
	for i := first; i < len(o.tensors); i++ {
		if err := o.memory.check(o.tensors, i, o.tensors[i].value, "Value"); err != nil {
			return err
		}
	}
	return nil
}

// prepare makes everything that depends on the tensors and their memory.
func (o *Optimizer[T]) prepare(buckets []bucket[T]) {
	workers := workersFor(elementsOf(buckets), o.options.Workers)
	o.plan = makePlan(o.tensors, buckets, workers)
	o.call = makeStepCall[T](len(o.tensors), len(o.plan.tasks), workers, o.plan.columns)
	o.memory = makeMemoryMap(o.tensors)
	o.cohorts = slices.Grow(o.cohorts, len(o.tensors)) // as many as there can be
	o.pool.init(workers)
	o.makePhases()
}

// newTensor checks p, the i-th parameter, and finds its group.
func (o *Optimizer[T]) newTensor(i int, p Param[T]) (tensor[T], error) {
	t := tensor[T]{name: p.Name, value: p.Value, layout: p.Layout, offset: p.Offset}
	if t.layout == (Layout{}) {
		t.layout = Elementwise(len(p.Value))
	}
	if err := t.layout.check(); err != nil {
		return t, fmt.Errorf("%w (Layout of parameter %d %q)", err, i, p.Name)
	}
	if t.layout.Len() != len(p.Value) {
		return t, fmt.Errorf("%w: parameter %d %q: Layout %+v has %d elements, Value has %d: %s",
			ErrLayout, i, p.Name, t.layout, t.layout.Len(), len(p.Value), t.layout.fitting(len(p.Value)))
	}
	t.group = o.groupOf(p.Hyper, i, p.Name)
	return t, nil
}

// NeedsHessian reports whether the next Step will call its hvp. It will at the first
// step, and then whenever UpdateEach steps have been made since the last refresh.
// Within hvp, NeedsHessian refers to the step in progress.
func (o *Optimizer[T]) NeedsHessian() bool {
	return o.usage.self != nil && (o.age == 0 || o.age >= uint64(o.options.UpdateEach))
}

// Steps returns the number of steps made. Within hvp the step in progress is not
// counted.
func (o *Optimizer[T]) Steps() uint64 { return o.steps }

// SetLR sets the learning rate of Options.Hyper, which every Param without a Hyper of
// its own uses; a schedule sets the others in their Hyper. lr must be finite and at
// least 0. Otherwise, or if the scalars of the next step overflow T with it, the error
// wraps ErrOption and the rate is unchanged. Within hvp the error wraps ErrState.
func (o *Optimizer[T]) SetLR(lr float64) error {
	if err := o.idle("SetLR"); err != nil {
		return err
	}
	h := o.options.Hyper
	h.LR = lr
	g := group[T]{hyper: &h, where: "SetLR: "}
	_, err := g.at(o.steps+1, o.options.Samples)
	for i := range o.cohorts {
		if c := &o.cohorts[i]; c.group == 0 && err == nil {
			_, err = g.at(c.steps+1, o.options.Samples)
		}
	}
	if err != nil {
		return err
	}
	o.options.Hyper.LR = lr
	return nil
}

// SetUpdateEach sets Options.UpdateEach from the next step on, for example to refresh
// often early in a run and less often later. n must be at least 1; otherwise the error
// wraps ErrOption. A refresh that is due stays due; otherwise one becomes due n steps
// after the last. Going from 1 to more allocates memory for the curvature that is
// kept, one value for each block; going back to 1 releases it. Within hvp the error
// wraps ErrState.
func (o *Optimizer[T]) SetUpdateEach(n int) error {
	if err := o.idle("SetUpdateEach"); err != nil {
		return err
	}
	if n < 1 {
		return fmt.Errorf("%w: SetUpdateEach: n = %d, want at least 1", ErrOption, n)
	}
	due, kept := o.NeedsHessian(), o.options.UpdateEach > 1
	o.options.UpdateEach = n
	if due {
		o.age = 0
	}
	if keep := n > 1; keep != kept {
		o.keepCurvature(keep)
	}
	return nil
}

// SetSteps sets the number of steps that the optimizer and every parameter have made.
// Call it after writing moments from elsewhere into the slices of State: the number
// determines the bias correction and the probes of the next step. steps must be a
// multiple of Options.UpdateEach, so that a refresh is due, because the curvature that
// is kept between refreshes is not known. Otherwise, or if scalars of the next step
// overflow T, the error wraps ErrOption and nothing has changed. Within hvp the error
// wraps ErrState.
func (o *Optimizer[T]) SetSteps(steps uint64) error {
	if err := o.idle("SetSteps"); err != nil {
		return err
	}
	each := uint64(o.options.UpdateEach)
	if steps%each != 0 {
		return fmt.Errorf("%w: SetSteps: steps = %d, want a multiple of UpdateEach = %d", ErrOption, steps, each)
	}
	for i := range o.groups {
		if _, err := o.groups[i].at(steps+1, o.options.Samples); err != nil {
			return fmt.Errorf("SetSteps: %w", err)
		}
	}
	for i := range o.tensors {
		o.call.steps[i] = steps
		o.tensors[i].curved = false
	}
	o.counters = counters{steps: steps, refreshes: steps / each}
	o.setCohorts(o.call.steps)
	return nil
}

// State returns the moments of parameter i, counted from 0: m with one value for each
// element, and v with one for each block, Layout.Blocks() in all. Neither is
// bias-corrected. The slices are the optimizer's own: every step changes them, as does
// reading a saved state, and what is written to them between steps takes effect (v
// must not be negative). Within hvp they hold the moments before the step in progress,
// and must only be read. State panics if i is out of range.
func (o *Optimizer[T]) State(i int) (m, v []T) {
	return o.tensors[i].m, o.tensors[i].v
}
