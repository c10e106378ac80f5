package adahessian

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"unsafe"
)

// A call is a kernel with all its arguments but the data. It is what the tests of
// results, of memory bounds and of random inputs have in common.
type call[T Float] struct {
	name    string // the kernel and its arguments
	buffers []buffer[T]
	run     func(x [][]T) // through the dispatch, on one slice for each buffer
	define  func(x [][]T) // the generic definition
}

// A buffer is an argument that is memory.
type buffer[T Float] struct {
	name     string
	n        int
	written  bool // if false, the kernel must leave it as it is
	scratch  bool // the kernel may write anything there
	positive bool // the data must not have its sign set
	fixed    []T  // the data, if it cannot be chosen freely
}

func in[T Float](name string, n int) buffer[T] { return buffer[T]{name: name, n: n} }
func out[T Float](name string, n int) buffer[T] {
	return buffer[T]{name: name, n: n, written: true}
}
func outPositive[T Float](name string, n int) buffer[T] {
	return buffer[T]{name: name, n: n, written: true, positive: true}
}

// A filler supplies data.
type filler[T Float] interface {
	fill(x []T)
	String() string
}

func (b buffer[T]) fill(x []T, data filler[T]) {
	if b.fixed != nil {
		copy(x, b.fixed)
		return
	}
	data.fill(x)
	if b.positive {
		for i := range x {
			x[i] = abs(x[i])
		}
	}
}

// canary is what the tests put around a buffer: a NaN that no kernel produces.
func canary[T Float]() T { return fromBits[T](formatOf[T]().infinity | 0x5a5a5) }

// misaligned makes a slice of n elements between canaries. It starts the given number
// of elements after a multiple of 64 bytes.
func misaligned[T Float](n, offset int) (x, before, after []T) {
	const room = 16
	all := make([]T, room+room+offset+n+room)
	for i := range all {
		all[i] = canary[T]()
	}
	start := room + int(-uintptr(unsafe.Pointer(&all[0]))%64/unsafe.Sizeof(T(0))) + offset
	return all[start:][:n:n], all[:start], all[start+n:]
}

// untouched reports whether all canaries are intact.
func untouched[T Float](x []T) bool {
	want := bitsOf(canary[T]())
	return !slices.ContainsFunc(x, func(x T) bool { return bitsOf(x) != want })
}

// check runs the call on data at the given misalignment, and compares all its
// memory with the definition's.
func (c call[T]) check(t testing.TB, offset int, data filler[T]) {
	t.Helper()
	c.checkEdited(t, offset, data, nil)
}

// checkEdited is check with data that edit, unless it is nil, has changed.
func (c call[T]) checkEdited(t testing.TB, offset int, data filler[T], edit func(x [][]T)) {
	t.Helper()
	n := len(c.buffers)
	got, want, before, after := make([][]T, n), make([][]T, n), make([][]T, n), make([][]T, n)
	for i, b := range c.buffers {
		got[i], before[i], after[i] = misaligned[T](b.n, (offset+3*i)%16)
		b.fill(got[i], data)
	}
	if edit != nil {
		edit(got)
	}
	for i := range got {
		want[i] = slices.Clone(got[i])
	}
	c.run(got)
	c.define(want)
	c.compare(t, got, want, fmt.Sprintf("offset=%d data=%v", offset, data))
	for i, b := range c.buffers {
		if !untouched(before[i]) || !untouched(after[i]) {
			t.Fatalf("%s offset=%d: wrote outside of %s, n=%d", c.name, offset, b.name, b.n)
		}
	}
}

// compare reports the first difference between the buffers.
func (c call[T]) compare(t testing.TB, got, want [][]T, how string) {
	t.Helper()
	for i, b := range c.buffers {
		if at := firstDifference(got[i], want[i]); at >= 0 && !b.scratch {
			t.Fatalf("%s %s: %s[%d] of %d = %s, want %s", c.name, how, b.name, at, b.n, showBits(got[i][at]), showBits(want[i][at]))
		}
	}
}

// ---- the kernels ---------------------------------------------------------

