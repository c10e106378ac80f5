package adahessian

import (
	"unsafe"
)

const (
	// maxCall is the largest number of elements that one call of assembly works on.
	// Assembly cannot be preempted, and would otherwise hold up the garbage collector.
	// The sum of a run is one call.
	maxCall = runLen

	// tileBytes is about how much a step in two passes takes of each stream at a time.
	// A tile stays in the L1 cache between the passes, and is so short that memory
	// hardly notices the change of streams. The power functions take groupBytes of
	// blocks together; a smaller group costs as much.
	tileBytes  = 2048
	groupBytes = 128

	// onePassWidth is the width up to which a step of strided blocks is made in one
	// pass, and the number of columns for which Update has scratch on the stack.
	onePassWidth = 1024

	// scratchLen is the length of an optimizer's buffer for the denominators of a tile,
	// and so the largest number of its columns. Short runs of many rows are slow in
	// memory, where each run begins on a page of its own. Three rows of this length are
	// one call.
	scratchLen = 5376

	// meanColumns is the smallest number of columns in a tile of strided means, if
	// there are as many. A tile whose blocks are longer than a run has at most
	// totalColumns, for which there are totals on the stack.
	meanColumns  = 64
	totalColumns = 4096

	// rowBytes is the least that a tile has of each row of strided blocks.
	rowBytes = scratchLen * 4

	// Long rows, of at least longRow bytes, in slices of at least longSlice bytes, are
	// summed and updated a few at a time. Shorter ones stay in the caches. A tile has
	// at most longBytes of each row, so that its denominators stay in the L2 cache.
	longRow     = 1 << 10
	longSlice   = 1 << 20
	longBytes   = 128 << 10
	rowsSummed  = 12
	rowsUpdated = 4

	// fewRows is the largest number of long rows that are updated together in one pass.
	fewRows = 3

	// If a tile has at least nearRow bytes of each row, the processor's prefetchers
	// follow the rows, and the memory nearBytes further on in each row is prefetched. In
	// shorter rows they start anew too often, so the next rows are prefetched instead.
	nearRow   = 16 << 10
	nearBytes = 384

	// aheadBytes is the largest amount of a tile's products that is prefetched while
	// the tile before is worked on. They wait in the L2 cache.
	aheadBytes = 256 << 10
)

// updatePanel makes a step of a panel. If cached is not nil, it holds the curvature of
// every block, which is used if hz is nil, and otherwise set from hz. scratch holds at
// least onePassWidth values.
func updatePanel[T Float](theta, m, v, g, hz, cached []T, p panel, c *Coefficients[T], scratch []T) {
	noteUpdate(theta, m, v, g, hz, cached, p)
	if p.block == 1 && cached == nil && p.outer <= maxCall && c.power != powerAny {
		update(theta, m, v, g, hz, nil, p, &c.scalars, c.power) // the quick path, for small tensors
		return
	}
	s := c.scalarsFor(p.block)
	switch {
	case cached == nil && fitsOnePass(p, c.power):
		updateOnePass(theta, m, v, g, hz, p, &s, c, scratch)
	case cached == nil && hasFewRows[T](p, c.power):
		updateFewRows(theta, m, v, g, hz, p, &s, c, scratch)
	default:
		updateTwoPass(theta, m, v, g, hz, cached, p, &s, c, scratch)
	}
}

// fitsOnePass reports whether a step of the panel is made in one pass by one kernel.
// That is so for blocks of moderate size and a power with a special case.
func fitsOnePass(p panel, k power) bool {
	if k == powerAny {
		return false
	}
	if p.contiguous() {
		return p.block <= maxCall/8 // the kernels take groups of 8 or 16 blocks
	}
	return p.width <= onePassWidth && p.block*p.width <= maxCall
}

// hasFewRows reports whether a step of the panel is made in one pass over all its rows,
// which are long and few: that holds for a power with a special case.
func hasFewRows[T Float](p panel, k power) bool {
	return k != powerAny && p.block <= fewRows && longSlices[T](p)
}

