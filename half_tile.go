package adahessian

import "sync"

// A step of halves is cut so that what it widens stays in the L1 cache until the step has
// read it. Then the kernels are those of any step.

const (
	// halfTile is the elements of a tile, about. Each has calls of four kernels, whose
	// beginnings cost something, but from memory short ones take turns sooner: what is
	// asked for ahead of a tile's end is on its way while the next one is widened. Then it is
	// halfTileFar, in steps of more than halfNear elements.
	halfTile    = 1024
	halfTileFar = 256
	halfNear    = 64 << 10

	// halfGroup is the contiguous blocks that the kernels take together, at most.
	halfGroup = 16

	// halfPad is elements between two buffers, so that they do not begin at the same
	// offset of a page.
	halfPad = 64
)

// halfScratch is what a step of halves works in.
type halfScratch struct {
	wide   [maxCall]float32    // a run of a block, or a tile's products and its gradients
	den    [scratchLen]float32 // denominators
	totals [scratchLen]float64 // sums of the runs of long blocks
}

var halfScratches = sync.Pool{New: func() any { return new(halfScratch) }}

// A halfStep is the arguments of UpdateHalf.
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
	// Not in s: what goes back to the pool is on the heap, and would take the slices there.
	w := halfScratches.Get().(*halfScratch)
	least := p.block * p.width
	if p.contiguous() {
		least = halfGroup * p.block
	}
	switch {
	case p.len() == 0:
	case p.block == 1 && s.power != powerAny:
		s.elements(p.outer, w)
	case fitsOnePass(p, s.power) && least <= (maxCall-halfPad)/2:
		updateHalfTiles(s.theta, s.m, s.v, s.out, s.g, s.hz, p, &s.scalars, s.power, s.factor, s.format, w)
	case p.contiguous():
		s.blocks(p, w)
	default:
		s.columns(p, w)
	}
	halfScratches.Put(w)
}

// halfUnit is what the kernels that make a step from halves take a multiple of.
const halfUnit = 32

// elements makes the step of n elements that each have their own curvature.
func (s *halfStep) elements(n int, w *halfScratch) {
	for o := 0; o < n; o += maxCall {
		end := min(n, o+maxCall)
		rest := end - (end-o)%halfUnit
		updateHalf(s.theta[o:rest], s.m[o:], s.v[o:], s.out[o:rest], s.g[o:rest], s.hz[o:rest], &s.scalars, s.power, s.factor, s.format, w)
		p := panel{end - rest, 1, 1, 1}
		updateHalfTiles(s.theta[rest:end], s.m[rest:], s.v[rest:], s.out[rest:end], s.g[rest:end], s.hz[rest:end], p, &s.scalars, s.power, s.factor, s.format, w)
	}
}

// blocks makes the step of contiguous blocks in two passes.
func (s *halfStep) blocks(p panel, w *halfScratch) {
	outer := max(1, halfTile/p.block)
	for o := 0; o < p.outer; o += outer {
		q, e, b := p.tile(o, 0, outer, 1)
		d := w.den[:q.outer]
		s.blockMeans(d, e, p.block, w)
		denominators(s.v[b:][:len(d)], d, d, &s.scalars, s.power, s.exponent)
		if p.block <= halfTile {
			s.descend(e, d, q.asRow(), w)
			continue
		}
		for from := 0; from < p.block; from += halfTile {
			s.descend(e+from, d, panel{1, min(halfTile, p.block-from), 1, 1}, w)
		}
	}
}

// blockMeans sets d to the means of the blocks from element e on, of which there is one
// alone where they are longer than a run.
func (s *halfStep) blockMeans(d []float32, e, block int, w *halfScratch) {
	if block <= runLen {
		x := w.wide[:len(d)*block]
		widen(x, s.hz[e:][:len(x)], s.factor, s.format)
		blockMeans(d, x, block, s.scalars.div)
		return
	}
	total := 0.0
	for from := 0; from < block; from += runLen {
		x := w.wide[:min(runLen, block-from)]
		widen(x, s.hz[e+from:][:len(x)], s.factor, s.format)
		blockMeans(d, x, len(x), 1)
		total += float64(d[0])
	}
	d[0] = float32(total) / s.scalars.div
}

