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
	// configuration, or a stream of it that fails; and an Optimizer that New
	// has not made, that is a copy, or that is in the middle of another call.
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

// Param is one tensor that an Optimizer trains. To freeze a tensor for good, leave
// it out; to freeze it for some steps, see Step.
type Param[T Float] struct {
	// Name stands in errors and in saved state. It may be empty, or that of
	// another Param.
	Name string

	// Value is θ, row-major, of any length. The Optimizer keeps the slice, and
	// Step updates its elements in place; the caller may change them between
	// steps, and Rebind gives the parameter another slice. No other Param may share
	// its memory.
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
	// begins, between slices of the Layout's Outer axis. No two Params have an
	// index in common, since they would draw the same signs.
	Offset uint64
}

// An Optimizer trains tensors with AdaHessian (Yao et al., AAAI 2021,
// arXiv 2006.00719). New makes it. Its methods must not be called concurrently,
// and it must not be copied: of the zero Optimizer, and of a copy, every method
// that returns an error returns one, which wraps ErrState.
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
	next   []T  // curvature of the refresh under way; nil where a step needs only the products
}

// counters count what has been made.
type counters struct {
	steps, refreshes uint64
	age              uint64 // steps from the present curvature on; 0: there is none
}

// New returns an optimizer for the given parameters, with all its memory. The
// moments are zero. It keeps each Value and Hyper, and not the slice params. No
// parameters at all, and parameters without elements, are allowed.
//
// The error wraps ErrOption for a hyperparameter, a number of samples, steps
// or workers outside its range, an Eps above 0 that is 0 in T, an Offset so large
// that the tensor's indices wrap, or two parameters that have an index in common;
// ErrLayout for a Layout that does not describe its Value; and ErrShape where the
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

// Add appends parameters behind the others, with moments of zero. Nothing else
// changes a bit: the state of the others, their signs and their next steps are what
// they would have been. The bias correction of a new parameter starts with its own
// first step.
//
// Where Options.UpdateEach exceeds 1 and a refresh is not due, the new parameters
// have no curvature yet. They are skipped until the next refresh, as if they had no
// gradient (see Step).
//
// The arguments and the errors are those of New; a new Value must not overlap that of
// a present parameter. On an error nothing has changed. Add makes memory. Within hvp it
// is an error that wraps ErrState.
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

// checkNew reports a Value of the tensors from the given one on that shares memory with
// a moment.
func (o *Optimizer[T]) checkNew(first int) error {
	for i := first; i < len(o.tensors); i++ {
		if err := o.memory.check(o.tensors, i, o.tensors[i].value, "Value"); err != nil {
			return err
		}
	}
	return nil
}

// prepare makes what follows from the tensors and their memory.
func (o *Optimizer[T]) prepare(buckets []bucket[T]) {
	workers := workersFor(elementsOf(buckets), o.options.Workers)
	o.plan = makePlan(o.tensors, buckets, workers)
	o.call = makeStepCall[T](len(o.tensors), len(o.plan.tasks), workers)
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
		return t, fmt.Errorf("%w: parameter %d %q: Layout %+v has %d elements, Value has %d",
			ErrLayout, i, p.Name, t.layout, t.layout.Len(), len(p.Value))
	}
	t.group = o.groupOf(p.Hyper, i, p.Name)
	return t, nil
}

// NeedsHessian reports whether the next Step will call its hvp: at the first
// step, and then UpdateEach steps after the last refresh. Within hvp it speaks of the
// present Step.
func (o *Optimizer[T]) NeedsHessian() bool {
	return o.usage.self != nil && (o.age == 0 || o.age >= uint64(o.options.UpdateEach))
}

// Steps returns the number of steps made; within hvp, without the present one.
func (o *Optimizer[T]) Steps() uint64 { return o.steps }

// SetLR sets the learning rate of Options.Hyper, that is, of every Param
// without a Hyper of its own; a schedule sets the others in their Hyper. lr is
// finite and at least 0. Else, or if the step's scalars overflow T with it, the
// error wraps ErrOption and the rate is unchanged. Within hvp it is one that wraps
// ErrState.
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

// SetUpdateEach sets Options.UpdateEach, from the next step on: more refreshes early
// in a run, say, and fewer later. n is at least 1; else the error wraps ErrOption. A
// refresh that is due stays due; else one becomes due n steps after the last. Going
// from 1 to more makes memory for the curvature that is kept, one value for each
// block, and going back to 1 drops it. Within hvp it is an error that wraps ErrState.
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

// SetSteps sets the number of steps made, by every parameter, where moments from
// elsewhere have been written into what State returns: it decides the bias correction
// of the next step, and the draw of its probes. steps is a multiple of
// Options.UpdateEach, since a refresh is then due: the curvature that is kept in
// between is not known. Else the error wraps ErrOption, as it does where scalars of
// the next step overflow T, and nothing has changed. Within hvp it wraps ErrState.
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

// State returns the moments of the i-th parameter, from 0: m with one value for
// each element, and v with one for each block, Layout.Blocks(). Neither is
// bias-corrected. The slices are the optimizer's own: they follow every step and
// everything that is read into the optimizer, and what is written there between
// steps counts (v must not be negative). Within hvp they are those before the
// present Step, and are only to be read. State panics if i is out of range.
func (o *Optimizer[T]) State(i int) (m, v []T) {
	return o.tensors[i].m, o.tensors[i].v
}
