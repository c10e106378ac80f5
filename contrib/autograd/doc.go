// Package ahautograd is AdaHessian (Yao et al., AAAI 2021, arXiv 2006.00719) for
// itsubaki/autograd: an optimizer as those of its package optimizer are, for any
// optimizer.Model.
//
//	o := ahautograd.AdaHessian{Alpha: 0.02}
//	for … {
//		loss := F.MeanSquaredError(m.Forward(x), t)
//		m.Cleargrads()
//		o.Backward(loss) // in place of loss.Backward()
//		if err := o.Update(m); err != nil { … }
//	}
//
// # The step
//
// AdaHessian.Backward leaves a graph of the gradients where the step needs one, and
// AdaHessian.Update differentiates it once more: its Hessian-vector products are
// exact. The rest of the step is that of adahessian.Optimizer, to the bit, whose
// parameters are the model's in the order of their names.
//
// A parameter without a gradient keeps its value and its moments. One that appears
// later, as a layer's weights do at its first Forward, starts with its own first
// step.
//
// # Bound on the update
//
// Unlike the published algorithm and the package adahessian, the defaults bound a
// step to the learning rate (AdaHessian.MaxUpdate), which is 0.02: without a bound a
// network dies where its curvature vanishes.
//
// # Cost
//
// A step that estimates the curvature takes about three times as long as one of Adam, as
// results.md shows. AdaHessian.UpdateEach says how many steps use one estimate; those in
// between do without the second derivative.
package ahautograd
