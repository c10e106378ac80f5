package adahessian

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"unsafe"
)

// Every kernel, on every instruction set, gives the bits of its generic definition and
// leaves the rest of the memory untouched.

// most is the length of four of the widest float32 vectors, plus three elements.
const most = 4*16 + 3

// Tests of many combinations come in three lengths: brief ones, for someone who waits
// for each run, the usual ones, and long ones that try everything.
var long = flag.Bool("long", false, "try every combination, as the gate does")

// brief reports whether to try only a small part of the combinations.
func brief() bool { return testing.Short() || underRace }

// all reports whether to try all combinations; if not, it notes what is left out.
func all(what string) bool {
	if *long && !brief() {
		return true
	}
	leave(what, "-long")
	return false
}

// leave notes what a test leaves out, and the flag or variable that includes it.
func leave(what, flag string) { leftOut[what] = flag }

// leftOut holds what the tests so far have left out.
var leftOut = map[string]string{}

// lengths returns 0 to most, and some large lengths.
func lengths(large ...int) (n []int) {
	for i := range most + 1 {
		n = append(n, i)
	}
	if brief() {
		large = large[max(0, len(large)-1):]
	}
	return append(n, large...)
}

// some returns those of the numbers that brief tests try.
func some(all ...int) []int {
	if !brief() {
		return all
	}
	few := map[int]bool{}
	for _, n := range []int{0, 1, 3, 4, 5, 7, 8, 9, 13, 15, 16, 17, 31, 32, 33, 40, most} {
		few[n] = true
	}
	return slices.DeleteFunc(all, func(n int) bool { return !few[n] })
}

// upTo returns the numbers from 1.
func upTo(last int) (n []int) {
	for i := 1; i <= last; i++ {
		n = append(n, i)
	}
	return n
}

// offsets returns the misalignments to try for a length: all of them, unless the
// kernel is the generic one, which is compared with itself.
func offsets(n int) []int {
	all := make([]int, 16)
	for i := range all {
		all[i] = i
	}
	if brief() || n > most || isa() == "generic" {
		return []int{n % 16, (7*n + 5) % 16}
	}
	return all
}

// A rota hands out the things that a test varies besides its main loops.
type rota[T Float] struct {
	sources  [moods]*source[T]
	calls    int
	turn     int
	exported bool // the calls are of the exported functions
}

// thin says which part of the calls is made, every third for example. The environment
// variable ADAHESSIAN_THIN sets it, for emulators, in which a second becomes a minute.
var thin = func() int {
	n, _ := strconv.Atoi(os.Getenv("ADAHESSIAN_THIN"))
	return max(1, n)
}()

// skip reports whether a call is left out. In tests of the usual length, every third
// call is made: 3 has no factor in common with the lengths of the inner loops, and thin
// must not have one either.
func (r *rota[T]) skip() bool {
	every := thin
	if thin == 1 && !brief() && !all("two of three calls of a kernel") {
		every = 3
	}
	r.calls++
	return r.calls%every != 0
}

func newRota[T Float]() *rota[T] { return &rota[T]{sources: sources[T]()} }

// check runs the call with the next data.
func (r *rota[T]) check(t *testing.T, c call[T], offset int) {
	t.Helper()
	if r.skip() {
		return
	}
	r.turn++
	if isa() == "generic" && r.turn%4 != 0 && (!r.exported || brief()) {
		return // a kernel that is compared with itself
	}
	c.check(t, offset, r.sources[r.turn%len(r.sources)])
}

// checkNext runs the call with the next data and offset.
func (r *rota[T]) checkNext(t *testing.T, c call[T]) {
	t.Helper()
	r.check(t, c, r.turn*5%16)
}

// next chooses one of n in turn. The sequence is not in step with the data.
func (r *rota[T]) next(n int) int { return (r.turn + r.turn/len(r.sources)) % n }

func TestKernelRademacher(t *testing.T) {
	eachISAAndType(t, testKernelRademacher[float32], testKernelRademacher[float64])
}

func testKernelRademacher[T Float](t *testing.T) {
	r := newRota[T]()
	for _, n := range lengths(1000, 1023, 1024, 1025, maxCall-1, maxCall) {
		for _, offset := range offsets(n) {
			// Start at every bit of a byte, and run up to and past the end of a block.
			r.check(t, rademacherCall[T](n, 0x123456789abcdef, 42, uint64(offset)), offset)
			r.check(t, rademacherCall[T](n, 0xfedcba9876543210, 1<<40, 1<<39-uint64(n/2)+uint64(offset)), offset)
		}
	}
}

// TestKernelStreamRademacher tries lengths on both sides of a unit. They begin at every
// element of a cache line and, in turn, at every bit of a block.
func TestKernelStreamRademacher(t *testing.T) {
	eachISAAndType(t, testKernelStreamRademacher[float32], testKernelStreamRademacher[float64])
}

