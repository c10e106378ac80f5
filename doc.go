// Package adahessian implements AdaHessian, the adaptive second-order
// optimizer of Yao, Gholami, Shen, Mustafa, Keutzer and Mahoney,
// "ADAHESSIAN: An Adaptive Second Order Optimizer for Machine Learning"
// (AAAI 2021, arXiv 2006.00719), for any Go program that can compute gradients
// and Hessian-vector products.
//
// Where Adam divides by a running average of squared gradients, AdaHessian
// divides by one of the squared diagonal of the Hessian H, the matrix of second
// derivatives of the loss. The diagonal is estimated by Hutchinson's method: for
// a random vector z of signs, a probe, the expectation of z⊙Hz is the diagonal
// of H. A product H z costs about as much as another gradient, and H itself is
// never formed. The estimate is averaged over blocks of elements, such as the
// kernels of a convolution, and kept once for each block. For the parameters θ
// and their gradient g:
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
// An [Optimizer] holds the state of some tensors, each a [Param]; [New] makes
// one. [Optimizer.Step] is given the gradients and a closure of type [HVP],
// which computes Hessian-vector products:
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
// Where a framework cannot differentiate twice, [FiniteDifference] makes an
// HVP from gradients alone. [CheckHVP] tests an HVP: that it is linear,
// symmetric, and agrees with differences of gradients.
//
// A [Layout] says which elements share their curvature: [AverageAxes] averages
// over axes of the tensor's shape, [Flat] over runs of elements, and
// [Elementwise] not at all. The second moment has one value for each block, so
// larger blocks take less memory, and less of its bandwidth.
//
// Learning-rate schedules, groups without weight decay, freezing and gradient
// accumulation each have an example below. In the repository, examples/ has
// adapters for several frameworks, and docs/ the format of saved state.
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
// [BlockMeanAbs] and [Update] with [NewCoefficients]. They are written in
// assembly for AVX-512, AVX2 and NEON, chosen at run time, and in Go for
// everything else; see [ISA].
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
