package tutorial_test

import "sync"

// An allReduce stands for a library that sums over processes, as MPI does.
type allReduce struct {
	mu    sync.Mutex
	cond  *sync.Cond
	ranks int
	calls [][][]float64
	round int
}

func newAllReduce(ranks int) *allReduce {
	a := &allReduce{ranks: ranks}
	a.cond = sync.NewCond(&a.mu)
	return a
}

// mean replaces x with its mean over all processes, which all call it.
func (a *allReduce) mean(x [][]float64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = append(a.calls, x)
	if len(a.calls) < a.ranks {
		for round := a.round; round == a.round; {
			a.cond.Wait()
		}
		return
	}
	for i := range x {
		for j := range x[i] {
			sum := 0.0
			for _, y := range a.calls {
				sum += y[i][j]
			}
			for _, y := range a.calls {
				y[i][j] = sum / float64(a.ranks)
			}
		}
	}
	a.calls = nil
	a.round++
	a.cond.Broadcast()
}
