// Package ahspago is AdaHessian (Yao et al., AAAI 2021, arXiv 2006.00719) for spaGO:
// an optimizer of models of float32 and of float64, with a Config as spaGO's adam has.
//
//	compute := func() error { return ag.Backward(loss(model, batch)) }
//	optimizer := ahspago.New(nn.Parameters(model), ahspago.NewDefaultConfig(), compute)
//	for … {
//		if err := compute(); err != nil { … }
//		if err := optimizer.Optimize(); err != nil { … }
//	}
//
// It takes the place of an optimizers.Optimizer with its strategy, not of the strategy
// alone: that is told of one parameter at a time, from several goroutines, and
// Optimize of spaGO v1.1.0 returns before they have ended. AdaHessian needs all
// parameters at once.
//
// # The step
//
// spaGO does not differentiate a gradient, so Hessian-vector products are central
// differences of gradients. For these Optimize calls compute twice more for each probe,
// with the parameters moved. They are then restored to the bit. What compute
// leaves elsewhere, as a loss in a variable, is that of moved parameters: read it before.
//
// A call must give the same gradients for the same parameters, so dropout has to be off,
// or to draw the same: the first step compares two calls, and is an error where they
// differ. The other error of differences is that of adahessian.FiniteDifference: 1e-9 to
// 1e-6 of the largest |H z| in float64, 1e-4 to 2e-2 in float32, and more where the loss
// has kinks.
//
// The step itself is that of adahessian.Optimizer.StepGradient, to the bit, in the
// memory of the parameters. One without a gradient keeps its value and its moments. One
// that is new starts with its own first step.
//
// # Bound on the update
//
// Unlike the published algorithm and the package adahessian, the defaults bound a
// step to the learning rate (Config.MaxUpdate), which is 0.02: without a bound a
// network dies where its curvature vanishes.
//
// # Saved models
//
// The state of the optimizer hangs on nn.Param.State of the first parameter, so that
// nn.Dump writes it with the model, and training goes on from nn.Load to the bit.
package ahspago
