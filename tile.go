package adahessian

import (
	"unsafe"
)

const (
	// maxCall is the most elements that one call of assembly works on.
	// Assembly cannot be preempted, and would hold up the garbage collector.
	maxCall = 16 << 10

	// pieceBytes is the most, about, that a step in stages takes of each stream
	// at a time: a piece stays in the L1 cache between the stages, and is so
	// short that memory hardly notices the change of stage. The power functions
	// take groupBytes of blocks together, and fewer hardly faster.
	pieceBytes = 2048
	groupBytes = 128

	// pieceLen is the width up to which a step of strided blocks is made in one
	// pass, and the columns for which Update has scratch on the stack.
	pieceLen = 1024

	// scratchLen is the length of an optimizer's buffer for the denominators of
	// a piece, and so the most columns of one. Short runs of many rows cost
	// time in memory, where each run begins on a page of its own.
	scratchLen = 4 << 10

	// runBytes is what a piece has of each row of strided blocks, at least.
	runBytes = 16 << 10

	// aheadBytes is the most of a piece's products that are asked for while the
	// piece before is worked on: they wait in the L2 cache.
	aheadBytes = 256 << 10
)

// updatePanel makes a step of a panel. With cached not nil the curvature of
// every block is kept there: where hz is nil it is used, else it is set from
// hz. scratch holds at least pieceLen values.
func updatePanel[T Float](theta, m, v, g, hz, cached []T, p panel, c *Coefficients[T], scratch []T) {
	noteUpdate(theta, m, v, g, hz, cached, p)
	if p.block == 1 && cached == nil && p.outer <= maxCall && c.power != powerAny {
		update(theta, m, v, g, hz, nil, p, &c.scalars, c.power) // soon done, for small tensors
		return
	}
	s := c.scalarsFor(p.block)
	if cached == nil && fuses(p, c.power) {
		updateFused(theta, m, v, g, hz, p, &s, c, scratch)
	} else {
		updateStaged(theta, m, v, g, hz, cached, p, &s, c, scratch)
	}
}

// fuses reports whether a step of the panel is made in one pass by one kernel,
// which holds for blocks of moderate size and a power with a special case.
func fuses(p panel, k power) bool {
	if k == powerAny {
		return false
	}
	if p.contiguous() {
		return p.block <= maxCall/8 // the kernels take groups of 8 or 16 blocks
	}
	return p.width <= pieceLen && p.block*p.width <= maxCall
}

// updateFused makes a step of a panel that fuses.
func updateFused[T Float](theta, m, v, g, hz []T, p panel, s *scalars[T], c *Coefficients[T], scratch []T) {
	outer, _ := p.grain(maxCall, p.width)
	for o := 0; o < p.outer; o += outer {
		q, e, b := p.piece(o, 0, outer, p.width)
		update(theta[e:], m[e:], v[b:], g[e:], hz[e:], scratch, q, s, c.power)
	}
}

// updateStaged makes a step of a panel in two stages: the denominators of a
// piece into scratch, then the elements of the piece.
func updateStaged[T Float](theta, m, v, g, hz, cached []T, p panel, s *scalars[T], c *Coefficients[T], scratch []T) {
	size := int(unsafe.Sizeof(T(0)))
	outer, width := p.grain(pieceBytes/size, min(len(scratch), runBytes/size))
	if group := groupBytes / size; p.contiguous() && outer >= group/4 {
		outer = (outer + group - 1) &^ (group - 1)
	}
	for o := 0; o < p.outer; o += outer {
		for i := 0; i < p.width; i += width {
			q, e, b := p.piece(o, i, outer, width)
			den := scratch[:q.blocks()]
			d := den
			if cached != nil {
				d = cached[b:][:len(den)]
			}
			if hz != nil {
				meanPanel(d, hz[e:], q, s.div)
			}
			curvature(v[b:][:len(den)], den, d, s, c.power, c.exponent)
			descendPanel(theta[e:], m[e:], g[e:], den, nextPiece(hz, g[e:], p, o, i, outer, width), q, s)
		}
	}
}