func testKernelStreamRademacher[T Float](t *testing.T) {
	r := newRota[T]()
	bit := uint64(0)
	for _, n := range lengths(streamUnit-1, streamUnit, streamUnit+1, 2*streamUnit+9, 3*streamUnit+15, streamCall+streamUnit+20) {
		for misaligned := range 16 {
			bit += 37
			r.check(t, streamedRademacherCall[T](n, 0x123456789abcdef, 42, bit%128), misaligned)
			r.check(t, streamedRademacherCall[T](n, 0xfedcba9876543210, 1<<40, 1<<39-bit), misaligned)
		}
	}
	for bit := range uint64(128) {
		r.checkNext(t, streamedRademacherCall[T](streamUnit+31, 5, 6, 1<<39-1000+bit))
	}
}

func TestKernelAddProbe(t *testing.T) {
	eachISAAndType(t, testKernelAddProbe[float32], testKernelAddProbe[float64])
}

func testKernelAddProbe[T Float](t *testing.T) { testElementwise(t, addProbeCall[T]) }

func TestKernelAllFinite(t *testing.T) {
	eachISAAndType(t, testKernelAllFinite[float32], testKernelAllFinite[float64])
}

func testKernelAllFinite[T Float](t *testing.T) { testElementwise(t, allFiniteCall[T]) }

func TestKernelBothFinite(t *testing.T) {
	eachISAAndType(t, testKernelBothFinite[float32], testKernelBothFinite[float64])
}

// testKernelBothFinite also spoils a value in each quarter of each array, and in what is left.
func testKernelBothFinite[T Float](t *testing.T) {
	testElementwise(t, bothFiniteCall[T])
	lengths := []int{700, 1280, 1279, 4099, maxCall}
	if brief() {
		lengths = lengths[:3]
	}
	finite := sources[T]()[plain]
	for _, n := range lengths {
		c := bothFiniteCall[T](n)
		for i := range 100 {
			spoil := func(x [][]T) { x[1+i%2][i*(n-1)/99] = []T{T(nan), T(inf), T(-inf)}[i%3] }
			c.checkEdited(t, i%16, finite, spoil)
		}
	}
}

// testElementwise tests a kernel whose only shape is a length, with all data.
func testElementwise[T Float](t *testing.T, kernel func(n int) call[T]) {
	r := newRota[T]()
	for _, n := range lengths(255, 1000, maxCall-1, maxCall) {
		for _, offset := range offsets(n) {
			for range moods {
				r.check(t, kernel(n), offset)
			}
		}
	}
}

// contiguousShapes returns numbers of blocks and their lengths.
func contiguousShapes() (shapes [][2]int) {
	for _, block := range some(upTo(40)...) {
		for _, blocks := range some(append(upTo(18), 0, 31, 32, 33, most)...) {
			shapes = append(shapes, [2]int{blocks, block})
		}
	}
	for _, block := range []int{63, 64, 65, 127, 128, 257, 1000, maxCall / 8, maxCall/8 + 1, maxCall} {
		for blocks := 1; blocks*block <= maxCall && blocks < 18; blocks += 1 + blocks/3 {
			shapes = append(shapes, [2]int{blocks, block})
		}
	}
	return shapes
}

func TestKernelBlockMeans(t *testing.T) {
	eachISAAndType(t, testKernelBlockMeans[float32], testKernelBlockMeans[float64])
}

func testKernelBlockMeans[T Float](t *testing.T) {
	r := newRota[T]()
	for _, s := range contiguousShapes() {
		for _, div := range []T{1, T(s[1]), T(3 * s[1])} {
			for range moods {
				r.checkNext(t, blockMeansCall(s[0], s[1], div))
			}
		}
	}
	for _, offset := range offsets(0) {
		r.check(t, blockMeansCall[T](9, 9, 9), offset)
		r.check(t, blockMeansCall[T](17, 33, 1), offset)
	}
}

// stridedPanels returns panels whose blocks are columns.
func stridedPanels() (panels []panel) {
	for _, width := range some(upTo(most)...) {
		for _, block := range []int{1, 2, 3, 9} {
			for _, gap := range []int{0, 1, 13} { // columns of the tensor beyond the panel's
				if width+gap > 1 {
					panels = append(panels, panel{1, block, width + gap, width})
				}
			}
			for outer := 2; outer < 5 && width > 1; outer++ {
				panels = append(panels, panel{outer, block, width, width})
			}
		}
	}
	for _, block := range some(upTo(40)...) {
		panels = append(panels, panel{1, block, 35, 35}, panel{2, block, 19, 19})
	}
	for _, width := range []int{127, 128, 255, 1000, 4096, maxCall} {
		panels = append(panels, panel{1, max(1, maxCall/width/2), width + 5, width}, panel{1, maxCall / width, width, width})
	}
	return append(panels, panel{1, 2000, 3, 3}, panel{1, 1000, 9, 7}, panel{300, 3, 11, 11})
}

