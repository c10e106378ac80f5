package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Strided blocks are columns of a slice of block rows: vectors of neighbouring
// columns walk down the rows together, and no lane needs another.

// rows walks p, and the others in step with it, down block rows of stride
// bytes.
func (k *kernel) rows(block, stride reg.GPVirtual, body func(), pointers ...reg.GPVirtual) {
	left, loop := GP64(), k.label("row")
	MOVQ(block, left)
	Label(loop)
	body()
	for _, p := range pointers {
		ADDQ(stride, p)
	}
	DECQ(left)
	JNZ(LabelRef(loop))
}

// from returns base + index in a register of its own.
func from(base, index reg.GPVirtual) reg.GPVirtual {
	p := GP64()
	LEAQ(Mem{Base: base, Index: index, Scale: 1}, p)
	return p
}

// columnSums adds |x| of nv vectors of columns down the rows, in rising order.
func (k *kernel) columnSums(sums []reg.VecVirtual, x, block, stride reg.GPVirtual, abs, mask reg.VecVirtual) {
	k.rows(block, stride, func() {
		for i := range sums {
			h := k.vec()
			if mask == nil {
				VPAND(k.at(x, nil, i), abs, h)
			} else {
				VPAND(k.load(k.at(x, nil, i), mask), abs, h)
			}
			k.add(h, sums[i], sums[i])
		}
	}, x)
}

// updateRows is the step where blocks are columns.
func (k *kernel) updateRows() {
	frame := k.text("updateRows", "func(theta, m, v, grad, hz *float, outer, block, stride, width int, s *float, power int)", k.scalarsFrame(),
		"makes a step of a panel of strided blocks, outer slices of block rows of width columns, rows stride elements apart:",
		"v[j], den = curvature(v[j], sum over b of |hz[b][j]| / s.div); for b: m[b][j], theta[b][j] = descend(m[b][j], grad[b][j], theta[b][j], den).",
		"It requires outer, block and width of at least 1, and width = stride if outer > 1.")
	theta, m, v, g, hz := arg("theta"), arg("m"), arg("v"), arg("grad"), arg("hz")
	c := k.loadScalars(arg("s"), frame, ofCurvature|ofParameters)
	block, stride := arg("block"), arg("stride")
	k.toBytes(stride)
	n, index := GP64(), GP64()
	Label("slice")
	k.loadWidth(n)
	XORQ(index, index)
	k.vectors(n, index, 2, func(nv int, mask reg.VecVirtual) {
		sums := make([]reg.VecVirtual, nv)
		for i := range sums {
			sums[i] = k.vec()
			VPXOR(sums[i], sums[i], sums[i])
		}
		k.columnSums(sums, from(hz, index), block, stride, c.abs, mask)
		c.curvatureOf(sums)
		var next []reg.VecVirtual
		for i := range nv {
			next = append(next, c.secondMoment(sums[i], k.operand(k.at(v, index, i), mask)))
		}
		den := c.denominators(next)
		for i := range nv {
			k.store(next[i], k.at(v, index, i), mask)
		}
		t, p, q := from(theta, index), from(m, index), from(g, index)
		k.rows(block, stride, func() {
			var elements []element
			for i := range nv {
				elements = append(elements, element{k.at(t, nil, i), k.at(p, nil, i), k.at(q, nil, i)})
			}
			c.descend(mask, func(i int) reg.VecVirtual { return den[i] }, elements...)
		}, t, p, q)
	})
	slice := GP64()
	MOVQ(stride, slice)
	IMULQ(block, slice)
	for _, p := range []reg.GPVirtual{theta, m, g, hz} {
		ADDQ(slice, p)
	}
	ADDQ(stride, v)
	k.nextSlice()
	k.ret()
}

// loadWidth sets n to the bytes of a row.
func (k *kernel) loadWidth(n reg.GPVirtual) {
	Load(Param("width"), n)
	k.toBytes(n)
}

// nextSlice goes back to the label slice for each of the outer slices. The
// count stays in the argument's memory: it is needed once for many rows.
func (k *kernel) nextSlice() {
	DECQ(mem("outer"))
	JNZ(LabelRef("slice"))
}

// descendRows is the second of the two stages of a step, for strided blocks,
// and with block = 1 for elements that each have their own curvature.
func (k *kernel) descendRows() {
	frame := k.text("descendRows", "func(theta, m, grad, den *float, outer, block, stride, width int, s *float)", k.scalarsFrame(),
		"makes the second stage of a step of a panel of strided blocks, with one denominator for each column:",
		"m[b][j] = flush(b1*m[b][j] + c1*grad[b][j]); theta[b][j] = w*theta[b][j] - clamp((s*m[b][j])/den[j], -limit, limit).",
		"It requires outer, block and width of at least 1, and width = stride if outer > 1.")
	theta, m, g, den := arg("theta"), arg("m"), arg("grad"), arg("den")
	c := k.loadScalars(arg("s"), frame, ofParameters)
	block, stride := arg("block"), arg("stride")
	k.toBytes(stride)
	n, index := GP64(), GP64()
	Label("slice")
	k.rows(block, stride, func() {
		k.loadWidth(n)
		XORQ(index, index)
		k.vectors(n, index, 2, func(nv int, mask reg.VecVirtual) {
			var elements []element
			for i := range nv {
				elements = append(elements, element{k.at(theta, index, i), k.at(m, index, i), k.at(g, index, i)})
			}
			c.descend(mask, func(i int) reg.VecVirtual { return k.load(k.at(den, index, i), mask) }, elements...)
		})
	}, theta, m, g)
	ADDQ(stride, den)
	k.nextSlice()
	k.ret()
}

// stridedMeans is the mean over columns.
func (k *kernel) stridedMeans() {
	k.text("stridedMeans", "func(d, x *float, outer, block, stride, width int, div float, more bool)", 0,
		"sets d[j] to the sum of |x[b][j]| over the rows b of each slice, in rising order, divided by div;",
		"with more the sum continues from d[j].",
		"It requires outer, block and width of at least 1, and width = stride if outer > 1.")
	d, x := arg("d"), arg("x")
	abs := k.absMask()
	div := k.vec()
	k.broadcast(mem("div"), div)
	block, stride := arg("block"), arg("stride")
	k.toBytes(stride)
	more := GP32()
	MOVBLZX(mem("more"), more)
	n, index := GP64(), GP64()
	Label("slice")
	k.loadWidth(n)
	XORQ(index, index)
	// Eight vectors are as many chains of additions as hide their latency.
	k.vectors(n, index, 8, func(nv int, mask reg.VecVirtual) {
		sums := make([]reg.VecVirtual, nv)
		for i := range sums {
			sums[i] = k.vec()
			VPXOR(sums[i], sums[i], sums[i])
		}
		fresh := k.label("fresh")
		TESTL(more, more)
		JZ(LabelRef(fresh))
		for i := range sums {
			k.loadInto(k.at(d, index, i), mask, sums[i])
		}
		Label(fresh)
		k.columnSums(sums, from(x, index), block, stride, abs, mask)
		for i := range sums {
			k.div(div, sums[i], sums[i])
			k.store(sums[i], k.at(d, index, i), mask)
		}
	})
	slice := GP64()
	MOVQ(stride, slice)
	IMULQ(block, slice)
	ADDQ(slice, x)
	ADDQ(stride, d)
	k.nextSlice()
	k.ret()
}