// inOnePass reports whether a step of the panel is made in one pass, in either way.
func inOnePass[T Float](p panel, k power) bool { return fitsOnePass(p, k) || hasFewRows[T](p, k) }

// updateOnePass makes a step of a panel that fits one pass.
func updateOnePass[T Float](theta, m, v, g, hz []T, p panel, s *scalars[T], c *Coefficients[T], scratch []T) {
	outer, _ := p.tileSize(maxCall, p.width)
	for o := 0; o < p.outer; o += outer {
		q, e, b := p.tile(o, 0, outer, p.width)
		update(theta[e:], m[e:], v[b:], g[e:], hz[e:], scratch, q, s, c.power)
	}
}

// updateFewRows makes a step of a panel of long slices of a few rows, in one pass.
func updateFewRows[T Float](theta, m, v, g, hz []T, p panel, s *scalars[T], c *Coefficients[T], scratch []T) {
	width := p.fewRowsWidth(len(scratch))
	for o := range p.outer {
		for i := 0; i < p.width; i += width {
			q, e, b := p.tile(o, i, 1, width)
			updateTogether(theta[e:], m[e:], v[b:], g[e:], hz[e:], scratch, q, s, c.power)
		}
	}
}

// fewRowsWidth returns the columns of a tile of a few long rows, at most the given number.
func (p panel) fewRowsWidth(columns int) int { return p.evenWidth(min(maxCall/p.block, columns)) }

// updateTwoPass makes a step of a panel in two passes over each tile: its
// denominators into scratch, then its elements.
func updateTwoPass[T Float](theta, m, v, g, hz, cached []T, p panel, s *scalars[T], c *Coefficients[T], scratch []T) {
	outer, width := twoPassTile[T](p, len(scratch))
	for o := 0; o < p.outer; o += outer {
		for i := 0; i < p.width; i += width {
			q, e, b := p.tile(o, i, outer, width)
			den := scratch[:q.blocks()]
			d := den
			if cached != nil {
				d = cached[b:][:len(den)]
			}
			next := p.nextTile(o, i, outer, width)
			soon := soonRead[T](q, next)
			if hz != nil {
				meanPanel(d, hz[e:], q, s.div, soon)
			}
			denominators(v[b:][:len(den)], den, d, s, c.power, c.exponent)
			if longRows[T](q) {
				descendLong(theta[e:], m[e:], g[e:], den, q, s, next)
				continue
			}
			ahead := g[e:]
			if hz != nil && soon > 0 {
				ahead = hz[e+soon:]
			}
			descendPanel(theta[e:], m[e:], g[e:], den, ahead, q, s)
		}
	}
}

// twoPassTile returns the slices and columns of a tile of a step in two passes, of at most
// the given number of columns.
func twoPassTile[T Float](p panel, columns int) (outer, width int) {
	size := int(unsafe.Sizeof(T(0)))
	outer, width = p.tileSize(tileBytes/size, min(columns, rowBytes/size))
	if group := groupBytes / size; p.contiguous() && outer >= group/4 {
		outer = (outer + group - 1) &^ (group - 1)
	}
	if longSlices[T](p) {
		width = p.evenWidth(columns)
	}
	return outer, width
}

// soonRead returns next, the distance from a tile to the next one, or 0 if the tile is so long
// that the beginning of the next one would have left the cache before it is read.
func soonRead[T Float](q panel, next int) int {
	if q.len()*int(unsafe.Sizeof(T(0))) > aheadBytes {
		return 0
	}
	return next
}

// nextTile returns the number of elements from the beginning of the tile at slice o and
// column i to that of the next tile, or 0 if there is none.
func (p panel) nextTile(o, i, outer, width int) int {
	_, e, _ := p.tile(o, i, outer, width)
	if i += width; i >= p.width {
		o, i = o+outer, 0
	}
	if o >= p.outer {
		return 0
	}
	_, next, _ := p.tile(o, i, outer, width)
	return next - e
}