func TestKernelStridedMeans(t *testing.T) {
	eachISAAndType(t, testKernelStridedMeans[float32], testKernelStridedMeans[float64])
}

func testKernelStridedMeans[T Float](t *testing.T) {
	r := newRota[T]()
	for _, p := range stridedPanels() {
		for _, more := range []bool{false, true} {
			for range moods {
				r.checkNext(t, stridedMeansCall(p, []T{1, T(p.block), T(3 * p.block)}[r.next(3)], more))
			}
		}
	}
	for _, offset := range offsets(0) {
		r.check(t, stridedMeansCall[T](panel{1, 5, 40, 37}, 5, false), offset)
	}
}

func TestKernelCurvature(t *testing.T) {
	eachISAAndType(t, testKernelCurvature[float32], testKernelCurvature[float64])
}

func testKernelCurvature[T Float](t *testing.T) {
	r := newRota[T]()
	for _, c := range stepCases[T](curvaturePowers, 9) {
		for _, n := range lengths(maxCall-1, maxCall) {
			for _, offset := range offsets(n) {
				r.check(t, curvatureCall(n, c), offset)
				r.check(t, curvatureOverlayCall(n, c), offset)
			}
		}
	}
	// Any power of anything, in every mood.
	for _, k := range []float64{0.001, 0.25, 1.25, 1.999} {
		for _, c := range stepCases[T]([]float64{k}, 3) {
			for range moods {
				r.checkNext(t, curvatureCall(1000, c))
			}
		}
	}
}

func TestKernelDescend(t *testing.T) {
	eachISAAndType(t, testKernelDescend[float32], testKernelDescend[float64])
}

func testKernelDescend[T Float](t *testing.T) {
	r := newRota[T]()
	cases := stepCases[T]([]float64{1}, 1)
	for _, n := range lengths(1000, maxCall-1, maxCall) {
		for _, offset := range offsets(n) {
			for _, c := range cases {
				r.check(t, descendCall(panel{n, 1, 1, 1}, c), offset)
			}
		}
	}
	for _, c := range cases {
		for _, s := range contiguousShapes() {
			r.checkNext(t, descendCall(panel{s[0], s[1], 1, 1}, c))
		}
		for _, p := range stridedPanels() {
			r.checkNext(t, descendCall(p, c))
			r.checkNext(t, descendTogetherCall(p, c))
		}
		for _, offset := range offsets(0) {
			r.check(t, descendCall(panel{17, 5, 1, 1}, c), offset)
			r.check(t, descendCall(panel{1, 5, 40, 37}, c), offset)
			r.check(t, descendTogetherCall(panel{1, 5, 40, 37}, c), offset)
		}
	}
}

func TestKernelUpdate(t *testing.T) {
	eachISAAndType(t, testKernelUpdate[float32], testKernelUpdate[float64])
}

func testKernelUpdate[T Float](t *testing.T) {
	r := newRota[T]()
	for _, c := range stepCases[T](kernelPowers, 1) {
		for _, n := range lengths(1000, maxCall-1, maxCall) {
			for _, offset := range offsets(n) {
				r.check(t, updateCall(panel{n, 1, 1, 1}, c), offset)
			}
		}
	}
}

func TestKernelUpdateBlocks(t *testing.T) {
	eachISAAndType(t, testKernelUpdateBlocks[float32], testKernelUpdateBlocks[float64])
}

func testKernelUpdateBlocks[T Float](t *testing.T) {
	r := newRota[T]()
	for _, s := range contiguousShapes() {
		cases := stepCases[T](kernelPowers, s[1])
		for i := range len(kernelPowers) * 2 {
			r.checkNext(t, updateCall(panel{s[0], s[1], 1, 1}, cases[(i*7+r.next(len(cases)))%len(cases)]))
		}
	}
	for _, c := range stepCases[T](kernelPowers, 5) {
		for _, offset := range offsets(0) {
			r.check(t, updateCall(panel{17, 5, 1, 1}, c), offset)
		}
	}
}

func TestKernelUpdateRows(t *testing.T) {
	eachISAAndType(t, testKernelUpdateRows[float32], testKernelUpdateRows[float64])
}

