package adahessian

import "fmt"

// stepCall is what lives for one Step.
type stepCall[T Float] struct {
	grads      [][]T // the argument
	draw       uint64
	firstProbe bool     // of the refresh
	due        bool     // there is a new product
	replaced   bool     // hvp has put a slice of its own in the place of one
	fromMeans  []bool   // of each tensor: the inspection leaves its curvature for the step
	skipped    []bool   // of each tensor: it does not make this step
	steps      []uint64 // of each tensor, while they are put into cohorts
	lists      []int    // of each task that is a list: the cohort of its tensors
	scratch    [][]T    // of each worker
}

func makeStepCall[T Float](tensors, tasks, workers int) stepCall[T] {
	c := stepCall[T]{
		fromMeans: make([]bool, tensors),
		skipped:   make([]bool, tensors),
		steps:     make([]uint64, tensors),
		lists:     make([]int, tasks),
	}
	for w := range workers {
		c.scratch = append(c.scratch, newArray[T](scratchLen, 7+w))
	}
	return c
}

// Step makes one step of every parameter (Yao et al., AAAI 2021,
// arXiv 2006.00719, algorithm 1). grads[i] is the gradient of the loss for the
// i-th parameter, row-major and of its length; hvp computes Hessian-vector
// products. Both belong to the parameters' present values.
//
// When a Hessian refresh is due (see NeedsHessian), Step calls hvp first, once
// for each of Options.Samples probes, and reads grads after, so hvp may fill
// grads in the same pass. Else hvp is not called and may be nil. hvp may also
// put a slice of its own into hz[i], of the same length, in place of filling
// the one that is there; Step only reads it, and does not keep it. z[i], with
// the product computed in place, is such a slice too: whatever hvp writes into
// z, the step uses the signs that were drawn.
//
// A nil gradient skips its parameter in this step: the parameter, its moments, its
// kept curvature and its own number of steps stay. Bias correction counts a
// parameter's own steps (as PyTorch's optimizers do). Which gradients are nil is read
// after the first product, and must not change until the last. The probe is drawn for a
// skipped parameter all the same; hvp should take its z for zero, since the parameter is
// a constant in this step, and what hvp leaves in its hz means nothing, NaN included.
// Between refreshes a parameter that was skipped at every refresh so far has no
// curvature to step by: it is skipped until the next one. At least one gradient must
// not be nil. (A process of a sharded run that may have none adds a parameter without
// elements, whose gradient is empty and not nil: it then keeps count with the others.)
//
// What hz[i] holds on entry means nothing: some elements are NaN, and where hvp
// has not written one of these, or has only added to it, Step says so, also with
// Options.SkipFiniteCheck. It marks the first and the last element, that in the
// middle, and in tensors of more than 16384 elements every 8192nd.
//
// hvp may save the state (WriteTo, MarshalBinary and AppendBinary) and call
// NeedsHessian, Steps and State: all of them speak of the time before the Step. The
// other methods, Step among them, change the optimizer, and are an error within hvp.
//
// Step checks everything before it writes anything. The error wraps ErrShape
// for a number or length of slices that does not fit, or memory that is shared
// where it must not be; ErrHVP where hvp is due and is nil, fails (its own error
// is wrapped too), or leaves elements unwritten; ErrState within another call of
// the optimizer's; ErrNonFinite for a gradient or product that is NaN or
// infinite; and ErrOption for hyperparameters that have become invalid. On an
// error nothing has changed, the position in the sequence of probes included,
// and the same Step can be tried again. The same holds if hvp panics. (What hvp
// itself has written into the parameters stays there.)
//
// grads and products are only read. They may share memory with one another, and
// grads[i] may be the Value of parameter i itself. No other overlap with a
// Value, or with a slice that State returns, is allowed.
//
// Finite values can still overflow, which is no error. Where the sum of the
// products over the probes or a block, or the square of their mean, exceeds the
// range of T, which in float32 takes a mean of 1e19 or more, v becomes infinite.
// With a HessianPower above 0 its block then stays where it is, weight decay apart,
// until v is set to something else; with 0 it goes on, since v does not count. A
// parameter can become infinite where LR·m̂ over the denominator exceeds T, as where
// the curvature vanishes: see Hyper.MaxUpdate. And it can become NaN in three
// ways: v is infinite and LR·m̂ exceeds T too (∞/∞: in float32 an LR of 100 with a
// gradient of 3e38); v is infinite and Beta2 is 0 in T, at the step after (0·∞); or
// Eps is 0, and so are v and LR·m̂ (0/0).
func (o *Optimizer[T]) Step(grads [][]T, hvp HVP[T]) error {
	if err := o.idle("Step"); err != nil {
		return err
	}
	if len(grads) != len(o.tensors) {
		return fmt.Errorf("%w: %d gradients for %d parameters", ErrShape, len(grads), len(o.tensors))
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
// the step. A step in one pass reads the products at less cost than a pass of its
// own does, and then needs none.
func (o *Optimizer[T]) settle() {
	for _, i := range o.plan.averaged {
		t := &o.tensors[i]
		o.call.fromMeans[i] = o.call.due && (t.d != nil || !fitsOnePass(t.layout.panel(), o.cohorts[t.cohort].coef.power))
	}
}

// letGo ends the step: it forgets the slices that the caller has given, also where
// hvp has panicked.
func (o *Optimizer[T]) letGo() {
	o.usage.within = ""
	o.call.grads = nil
	o.probes.reset()
}

// probe draws the probes of a refresh and leaves the products in o.probes.products.
func (o *Optimizer[T]) probe(hvp HVP[T]) error {
	if hvp == nil {
		return fmt.Errorf("%w: hvp is nil, and step %d needs it", ErrHVP, o.steps+1)
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
			return fmt.Errorf("%w: which gradients are nil has changed between the probes of one step", ErrShape)
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

// product is what errors call the result of hvp.
const product = "Hessian-vector product"

// nonFiniteIn finds the value that is not finite among the products, if they are
// new, and the gradients. There may be none: the sum of a block's products can
// exceed the largest number, which is no error.
func (o *Optimizer[T]) nonFiniteIn() error {
	if o.call.due && o.options.Samples == 1 {
		if err := o.faultyProduct(); err != nil {
			return err
		}
	}
	return o.checkFinite(o.call.grads, "gradient")
}

// faultyProduct reports the first element that hvp has not written, or else the
// first that is not finite.
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
			return fmt.Errorf("%w: parameter %d %q: %s[%d] = %v",
				ErrNonFinite, i, o.tensors[i].name, what, at, x[i][at])
		}
	}
	return nil
}