func rademacherCall[T Float](n int, seed, draw, offset uint64) call[T] {
	return call[T]{
		name:    fmt.Sprintf("rademacher n=%d seed=%#x draw=%#x offset=%#x", n, seed, draw, offset),
		buffers: []buffer[T]{out[T]("z", n)},
		run:     func(x [][]T) { rademacher(x[0], seed, draw, offset) },
		define:  func(x [][]T) { rademacherGeneric(x[0], seed, draw, offset) },
	}
}

func addProbeCall[T Float](n int) call[T] {
	return call[T]{
		name:    fmt.Sprintf("addProbe n=%d", n),
		buffers: []buffer[T]{out[T]("acc", n), in[T]("z", n), in[T]("hz", n)},
		run:     func(x [][]T) { addProbe(x[0], x[1], x[2]) },
		define:  func(x [][]T) { addProbeGeneric(x[0], x[1], x[2]) },
	}
}

// answer runs f on all buffers but the first, and leaves 1 there for true.
func answer[T Float](f func(x [][]T) bool) func(x [][]T) {
	return func(x [][]T) {
		x[0][0] = 0
		if f(x[1:]) {
			x[0][0] = 1
		}
	}
}

func allFiniteCall[T Float](n int) call[T] {
	return call[T]{
		name:    fmt.Sprintf("allFinite n=%d", n),
		buffers: []buffer[T]{out[T]("result", 1), in[T]("x", n)},
		run:     answer(func(x [][]T) bool { return allFinite(x[0]) }),
		define:  answer(func(x [][]T) bool { return allFiniteGeneric(x[0]) }),
	}
}

// allFiniteMultiCall is allFiniteMulti for slices of n, none and n + 3.
func allFiniteMultiCall[T Float](n int) call[T] {
	return call[T]{
		name:    fmt.Sprintf("allFiniteMulti n=%d", n),
		buffers: []buffer[T]{out[T]("result", 1), in[T]("x", n), in[T]("x", 0), in[T]("x", n+3)},
		run:     answer(allFiniteMulti[T]),
		define:  answer(func(x [][]T) bool { return allFiniteGeneric(x[0]) && allFiniteGeneric(x[2]) }),
	}
}

// bothFiniteCall is bothFinite. What it asks for need not be there.
func bothFiniteCall[T Float](n int) call[T] {
	return call[T]{
		name:    fmt.Sprintf("bothFinite n=%d", n),
		buffers: []buffer[T]{out[T]("result", 1), in[T]("x", n), in[T]("y", n)},
		run:     answer(func(x [][]T) bool { return bothFinite(x[0], x[1], -(n%2)*n) }),
		define:  answer(func(x [][]T) bool { return allFiniteGeneric(x[0]) && allFiniteGeneric(x[1]) }),
	}
}

func blockMeansCall[T Float](blocks, block int, div T) call[T] {
	return call[T]{
		name:    fmt.Sprintf("blockMeans blocks=%d block=%d div=%v", blocks, block, div),
		buffers: []buffer[T]{out[T]("d", blocks), in[T]("x", blocks*block)},
		run:     func(x [][]T) { blockMeans(x[0], x[1], block, div) },
		define:  func(x [][]T) { blockMeansGeneric(x[0], x[1], block, div) },
	}
}

// span is the number of elements from the panel's first to its last.
func (p panel) span() int {
	if p.len() == 0 {
		return 0
	}
	return (p.outer*p.block-1)*p.stride + p.width
}

func (p panel) String() string {
	return fmt.Sprintf("outer=%d block=%d stride=%d width=%d", p.outer, p.block, p.stride, p.width)
}

func stridedMeansCall[T Float](p panel, div T, more bool) call[T] {
	next := p.width % 2 * p.span() // memory that is prefetched need not exist
	return call[T]{
		name:    fmt.Sprintf("stridedMeans %v div=%v more=%v", p, div, more),
		buffers: []buffer[T]{outPositive[T]("d", p.blocks()), in[T]("x", p.span())},
		run:     func(x [][]T) { stridedMeans(x[0], x[1], p, div, more, next) },
		define:  func(x [][]T) { stridedMeansGeneric(x[0], x[1], p, div, more) },
	}
}

