package amd64

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Strided blocks are columns of a slice of block rows. Vectors of neighbouring columns
// go down the rows together, and no lane needs another. A slice is always read row by
// row, in the order of memory. Going down a few columns first, with the denominators in
// registers, is faster in the L1 cache. But from memory it takes half as long again,
// because the prefetchers cannot follow.

// panel is the shape of the slices that a kernel works on, in registers.
type panel struct {
	k      *kernel
	block  Op
	stride reg.GPVirtual // in bytes
}

func (k *kernel) newPanel() *panel {
	p := &panel{k: k, block: k.spare("block"), stride: arg("stride")}
	k.toBytes(p.stride)
	return p
}

// columns emits body for the vectors of columns of a row.
func (p *panel) columns(unroll int, body func(index reg.GPVirtual, nv int, part *tail)) {
	n, index := GP64(), GP64()
	Load(Param("width"), n)
	p.k.toBytes(n)
	XORQ(index, index)
	p.k.vectors(n, index, unroll, func(nv int, part *tail) { body(index, nv, part) })
}

// rows emits body for each of the rows, and moves the pointers to floats and those to
// inputs down.
func (p *panel) rows(body func(), floats, inputs []reg.GPVirtual) {
	left, loop := GP64(), p.k.label("row")
	MOVQ(p.block, left)
	Label(loop)
	body()
	p.k.move(p.stride, floats...)
	for _, q := range inputs {
		ADDQ(p.stride, q)
	}
	DECQ(left)
	JNZ(LabelRef(loop))
}

// slices emits body for each of the slices. Pointers that body has moved down all rows
// are then in the next slice.
func (p *panel) slices(body func()) {
	p.k.byFactor(func() {
		slice := p.k.label("slice")
		Label(slice)
		body()
		DECQ(mem("outer"))
		JNZ(LabelRef(slice))
	})
}

// nextSlice moves pointers to floats and those to inputs from the beginning of a slice to that
// of the next.
func (p *panel) nextSlice(floats, inputs []reg.GPVirtual) {
	Comment("On to the next slice.")
	slice := GP64()
	MOVQ(p.stride, slice)
	IMULQ(p.block, slice)
	p.k.move(slice, floats...)
	for _, q := range inputs {
		ADDQ(slice, q)
	}
}

// zeros returns n vectors of zeros.
func (k *kernel) zeros(n int) (v []reg.VecVirtual) {
	for range n {
		v = append(v, k.vec())
		k.zero(v[len(v)-1])
	}
	return v
}

// addAbs adds |x| of vectors of inputs to as many sums.
func (k *kernel) addAbs(x, index reg.Register, abs reg.VecVirtual, part *tail, sums []reg.VecVirtual) {
	for i, sum := range sums {
		h := k.vec()
		k.loadInputAbsInto(k.input(x, index, i), abs, part, h)
		k.add(h, sum, sum)
	}
}

// sums sets d to the sums of |x| down the rows of a slice, and moves x past it. Eight
// vectors of 256 bits are enough chains of additions to hide their latency, and long
// enough runs for the prefetchers. Four vectors of 512 bits are as long, and also suit
// narrow tensors. start prepares the sums, which are zero. next is the distance in
// bytes to the rows that are read next, which are prefetched; it may be nil or 0.
func (p *panel) sums(d, x reg.GPVirtual, next reg.Register, abs reg.VecVirtual, start, finish func(sums []reg.VecVirtual, at func(i int) Mem, part *tail)) {
	k := p.k
	p.columns(256/k.bytes(), func(index reg.GPVirtual, nv int, part *tail) {
		Comment("The sums of |x| down the rows.")
		sums := k.zeros(nv)
		at := func(i int) Mem { return k.at(d, index, i) }
		start(sums, at, part)
		row := GP64()
		LEAQ(Mem{Base: x, Index: index, Scale: 1}, row)
		add := func() { k.addAbs(row, nil, abs, part, sums) }
		if next != nil && nv > 1 {
			here, summed := k.label("here"), k.label("summed")
			TESTQ(next, next)
			JZ(LabelRef(here))
			p.rows(func() {
				k.prefetchFarInputs(next, nv, row)
				add()
			}, nil, []reg.GPVirtual{row})
			JMP(LabelRef(summed))
			Label(here)
			p.rows(add, nil, []reg.GPVirtual{row})
			Label(summed)
		} else {
			p.rows(add, nil, []reg.GPVirtual{row})
		}
		finish(sums, at, part)
		for i := range sums {
			k.store(sums[i], at(i), part)
		}
	})
	p.nextSlice(nil, []reg.GPVirtual{x})
}

// descend is the second pass of a step for a slice. It moves all pointers except den
// past the slice. Meanwhile it prefetches memory of the same shape at ahead, which is
// read next. Otherwise memory would wait for the processor in both passes, since one
// reads one stream and the other three.
func (p *panel) descend(c *scalars, e *streams, den, ahead reg.GPVirtual) {
	k := p.k
	Comment("The elements, row after row.")
	p.rows(func() {
		p.columns(2, func(index reg.GPVirtual, nv int, part *tail) {
			if nv > 1 {
				k.prefetchInputs(index, nv, 0, ahead)
				e.prefetch(index, nv)
			}
			c.descend(part, func(i int) reg.VecVirtual { return k.load(k.at(den, index, i), part) }, e.elements(index, nv)...)
		})
	}, e.floats(), append(e.inputs, ahead))
}

func noSums([]reg.VecVirtual, func(int) Mem, *tail) {}