// longSlices reports whether the rows and the slices of strided blocks are long enough
// for the rows to be taken a few at a time.
func longSlices[T Float](p panel) bool {
	size := int(unsafe.Sizeof(T(0)))
	return p.block > 1 && !p.contiguous() && p.width*size >= longRow && p.block*p.stride*size >= longSlice
}

// longRows reports whether that holds for a tile that is a part of one slice.
func longRows[T Float](p panel) bool { return p.outer == 1 && longSlices[T](p) }

// evenWidth returns the width of tiles that all have about the same number of columns,
// whole cache lines and at most the given number.
func (p panel) evenWidth(most int) int {
	tiles := (p.width + most - 1) / most
	const line = 64 // elements, at least a cache line
	return min(most, ((p.width+tiles-1)/tiles+line-1)&^(line-1))
}

// rowGroup divides the rows of a slice into groups of about the same size, of at most
// the given number of rows. It returns the group from row b on, and how far ahead of
// its elements the memory lies that is prefetched meanwhile. In long rows that is a
// little further on. In shorter ones it is the next group or, after the last group,
// what lies next elements from the slice's beginning, unless next is 0.
func rowGroup[T Float](p panel, b, most, next int) (q panel, ahead int) {
	groups := (p.block - b + most - 1) / most
	rows := (p.block - b + groups - 1) / groups
	size := int(unsafe.Sizeof(T(0)))
	switch {
	case p.width*size >= nearRow:
		ahead = nearBytes / size
	case groups > 1:
		ahead = rows * p.stride
	case next != 0:
		ahead = next - b*p.stride
	}
	return panel{1, rows, p.stride, p.width}, ahead
}

// callWidth returns the number of columns of a panel that a call works on. If the panel
// has more than fit in one call, they are whole cache lines.
func (p panel) callWidth() int {
	if p.block*p.width <= maxCall {
		return p.width
	}
	const line = 64 // elements, at least a cache line
	return maxCall / p.block &^ (line - 1)
}

// meanPanel sets d to the sums of |x| over the panel's blocks, divided by div. next is
// the distance in x from the panel's beginning to what is read next, or 0.
func meanPanel[T Float](d, x []T, p panel, div T, next int) {
	p = p.asRow()
	outer, width := p.tileSize(maxCall, meanColumns)
	if longSlices[T](p) {
		width = p.evenWidth(longBytes / int(unsafe.Sizeof(T(0))))
		if p.block > runLen {
			width = min(width, totalColumns)
		}
	}
	for o := 0; o < p.outer; o += outer {
		for i := 0; i < p.width; i += width {
			q, e, b := p.tile(o, i, outer, width)
			after := p.nextTile(o, i, outer, width)
			if after == 0 && next > 0 {
				after = next - e
			}
			meanTile(d[b:][:q.blocks()], x[e:], q, div, after)
		}
	}
}

// meanTile is meanPanel for a tile of at most maxCall elements, or of one slice with
// few columns, or of long rows. The sum of a run is in d until it is added.
func meanTile[T Float](d, x []T, p panel, div T, next int) {
	if p.block <= runLen {
		runMeans(d, x, p, div, next)
		return
	}
	sum := func(q panel, e int) { runMeans(d, x[e:], q, 1, 0) }
	if p.width <= meanColumns {
		var totals [meanColumns]float64
		addRuns(totals[:len(d)], d, p, div, sum)
		return
	}
	var totals [totalColumns]float64
	addRuns(totals[:len(d)], d, p, div, sum)
}