func testKernelUpdateRows[T Float](t *testing.T) {
	r := newRota[T]()
	for _, p := range stridedPanels() {
		cases := stepCases[T](kernelPowers, p.block)
		for i := range len(kernelPowers) * 2 {
			c := cases[(i*7+r.next(len(cases)))%len(cases)]
			r.checkNext(t, updateCall(p, c))
			if p.block <= 2*fewRows {
				r.checkNext(t, updateTogetherCall(p, c))
			}
		}
	}
	for _, c := range stepCases[T](kernelPowers, 5) {
		for _, offset := range offsets(0) {
			r.check(t, updateCall(panel{1, 5, 40, 37}, c), offset)
			r.check(t, updateTogetherCall(panel{1, 3, 40, 37}, c), offset)
		}
	}
}

// representatives returns one call of every kernel in each of its shapes, with the
// given number of elements, or of blocks if blocks are longer, and the first of
// stepHypers.
func representatives[T Float](n, hypers int) (calls []call[T]) {
	calls = []call[T]{
		rademacherCall[T](n, 1, 2, 3), addProbeCall[T](n), allFiniteCall[T](n),
		blockMeansCall[T](n, 3, 3), stridedMeansCall[T](panel{1, 3, n + 2, n}, 3, true),
	}
	for _, c := range stepCases[T](curvaturePowers, 3)[:hypers*len(curvaturePowers)] {
		calls = append(calls, curvatureCall(n, c), curvatureOverlayCall(n, c))
	}
	for i, c := range stepCases[T](kernelPowers, 3)[:hypers*len(kernelPowers)] {
		calls = append(calls,
			updateCall(panel{n, 1, 1, 1}, c), updateCall(panel{n, 3, 1, 1}, c), updateCall(panel{1, 3, n + 2, n}, c))
		if i%len(kernelPowers) == 0 {
			calls = append(calls, descendCall(panel{n, 1, 1, 1}, c), descendCall(panel{n, 3, 1, 1}, c), descendCall(panel{1, 3, n + 2, n}, c))
		}
	}
	return calls
}

// TestKernelSpecialValues puts every special value at every index of every buffer of
// every kernel, with plain values around it.
func TestKernelSpecialValues(t *testing.T) {
	eachISAAndType(t, testKernelSpecialValues[float32], testKernelSpecialValues[float64])
}

func testKernelSpecialValues[T Float](t *testing.T) {
	data := sources[T]()[plain]
	n := 2*lanes512[T]() + 3
	special := specials[T]()
	calls := append(representatives[T](n, 2), allFiniteMultiCall[T](n), bothFiniteCall[T](n)) // the digest does not have these two
	for _, c := range stepCases[T](kernelPowers, 3)[:len(kernelPowers)] {
		calls = append(calls, updateMultiCall(n, c), updateTogetherCall(panel{1, 3, n + 2, n}, c))
	}
	for turn, c := range calls {
		for b, buffer := range c.buffers {
			if buffer.fixed != nil {
				continue
			}
			// Each index gets a part of the values here, and the others in another call
			// of the kernel, or in another row or block.
			step := max(2, buffer.n/n)
			if brief() || isa() == "generic" {
				step = 13
			} else if !all("three of four special values in each place") {
				step = max(8, step)
			}
			for at := range buffer.n {
				if brief() && (at+turn)%max(3, thin) != 0 {
					continue
				}
				for i := (turn + at + at/step) % step; i < len(special); i += step {
					x := special[i]
					if buffer.positive {
						x = abs(x)
					}
					c.checkEdited(t, 0, data, func(buffers [][]T) { buffers[b][at] = x })
				}
			}
		}
	}
}

// TestKernelFlush makes m' and v' exactly the smallest normal number and its
// neighbour below, in every lane.
func TestKernelFlush(t *testing.T) {
	eachISAAndType(t, testKernelFlush[float32], testKernelFlush[float64])
}

