package amd64

import (
	"math/bits"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// count loads the number of elements and returns it in bytes, with an index of 0.
func (k *kernel) count(name string) (n, index reg.GPVirtual) {
	n, index = arg(name), GP64()
	k.toBytes(n)
	XORQ(index, index)
	return n, index
}

// toBytes turns a number of elements into a number of bytes as an index counts them:
// two to the power elementShift for each element.
func (k *kernel) toBytes(n Op) { SHLQ(U8(k.elementShift()), n) }

func (k *kernel) elementShift() int { return bits.TrailingZeros(uint(k.elem / k.scale())) }

// prefetchStreams is how many bytes ahead of its loads a step prefetches its streams.
// The processor's own prefetchers follow them too, but not as far ahead.
const prefetchStreams = 384

// prefetch prefetches the lines of nv vectors of each stream of floats, distance bytes
// ahead. prefetchInputs does the same for each input.
func (k *kernel) prefetch(index reg.GPVirtual, nv, distance int, streams ...reg.GPVirtual) {
	for _, p := range streams {
		ask(PREFETCHT0, k.at(p, index, 0).Offset(distance), nv*k.bytes())
	}
}

func (k *kernel) prefetchInputs(index reg.GPVirtual, nv, distance int, streams ...reg.GPVirtual) {
	for _, p := range streams {
		ask(PREFETCHT0, k.input(p, index, 0).Offset(distance), nv*k.step())
	}
}

// prefetchFar and prefetchFarInputs do the same at an index that is whole rows or tiles ahead.
// They prefetch into the L2 cache, since the L1 cache has no room for so much.
func (k *kernel) prefetchFar(index reg.Register, nv int, streams ...reg.GPVirtual) {
	for _, p := range streams {
		ask(PREFETCHT1, k.at(p, index, 0), nv*k.bytes())
	}
}

func (k *kernel) prefetchFarInputs(index reg.Register, nv int, streams ...reg.GPVirtual) {
	for _, p := range streams {
		ask(PREFETCHT1, k.input(p, index, 0), nv*k.step())
	}
}

// ask prefetches the lines of the given number of bytes.
func ask(prefetch func(Op), at Mem, bytes int) {
	for line := 0; line < bytes; line += 64 {
		prefetch(at.Offset(line))
	}
}

// updateElements is the step for blocks of one element.
func (k *kernel) updateElements() {
	frame := k.begin(k.typ.Named("updateElements"), k.scalarsFrame())
	theta, m, v, g, hz := arg("theta"), arg("m"), arg("v"), arg("grad"), arg("hz")
	n, index := k.count("n")
	e := k.newStreams(theta, m, g)
	c := k.loadScalars(arg("s"), frame, ofCurvature|ofParameters)
	vectors := func(c *scalars, nv int, part *tail) {
		if nv > 1 {
			k.prefetchInputs(index, nv, prefetchStreams, append([]reg.GPVirtual{hz}, e.inputs...)...)
			k.prefetch(index, nv, prefetchStreams, m, v, theta)
		}
		c.updateVectors(e, v, hz, index, nv, part)
	}
	if !k.ofHalves() {
		c.subnormalPairs(g, hz, n, index, func(c *scalars) { vectors(c, 2, nil) })
	}
	k.byFactor(func() { k.vectors(n, index, 2, func(nv int, part *tail) { vectors(c, nv, part) }) })
	k.ret()
}

// updateVectors is updateElements for nv vectors. The curvature is only squared, so the
// sign of hz may stay.
func (c *scalars) updateVectors(e *streams, v, hz, index reg.GPVirtual, nv int, part *tail) {
	k := c.k
	var d, next []reg.VecVirtual
	for i := range nv {
		d = append(d, k.loadInput(k.input(hz, index, i), part))
	}
	c.divide(d)
	if c.subnormal != nil {
		next = c.subnormalSecondMoments(d, v, index)
	} else {
		next = c.secondMoments(d, v, index, part)
	}
	den := c.denominators(next)
	store := func() {
		for i := range nv {
			k.store(next[i], k.at(v, index, i), part)
		}
	}
	early := k.ofHalves() // measured to be faster from memory, and not with floats
	if early {
		store()
	}
	c.descend(part, func(i int) reg.VecVirtual { return den[i] }, e.elements(index, nv)...)
	if !early {
		store()
	}
}

// curvature is the first of the two passes of a step.
func (k *kernel) curvature() {
	frame := k.begin("curvature", k.scalarsFrame())
	v, den, d := arg("v"), arg("den"), arg("d")
	n, index := k.count("n")
	c := k.loadScalars(arg("s"), frame, ofCurvature)
	k.vectors(n, index, 2, func(nv int, part *tail) { c.curvature(v, den, d, index, false, nv, part) })
	k.ret()
}

// addProbe adds the product with one probe to the sum over the probes.
func (k *kernel) addProbe() {
	k.begin("addProbe", 0)
	acc, z, hz := arg("acc"), arg("z"), arg("hz")
	n, index := k.count("n")
	k.vectors(n, index, 4, func(nv int, part *tail) {
		Comment("acc' = acc + z*hz.")
		var sums []reg.VecVirtual
		for i := range nv {
			t := k.load(k.at(z, index, i), part)
			k.mul(k.operand(k.at(hz, index, i), part), t, t)
			k.add(k.operand(k.at(acc, index, i), part), t, t)
			sums = append(sums, t)
		}
		for i := range nv {
			k.store(sums[i], k.at(acc, index, i), part)
		}
	})
	k.ret()
}

// quartersBytes is the size from which on allFinite and bothFinite read in four places at
// once.
const quartersBytes = 4096

// allFinite reports whether all values are finite. Each of its four chains reads its
// own quarter of a long array. A core can then wait for more lines at the same time
// than its prefetchers fetch for one stream.
func (k *kernel) allFinite() {
	k.begin("allFinite", 0)
	x := arg("x")
	n, index := k.count("n")
	f := k.newFinite()
	f.quarters(n, index, nil, x)
	f.seeAll(x, n, index)
	f.result()
}

// bothFinite is allFinite for two arrays at a time, which doubles the number of lines in
// flight. It prefetches what is read next into the L2 cache, since the processor's
// prefetchers start again with each call.
func (k *kernel) bothFinite() {
	k.begin("bothFinite", 0)
	x, y, next := arg("x"), arg("y"), arg("next")
	n, index := k.count("n")
	k.toBytes(next)
	f := k.newFinite()
	f.quarters(n, index, next, x, y)
	left, from := GP64(), GP64()
	MOVQ(n, left)
	MOVQ(index, from)
	f.seeAll(x, n, index)
	f.seeAll(y, left, from)
	f.result()
}

// quarters takes most of n bytes of each array, if n is large, from four places of each. It
// sets the index to what it has taken, and n to the rest. next is the distance in bytes to
// what is read next; it may be nil or 0.
func (f *finite) quarters(n, index reg.GPVirtual, next reg.Register, arrays ...reg.GPVirtual) {
	k := f.k
	whole := k.label("whole")
	Comment("Many elements: a line of each quarter in turn.")
	CMPQ(n, U32(quartersBytes))
	JL(LabelRef(whole))
	quarter := GP64()
	MOVQ(n, quarter)
	SHRQ(U8(2), quarter)
	ANDQ(I8(-64), quarter)
	var starts []reg.GPVirtual
	for _, start := range arrays {
		starts = append(starts, start)
		for range 3 {
			after := GP64()
			LEAQ(Mem{Base: start, Index: quarter, Scale: 1}, after)
			starts = append(starts, after)
			start = after
		}
	}
	loop := func(each func(start reg.GPVirtual)) {
		again := k.label("quarters")
		Label(again)
		for i, start := range starts {
			each(start)
			for v := range 64 / k.bytes() {
				f.see(k.at(start, index, v), i%len(f.most), nil)
			}
		}
		ADDQ(U8(64), index)
		if next != nil {
			ADDQ(U8(64), next)
		}
		CMPQ(index, quarter)
		JL(LabelRef(again))
	}
	taken := k.label("taken")
	if next != nil {
		here := k.label("here")
		TESTQ(next, next)
		JZ(LabelRef(here))
		loop(func(start reg.GPVirtual) { PREFETCHT1(Mem{Base: start, Index: next, Scale: 1}) })
		JMP(LabelRef(taken))
		Label(here)
		next = nil
	}
	loop(func(reg.GPVirtual) {})
	Label(taken)
	SHLQ(U8(2), index)
	SUBQ(index, n)
	Label(whole)
}

// finite looks only at exponents: those of NaN and infinity are all ones. It takes the
// largest of the upper 32 bits of |x|, in four chains.
type finite struct {
	k    *kernel
	abs  reg.VecVirtual
	most [4]reg.VecVirtual
}

func (k *kernel) newFinite() *finite {
	Comment("The mask of |x|, and the largest |x| of each chain.")
	f := &finite{k: k, abs: k.absMask()}
	if k.elem == 8 { // only the upper half of |x|
		VPSRLQ(U8(32), f.abs, f.abs)
		VPSLLQ(U8(32), f.abs, f.abs)
	}
	for i := range f.most {
		f.most[i] = k.vec()
		k.zero(f.most[i])
	}
	return f
}

// see adds a vector, or a part of one, to a chain.
func (f *finite) see(at Mem, chain int, part *tail) {
	t := f.k.loadAbs(at, f.abs, part)
	VPMAXSD(t, f.most[chain], f.most[chain])
}

// seeAll adds n bytes from the index on.
func (f *finite) seeAll(x, n, index reg.GPVirtual) {
	f.k.vectors(n, index, len(f.most), func(nv int, part *tail) {
		for i := range nv {
			f.see(f.k.at(x, index, i), i, part)
		}
	})
}

// result returns from the kernel.
func (f *finite) result() {
	k, most := f.k, f.most
	Comment("Is the largest exponent that of NaN and infinity?")
	VPMAXSD(most[1], most[0], most[0])
	VPMAXSD(most[3], most[2], most[2])
	VPMAXSD(most[2], most[0], most[0])
	// Above the largest finite upper half?
	limit, bits := k.vec(), GP32()
	MOVL(U32(map[int]uint32{4: 0x7f7fffff, 8: 0x7fefffff}[k.elem]), bits)
	k.broadcast32(bits, limit)
	k.returnNoneAbove(limit, most[0], VPCMPGTD, KORTESTW)
}

// returnNoneAbove returns from a kernel, which reports whether no number of most is above
// the limit. compare compares such numbers, and test tests its mask.
func (k *kernel) returnNoneAbove(limit, most reg.VecVirtual, compare func(...Op), test func(k, k1 Op)) {
	ok := GP8()
	if k.wide() {
		above := K()
		compare(limit, most, above)
		test(above, above)
	} else {
		compare(limit, most, most)
		VPTEST(most, most)
	}
	SETEQ(ok)
	Store(ok, ReturnIndex(0))
	k.ret()
}
