package amd64

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Kernels for many small tensors take them as a [][]T. A call of a kernel for each
// tensor would cost as much as the work on some dozens of elements. Most of that is for
// constants, which each call has to make again.

// Offsets in a Go slice, and its size.
const (
	sliceData = 0
	sliceLen  = 8
	sliceSize = 24
)

// each emits body for each of n slices, whose headers the pointers go through.
func (k *kernel) each(n string, body func(), headers ...reg.GPVirtual) {
	left := arg(n)
	loop, done := k.label("each"), k.label("none")
	Comment("Slice after slice.")
	TESTQ(left, left)
	JZ(LabelRef(done))
	MOVQ(left, mem(n))
	Label(loop)
	body()
	for _, h := range headers {
		ADDQ(U8(sliceSize), h)
	}
	DECQ(mem(n))
	JNZ(LabelRef(loop))
	Label(done)
}

// slice loads the memory of a slice.
func slice(header reg.GPVirtual) reg.GPVirtual {
	p := GP64()
	MOVQ(Mem{Base: header, Disp: sliceData}, p)
	return p
}

// sliceBytes loads the size of a slice.
func (k *kernel) sliceBytes(header reg.GPVirtual) reg.GPVirtual {
	n := GP64()
	MOVQ(Mem{Base: header, Disp: sliceLen}, n)
	k.toBytes(n)
	return n
}

// updateMulti is updateElements for each of some tensors.
func (k *kernel) updateMulti() {
	frame := k.begin("updateMulti", k.scalarsFrame())
	thetas, m, v, gs, hzs := arg("theta"), arg("m"), arg("v"), arg("grad"), arg("hz")
	c := k.loadScalars(arg("s"), frame, ofCurvature|ofParameters)
	k.each("tensors", func() {
		e, hz := k.newStreams(slice(thetas), m, slice(gs)), slice(hzs)
		n, index := k.sliceBytes(thetas), GP64()
		XORQ(index, index)
		c.subnormalPairs(e.inputs[0], hz, n, index, func(c *scalars) { c.updateVectors(e, v, hz, index, 2, nil) })
		k.vectors(n, index, 2, func(nv int, part *tail) { c.updateVectors(e, v, hz, index, nv, part) })
		Comment("On to the next tensor's m and v.")
		bytes := k.sliceBytes(thetas)
		ADDQ(bytes, m)
		ADDQ(bytes, v)
	}, thetas, gs, hzs)
	k.ret()
}

// allFiniteMulti is allFinite for each of some slices.
func (k *kernel) allFiniteMulti() {
	k.begin("allFiniteMulti", 0)
	xs := arg("x")
	f := k.newFinite()
	k.each("slices", func() {
		index := GP64()
		XORQ(index, index)
		f.seeAll(slice(xs), k.sliceBytes(xs), index)
	}, xs)
	f.result()
}
