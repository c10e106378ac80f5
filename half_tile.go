package adahessian

import "sync"

// A step of halves is cut in the same way as any step. If there is a kernel for a piece,
// that kernel widens and narrows in registers. Otherwise halves are widened tile by tile,
// and a tile stays in the L1 cache until the ordinary kernels have read it.

const (
	// halfTile is about the number of elements in a tile. Each tile takes four calls of
	// kernels, and each call costs time to begin. But from memory shorter calls are
	// better, because reading and computing alternate sooner.
	halfTile = 512

	// halfGroup is the largest number of contiguous blocks that the kernels take
	// together.
	halfGroup = 16

	// rowsHalf is rowsUpdated with out, a stream more.
	rowsHalf = 3

	// halfPad is the number of elements between two buffers, so that they do not begin
	// at the same offset in a page.
	halfPad = 64
)

// halfScratch is what a step of halves works in.
type halfScratch struct {
	den    [longBytes / 4]float32       // denominators
	totals [longBytes / 4]float64       // sums of the runs of long blocks
	wide   [2*maxCall + halfPad]float32 // widened halves, where there is no kernel
}

var halfScratches = sync.Pool{New: func() any { return new(halfScratch) }}

// A halfStep holds the arguments of UpdateHalf.
type halfStep struct {
	theta, m, v []float32
	out, g, hz  []uint16
	format      half
	factor      float32
	scalars     scalars[float32]
	power       power
	exponent    float64
}

// run makes the step.
func (s *halfStep) run(p panel) {
	// Not a field of s: the scratch goes back to the pool, so it is on the heap, and s with
	// its slices would move there too.
	w := halfScratches.Get().(*halfScratch)
	switch {
	case p.len() == 0:
	case fitsOnePass(p, s.power):
		s.onePass(p, w)
	case hasFewRows[float32](p, s.power):
		s.fewRows(p, w)
	default:
		s.twoPass(p, w)
	}
	halfScratches.Put(w)
}

// onePass makes the step of a panel that fits one pass, as updateOnePass does.
func (s *halfStep) onePass(p panel, w *halfScratch) {
	outer, _ := p.tileSize(maxCall, p.width)
	for o := 0; o < p.outer; o += outer {
		q, e, b := p.tile(o, 0, outer, p.width)
		n := q.len()
		theta, m, v, out, g, hz := s.theta[e:][:n], s.m[e:], s.v[b:], s.out[e:], s.g[e:], s.hz[e:]
		switch {
		case !q.contiguous():
			updateRowsHalf(theta, m, v, out, g, hz, w.den[:], q, &s.scalars, s.power, s.factor, s.format, w)
		case q.block == 1:
			updateElementsHalf(theta, m, v, out, g, hz, &s.scalars, s.power, s.factor, s.format, w)
		default:
			updateBlocksHalf(theta, m, v, out, g, hz, q, &s.scalars, s.power, s.factor, s.format, w)
		}
	}
}

// fewRows makes the step of a panel of long slices of a few rows, as updateFewRows does.
func (s *halfStep) fewRows(p panel, w *halfScratch) {
	width := p.fewRowsWidth(len(w.den))
	for o := range p.outer {
		for i := 0; i < p.width; i += width {
			q, e, b := p.tile(o, i, 1, width)
			updateTogetherHalf(s.theta[e:], s.m[e:], s.v[b:], s.out[e:], s.g[e:], s.hz[e:], q, &s.scalars, s.power, s.factor, s.format, w)
		}
	}
}

// twoPass makes the step of a panel in two passes over each tile, as updateTwoPass does.
func (s *halfStep) twoPass(p panel, w *halfScratch) {
	outer, width := twoPassTile[float32](p, len(w.den))
	for o := 0; o < p.outer; o += outer {
		for i := 0; i < p.width; i += width {
			q, e, b := p.tile(o, i, outer, width)
			next := p.nextTile(o, i, outer, width)
			soon := soonRead[float32](q, next)
			d := w.den[:q.blocks()]
			s.means(d, e, q.asRow(), soon, w)
			denominators(s.v[b:][:len(d)], d, d, &s.scalars, s.power, s.exponent)
			if longRows[float32](q) {
				s.descendLong(d, e, q, next, w)
			} else {
				s.descend(d, e, q.asRow(), soon, w)
			}
		}
	}
}

// means sets d to the means over the blocks of a tile, from element e on.
func (s *halfStep) means(d []float32, e int, p panel, next int, w *halfScratch) {
	if p.block <= runLen {
		s.runMeans(d, e, p, s.scalars.div, next, w)
		return
	}
	totals := w.totals[:len(d)] // of one slice
	clear(totals)
	addRuns(totals, d, p, s.scalars.div, func(q panel, at int) { s.runMeans(d, e+at, q, 1, 0, w) })
}

// runMeans is means for blocks of at most runLen elements, in calls of about maxCall.
func (s *halfStep) runMeans(d []float32, e int, p panel, div float32, next int, w *halfScratch) {
	switch {
	case p.contiguous():
		blockMeansHalf(d, s.hz[e:], p.block, div, s.factor, s.format, w)
	case p.outer > 1: // little enough for one call
		stridedMeansHalf(d, s.hz[e:], p, div, false, 0, s.factor, s.format, w)
	default:
		eachGroup[float32](p, 0, summedAtOnce[float32](p), next, func(q panel, r, i, ahead int) {
			by := float32(1) // exact: only the last part divides
			if r+q.block == p.block {
				by = div
			}
			stridedMeansHalf(d[i:], s.hz[e+r*p.stride+i:], q, by, r > 0, ahead, s.factor, s.format, w)
		})
	}
}

