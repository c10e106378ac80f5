package adahessian

import (
	"fmt"
	"os/exec"
	"syscall"
	"testing"
)

func init() {
	endsWithParent = func(child *exec.Cmd) {
		child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	}
}

// TestFirstStepFaults proves that New has already touched all the memory of a step: the
// first Step takes no page from the system.
func TestFirstStepFaults(t *testing.T) {
	if underRace || sanitizer() != "" {
		t.Skip("the race detector or the sanitizer keeps memory of its own for what a step touches")
	}
	const limit = 64 // for a stack or two; if New touched nothing, there would be thousands
	for _, c := range []struct{ samples, each, workers int }{{1, 1, 1}, {2, 3, 2}} {
		t.Run(fmt.Sprintf("%d probes, each %d, %d workers", c.samples, c.each, c.workers), func(t *testing.T) {
			opts := DefaultOptions()
			opts.Samples, opts.UpdateEach, opts.Workers = c.samples, c.each, c.workers
			first := func() int64 {
				params := []Param[float64]{{Layout: Elementwise(1 << 20)}, {Layout: Layout{1 << 16, 9, 1}}, {Layout: Layout{64, 3, 3000}}}
				for range 500 {
					params = append(params, Param[float64]{Layout: Elementwise(100)})
				}
				r := newRunner(t, opts, params...)
				grads := r.gradients()
				hvp := func(hz, z [][]float64) error {
					for i := range hz {
						clear(hz[i])
					}
					return nil
				}
				before := minorFaults(t)
				if err := r.opt.Step(grads, hvp); err != nil {
					t.Fatal(err)
				}
				return minorFaults(t) - before
			}
			first() // the program's own pages
			if faults := first(); faults > limit {
				t.Errorf("%d page faults in the first step, want at most %d", faults, limit)
			}
		})
	}
}

// minorFaults returns how many pages the process has been given so far.
func minorFaults(t *testing.T) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return int64(u.Minflt)
}