func testKernelFlush[T Float](t *testing.T) {
	f := formatOf[T]()
	least, ulp := fromBits[T](f.minNormal), fromBits[T](1)
	one := stepCase[T]{name: "sums", k: powerOne, s: scalars[T]{b1: 1, c1: 1, b2: 1, c2: 1, s: 1, w: 1, r: 1, e: 1, limit: 1, div: 1}}
	type pair struct{ old, add, want T }
	ms := []pair{
		{least, 0, least}, {least - ulp, ulp, least}, {least, -ulp, 0}, {least - ulp, 0, 0}, {ulp, 0, 0}, {least, ulp, least + ulp},
		{-least, 0, -least}, {-least + ulp, -ulp, -least}, {-least, ulp, 0}, {-ulp, 0, 0}, {fromBits[T](bitsOf(-T(0))), -T(0), 0},
	}
	// Here the curvature's square is 0 or the smallest normal number.
	root := T(0x1p-63)
	if f.mantissa == 52 {
		root = T(0x1p-511)
	}
	vs := []pair{{least, 0, least}, {least - ulp, 0, 0}, {ulp, 0, 0}, {0, root, least}, {ulp, root, least + ulp}, {0, root / 2, 0}}
	data := sources[T]()[plain]
	n := 2*lanes512[T]() + 3
	for _, p := range []panel{{n, 1, 1, 1}, {1, 1, n + 1, n}} {
		u, c := updateCall(p, one), descendCall(p, one)
		for at := range n {
			for _, m := range ms {
				set := func(x [][]T, g int) {
					clear(x[1])
					clear(x[g])
					x[1][at], x[g][at] = m.old, m.add
				}
				var after T
				u.checkResult(t, data, func(x [][]T) { set(x, 3) }, func(x [][]T) { after = x[1][at] })
				if !equalBits(after, m.want) {
					t.Fatalf("%s: m[%d] = %s, want %s", u.name, at, showBits(after), showBits(m.want))
				}
				c.checkResult(t, data, func(x [][]T) { set(x, 2) }, func(x [][]T) { after = x[1][at] })
				if !equalBits(after, m.want) {
					t.Fatalf("%s: m[%d] = %s, want %s", c.name, at, showBits(after), showBits(m.want))
				}
			}
			for _, v := range vs {
				var after T
				u.checkResult(t, data, func(x [][]T) {
					clear(x[2])
					clear(x[4])
					x[2][at], x[4][at] = v.old, v.add
				}, func(x [][]T) { after = x[2][at] })
				if !equalBits(after, v.want) {
					t.Fatalf("%s: v[%d] = %s, want %s", u.name, at, showBits(after), showBits(v.want))
				}
			}
		}
	}
}

// checkResult is checkEdited for a test that looks at the result too.
func (c call[T]) checkResult(t *testing.T, data filler[T], edit, look func(x [][]T)) {
	t.Helper()
	run := c.run
	c.run = func(x [][]T) {
		run(x)
		look(x)
	}
	c.checkEdited(t, 0, data, edit)
}

// TestKernelClamp has updates of exactly the bound, its neighbours, and NaN.
func TestKernelClamp(t *testing.T) {
	eachISAAndType(t, testKernelClamp[float32], testKernelClamp[float64])
}

func testKernelClamp[T Float](t *testing.T) {
	limit := T(0.75)
	next, before := fromBits[T](bitsOf(limit)+1), fromBits[T](bitsOf(limit)-1)
	infinity := fromBits[T](formatOf[T]().infinity)
	c := stepCase[T]{name: "clamp", k: powerZero, s: scalars[T]{b1: 1, c1: 0, b2: 1, c2: 1, s: 1, w: 0, r: 1, e: 0, limit: limit, div: 1}}
	data := sources[T]()[plain]
	n := 2*lanes512[T]() + 3
	for _, d := range []call[T]{descendCall(panel{n, 1, 1, 1}, c), descendCall(panel{n, 3, 1, 1}, c), descendCall(panel{1, 3, n + 1, n}, c)} {
		for at := range n {
			for _, u := range []struct{ m, want T }{
				{limit, limit}, {before, before}, {next, limit}, {infinity, limit}, {0, 0}, {infinity - infinity, infinity - infinity},
				{-limit, -limit}, {-before, -before}, {-next, -limit}, {-infinity, -limit},
			} {
				var after T
				d.checkResult(t, data, func(x [][]T) {
					for i := range x[0] {
						x[0][i], x[2][i] = 1, 0
					}
					for i := range x[3] {
						x[3][i] = 1
					}
					x[1][at] = u.m
				}, func(x [][]T) { after = x[0][at] })
				if got := 0 - after; got != u.want && !equalBits(got, u.want) {
					t.Fatalf("%s: u[%d] = %s, want %s", d.name, at, showBits(got), showBits(u.want))
				}
			}
		}
	}
}

// ---- the exported functions: pieces of every kind ------------------------

