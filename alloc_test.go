package adahessian

import (
	"fmt"
	"testing"
)

// TestStepAllocates proves that no Step after the first allocates.
func TestStepAllocates(t *testing.T) {
	t.Run("float32", testStepAllocates[float32])
	if !brief() {
		t.Run("float64", testStepAllocates[float64])
	}
}

func testStepAllocates[T Float](t *testing.T) {
	hyper := DefaultHyper()
	hyper.HessianPower = 0.75
	params := smallLayouts[T]()
	for i := range params {
		if i%2 == 0 {
			params[i].Hyper = &hyper
		}
	}
	params = append(params, longLayouts[T]()...)
	eachISA(t, func(t *testing.T) {
		for _, workers := range []int{1, 4} {
			for _, samples := range []int{1, 3} {
				for _, each := range []int{1, 3} {
					name := fmt.Sprintf("%d workers, %d probes, each %d", workers, samples, each)
					t.Run(name, func(t *testing.T) {
						opts := DefaultOptions()
						opts.Workers, opts.Samples, opts.UpdateEach = workers, samples, each
						r := newRunner(t, opts, params...)
						if got := len(r.opt.call.scratch); got != workers {
							t.Fatalf("%d workers are %d", workers, got)
						}
						grads := r.gradients()
						var hvp HVP[T] = r.hvp
						var failed error
						allocs := testing.AllocsPerRun(2, func() { // once more, before it counts
							for range each {
								if err := r.opt.Step(grads, hvp); err != nil {
									failed = err
								}
							}
						})
						if failed != nil {
							t.Fatal(failed)
						}
						if allocs != 0 {
							t.Errorf("%v allocations", allocs)
						}
					})
				}
			}
		}
	})
}
