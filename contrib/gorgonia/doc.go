// Package ahgorgonia is AdaHessian (Yao et al., AAAI 2021, arXiv 2006.00719) for
// Gorgonia: a gorgonia.Solver for float32 and float64 models.
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
// Gorgonia computes a wrong Grad of a Grad, so Hessian-vector products are central
// differences of gradients. For these the solver runs the machine twice more for each
// probe, with the parameters moved and the same inputs. If your gradients do not come
// from one run of one machine, use WithGradient. The parameters are then restored to
// the bit, but the cost and the outputs are those at the moved parameters, so read them
// before Step.
//
// A run must give the same gradients for the same parameters. Gorgonia's Dropout draws
// new numbers in each run, which makes the differences worthless. The first step
// compares two runs, and returns an error if they differ. Otherwise the differences are
// as exact as those of adahessian.FiniteDifference: their error is 1e-9 to 1e-6 of the
// largest |H z| in float64, 1e-4 to 2e-2 in float32, and more if the loss has kinks.
//
// The step itself gives the bits of adahessian.Optimizer.StepGradient, and works in the
// memory of the nodes' values. A parameter that is not in the model of a step, or whose
// gradient has no value, keeps its value and its moments. A new parameter starts with
// its own first step.
//
// # Bound on the update
//
// Unlike the published algorithm and the package adahessian, the defaults bound a
// step to the learning rate (WithMaxUpdate), which is 0.02. Without a bound, a network
// dies where its curvature vanishes.
//
// # Cost
//
// A step that estimates the curvature takes three runs of the machine. WithUpdateEach
// sets how many steps use one estimate. The steps in between take one run, like Adam's.
package ahgorgonia