// layouts returns layouts around which the exported functions take different paths.
func layouts() (l []Layout) {
	for _, n := range lengths(1000, maxCall-1, maxCall, maxCall+1, 2*maxCall+5) {
		l = append(l, Elementwise(n))
	}
	for _, block := range []int{2, 3, 9, 32} {
		for _, blocks := range []int{0, 1, 7, 8, 9, 17, maxCall/block - 1, maxCall / block, maxCall/block + 1, onePassWidth / block, 2*onePassWidth/block + 1} {
			l = append(l, Layout{blocks, block, 1})
		}
	}
	for _, block := range []int{1000, maxCall/8 - 1, maxCall / 8, maxCall/8 + 1, onePassWidth, onePassWidth + 1,
		maxCall - 1, maxCall, maxCall + 1, 2*maxCall + 1, 40000} {
		l = append(l, Layout{1, block, 1}, Layout{3, block, 1})
	}
	for _, inner := range []int{2, 3, 7, 8, 9, 40, 64, 100} {
		for _, outer := range []int{1, 2, 5} {
			l = append(l, Layout{outer, 1, inner}, Layout{outer, 2, inner}, Layout{outer, 9, inner})
		}
	}
	l = append(l,
		Layout{0, 9, 7}, Layout{5, 9, 0}, Layout{0, 3, 0}, Layout{0, 1, 1}, Layout{3, 1, 0},
		Layout{1000, 3, 11},                                                                                                                // many slices
		Layout{2, maxCall / onePassWidth, onePassWidth}, Layout{2, maxCall/onePassWidth + 1, onePassWidth}, Layout{2, 3, onePassWidth + 1}, // on either side of one pass
		Layout{1, 3, 5000}, Layout{2, 2, scratchLen}, Layout{1, 3, scratchLen + 1}, Layout{1, 2, 2*scratchLen + 3}, // long rows
		Layout{1, 20000, 3}, Layout{2, 17000, 2}, Layout{1, maxCall / 2, 4}, // high columns
		Layout{1, runLen, 3}, Layout{1, runLen + 1, 2}, Layout{1, 2 * runLen, 2}, Layout{3, 2*runLen + 5, 2}, // and runs of them
		Layout{1, runLen + 3, meanColumns + 3}, Layout{2, 2 * runLen, 1}, Layout{1, 3*runLen - 1, 1}, Layout{1, 5*runLen + 33, 1},
		Layout{1, 300, 130},                                                                               // both
		Layout{1, 3, longSlice / 4}, Layout{1, 100, longSlice/4/100 + 1}, Layout{2, 29, 2*scratchLen + 3}, // long slices
		Layout{2, 2, longSlice/8 + 77}, Layout{1, 9, longBytes/4 + 1001}, // and wide tiles
	)
	l = slices.DeleteFunc(l, func(l Layout) bool { return brief() && l.Len() > 3*maxCall })
	// Long slices, always: of several rows, of few, and of those that are taken in parts.
	return append(l, Layout{1, 5, longSlice/4/5 + 1}, Layout{1, 3, longSlice/4/3 + 1}, Layout{1, 131, longSlice/4/131 + 2})
}

func TestKernelUpdateExported(t *testing.T) {
	eachISAAndType(t, testUpdateExported[float32], testUpdateExported[float64])
}

func testUpdateExported[T Float](t *testing.T) {
	r := newRota[T]()
	r.exported = true
	for _, l := range layouts() {
		powers := []float64{0, 0.5, 0.75, 1, 2}
		if brief() {
			powers = powers[r.next(len(powers)):][:1]
		} else if l.Len() > 1000 {
			powers = []float64{[]float64{0, 0.5, 1, 2}[r.next(4)], 0.75}
		}
		for _, k := range powers {
			h := stepHypers[r.next(len(stepHypers))]
			h.h.HessianPower = k
			c, err := NewCoefficients[T](h.h, h.step, h.samples)
			if err != nil {
				t.Fatal(err)
			}
			r.checkNext(t, exportedUpdateCall(l, &c))
			r.checkNext(t, keptCall(l, &c, true, onePassWidth))
			if l.Len() < 1000 || k == 0.75 {
				r.checkNext(t, exportedUpdateOverlayCall(l, &c))
				r.checkNext(t, keptCall(l, &c, false, scratchLen))
			}
		}
	}
}

func TestKernelBlockMeanAbsExported(t *testing.T) {
	eachISAAndType(t, testBlockMeanAbsExported[float32], testBlockMeanAbsExported[float64])
}

func testBlockMeanAbsExported[T Float](t *testing.T) {
	r := newRota[T]()
	r.exported = true
	for _, l := range layouts() {
		for range moods {
			r.checkNext(t, exportedBlockMeanAbsCall[T](l))
		}
		if l.Block == 1 && l.Inner == 1 {
			r.checkNext(t, exportedBlockMeanAbsOverlayCall[T](l.Len()))
		}
	}
}

// TestKernelNamedTypes runs the kernels on a caller's own types.
func TestKernelNamedTypes(t *testing.T) {
	eachISAAndType(t, testNamedTypes[weight], testNamedTypes[wide])
}

func testNamedTypes[T Float](t *testing.T) {
	r := newRota[T]()
	for n := range most + 1 {
		for _, c := range representatives[T](n, 2) {
			if n > 0 {
				r.checkNext(t, c)
			}
		}
	}
}

// TestKernelFirstNonFinite tests how long slices are cut into calls.
func TestKernelFirstNonFinite(t *testing.T) {
	eachISAAndType(t, testFirstNonFinite[float32], testFirstNonFinite[float64])
}

