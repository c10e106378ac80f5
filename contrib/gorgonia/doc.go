// Package ahgorgonia is AdaHessian (Yao et al., AAAI 2021, arXiv 2006.00719) for
// Gorgonia: a gorgonia.Solver, for models of float32 and of float64.
//
//	machine := gorgonia.NewTapeMachine(g, gorgonia.BindDualValues(learnables...))
//	solver := ahgorgonia.NewAdaHessianSolver(machine, ahgorgonia.WithLearnRate(0.02))
//	model := gorgonia.NodesToValueGrads(learnables)
//	for … {
//		if err := machine.RunAll(); err != nil { … }
//		if err := solver.Step(model); err != nil { … }
//		machine.Reset()
//	}
//
// # The step
//
// Gorgonia's Grad of a Grad is wrong, so Hessian-vector products are central
// differences of gradients. For these the solver runs the machine twice more for each
// probe, with the parameters moved and the inputs as they are; what else is not a run
// of one machine does WithGradient. The parameters are then restored to the bit, but
// cost and outputs are those of the moved ones: read them before Step.
//
// A run must give the same gradients for the same parameters. Gorgonia's Dropout draws
// anew in each run, which makes the differences worthless: the first step finds out,
// by two runs of the same, and is an error then. The other error of differences is
// that of adahessian.FiniteDifference: 1e-9 to 1e-6 of the largest |H z| in float64,
// 1e-4 to 2e-2 in float32, and more where the loss has kinks.
//
// The step itself is that of adahessian.Optimizer.StepGradient, to the bit, in the
// memory of the nodes' values. A parameter that is not in the model of a step, or
// whose gradient has no value, keeps its value and its moments. One that is new starts
// with its own first step.
//
// # Bound on the update
//
// Unlike the published algorithm and the package adahessian, the defaults bound a
// step to the learning rate (WithMaxUpdate), which is 0.02: without a bound a
// network dies where its curvature vanishes.
//
// # Cost
//
// A step that estimates the curvature takes three runs of the machine. WithUpdateEach
// says how many steps use one estimate; those in between take one, as Adam's do.
package ahgorgonia
