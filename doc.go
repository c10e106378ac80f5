// Package adahessian implements AdaHessian, a second-order optimizer for machine learning.
//
// It works with any Go program that computes gradients, or better, Hessian-vector products.
// The algorithm is that of Yao, Gholami, Shen, Mustafa, Keutzer and Mahoney, "ADAHESSIAN:
// An Adaptive Second Order Optimizer for Machine Learning" (AAAI 2021, arXiv 2006.00719).
//
// Where Adam divides by a running average of squared gradients, AdaHessian divides by a
// running average of the squared diagonal of the Hessian H, the matrix of second
// derivatives of the loss. The diagonal is estimated by Hutchinson's method: for a
// random vector z of signs, a probe, the expectation of z⊙Hz is the diagonal of H. A
// product H z costs about as much as another gradient, and H itself is never formed.
// The estimate is averaged over blocks of elements, such as the kernels of a
// convolution, and kept once for each block. For the parameters θ and their gradient g:
//
//	D  = mean over each block of |H z|
//	m ← β1 m + (1−β1) g              v ← β2 v + (1−β2) D²
//	θ ← θ − η ( m̂ / (v̂^(k/2) + ε) + λ θ )
//
// m̂ and v̂ are m and v with their bias corrected. [Hyper] holds η and the other
// Greek letters.
//
// # Training
//
// An [Optimizer], made by [New], holds the state of some tensors, each described by a
// [Param]. [Optimizer.Step] takes the gradients and a closure of type [HVP], which
// computes Hessian-vector products:
//
//	opt, err := adahessian.New(adahessian.DefaultOptions(),
//		adahessian.Param[float32]{Name: "w", Value: w},
//		adahessian.Param[float32]{Name: "conv", Value: k, Layout: layout})
//	…
//	for range steps {
//		err := opt.Step(grads, func(hz, z [][]float32) error {
//			return model.HessianVector(hz, z) // may fill grads on the way
//		})
//	}
//
// If your framework cannot differentiate twice, [Optimizer.StepGradient] makes a step from
// gradients alone, and [FiniteDifference] makes an HVP from them. [CheckHVP] tests whether an
// HVP is linear and symmetric and agrees with differences of gradients.
//
// A [Layout] says which elements share their curvature: [AverageAxes] averages
// over axes of the tensor's shape, [Flat] over runs of elements, and
// [Elementwise] not at all. The second moment has one value for each block, so larger
// blocks take less memory and memory bandwidth.
//
// A single spike of the curvature early in a run keeps the steps small for a long time, as
// in the published algorithm. With the default Beta2 of 0.999, a first product of 1000,
// followed by products of 1, keeps the steps below half their usual size for 5,810 steps. To
// avoid that, bound the elements of hz in the closure, or use a smaller Beta2, which forgets
// sooner.
//
// Learning-rate schedules, groups without weight decay, freezing and gradient
// accumulation each have an example below. In the repository, contrib/ has
// optimizers for several frameworks, and docs/ describes the format of saved state.
//
// # Settings for networks
//
// These follow from measurements on two small language models, a convolution and a
// Transformer (docs/evidence.md), and on perceptrons (contrib/gomlx/results.md). Other networks
// may need other settings. [NetworkHyper] has the first two.
//
//   - Bound: set a MaxUpdate. With a product in every fifth or tenth step and no bound,
//     runs diverge at the learning rate that is best with a bound. On the Transformer,
//     0.3 ended lowest, and 0.03 was as robust to the learning rate as AdamW. At a rate
//     of 0.15, a perceptron with ReLU trained with 0.03, and died with 0.1 and 1.
//   - Learning rate: 0.3 on both language models, about ten times AdamW's.
//   - Warm-up: linear, over a twentieth of the steps. Without it the convolution ended
//     higher; more made no clear difference.
//   - UpdateEach and the part of the batch: an UpdateEach of 5, and a closure that
//     computes the product over a quarter of the batch. A step then takes 1.07 times as
//     long as AdamW's, and for equal steps the loss is about AdamW's. With the whole batch
//     in every step the loss is lower, but a step takes 2.5 to 2.7 times as long, and in
//     that time AdamW ends lower still.
//   - Blocks: use them to save memory. On the convolution, none of five sizes, from one
//     element to the whole tensor, was better beyond the spread.
//
// # Errors
//
// Every error wraps one of [ErrOption], [ErrLayout], [ErrShape],
// [ErrNonFinite], [ErrState] and [ErrHVP], and names what is at fault: the
// parameter, the index and the value. Step checks everything before it writes anything: on
// an error nothing has changed, and the same Step can be tried again.
//
// # Kernels
//
// A framework that keeps state of its own uses the kernels [Rademacher],
// [BlockMeanAbs], [Update], [UpdateCurvature] and [FirstNonFinite] with
// [NewCoefficients], and for 16-bit numbers [Widen], [Narrow], [UpdateHalf] and
// [FirstNonFiniteHalf]. They are written in assembly for AVX-512, AVX2 and NEON, chosen
// at run time, and in Go for everything else; see [ISA].
//
// # For framework authors
//
// An [Optimizer] holds moments and probes; a framework holds the parameters. This is how
// to do what frameworks do with them, with the example or test that shows it:
//
//   - Memory that moves: before a step, [Optimizer.Rebind] tells the optimizer where the
//     parameters are now. It copies nothing, and is cheap enough for every step
//     (ExampleOptimizer_Rebind).
//   - Weights that appear late, for example at the first forward pass: [Optimizer.Add]. Each
//     starts with its own first step, and the others keep every bit (TestDynamic).
//   - Tensors without a gradient, frozen or unused in this step: a nil gradient. Such a
//     tensor keeps its value, its moments and its number of steps, and hvp treats its z as
//     zero (Example_freezing).
//   - Moments from elsewhere: write them into what [Optimizer.State] returns and call
//     [Optimizer.SetSteps] (TestStateSetSteps, examples/safetensors).
//   - bfloat16 and float16: the optimizer trains float32 masters. Widen gradients and products
//     and copy the rounded masters back, with [Widen] and [Narrow] around a step
//     (Example_bfloat16), or tensor by tensor with [UpdateHalf] (ExampleUpdateHalf,
//     examples/offload). Save, shard and resume the float32 masters and the moments; Narrow
//     then gives the 16-bit weights.
//   - Strided tensors and views: copy them in and out around a step (Example_strided).
//   - Clipping: inside hvp, or before Step, since gradients are read after the product
//     (Example_clipping).
//   - Other estimates of the diagonal: set hz = z⊙D to use your own D, with any number of
//     samples (Example_diagonal). Gaussian probes work the same way (Example_gaussian).
//   - Tied weights: one Param, with the sum of the gradients and products of all uses
//     (Example_tied).
//   - Sparse gradients: fill in the zeros. An element with a gradient of zero still moves
//     by its momentum, as in Adam. For a tensor that a step does not use at all, give a nil
//     gradient instead (Example_sparse).
//   - Sharding: each process makes an Optimizer for its shards, with [Param].Offset. It draws
//     the signs that the whole model would draw (TestShards, examples/mpi).
//   - What is read when: Step calls hvp, then reads which gradients are nil, then the
//     products, then the gradients; it writes parameters and moments last, and only when
//     everything has been checked (TestFaults).
//
// # Reproducible bits
//
// Every result is the same to the bit on every instruction set and
// architecture, for every number of workers, every way of sharding, and after
// every resume. Each operation is rounded once, in the type of the tensor;
// nothing is fused or reordered; sums have a fixed order; and the signs of the
// probes are a function of seed, draw and index (Philox4x32-10). A HessianPower
// other than 0, ½, 1 and 2 takes a power function that is the same everywhere
// too. The one exception is the payload and sign of a NaN.
package adahessian

//go:generate go -C _asm run .
