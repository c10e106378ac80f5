// Package ahgomlx is AdaHessian (Yao et al., AAAI 2021, arXiv 2006.00719) for GoMLX: an
// optimizer.Interface, configured like optimizer.Adam. It works with an unchanged
// train.Trainer and its loops, metrics, schedules and checkpoints.
//
//	trainer := train.NewTrainer(backend, store, modelFn, lossFn,
//		ahgomlx.New().LearningRate(0.1).Done(), nil, nil)
//
// The optimizer can also be chosen by name: importing the package registers it with
// GoMLX as "adahessian", with the hyperparameters ParamBeta1 and those after it.
//
// # The step
//
// The whole step is part of the graph, so any backend can execute it. The Rademacher
// signs z come from the store's random number generator. H z is the gradient of gᵀz, and
// the curvature is |H z|, averaged over the axes that Config.Average names. The moments,
// the number of steps of each variable and, with Config.UpdateEach, the last curvature
// are variables of the store below DefaultScope, so training resumes from a checkpoint as
// if it had not stopped. With the same signs, the results are those of
// adahessian.Optimizer except for rounding.
//
// A variable that a graph does not use, or that is not trainable, keeps its
// state. A variable that is added later starts with its own first step.
//
// # Bound on the update
//
// Unlike the published algorithm and the package adahessian, the defaults bound a step
// to the learning rate (Config.MaxUpdate), which is 0.02 unless it is set. Without a
// bound, a network dies where its curvature vanishes.
//
// # Cost
//
// The loss and gradient of a dense layer take three matrix products. The second
// derivative takes six more, and so does FiniteDifference. GoMLX has reverse mode only;
// forward over reverse would take as many. If the backend has conditionals, the steps
// between refreshes (nine of ten with UpdateEach(10)) cost as much as Adam's. If not,
// every step pays for the second derivative.
//
// # Limits
//
// GoMLX has no second derivative of convolutions, pooling and slices. The error says so;
// use Config.FiniteDifference to train such models. Trainer.AccumulateGradients passes
// gradients without the loss, which is not enough for AdaHessian, so it refuses this
// optimizer.
//
// On machines with few cores, GoMLX's Go backend can hang when it executes several matrix
// products at once, and second derivatives have many. The configuration "ops_sequential"
// prevents this: gobackend.New("ops_sequential"), or GOMLX_BACKEND=go:ops_sequential.
package ahgomlx