// columns makes the step of strided blocks in two passes, for as many columns as there are
// denominators.
func (s *halfStep) columns(p panel, w *halfScratch) {
	for o := range p.outer {
		for i := 0; i < p.width; i += len(w.den) {
			q, e, b := p.tile(o, i, 1, len(w.den))
			d := w.den[:q.width]
			s.columnMeans(d, e, q, w)
			denominators(s.v[b:][:len(d)], d, d, &s.scalars, s.power, s.exponent)
			rows := q.rowsAtOnce()
			for r := 0; r < q.block; r += rows {
				s.descend(e+r*q.stride, d, panel{1, min(rows, q.block-r), q.stride, q.width}, w)
			}
		}
	}
}

// rowsAtOnce is how many rows of a slice are widened together: one where they lie apart.
func (p panel) rowsAtOnce() int {
	if p.width < p.stride {
		return 1
	}
	return max(1, halfTile/p.width)
}

// columnMeans sets d to the means of the columns of a slice, from element e on.
func (s *halfStep) columnMeans(d []float32, e int, p panel, w *halfScratch) {
	long, rows := p.block > runLen, p.rowsAtOnce()
	if long {
		clear(w.totals[:len(d)])
	}
	for from := 0; from < p.block; from += runLen {
		end := min(from+runLen, p.block)
		for r := from; r < end; r += rows {
			q := panel{1, min(rows, end-r), p.width, p.width}
			div := float32(1) // exact: only the last part divides
			if !long && r+q.block == end {
				div = s.scalars.div
			}
			x := w.wide[:q.len()]
			widen(x, s.hz[e+r*p.stride:][:len(x)], s.factor, s.format)
			stridedMeans(d, x, q, div, r > from, 0)
		}
		if long {
			for i, sum := range d {
				w.totals[i] += float64(sum)
			}
		}
	}
	if long {
		for i := range d {
			d[i] = float32(w.totals[i]) / s.scalars.div
		}
	}
}

// descend makes the second pass of adjacent elements, from e on.
func (s *halfStep) descend(e int, den []float32, p panel, w *halfScratch) {
	if n := p.width &^ (halfUnit - 1); p.block == 1 && n > 0 { // a row, whose beginning the kernel makes
		descendHalf(s.theta[e:][:n], s.m[e:], s.out[e:][:n], s.g[e:][:n], den, &s.scalars, s.factor, s.format, w)
		if n == p.width {
			return
		}
		e, den, p.width = e+n, den[n:], p.width-n
	}
	p.stride = p.width
	n := p.len()
	descendHalfPanel(s.theta[e:][:n], s.m[e:][:n], s.out[e:][:n], s.g[e:][:n], den, p, &s.scalars, s.factor, s.format, w)
}

// descendHalfTiles is descendHalf where there is no kernel for that.
func descendHalfTiles(theta, m []float32, out, g []uint16, den []float32, s *scalars[float32], factor float32, f half, w *halfScratch) {
	descendHalfPanel(theta, m, out, g, den, panel{1, 1, len(theta), len(theta)}, s, factor, f, w)
}

// descendHalfPanel makes the second pass of a panel of adjacent elements with widened
// gradients.
func descendHalfPanel(theta, m []float32, out, g []uint16, den []float32, p panel, s *scalars[float32], factor float32, f half, w *halfScratch) {
	x := w.wide[:len(theta)]
	widen(x, g, factor, f)
	descend(theta, m, x, den, x, p, s)
	narrow(out, theta, f)
}

// updateHalfTiles makes the step of a panel of which a group of blocks fits the buffer twice,
// in one pass over tiles.
func updateHalfTiles(theta, m, v []float32, out, g, hz []uint16, p panel, s *scalars[float32], k power, factor float32, f half, w *halfScratch) {
	size := halfTile
	if p.len() > halfNear {
		size = halfTileFar
	}
	outer := max(1, size/(p.block*p.width))
	if p.contiguous() {
		outer = (outer + halfGroup - 1) &^ (halfGroup - 1)
	}
	wideG, wideHz := w.wide[maxCall/2+halfPad/2:], w.wide[:]
	for o := 0; o < p.outer; o += outer {
		q, e, b := p.tile(o, 0, outer, p.width)
		n := q.len()
		widen(wideHz[:n], hz[e:][:n], factor, f)
		widen(wideG[:n], g[e:][:n], factor, f)
		update(theta[e:], m[e:], v[b:], wideG[:n], wideHz[:n], w.den[:], q, s, k)
		narrow(out[e:][:n], theta[e:][:n], f)
	}
}