func testFirstNonFinite[T Float](t *testing.T) {
	infinity := fromBits[T](formatOf[T]().infinity)
	largest := fromBits[T](formatOf[T]().infinity - 1)
	for _, n := range []int{0, 1, 2, 31, 33, most, maxCall, maxCall + 1, 2*maxCall + 17} {
		x := make([]T, n)
		for i := range x {
			x[i] = largest * T(1-i%2*2)
		}
		if at := FirstNonFinite(x); at != -1 {
			t.Errorf("n=%d, all finite: FirstNonFinite = %d", n, at)
		}
		for _, at := range []int{0, 1, 7, 8, 15, 16, 30, 31, 32, most - 1, maxCall - 1, maxCall, n - 2, n - 1} {
			if at < 0 || at >= n {
				continue
			}
			for _, bad := range []T{infinity, -infinity, infinity - infinity, fromBits[T](formatOf[T]().infinity + 1)} {
				keep := [2]T{x[at], x[n-1]}
				x[n-1], x[at] = infinity, bad
				if got := FirstNonFinite(x); got != at {
					t.Errorf("n=%d, x[%d] = %s: FirstNonFinite = %d", n, at, showBits(bad), got)
				}
				x[n-1], x[at] = keep[1], keep[0]
			}
		}
	}
}

// TestMisaligned tests the helper that the tests of the kernels rely on.
func TestMisaligned(t *testing.T) {
	for offset := range 16 {
		x, before, after := misaligned[float32](5, offset)
		if len(x) != 5 || len(before) < 16 || len(after) < 16 {
			t.Errorf("misaligned(5, %d) has %d elements between %d and %d", offset, len(x), len(before), len(after))
		}
		if at := uintptr(unsafe.Pointer(&x[0])); (at-4*uintptr(offset))%64 != 0 {
			t.Errorf("misaligned(5, %d) starts at %#x", offset, at)
		}
		if after[0] = 1; untouched(after) || !untouched(before) {
			t.Error("untouched does not see a canary change")
		}
	}
}

// TestKernelSubnormal tests what a kernel may leave out: gradients and products so
// small that they change nothing, next to others that do. A kernel decides by the first
// elements and by pairs of vectors, so the data begins with what vanishes, and comes in
// runs of one kind.
func TestKernelSubnormal(t *testing.T) {
	eachISAAndType(t, testKernelSubnormal[float32], testKernelSubnormal[float64])
}

func testKernelSubnormal[T Float](t *testing.T) {
	f := formatOf[T]()
	r := rand.New(rand.NewPCG(20060719, 2))
	ulp := fromBits[T](1)
	ones := scalars[T]{b1: 1, c1: 1, b2: 1, c2: 1, s: 1, w: 1, r: 1, e: 1, limit: 1, div: 1}
	cases := []stepCase[T]{{name: "sums", k: powerTwo, s: ones}}
	ones.div = 3
	cases = append(cases, stepCase[T]{name: "thirds", k: powerTwo, s: ones})
	for _, beta := range []float64{0, ulpBelowOne, 0.9, 0.5, float64(ulp), 0x1p-60, float64(fromBits[T](f.minNormal))} {
		for _, other := range []float64{0, ulpBelowOne, 0.999} {
			// Without Eps the denominators depend on v alone. Eps would hide what
			// vanishes.
			k := len(cases)
			h := Hyper{LR: 1, Beta1: beta, Beta2: other, Eps: float64(k / 4 % 2), HessianPower: []float64{1, 2, 0.5, 0}[k/2%4]}
			turned := h
			turned.Beta1, turned.Beta2, turned.Eps = other, beta, 1-h.Eps
			for _, h := range []Hyper{h, turned} {
				c, err := NewCoefficients[T](h, 3, 1)
				if err != nil {
					t.Fatal(err)
				}
				cases = append(cases, stepCase[T]{fmt.Sprintf("%+v", h), c.scalarsFor(1), c.power, c.exponent})
			}
		}
	}

	// For m of every size, try the largest gradient that may vanish, of either sign.
	// The smallest m that hides it is a power of two of the other sign.
	data := sources[T]()[plain]
	pair, sizes := 2*lanes512[T](), 100
	vanish := updateCall(panel{pair * sizes, 1, 1, 1}, cases[0])
	for from := 0; from < int(f.infinity>>f.mantissa); from += sizes {
		if from > 2*sizes && (brief() || thin > 1) {
			break
		}
		for _, mantissa := range []uint64{0, 1<<f.mantissa - 1} {
			for _, g := range []T{fromBits[T](f.minNormal - 1), -fromBits[T](f.minNormal - 1)} {
				vanish.checkEdited(t, 0, data, func(x [][]T) {
					for i := range x[1] {
						x[1][i], x[3][i] = fromBits[T](min(f.infinity, uint64(from+i/pair)<<f.mantissa|mantissa)), g
					}
				})
			}
		}
	}

	n, rounds := 4096+13, 8
	if brief() || thin > 1 || isa() == "generic" {
		n, rounds = 1024+13, 3
	} else if all("32 of 40 rounds with gradients that vanish") {
		rounds = 40
	}
	for round := range rounds {
		for i, c := range cases {
			g := subnormalValues[T]{r, []exponents{subnormals, subnormals, subnormals, subnormals, subnormals, {0, 3}}}
			hz := subnormalValues[T]{r, []exponents{
				subnormals, f.around(0x1p-95, 0x1p-767), f.around(0x1p-75, 0x1p-538), f.around(0x1p-63, 0x1p-511)}}
			m := subnormalValues[T]{r, []exponents{subnormals, {0, 3}, f.around(0x1p-101, 0x1p-968), f.around(0x1p-101, 0x1p-968)}}
			v := subnormalValues[T]{r, []exponents{subnormals, {0, 3}, {1, 40}, {1, 3 * f.mantissa}}}
			edit := func(theta [][]T, mv, vv []T, gs, hzs [][]T) {
				for _, x := range theta {
					for j := 0; j < len(x); j += 2 {
						x[j] = 0 // where the smallest update shows
					}
				}
				m.fill(mv)
				v.fill(vv)
				for j := range vv {
					if vv[j] < 0 {
						vv[j] = -vv[j]
					}
				}
				for j := range gs {
					g.fill(gs[j])
					hz.fill(hzs[j])
					first := r.IntN(5) // the first elements decide the path
					for k := range 2 * lanes512[T]() {
						if first > 0 {
							gs[j][k] = fromBits[T](1 + r.Uint64N(f.minNormal-1))
						} else {
							hzs[j][k] = fromBits[T](1 + r.Uint64N(f.minNormal-1))
						}
					}
				}
			}
			if (i+round)%4 == 0 {
				call := updateMultiCall(n/2, c)
				call.checkEdited(t, r.IntN(16), data, func(x [][]T) { edit(x[:2], x[2], x[3], x[4:6], x[6:8]) })
			} else {
				call := updateCall(panel{n, 1, 1, 1}, c)
				call.checkEdited(t, r.IntN(16), data, func(x [][]T) { edit(x[:1], x[1], x[2], x[3:4], x[4:5]) })
			}
		}
	}
}

