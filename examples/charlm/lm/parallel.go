package lm

import "sync"

// parallel calls f on ranges that together cover [0, n), on at most workers
// goroutines, and returns when all are done. If the work on an index does not depend on
// the range that holds it, the result is the same for every number of workers.
func parallel(workers, n int, f func(lo, hi int)) {
	if workers <= 1 {
		f(0, n)
		return
	}
	var wg sync.WaitGroup
	for w := range workers {
		lo, hi := w*n/workers, (w+1)*n/workers
		wg.Go(func() { f(lo, hi) })
	}
	wg.Wait()
}