// nextPiece returns the products of the piece behind that of slice o and column
// i, for descend to ask for, or other where there is no such piece, or so long a
// one that the beginning has left the cache by the time that it is read.
func nextPiece[T Float](hz, other []T, p panel, o, i, outer, width int) []T {
	if hz == nil || outer*p.block*width*int(unsafe.Sizeof(T(0))) > aheadBytes {
		return other
	}
	if i += width; i >= p.width {
		o, i = o+outer, 0
	}
	if o >= p.outer {
		return other
	}
	_, e, _ := p.piece(o, i, outer, width)
	return hz[e:]
}

// meanPanel sets d to the sums of |x| over the panel's blocks, divided by div.
func meanPanel[T Float](d, x []T, p panel, div T) {
	p = p.asRow()
	switch {
	case p.contiguous() && p.block <= maxCall:
		outer := maxCall / p.block
		for o := 0; o < p.outer; o += outer {
			q, e, b := p.piece(o, 0, outer, 1)
			blockMeans(d[b:][:q.outer], x[e:][:q.len()], p.block, div)
		}
	case p.contiguous():
		for o := range d {
			d[o] = longBlockMean(x[o*p.block:][:p.block], div)
		}
	default:
		outer, width := p.grain(maxCall, 64)
		for o := 0; o < p.outer; o += outer {
			for i := 0; i < p.width; i += width {
				q, e, _ := p.piece(o, i, outer, width)
				stridedMeansPiece(d[o*p.width+i:][:q.blocks()], x[e:], q, div)
			}
		}
	}
}

// longBlockMean is the mean of a contiguous block of more than maxCall
// elements.
func longBlockMean[T Float](x []T, div T) T {
	var p partialSums[T]
	for len(x) > 0 {
		n := min(len(x), maxCall)
		addAbs(&p, x[:n])
		x = x[n:]
	}
	return p.fold() / div
}

// stridedMeansPiece is stridedMeans in calls of at most maxCall elements, or
// of as many rows as that allows.
func stridedMeansPiece[T Float](d, x []T, p panel, div T) {
	rows := max(1, maxCall/p.width)
	if p.block <= rows {
		stridedMeans(d, x, p, div, false)
		return
	}
	for b := 0; b < p.block; b += rows {
		q := panel{1, min(rows, p.block-b), p.stride, p.width}
		by := T(1) // exact: only the last part divides
		if b+q.block == p.block {
			by = div
		}
		stridedMeans(d, x[b*p.stride:], q, by, b > 0)
	}
}

// descendPanel is descend in calls of at most maxCall elements.
func descendPanel[T Float](theta, m, g, den, ahead []T, p panel, s *scalars[T]) {
	if p.len() <= maxCall {
		descend(theta, m, g, den, ahead, p, s)
		return
	}
	// Rows of a slice: with contiguous blocks, elements of a block.
	rows := max(1, maxCall/p.width)
	for o := range p.outer {
		for b := 0; b < p.block; b += rows {
			e := (o*p.block + b) * p.stride
			descend(theta[e:], m[e:], g[e:], den[o*p.width:][:p.width], ahead[min(e, len(ahead)):],
				panel{1, min(rows, p.block-b), p.stride, p.width}, s)
		}
	}
}

// panelFinite reports whether all elements of a panel are finite.
func panelFinite[T Float](x []T, p panel) bool {
	if p.width == p.stride {
		return finiteRange(x[:p.len()])
	}
	for b := range p.block { // of one slice
		if !finiteRange(x[b*p.stride:][:p.width]) {
			return false
		}
	}
	return true
}

// finiteRange is allFinite in calls of at most maxCall elements.
func finiteRange[T Float](x []T) bool {
	noteRead(x)
	for len(x) > maxCall {
		if !allFinite(x[:maxCall]) {
			return false
		}
		x = x[maxCall:]
	}
	return allFinite(x)
}

// updateEachOf is updateEach, which makes the step of each of several tensors
// without blocks, of maxCall elements in all at most, whose m and v lie together;
// where there is no kernel for that.
func updateEachOf[T Float](theta [][]T, m, v []T, g, hz [][]T, s *scalars[T], k power) {
	for i, t := range theta {
		n := len(t)
		update(t, m, v, g[i], hz[i], nil, panel{n, 1, 1, 1}, s, k)
		m, v = m[n:], v[n:]
	}
}

// allFiniteEachOf is allFiniteEach, allFinite for each of several slices, where
// there is no kernel for that.
func allFiniteEachOf[T Float](x [][]T) bool {
	for _, x := range x {
		if !allFinite(x) {
			return false
		}
	}
	return true
}
