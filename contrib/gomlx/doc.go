// Package ahgomlx is AdaHessian (Yao et al., AAAI 2021, arXiv 2006.00719) for
// GoMLX: an optimizer.Interface, built as optimizer.Adam is, for train.Trainer
// with its loops, metrics, schedules and checkpoints as they are.
//
//	trainer := train.NewTrainer(backend, store, modelFn, lossFn,
//		ahgomlx.New().LearningRate(0.1).Done(), nil, nil)
//
// Or by name: importing the package makes it known to GoMLX as "adahessian",
// with the hyperparameters ParamBeta1 and those after it.
//
// # The step
//
// The whole step is part of the graph, for any backend. Rademacher signs z come
// from the store's random number generator, the curvature is |H z|, averaged
// over the axes that Config.Average names, and H z is the gradient of gᵀz. The
// moments, the number of steps that each variable has made, and with
// Config.UpdateEach the last curvature, are variables of the store below
// DefaultScope, so training goes on from a checkpoint as if it had not stopped.
// Results are those of adahessian.Optimizer for the same signs, but for rounding.
//
// A variable that a graph does not use, or that is not trainable, keeps its
// state. One that joins later starts with its own first step.
//
// # Bound on the update
//
// Unlike the published algorithm and the package adahessian, the defaults bound
// a step to the learning rate (Config.MaxUpdate), which is 0.02 where nothing
// else is set: without a bound a network dies where its curvature vanishes.
//
// # Cost
//
// Loss and gradient of a dense layer take three products of matrices, the second
// derivative, and likewise FiniteDifference, six more. GoMLX has reverse mode
// alone; forward over reverse would take as many. With UpdateEach(10), steps in between cost what Adam's do, where the backend
// has conditionals; where it has not, every step pays for it.
//
// # Limits
//
// GoMLX has no second derivative of convolutions, pooling and slices: the error says
// so, and Config.FiniteDifference trains such models. Trainer.AccumulateGradients hands gradients on without the loss, which
// is not enough for AdaHessian, so that it refuses this optimizer.
//
// On machines of few cores GoMLX's Go backend can stop for ever when it executes
// several products of matrices at once, and second derivatives have many. The
// configuration "ops_sequential" prevents it: gobackend.New("ops_sequential"), or
// GOMLX_BACKEND=go:ops_sequential.
package ahgomlx
