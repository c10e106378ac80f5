package arm64

// Strided blocks are columns of a slice of block rows. Vectors of neighbouring columns
// walk down the rows together, and no lane needs another. A slice is always read row by
// row, in the order of memory.

// panel is the shape of the slices that a kernel works on, in registers.
type panel struct {
	k                    *kernel
	outer, block, stride gp // stride and width in bytes of floats
	width                gp
}

func (k *kernel) newPanel() *panel {
	p := &panel{k, k.arg("outer"), k.arg("block"), k.arg("stride"), k.arg("width")}
	k.toBytes(p.stride)
	k.toBytes(p.width)
	return p
}

// columns emits body for the vectors of columns of a row.
func (p *panel) columns(unroll int, body func(nv, width int)) {
	p.k.scope(func() {
		n := p.k.gp()
		p.k.ins("MOVD %v, %v", p.width, n)
		p.k.vectors(n, unroll, body)
	})
}

// rows emits body for each of the rows.
func (p *panel) rows(body func()) {
	k := p.k
	k.scope(func() {
		left, row := k.gp(), k.label("row")
		k.ins("MOVD %v, %v", p.block, left)
		k.at(row)
		body()
		k.ins("SUBS $1, %v", left)
		k.ins("BNE %s", row)
	})
}

// slices emits body for each of the slices.
func (p *panel) slices(body func()) {
	p.k.at("slice")
	body()
	p.k.ins("SUBS $1, %v", p.outer)
	p.k.ins("BNE slice")
}

// sums sets d to the sums of |x| down the rows of a slice, which x moves on; d
// moves on by a row. Eight vectors of columns are more chains of additions than their
// latency requires, and give the prefetchers long runs. start prepares the sums from
// those at d, and finish ends them.
func (p *panel) sums(d, x gp, start func(sums []vec, width int), finish func(sums []vec)) {
	k := p.k
	k.scope(func() {
		column := k.gp()
		k.ins("MOVD %v, %v", x, column)
		p.columns(8, func(nv, width int) {
			sums, h := k.some(nv), k.some(nv)
			start(sums, width)
			row := k.gp()
			k.ins("MOVD %v, %v", column, row)
			p.rows(func() {
				k.loadInputs(h, row, width)
				k.moveInput(p.stride, row)
				k.scale(h...)
				each(nv, func(i int) { k.abs(h[i], h[i]) })
				each(nv, func(i int) { k.add(sums[i], sums[i], h[i]) })
			})
			k.ins("ADD $%d, %v", k.inputBytes(nv*width), column)
			finish(sums)
			k.store(sums, d, width)
		})
	})
	k.scope(func() {
		slice := k.gp()
		k.ins("MUL %v, %v, %v", p.block, p.stride, slice)
		k.moveInput(slice, x)
	})
}

// zeros is a start for sums that begins at zero.
func (k *kernel) zeros(sums []vec, _ int) {
	for _, s := range sums {
		k.zero(s)
	}
}

// descend is the second pass of a step for a slice. It moves all pointers except den
// along the rows of the slice.
func (p *panel) descend(c *scalars, e elements, den gp) {
	k := p.k
	k.scope(func() {
		gap, d := k.gp(), k.gp() // bytes from the end of a row to the next
		k.ins("SUB %v, %v, %v", p.width, p.stride, gap)
		p.rows(func() {
			k.ins("MOVD %v, %v", den, d)
			p.columns(2, func(nv, width int) {
				den := k.some(nv)
				k.next(den, d, width)
				c.descendNext(e, den, width)
			})
			k.skip(e, gap)
		})
	})
}

// updateRows is the step for blocks that are columns.
func (k *kernel) updateRows() {
	k.begin(k.typ.Named("updateRows"), 0)
	e := k.newElements()
	v, hz, den := k.arg("v"), k.arg("hz"), k.arg("den")
	c := k.loadScalars(k.arg("s"), ofCurvature|ofParameters)
	c.power = k.arg("power")
	k.newConversion(true)
	p := k.newPanel()
	p.slices(func() {
		k.scope(func() {
			d := k.gp()
			k.ins("MOVD %v, %v", den, d)
			p.sums(d, hz, k.zeros, func([]vec) {})
			k.ins("MOVD %v, %v", den, d)
			p.columns(2, func(nv, width int) { c.curvature(v, d, d, true, nv, width) })
		})
		p.descend(c, e, den)
	})
	k.ret()
}

// descendRows is the second of the two passes of a step, for strided blocks,
// and with block = 1 for elements that each have their own curvature.
func (k *kernel) descendRows() {
	k.begin(k.typ.Named("descendRows"), 0)
	e := k.newElements()
	den := k.arg("den")
	c := k.loadScalars(k.arg("s"), ofParameters)
	k.newConversion(true)
	p := k.newPanel()
	p.slices(func() {
		p.descend(c, e, den)
		k.ins("ADD %v, %v", p.stride, den)
	})
	k.ret()
}

// stridedMeans is the mean over columns.
func (k *kernel) stridedMeans() {
	k.begin(k.typ.Named("stridedMeans"), 0)
	k.newConversion(false)
	d, x, more := k.arg("d"), k.arg("x"), k.arg("more")
	div := k.broadcastArg("div")
	p := k.newPanel()
	resume := func(sums []vec, width int) {
		fresh := k.label("fresh")
		k.zeros(sums, width)
		k.ins("CBZ %v, %s", more, fresh)
		k.load(sums, d, width)
		k.at(fresh)
	}
	p.slices(func() {
		p.sums(d, x, resume, func(sums []vec) {
			for _, s := range sums {
				k.div(s, s, div)
			}
		})
	})
	k.ret()
}