// ulpBelowOne is the largest possible Beta.
const ulpBelowOne = 1 - 0x1p-53

// exponents are biased exponents, from the first up to but not including the second.
type exponents [2]int

var subnormals = exponents{0, 1}

// around returns the exponents around that of x32, or of x64 for float64.
func (f format) around(x32, x64 float64) exponents {
	e := int(bitsOf(float32(x32)) >> 23)
	if f.mantissa == 52 {
		e = int(bitsOf(x64) >> 52)
	}
	return exponents{e - 3, e + 3}
}

// subnormalValues makes runs of numbers. A run is of one range of exponents, of all of
// them, special, plain, or of all these kinds. Or it makes numbers of every exponent,
// in rising order. Zeros are everywhere.
type subnormalValues[T Float] struct {
	r      *rand.Rand
	ranges []exponents
}

func (v *subnormalValues[T]) fill(x []T) {
	f, r := formatOf[T](), v.r
	special := specials[T]()
	sweep := r.IntN(3) == 0
	for at := 0; at < len(x); {
		n := min(1+r.IntN(200), len(x)-at)
		kinds := len(v.ranges) + 4
		kind, odd := r.IntN(kinds), r.IntN(2*n) // in half of the runs, one number is of another kind
		for i := range n {
			k := kind
			if i == odd || kind == kinds-1 {
				k = r.IntN(kinds)
			}
			var e exponents
			switch {
			case sweep:
				e[0] = (at + i) * int(f.infinity>>f.mantissa) / len(x)
				e[1] = e[0] + 1
			case k < len(v.ranges):
				e = v.ranges[k]
			case k == len(v.ranges):
				e = v.ranges[r.IntN(len(v.ranges))]
			case k == len(v.ranges)+1:
				x[at+i] = special[r.IntN(len(special))]
			default:
				x[at+i] = T(r.NormFloat64())
			}
			if e[1] > 0 {
				mantissa := [...]uint64{0, 1, 1<<f.mantissa - 1, r.Uint64N(1 << f.mantissa)}[r.IntN(4)]
				x[at+i] = fromBits[T](uint64(e[0]+r.IntN(e[1]-e[0]))<<f.mantissa | mantissa)
			}
			if r.IntN(20) == 0 {
				x[at+i] = 0
			}
			if r.IntN(2) == 0 {
				x[at+i] = -x[at+i]
			}
		}
		at += n
	}
}