// A stepCase is the scalars of a step.
type stepCase[T Float] struct {
	name string
	s    scalars[T]
	k    power
	a    float64
}

func (c stepCase[T]) String() string {
	return fmt.Sprintf("step=%s power=%d div=%v", c.name, c.k, c.s.div)
}

// slice is the scalars as the assembly reads them.
func (c stepCase[T]) slice() []T {
	fields := unsafe.Sizeof(c.s) / unsafe.Sizeof(c.s.b1)
	return slices.Clone(unsafe.Slice((*T)(unsafe.Pointer(&c.s)), fields))
}

func scalarsIn[T Float](x []T) *scalars[T] { return (*scalars[T])(unsafe.Pointer(&x[0])) }

// buffer turns the scalars into a buffer like the rest.
func (c stepCase[T]) buffer() buffer[T] {
	return buffer[T]{name: "scalars", n: len(c.slice()), fixed: c.slice()}
}

var stepHypers = []struct {
	name    string
	h       Hyper
	step    uint64
	samples int
}{
	{"usual", Hyper{LR: 0.15, Beta1: 0.9, Beta2: 0.999, Eps: 1e-4}, 3, 1},
	{"clamped", Hyper{LR: 0.15, Beta1: 0.9, Beta2: 0.999, Eps: 1e-4, WeightDecay: 0.1, MaxUpdate: 0.5}, 1, 3},
	{"standing", Hyper{LR: 0, Beta1: 0.9, Beta2: 0.99, Eps: 1e-8, MaxUpdate: 1}, 100, 1},
	{"forgetful", Hyper{LR: 1, MaxUpdate: 2}, 1, 2},
	{"unbounded", Hyper{LR: 0.01, Beta1: 0.5, Beta2: 0.75, WeightDecay: 0.3}, 7, 4},
}

// kernelPowers have a case of their own in every kernel. curvature handles all powers.
var (
	kernelPowers    = []float64{0, 0.5, 1, 2}
	curvaturePowers = append([]float64{0.75}, kernelPowers...)
)

// stepCases returns every hyperparameter with every power, for blocks of the
// given size.
func stepCases[T Float](powers []float64, block int) (cases []stepCase[T]) {
	for _, h := range stepHypers {
		for _, k := range powers {
			h.h.HessianPower = k
			c, err := NewCoefficients[T](h.h, h.step, h.samples)
			if err != nil {
				panic(err)
			}
			cases = append(cases, stepCase[T]{h.name, c.scalarsFor(block), c.power, c.exponent})
		}
	}
	return cases
}

func curvatureCall[T Float](n int, c stepCase[T]) call[T] {
	return call[T]{
		name:    fmt.Sprintf("curvature n=%d %v", n, c),
		buffers: []buffer[T]{outPositive[T]("v", n), out[T]("den", n), in[T]("d", n), c.buffer()},
		run:     func(x [][]T) { denominators(x[0], x[1], x[2], scalarsIn(x[3]), c.k, c.a) },
		define:  func(x [][]T) { curvatureGeneric(x[0], x[1], x[2], scalarsIn(x[3]), c.k, c.a) },
	}
}

// curvatureOverlayCall is curvature with den = d.
func curvatureOverlayCall[T Float](n int, c stepCase[T]) call[T] {
	return call[T]{
		name:    fmt.Sprintf("curvature with den = d n=%d %v", n, c),
		buffers: []buffer[T]{outPositive[T]("v", n), out[T]("den", n), c.buffer()},
		run:     func(x [][]T) { denominators(x[0], x[1], x[1], scalarsIn(x[2]), c.k, c.a) },
		define:  func(x [][]T) { curvatureGeneric(x[0], x[1], slices.Clone(x[1]), scalarsIn(x[2]), c.k, c.a) },
	}
}

func descendCall[T Float](p panel, c stepCase[T]) call[T] {
	n := p.span()
	return call[T]{
		name:    fmt.Sprintf("descend %v %v", p, c),
		buffers: []buffer[T]{out[T]("theta", n), out[T]("m", n), in[T]("g", n), in[T]("den", p.blocks()), c.buffer()},
		run:     func(x [][]T) { descend(x[0], x[1], x[2], x[3], x[2], p, scalarsIn(x[4])) },
		define:  func(x [][]T) { descendGeneric(x[0], x[1], x[2], x[3], p, scalarsIn(x[4])) },
	}
}

