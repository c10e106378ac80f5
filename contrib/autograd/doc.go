// Package ahautograd is AdaHessian (Yao et al., AAAI 2021, arXiv 2006.00719) for
// itsubaki/autograd. It is used like the optimizers of its package optimizer, with any
// optimizer.Model.
//
//	o := ahautograd.AdaHessian{Alpha: 0.02}
//	for … {
//		loss := F.MeanSquaredError(m.Forward(x), t)
//		m.Cleargrads()
//		o.Backward(loss) // instead of loss.Backward()
//		if err := o.Update(m); err != nil { … }
//	}
//
// # The step
//
// If the step needs it, AdaHessian.Backward keeps a graph of the gradients, and
// AdaHessian.Update differentiates it once more, so the Hessian-vector products are
// exact. The rest of the step gives the bits of an adahessian.Optimizer whose
// parameters are the model's, in the order of their names.
//
// A parameter without a gradient keeps its value and its moments. A parameter that
// appears later, as a layer's weights do at its first Forward, starts with its own
// first step.
//
// # Bound on the update
//
// Unlike the published algorithm and the package adahessian, the defaults bound a step
// to the learning rate (AdaHessian.MaxUpdate), which is 0.02. Without a bound, a
// network dies where its curvature vanishes.
//
// # Cost
//
// A step that estimates the curvature takes about three times as long as a step of Adam,
// as results.md shows. AdaHessian.UpdateEach sets how many steps use one estimate. The
// steps in between need no second derivative.
package ahautograd