// descend makes the second pass of a tile from element e on. next is the distance to the
// products that are read next, or 0.
func (s *halfStep) descend(d []float32, e int, p panel, next int, w *halfScratch) {
	ahead := s.g[e:]
	if next > 0 {
		ahead = s.hz[e+next:]
	}
	p.eachPiece(maxCall, func(q panel, at, b int) {
		ahead := ahead[min(at, len(ahead)):]
		at += e
		if q.contiguous() {
			descendBlocksHalf(s.theta[at:], s.m[at:], s.out[at:], s.g[at:], d[b:], q, &s.scalars, s.factor, s.format, w)
		} else {
			descendRowsHalf(s.theta[at:], s.m[at:], s.out[at:], s.g[at:], d[b:], ahead, q, &s.scalars, s.factor, s.format, w)
		}
	})
}

// descendLong is descend for long rows.
func (s *halfStep) descendLong(d []float32, e int, p panel, next int, w *halfScratch) {
	eachFew[float32](p, rowsHalf, next, func(q panel, at, i, ahead int) {
		at += e
		descendTogetherHalf(s.theta[at:], s.m[at:], s.out[at:], s.g[at:], d[i:], q, &s.scalars, ahead, s.factor, s.format, w)
	})
}

// ---- without kernels of halves --------------------------------------------

// updateHalfTiles makes the step of a panel that fits one pass.
func updateHalfTiles(theta, m, v []float32, out, g, hz []uint16, p panel, s *scalars[float32], k power, factor float32, f half, w *halfScratch) {
	outer := max(1, halfTile/(p.block*p.width))
	if p.contiguous() && halfGroup*p.block <= maxCall {
		outer = (outer + halfGroup - 1) &^ (halfGroup - 1)
	}
	wideHz, wideG := w.wide[:maxCall], w.wide[maxCall+halfPad:]
	for o := 0; o < p.outer; o += outer {
		q, e, b := p.tile(o, 0, outer, p.width)
		n := q.len()
		widen(wideHz[:n], hz[e:][:n], factor, f)
		widen(wideG[:n], g[e:][:n], factor, f)
		update(theta[e:], m[e:], v[b:], wideG[:n], wideHz[:n], w.den[:], q, s, k)
		narrow(out[e:][:n], theta[e:][:n], f)
	}
}

// updateHalfRows makes the step of a panel of strided blocks: of one that fits one pass, or of
// some columns of a slice.
func updateHalfRows(theta, m, v []float32, out, g, hz []uint16, p panel, s *scalars[float32], k power, factor float32, f half, w *halfScratch) {
	if p.width == p.stride && p.block*p.width <= maxCall {
		updateHalfTiles(theta, m, v, out, g, hz, p, s, k, factor, f, w)
	} else {
		updateHalfTogether(theta, m, v, out, g, hz, p, s, k, factor, f, w)
	}
}

// updateHalfTogether makes the step of some columns of a slice.
func updateHalfTogether(theta, m, v []float32, out, g, hz []uint16, p panel, s *scalars[float32], k power, factor float32, f half, w *halfScratch) {
	d := w.den[:p.width]
	stridedMeansHalfTiles(d, hz, p, s.div, false, factor, f, w)
	curvature(v[:len(d)], d, d, s, k)
	descendHalfTiles(theta, m, out, g, d, p, s, factor, f, w)
}

// descendHalfTiles makes the second pass of a panel.
func descendHalfTiles(theta, m []float32, out, g []uint16, den []float32, p panel, s *scalars[float32], factor float32, f half, w *halfScratch) {
	p.eachPacked(func(q panel, e, b int) {
		n := q.len()
		x := w.wide[:n]
		widen(x, g[e:][:n], factor, f)
		descend(theta[e:], m[e:], x, den[b:], x, q, s)
		narrow(out[e:][:n], theta[e:][:n], f)
	})
}

// blockMeansHalfTiles sets d to the means over contiguous blocks.
func blockMeansHalfTiles(d []float32, x []uint16, block int, div, factor float32, f half, w *halfScratch) {
	blocks := max(1, halfTile/block)
	for j := 0; j < len(d); j += blocks {
		d := d[j:min(j+blocks, len(d))]
		wide := w.wide[:len(d)*block]
		widen(wide, x[j*block:][:len(wide)], factor, f)
		blockMeans(d, wide, block, div)
	}
}

// stridedMeansHalfTiles sets d to the means over a part of one slice's columns. If more is
// set, the sums continue from what d holds.
func stridedMeansHalfTiles(d []float32, x []uint16, p panel, div float32, more bool, factor float32, f half, w *halfScratch) {
	p.eachPacked(func(q panel, e, b int) {
		n := q.len()
		r := e / p.stride % p.block
		by := float32(1)
		if r+q.block == p.block {
			by = div
		}
		widen(w.wide[:n], x[e:][:n], factor, f)
		stridedMeans(d[b:], w.wide[:n], q, by, more || r > 0, 0)
	})
}

// eachPacked calls f for the pieces of a panel that make tiles of adjacent elements.
func (p panel) eachPacked(f func(q panel, e, b int)) {
	most := halfTile
	if p.width < p.stride {
		most = 1
	}
	p.eachPiece(most, func(q panel, e, b int) {
		if !q.contiguous() {
			q.stride = q.width
		}
		f(q, e, b)
	})
}
