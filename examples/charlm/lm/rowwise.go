package lm

// rowwise is a layer, or the part of one, whose passes treat each sequence by
// itself: functions of a range of sequences, for several goroutines. They are
// bound once, so that a training step allocates nothing.
type rowwise struct {
	*batch
	passes passes
}

type passes struct{ forward, backward, rForward, rBackward func(lo, hi int) }

func (r *rowwise) forward()        { parallel(r.workers, r.Batch, r.passes.forward) }
func (r *rowwise) backward()       { parallel(r.workers, r.Batch, r.passes.backward) }
func (r *rowwise) rForward(n int)  { parallel(r.workers, n, r.passes.rForward) }
func (r *rowwise) rBackward(n int) { parallel(r.workers, n, r.passes.rBackward) }
