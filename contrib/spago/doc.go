// Package ahspago is AdaHessian (Yao et al., AAAI 2021, arXiv 2006.00719) for spaGO. It
// optimizes float32 and float64 models, and has a Config like that of spaGO's adam.
//
//	compute := func() error { return ag.Backward(loss(model, batch)) }
//	optimizer := ahspago.New(nn.Parameters(model), ahspago.NewDefaultConfig(), compute)
//	for … {
//		if err := compute(); err != nil { … }
//		if err := optimizer.Optimize(); err != nil { … }
//	}
//
// It replaces an optimizers.Optimizer together with its strategy, not the strategy
// alone. A strategy gets one parameter at a time, from several goroutines, and Optimize
// of spaGO v1.1.0 returns before these have ended. AdaHessian needs all parameters at
// once.
//
// # The step
//
// spaGO does not differentiate a gradient, so Hessian-vector products are central
// differences of gradients. For these Optimize calls compute twice more for each probe,
// with the parameters moved. They are then restored to the bit. What compute stores
// elsewhere, such as a loss in a variable, then belongs to the moved parameters, so read
// it before Optimize.
//
// A call must give the same gradients for the same parameters, so dropout must be off or
// draw the same numbers. The first step compares two calls, and returns an error if they
// differ. Otherwise the differences are as exact as those of
// adahessian.FiniteDifference: their error is 1e-9 to 1e-6 of the largest |H z| in
// float64, 1e-4 to 2e-2 in float32, and more if the loss has kinks.
//
// The step itself gives the bits of adahessian.Optimizer.StepGradient, and works in the
// memory of the parameters. A parameter without a gradient keeps its value and its
// moments. A new parameter starts with its own first step.
//
// # Bound on the update
//
// Unlike the published algorithm and the package adahessian, the defaults bound a
// step to the learning rate (Config.MaxUpdate), which is 0.02. Without a bound, a
// network dies where its curvature vanishes.
//
// # Saved models
//
// The state of the optimizer is in nn.Param.State of the first parameter. So nn.Dump
// writes it with the model, and after nn.Load training continues with the same bits.
package ahspago
