package adahessian

// sumPiece is how many signs are drawn again at a time: they stay in the L1
// cache.
const sumPiece = 2 << 10

// addDrawn adds z⊙hz to sum, or sets it for the first probe, where z is the
// present draw from the given index on. It draws z again, into scratch: hvp was
// given the other copy, and may have written to it, or have computed its
// product in place there.
func (o *Optimizer[T]) addDrawn(sum, hz []T, offset uint64, scratch []T) {
	noteWrite(sum)
	noteRead(hz)
	if o.fresh {
		clear(sum)
	}
	for len(sum) > 0 {
		n := min(len(sum), sumPiece)
		if !o.opts.SkipFiniteCheck && !allFinite(hz[:n]) {
			o.nonFinite.Store(true)
			return
		}
		z := scratch[:n]
		Rademacher(z, o.opts.Seed, o.draw, offset)
		addProbe(sum[:n], z, hz[:n])
		sum, hz, offset = sum[n:], hz[n:], offset+uint64(n)
	}
}