// descendTogetherCall is descendTogether.
func descendTogetherCall[T Float](p panel, c stepCase[T]) call[T] {
	n := p.span()
	next := p.width % 2 * n
	return call[T]{
		name:    fmt.Sprintf("descendTogether %v %v", p, c),
		buffers: []buffer[T]{out[T]("theta", n), out[T]("m", n), in[T]("g", n), in[T]("den", p.blocks()), c.buffer()},
		run:     func(x [][]T) { descendTogether(x[0], x[1], x[2], x[3], p, scalarsIn(x[4]), next) },
		define:  func(x [][]T) { descendGeneric(x[0], x[1], x[2], x[3], p, scalarsIn(x[4])) },
	}
}

func updateCall[T Float](p panel, c stepCase[T]) call[T] {
	n, room := p.span(), 0
	if !p.contiguous() {
		room = p.width
	}
	return call[T]{
		name: fmt.Sprintf("update %v %v", p, c),
		buffers: []buffer[T]{out[T]("theta", n), out[T]("m", n), outPositive[T]("v", p.blocks()), in[T]("g", n), in[T]("hz", n), c.buffer(),
			{name: "den", n: room, written: true, scratch: true}},
		run:    func(x [][]T) { update(x[0], x[1], x[2], x[3], x[4], x[6], p, scalarsIn(x[5]), c.k) },
		define: func(x [][]T) { updateGeneric(x[0], x[1], x[2], x[3], x[4], p, scalarsIn(x[5]), c.k, 0) },
	}
}

// updateTogetherCall is updateTogether.
func updateTogetherCall[T Float](p panel, c stepCase[T]) call[T] {
	u := updateCall(p, c)
	u.name = fmt.Sprintf("updateTogether %v %v", p, c)
	u.run = func(x [][]T) { updateTogether(x[0], x[1], x[2], x[3], x[4], x[6], p, scalarsIn(x[5]), c.k) }
	return u
}

// updateMultiCall is updateMulti for tensors of n and n + 5 elements.
func updateMultiCall[T Float](n int, c stepCase[T]) call[T] {
	all := 2*n + 5
	return call[T]{
		name: fmt.Sprintf("updateMulti n=%d %v", n, c),
		buffers: []buffer[T]{out[T]("theta", n), out[T]("theta", n+5), out[T]("m", all), outPositive[T]("v", all),
			in[T]("g", n), in[T]("g", n+5), in[T]("hz", n), in[T]("hz", n+5), c.buffer()},
		run: func(x [][]T) { updateMulti(x[:2], x[2], x[3], x[4:6], x[6:8], scalarsIn(x[8]), c.k) },
		define: func(x [][]T) {
			updateGeneric(x[0], x[2][:n], x[3][:n], x[4], x[6], panel{n, 1, 1, 1}, scalarsIn(x[8]), c.k, 0)
			updateGeneric(x[1], x[2][n:], x[3][n:], x[5], x[7], panel{n + 5, 1, 1, 1}, scalarsIn(x[8]), c.k, 0)
		},
	}
}

// streamedRademacherCall is fillSigns for a probe that is written past the caches.
func streamedRademacherCall[T Float](n int, seed, draw, offset uint64) call[T] {
	c := rademacherCall[T](n, seed, draw, offset)
	c.name = "streamed " + c.name
	c.run = func(x [][]T) { fillSigns(x[0], seed, draw, offset, true) }
	return c
}

// ---- the exported functions ----------------------------------------------

// exportedRademacherCall is Rademacher for any length, with indices that may wrap.
func exportedRademacherCall[T Float](n int, seed, draw, offset uint64) call[T] {
	c := rademacherCall[T](n, seed, draw, offset)
	c.name = "Rademacher" + c.name[len("rademacher"):]
	c.run = func(x [][]T) { Rademacher(x[0], seed, draw, offset) }
	return c
}

