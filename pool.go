package adahessian

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// A pool runs the phases of a step on several goroutines. A phase consists of tasks,
// and each goroutine takes one task after another. Each task writes memory of its own,
// so the number of goroutines changes only the time. The pool does not know what a task
// does.
type pool struct {
	phases  [phaseCount]work // made with the optimizer, then only read
	workers int              // the largest number of goroutines, the caller's included
	worker  func()           // what another goroutine runs: made once, so that starting it allocates nothing

	first, last phase                    // of the present run
	taken, left [phaseCount]atomic.Int64 // tasks that have been taken, and tasks that are not done
	others      int                      // goroutines, without the caller's
	started     atomic.Int64             // of these
	waiting     *sync.Cond               // for the tasks of a phase to be done
	done        sync.WaitGroup
	stopped     atomic.Bool
}

// work is what a phase does.
type work struct {
	tasks int
	do    func(task, worker int) // worker is the number of the goroutine, from 0
}

func (p *pool) init(workers int) {
	p.workers, p.waiting = workers, sync.NewCond(new(sync.Mutex))
	p.worker = func() {
		p.take(int(p.started.Add(1)))
		p.done.Done()
	}
}

// run runs the phases from the first to the last, each when the one before it is done,
// on at most the given number of goroutines. It reports whether all phases were run: one
// in which a task calls stop is the last.
func (p *pool) run(first, last phase, workers int) (through bool) {
	p.first, p.last = first, last
	for f := first; f <= last; f++ {
		p.taken[f].Store(0)
		p.left[f].Store(int64(p.phases[f].tasks))
	}
	p.stopped.Store(false)
	p.started.Store(0)
	p.others = min(p.workers, workers) - 1
	p.done.Add(p.others)
	for range p.others {
		go p.worker()
	}
	p.take(0)
	p.done.Wait()
	return !p.stopped.Load()
}

// stop makes the present phase the last. A task calls it.
func (p *pool) stop() { p.stopped.Store(true) }

// take works on all phases. Starting a goroutine on an idle processor can take 70 µs,
// as long as a phase, so a goroutine stays for all of them. Between phases it waits
// briefly for the tasks of others, but not for goroutines that have not started yet.
func (p *pool) take(worker int) {
	for f := p.first; f <= p.last; f++ {
		p.drain(f, worker)
		if f < p.last {
			p.await(f)
		}
		if p.stopped.Load() {
			return
		}
	}
}

// drain takes tasks until none is left.
func (p *pool) drain(f phase, worker int) {
	w := &p.phases[f]
	took := 0
	for ; ; took++ {
		i := int(p.taken[f].Add(1)) - 1
		if i >= w.tasks {
			break
		}
		w.do(i, worker)
	}
	if p.left[f].Add(int64(-took)) == 0 && p.others > 0 {
		p.waiting.L.Lock()
		p.waiting.Broadcast()
		p.waiting.L.Unlock()
	}
}

// maxSpins is how often a goroutine looks whether the tasks of the others are done before
// it sleeps. They mostly are by then. If not, other programs use the processors, and it
// leaves them one.
const maxSpins = 1000

// await waits until the tasks of a phase are done.
func (p *pool) await(f phase) {
	for range maxSpins {
		if p.left[f].Load() == 0 {
			return
		}
		runtime.Gosched()
	}
	p.waiting.L.Lock()
	for p.left[f].Load() > 0 {
		p.waiting.Wait()
	}
	p.waiting.L.Unlock()
}
