package adahessian

import "fmt"

// stepCall is what one Step needs while it runs.
type stepCall[T Float] struct {
	grads      [][]T // the argument
	draw       uint64
	firstProbe bool     // of the refresh
	due        bool     // there is a new product
	replaced   bool     // hvp has replaced one of its slices
	fromMeans  []bool   // for each tensor: the inspection leaves its curvature for the step
	skipped    []bool   // for each tensor: it does not make this step
	steps      []uint64 // for each tensor, while tensors are put into cohorts
	lists      []int    // for each task that is a list: the cohort of its tensors
	scratch    [][]T    // for each worker: the denominators of a tile's columns
}

func makeStepCall[T Float](tensors, tasks, workers, columns int) stepCall[T] {
	c := stepCall[T]{
		fromMeans: make([]bool, tensors),
		skipped:   make([]bool, tensors),
		steps:     make([]uint64, tensors),
		lists:     make([]int, tasks),
	}
	for w := range workers {
		c.scratch = append(c.scratch, newArray[T](columns, 7+w))
	}
	return c
}

// Step makes one step of every parameter (Yao et al., AAAI 2021, arXiv 2006.00719,
// algorithm 1). grads[i] is the gradient of the loss for parameter i, row-major and as
// long as its Value. hvp computes Hessian-vector products. Both belong to the present
// values of the parameters.
//
// When a Hessian refresh is due (see NeedsHessian), Step first calls hvp once for each
// of the Options.Samples probes, and reads grads afterwards, so hvp may fill grads in
// the same pass. Otherwise Step does not call hvp, and hvp may be nil. Instead of
// filling hz[i], hvp may replace it with a slice of its own of the same length; Step
// only reads that slice and does not keep it. The slice may be z[i], with the product
// computed in place: whatever hvp writes into z, the step uses the signs that were
// drawn.
//
// A nil gradient skips its parameter in this step: the parameter, its moments, its
// kept curvature and its own number of steps stay the same. Bias correction counts a
// parameter's own steps, as PyTorch's optimizers do. Which gradients are nil is read
// after the first product, and must not change until the last. The probe has signs for
// a skipped parameter too. hvp should treat its z as zero, because the parameter is
// constant in this step. What hvp leaves in its hz is ignored, even NaN. A parameter
// that was skipped at every refresh so far has no curvature to step by, so it is
// skipped until the next refresh. At least one gradient must not be nil. (In a sharded
// run, a process may have no gradients in some steps. To count the same steps as the
// others, give it a parameter without elements, whose gradient is empty but not nil.)
//
// On entry the contents of hz[i] have no meaning. Some elements are NaN: the first, the
// middle and the last one and, in tensors of more than 16384 elements, every 8192nd. If
// hvp does not write one of these, or only adds to it, Step returns an error, even with
// Options.SkipFiniteCheck.
//
// hvp may save the state (WriteTo, MarshalBinary, AppendBinary) and call NeedsHessian,
// Steps and State; all of these see the optimizer as it was before the Step. The other
// methods, Step included, change the optimizer and return an error within hvp.
//
// Step checks everything before it writes anything. The error wraps ErrShape for the
// wrong number of slices, a wrong length, or memory that is shared and must not be;
// ErrHVP if hvp is due and is nil, fails (its own error is wrapped too), or leaves
// elements unwritten; ErrState within another call on the same optimizer; ErrNonFinite
// for a gradient or product that is NaN or infinite; and ErrOption for hyperparameters
// that have become invalid. On an error nothing has changed, including the position in
// the sequence of probes, and the same Step can be tried again. The same holds if hvp
// panics. (What hvp itself has written into the parameters stays there.)
//
// Step only reads grads and products. They may share memory with one another, and
// grads[i] may be the Value of parameter i itself. No other overlap with a Value, or
// with a slice that State returns, is allowed.
//
// Finite values can still overflow, which is not an error:
//
//   - v becomes infinite if the sum of the products over the probes or a block, or the
//     square of their mean, exceeds the range of T. In float32 that takes a mean of
//     1e19 or more. With a HessianPower above 0 the block then stays where it is,
//     apart from weight decay, until v is set to something else. With a HessianPower of
//     0 it continues to move, because v is not used.
//   - A parameter becomes infinite if LR·m̂ over the denominator exceeds the range of
//     T, as can happen where the curvature vanishes: see Hyper.MaxUpdate.
//   - A parameter becomes NaN if v is infinite and LR·m̂ exceeds the range of T too
//     (∞/∞: in float32, an LR of 100 with a gradient of 3e38); if v is infinite and
//     Beta2 is 0 in T, in the next step (0·∞); or if Eps, v and LR·m̂ are all 0 (0/0).
func (o *Optimizer[T]) Step(grads [][]T, hvp HVP[T]) error {
	if err := o.idle("Step"); err != nil {
		return err
	}
	if len(grads) != len(o.tensors) {
		return fmt.Errorf("%w: grads has %d slices, want %d, one for each parameter (nil skips it)",
			ErrShape, len(grads), len(o.tensors))
	}
	if err := o.coefficients(); err != nil {
		return err
	}
	defer o.letGo()
	o.call.grads = grads
	o.call.due = o.NeedsHessian()
	if o.call.due {
		if err := o.probe(hvp); err != nil {
			return err
		}
	} else if _, err := o.present(); err != nil {
		return err
	}
	if err := o.checkGradients(); err != nil {
		return err
	}
	o.settle()
	first := phaseInspect
	if o.options.SkipFiniteCheck {
		first = phaseStep
	}
	if !o.run(first, phaseStep) {
		if err := o.nonFiniteIn(); err != nil {
			return err
		}
		o.run(phaseStep, phaseStep) // only a sum has overflowed
	}
	o.advance()
	return nil
}

