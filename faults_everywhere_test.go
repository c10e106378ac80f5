package adahessian

import (
	"fmt"
	"testing"
)

// TestFaultsEverywhere spoils every element of every gradient and of every
// probe's products, in tensors of all shapes, and with several workers many of
// them. After each fault nothing has changed; in the end the run is the same as
// that of a twin without faults.
func TestFaultsEverywhere(t *testing.T) {
	t.Run("float32", testFaultsEverywhere[float32])
	t.Run("float64", testFaultsEverywhere[float64])
}

func testFaultsEverywhere[T Float](t *testing.T) {
	for _, workers := range []int{1, 2} {
		opts := DefaultOptions()
		opts.Workers, opts.Samples, opts.UpdateEach = workers, 2, 2
		params := faultParams[T](workers, nil)
		spoiled, twin := newRunner(t, opts, params...), newRunner(t, opts, params...)
		tried := 0
		for i, x := range spoiled.theta {
			apart := 1
			if len(x) > 1000 || brief() {
				apart = 1 + len(x)/10
				if !brief() {
					apart = 509
				}
			}
			for e := 0; e < len(x); e += apart {
				bad := [...]T{T(nan), T(inf), T(-inf)}[tried%3]
				before := takeSnapshot(spoiled.opt)
				if spoiled.opt.NeedsHessian() {
					for probe := range opts.Samples {
						hvp := spoilProbe(spoiled.hvp, probe, func(hz, _ [][]T) error { hz[i][e] = bad; return nil })
						requireError(t, spoiled.opt.Step(spoiled.gradients(), hvp), ErrNonFinite,
							label(params, i), fmt.Sprintf("Hessian-vector product[%d] = %v", e, bad))
					}
				}
				grads := spoiled.gradients()
				grads[i][e] = bad
				requireError(t, spoiled.opt.Step(grads, spoiled.hvp), ErrNonFinite,
					label(params, i), fmt.Sprintf("gradient[%d] = %v", e, bad))
				before.require(t, spoiled.opt)
				spoiled.step(t)
				twin.step(t)
				tried++
			}
		}
		takeSnapshot(twin.opt).require(t, spoiled.opt)
		t.Logf("%d workers: %d elements", workers, tried)
	}
}