// addRuns sets d to the means over blocks of several runs, of one slice. sum sets it to the
// sums of a run, which is q, from element e on. totals are zero.
func addRuns[T Float](totals []float64, d []T, p panel, div T, sum func(q panel, e int)) {
	for b := 0; b < p.block; b += runLen {
		sum(panel{1, min(runLen, p.block-b), p.stride, p.width}, b*p.stride)
		for i, sum := range d {
			totals[i] += float64(sum)
		}
	}
	for i := range d {
		d[i] = T(totals[i]) / div
	}
}

// runMeans is meanTile for blocks of at most runLen elements, in calls of at most
// maxCall elements, or of as many rows as that allows.
func runMeans[T Float](d, x []T, p panel, div T, next int) {
	if p.contiguous() {
		blockMeans(d, x[:p.len()], p.block, div)
		return
	}
	if p.outer > 1 {
		stridedMeans(d, x, p, div, false, 0)
		return
	}
	eachGroup[T](p, 0, summedAtOnce[T](p), next, func(q panel, b, i, ahead int) {
		by := T(1) // exact; only the last part divides
		if b+q.block == p.block {
			by = div
		}
		stridedMeans(d[i:][:q.width], x[b*p.stride+i:], q, by, b > 0, ahead)
	})
}

// summedAtOnce is the largest number of a slice's rows that are summed together.
func summedAtOnce[T Float](p panel) int {
	if longRows[T](p) {
		return rowsSummed
	}
	return max(1, maxCall/p.width)
}

// eachGroup calls f for the rows of a slice from row b on, at most the given number of rows at
// a time and at most maxCall elements in one call. f gets the piece, its first row and column,
// and the distance that rowGroup returns.
func eachGroup[T Float](p panel, b, most, next int, f func(q panel, b, i, ahead int)) {
	for b < p.block {
		q, ahead := rowGroup[T](p, b, most, next)
		width := q.callWidth()
		for i := 0; i < p.width; i += width {
			q.width = min(width, p.width-i)
			f(q, b, i, ahead)
		}
		b += q.block
	}
}

// eachFew calls f for the rows of a slice of long rows, a few of them at a time: the second
// pass of a step. f gets the piece, its first element and column, and how far ahead of its
// elements the memory lies that is prefetched meanwhile. next is the distance from the
// beginning of the slice to what is worked on next, or 0.
//
// few is the number of rows. Short rows are taken as many equal parts of the slice apart, so
// that each is followed by its own next row, and the processor's prefetchers go on.
func eachFew[T Float](p panel, few, next int, f func(q panel, e, i, ahead int)) {
	b := 0
	if size := int(unsafe.Sizeof(T(0))); p.width == p.stride && p.width*size < nearRow {
		part := p.block / few
		q := panel{1, few, part * p.stride, p.width}
		for e := 0; e < q.stride; e += p.stride {
			f(q, e, 0, nearBytes/size)
		}
		b = part * few
	}
	eachGroup[T](p, b, few, next, func(q panel, b, i, ahead int) { f(q, b*p.stride+i, i, ahead) })
}

// descendLong is descend for long rows.
func descendLong[T Float](theta, m, g, den []T, p panel, s *scalars[T], next int) {
	eachFew[T](p, rowsUpdated, next, func(q panel, e, i, ahead int) {
		descendTogether(theta[e:], m[e:], g[e:], den[i:][:q.width], q, s, ahead)
	})
}

// descendPanel is descend in calls of at most maxCall elements.
func descendPanel[T Float](theta, m, g, den, ahead []T, p panel, s *scalars[T]) {
	if p.len() <= maxCall { // most tiles, without a function's cost
		descend(theta, m, g, den, ahead, p, s)
		return
	}
	p.eachPiece(maxCall, func(q panel, e, b int) {
		descend(theta[e:], m[e:], g[e:], den[b:][:q.blocks()], ahead[min(e, len(ahead)):], q, s)
	})
}