// updateRows is the step for blocks that are columns.
func (k *kernel) updateRows() {
	frame := k.begin(k.typ.Named("updateRows"), k.scalarsFrame())
	theta, m, v, g, hz, den := arg("theta"), arg("m"), arg("v"), arg("grad"), arg("hz"), arg("den")
	e := k.newStreams(theta, m, g)
	c := k.loadScalars(arg("s"), frame, ofCurvature|ofParameters)
	abs := c.absMask()
	p := k.newPanel()
	p.slices(func() {
		Comment("A slice: its sums into den.")
		p.sums(den, hz, nil, abs, noSums, noSums)
		Comment("From the sums to v' and the denominators.")
		p.columns(2, func(index reg.GPVirtual, nv int, part *tail) { c.curvature(v, den, den, index, true, nv, part) })
		k.move(p.stride, v)
		ahead := GP64()
		MOVQ(hz, ahead)
		p.descend(c, e, den, ahead)
	})
	k.ret()
}

// descendRows is the second of the two passes of a step, for strided blocks,
// and with block = 1 for elements that each have their own curvature.
func (k *kernel) descendRows() {
	frame := k.begin(k.typ.Named("descendRows"), k.scalarsFrame())
	theta, m, g, den, ahead := arg("theta"), arg("m"), arg("grad"), arg("den"), arg("ahead")
	e := k.newStreams(theta, m, g)
	c := k.loadScalars(arg("s"), frame, ofParameters)
	p := k.newPanel()
	p.slices(func() {
		p.descend(c, e, den, ahead)
		k.move(p.stride, den)
	})
	k.ret()
}

// descendTogether is descendRows for long rows, of which several are updated at a time.
// In memory the processor's prefetchers start again with each row. So the next rows are
// prefetched here, and there are fewer starts.
func (k *kernel) descendTogether() {
	frame := k.begin(k.typ.Named("descendTogether"), k.scalarsFrame())
	theta, m, g, den := arg("theta"), arg("m"), arg("grad"), arg("den")
	e := k.newStreams(theta, m, g)
	c := k.loadScalars(arg("s"), frame, ofParameters)
	p := k.newPanel()
	next := mem("next")
	k.toBytes(next)
	p.slices(func() {
		p.columns(2, func(index reg.GPVirtual, nv int, part *tail) {
			at, far := GP64(), GP64()
			MOVQ(index, at)
			MOVQ(index, far)
			ADDQ(next, far)
			p.rows(func() {
				if nv > 1 {
					k.prefetchFarInputs(far, nv, e.inputs...)
					k.prefetchFar(far, nv, m, theta)
				}
				c.descend(part, func(i int) reg.VecVirtual { return k.load(k.at(den, index, i), part) }, e.elements(at, nv)...)
			}, nil, []reg.GPVirtual{at, far})
		})
		p.nextSlice(e.floats(), e.inputs)
		k.move(p.stride, den)
	})
	k.ret()
}

// updateTogether is updateRows for two or three rows, all at a time, with the
// denominators in registers. With so few rows the processor's prefetchers follow every
// stream.
func (k *kernel) updateTogether() {
	frame := k.begin(k.typ.Named("updateTogether"), k.scalarsFrame())
	theta, m, v, g, hz := arg("theta"), arg("m"), arg("v"), arg("grad"), arg("hz")
	e := k.newStreams(theta, m, g)
	c := k.loadScalars(arg("s"), frame, ofCurvature|ofParameters)
	abs := c.absMask()
	p := k.newPanel()
	p.slices(func() {
		p.columns(2, func(index reg.GPVirtual, nv int, part *tail) {
			Comment("The sums of |hz| down the rows.")
			sums := k.zeros(nv)
			at := GP64()
			MOVQ(index, at)
			p.rows(func() {
				if nv > 1 {
					k.prefetchInputs(at, nv, prefetchStreams, hz)
				}
				k.addAbs(hz, at, abs, part, sums)
			}, nil, []reg.GPVirtual{at})
			if nv > 1 {
				k.prefetch(index, nv, prefetchStreams, v)
			}
			c.divide(sums)
			next := c.secondMoments(sums, v, index, part)
			den := c.denominators(next)
			for i := range nv {
				k.store(next[i], k.at(v, index, i), part)
			}
			Comment("The elements, row after row.")
			MOVQ(index, at)
			p.rows(func() {
				if nv > 1 {
					e.prefetch(at, nv)
				}
				c.descend(part, func(i int) reg.VecVirtual { return den[i] }, e.elements(at, nv)...)
			}, nil, []reg.GPVirtual{at})
		})
		p.nextSlice(e.floats(), append(e.inputs, hz))
		k.move(p.stride, v)
	})
	k.ret()
}

// stridedMeans is the mean over columns.
func (k *kernel) stridedMeans() {
	k.newConversion(k.begin(k.typ.Named("stridedMeans"), k.conversionFrame()), false)
	d, x := arg("d"), arg("x")
	abs := k.absMask()
	div := k.vec()
	k.broadcast(mem("div"), div)
	more := GP32()
	MOVBLZX(mem("more"), more)
	resume := func(sums []reg.VecVirtual, at func(i int) Mem, part *tail) {
		Comment("Go on from the sums in d, if asked to.")
		fresh := k.label("fresh")
		TESTL(more, more)
		JZ(LabelRef(fresh))
		for i := range sums {
			k.loadInto(at(i), part, sums[i])
		}
		Label(fresh)
	}
	divide := func(sums []reg.VecVirtual, _ func(int) Mem, _ *tail) {
		for _, s := range sums {
			k.div(div, s, s)
		}
	}
	p := k.newPanel()
	next := arg("next")
	k.toBytes(next)
	p.slices(func() {
		p.sums(d, x, next, abs, resume, divide)
		k.move(p.stride, d)
	})
	k.ret()
}