// settle decides for each tensor whether the inspection leaves its curvature for
// the step. A step in one pass does not need it: reading the products again costs less
// than a separate pass for the curvature.
func (o *Optimizer[T]) settle() {
	for _, i := range o.plan.averaged {
		t := &o.tensors[i]
		o.call.fromMeans[i] = o.call.due && (t.d != nil || !inOnePass[T](t.layout.panel(), o.cohorts[t.cohort].coef.power))
	}
}

// letGo ends the step, also after a panic of hvp: it drops the caller's slices.
func (o *Optimizer[T]) letGo() {
	o.usage.within = ""
	o.call.grads = nil
	o.probes.reset()
}

// probe draws the probes of a refresh and leaves the products in o.probes.products.
func (o *Optimizer[T]) probe(hvp HVP[T]) error {
	if hvp == nil {
		return fmt.Errorf("%w: hvp is nil, but step %d needs it, as NeedsHessian reports: if you only have gradients, call StepGradient or pass FiniteDifference",
			ErrHVP, o.steps+1)
	}
	for s := range o.options.Samples {
		o.call.draw = o.refreshes*uint64(o.options.Samples) + uint64(s)
		o.run(phaseSigns, phaseSigns)
		o.probes.marks.set()
		o.usage.within = "hvp"
		err := hvp(o.probes.hzView, o.probes.zView)
		o.usage.within = ""
		if err != nil {
			return fmt.Errorf("%w: step %d, probe %d: %w", ErrHVP, o.steps+1, s, err)
		}
		if changed, err := o.present(); err != nil {
			return err
		} else if changed && s > 0 {
			return fmt.Errorf("%w: hvp set or cleared a nil gradient between the probes of step %d: the same gradients must be nil for all of them",
				ErrShape, o.steps+1)
		}
		if err := o.checkProducts(); err != nil {
			return err
		}
		if o.options.SkipFiniteCheck {
			if err := o.unwritten(); err != nil {
				return err
			}
		}
		if o.options.Samples > 1 {
			o.call.firstProbe = s == 0
			if !o.run(phaseSum, phaseSum) {
				return o.faultyProduct()
			}
			o.probes.reset()
		}
	}
	return nil
}

// What errors call the inputs of a step.
const (
	gradient = "gradient"
	product  = "Hessian-vector product"
)

// nonFiniteIn finds the value that is not finite, among the products if they are
// new, and among the gradients. There may be none: the sum of a block's products can
// overflow, which is not an error.
func (o *Optimizer[T]) nonFiniteIn() error {
	if o.call.due && o.options.Samples == 1 {
		if err := o.faultyProduct(); err != nil {
			return err
		}
	}
	return o.checkFinite(o.call.grads, gradient)
}

// faultyProduct reports the first element that hvp has not written or, if there is
// none, the first that is not finite.
func (o *Optimizer[T]) faultyProduct() error {
	if err := o.unwritten(); err != nil {
		return err
	}
	return o.checkFinite(o.probes.hzView, product)
}

// checkFinite reports the first value of x that is not finite.
func (o *Optimizer[T]) checkFinite(x [][]T, what string) error {
	for i := range x {
		if o.call.skipped[i] {
			continue
		}
		if at := FirstNonFinite(x[i]); at >= 0 {
			return fmt.Errorf("%w: parameter %d %q: %s[%d] = %v; the step changed nothing, so this batch can be skipped",
				ErrNonFinite, i, o.tensors[i].name, what, at, x[i][at])
		}
	}
	return nil
}