// panelFinite reports whether all elements of a panel are finite.
func panelFinite[T Float](x []T, p panel) bool {
	if p.width == p.stride {
		return finiteRange(x[:p.len()])
	}
	row := func(b int) []T { return x[b*p.stride:][:p.width] } // of one slice
	b := p.block % 2
	if b == 1 && !finiteRange(row(0)) {
		return false
	}
	for ; b < p.block; b += 2 {
		if !bothRanges(row(b), row(b+1), 0) {
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

// panelsFinite is panelFinite for two arrays at a time. before is the number of elements
// before the panel that are checked next and have to be fetched from memory.
func panelsFinite[T Float](x, y []T, p panel, before int) bool {
	if p.width == p.stride {
		return bothRanges(x[:p.len()], y[:p.len()], before)
	}
	for b := range p.block { // of one slice
		if !bothRanges(x[b*p.stride:][:p.width], y[b*p.stride:][:p.width], 0) {
			return false
		}
	}
	return true
}

// bothRanges is bothFinite in calls of at most maxCall elements, the last ones first, since
// the inspection runs backwards. before is as for panelsFinite.
func bothRanges[T Float](x, y []T, before int) bool {
	noteRead(x)
	noteRead(y)
	for end := len(x); end > 0; {
		from := (end - 1) / maxCall * maxCall
		next := 0
		if before > 0 {
			next = -min(before+from, maxCall)
		}
		if !bothFinite(x[from:end], y[from:end], next) {
			return false
		}
		end = from
	}
	return true
}

// updateList makes the steps of several tensors without blocks, of at most maxCall
// elements in all, whose m and v lie together, for a power with a special case.
func updateList[T Float](theta [][]T, m, v []T, g, hz [][]T, c *Coefficients[T]) {
	noteUpdates(theta, m, v, g, hz)
	updateMulti(theta, m, v, g, hz, &c.scalars, c.power)
}

// eachFinite reports whether all elements of several slices, of at most maxCall
// elements each, are finite.
func eachFinite[T Float](x [][]T) bool {
	noteReads(x)
	return allFiniteMulti(x)
}

// update makes the step of a panel that fits in one call. If the blocks are strided,
// den has room for a denominator for each column.
func update[T Float](theta, m, v, g, hz, den []T, p panel, s *scalars[T], k power) {
	switch {
	case !p.contiguous():
		updateRows(theta, m, v, g, hz, den, p, s, k)
	case p.block == 1:
		updateElements(theta[:p.outer], m, v, g, hz, s, k)
	default:
		updateBlocks(theta, m, v, g, hz, p, s, k)
	}
}

// denominators sets v to v' and den to the denominators, from the curvature d: the
// first pass of a step. den may be d. a is k/2, and matters for powerAny.
func denominators[T Float](v, den, d []T, s *scalars[T], k power, a float64) {
	if k == powerAny {
		e := newExponent(a)
		curvaturePow(v, den, d, s, &e)
	} else {
		curvature(v, den, d, s, k)
	}
}

// descend sets m to m' and theta to θ', with a denominator for each block: the
// second pass of a step. ahead is what is read next.
func descend[T Float](theta, m, g, den, ahead []T, p panel, s *scalars[T]) {
	if p.contiguous() && p.block > 1 {
		descendBlocks(theta, m, g, den, p, s)
	} else {
		descendRows(theta, m, g, den, ahead, p.asRow(), s)
	}
}

// updateOneByOne is updateMulti if there is no kernel for that. It makes the steps of
// several tensors without blocks, of at most maxCall elements in all, whose m and v lie
// together.
func updateOneByOne[T Float](theta [][]T, m, v []T, g, hz [][]T, s *scalars[T], k power) {
	for i, t := range theta {
		updateElements(t, m, v, g[i], hz[i], s, k)
		m, v = m[len(t):], v[len(t):]
	}
}

// allFiniteOneByOne is allFiniteMulti (allFinite for each of several slices) if there
// is no kernel for that.
func allFiniteOneByOne[T Float](x [][]T) bool {
	for _, x := range x {
		if !allFinite(x) {
			return false
		}
	}
	return true
}