// defineMeans is the definition of the blocks' means.
func defineMeans[T Float](d, x []T, p panel, div T) {
	for o := range p.outer {
		for i := range p.width {
			d[o*p.stride+i] = blockSum(x[o*p.block*p.stride+i:], p.block, p.stride) / div
		}
	}
}

func exportedBlockMeanAbsCall[T Float](l Layout) call[T] {
	return call[T]{
		name:    fmt.Sprintf("BlockMeanAbs %+v", l),
		buffers: []buffer[T]{out[T]("d", l.Blocks()), in[T]("x", l.Len())},
		run:     func(x [][]T) { BlockMeanAbs(x[0], x[1], l) },
		define:  func(x [][]T) { defineMeans(x[0], x[1], l.panel(), T(l.Block)) },
	}
}

// exportedBlockMeanAbsOverlayCall is BlockMeanAbs with d = x.
func exportedBlockMeanAbsOverlayCall[T Float](n int) call[T] {
	return call[T]{
		name:    fmt.Sprintf("BlockMeanAbs with d = x n=%d", n),
		buffers: []buffer[T]{out[T]("x", n)},
		run:     func(x [][]T) { BlockMeanAbs(x[0], x[0], Elementwise(n)) },
		define: func(x [][]T) {
			for i := range x[0] {
				x[0][i] = abs(x[0][i])
			}
		},
	}
}

func exportedUpdateCall[T Float](l Layout, c *Coefficients[T]) call[T] {
	n, s, p := l.Len(), c.scalarsFor(l.Block), l.panel()
	return call[T]{
		name:    fmt.Sprintf("Update %+v k/2=%v div=%v", l, c.exponent, s.div),
		buffers: []buffer[T]{out[T]("theta", n), out[T]("m", n), outPositive[T]("v", l.Blocks()), in[T]("g", n), in[T]("hz", n)},
		run:     func(x [][]T) { Update(x[0], x[1], x[2], x[3], x[4], l, c) },
		define:  func(x [][]T) { updateGeneric(x[0], x[1], x[2], x[3], x[4], p, &s, c.power, c.exponent) },
	}
}

// exportedUpdateOverlayCall is Update with g = hz.
func exportedUpdateOverlayCall[T Float](l Layout, c *Coefficients[T]) call[T] {
	u := exportedUpdateCall(l, c)
	u.name += " with g = hz"
	u.buffers = u.buffers[:4]
	run, define := u.run, u.define
	u.run = func(x [][]T) { run(append(x, x[3])) }
	u.define = func(x [][]T) { define(append(x, slices.Clone(x[3]))) }
	return u
}

// keptCall is updatePanel if it keeps the curvature: it stores it in d if fresh, and
// otherwise takes it from there. scratch is the length of its scratch.
func keptCall[T Float](l Layout, c *Coefficients[T], fresh bool, scratch int) call[T] {
	n, s, p := l.Len(), c.scalarsFor(l.Block), l.panel()
	return call[T]{
		name: fmt.Sprintf("updatePanel %+v k/2=%v div=%v fresh=%v scratch=%d", l, c.exponent, s.div, fresh, scratch),
		buffers: []buffer[T]{out[T]("theta", n), out[T]("m", n), outPositive[T]("v", l.Blocks()), in[T]("g", n), in[T]("hz", n),
			{name: "d", n: l.Blocks(), written: fresh}},
		run: func(x [][]T) {
			hz := x[4]
			if !fresh {
				hz = nil
			}
			updatePanel(x[0], x[1], x[2], x[3], hz, x[5], p, c, make([]T, scratch))
		},
		define: func(x [][]T) {
			if fresh {
				defineMeans(x[5], x[4], p, s.div)
			}
			den := make([]T, l.Blocks())
			curvatureGeneric(x[2], den, x[5], &s, c.power, c.exponent)
			descendGeneric(x[0], x[1], x[3], den, p, &s)
		},
	}
}

// bounded turns any scalars into ones that a step can have, whose bound is not
// negative.
func (c stepCase[T]) bounded() stepCase[T] {
	c.s.limit = abs(c.s.limit)
	if c.s.limit != c.s.limit {
		c.s.limit = T(math.Inf(1))
	}
	return c
}
