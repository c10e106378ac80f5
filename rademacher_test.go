package adahessian

import (
	"math"
	"math/bits"
	"testing"
	"unsafe"
)

// Known answers of Philox4x32-10. The first three are those of the paper's
// reference implementation (Random123, kat_vectors); the others have block numbers that
// an index can reach, on both sides of the carry from a block number's lower word.
var philoxAnswers = []struct {
	key, block, draw uint64
	want             [4]uint32
}{
	{0, 0, 0, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
	{0x299f31d0a4093822, 0x85a308d3243f6a88, 0x0370734413198a2e, [4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	{math.MaxUint64, math.MaxUint64, math.MaxUint64, [4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
	{0x299f31d0a4093822, 0x01a308d3243f6a88, 0x0370734413198a2e, [4]uint32{0x9435e811, 0x02383074, 0x20b85f5f, 0xb83172f3}},
	{math.MaxUint64, 1<<57 - 1, math.MaxUint64, [4]uint32{0x2213a006, 0x8d7f7a33, 0x7c00ed6b, 0xda2b6cd8}},
	{0x299f31d0a4093822, 0xffffffff, 0x0370734413198a2e, [4]uint32{0xe7b86d7e, 0xb603fe08, 0xc2c025f2, 0xf33c66e4}},
	{0x299f31d0a4093822, 0x100000000, 0x0370734413198a2e, [4]uint32{0xd97b73e8, 0xbd5ad7b9, 0xda726949, 0x34ede877}},
}

func TestPhilox(t *testing.T) {
	for _, c := range philoxAnswers {
		if got := philox(c.key, c.block, c.draw); got != c.want {
			t.Errorf("philox(%#x, %#x, %#x) = %08x, want %08x", c.key, c.block, c.draw, got, c.want)
		}
	}
}

func TestKernelRademacherKnownAnswers(t *testing.T) {
	eachISAAndType(t, testRademacherKnown[float32], testRademacherKnown[float64])
}

func testRademacherKnown[T Float](t *testing.T) {
	tested := 0
	for _, c := range philoxAnswers {
		if c.block >= 1<<57 {
			continue // no index reaches this block
		}
		tested++
		z := make([]T, 128)
		Rademacher(z, c.key, c.draw, c.block<<7)
		var got [4]uint32
		for i, z := range z {
			if z != 1 && z != -1 {
				t.Fatalf("z[%d] = %v", i, z)
			}
			if z == -1 {
				got[i/32] |= 1 << (i % 32)
			}
		}
		if got != c.want {
			t.Errorf("signs of key %#x, block %#x, draw %#x = %08x, want %08x", c.key, c.block, c.draw, got, c.want)
		}
	}
	if tested != 5 {
		t.Errorf("tested %d answers", tested)
	}
}

// sign is the plain definition of one sign.
func sign(seed, draw, i uint64) int {
	word := philox(seed, i>>7, draw)[i>>5&3]
	return 1 - 2*int(word>>(i&31)&1)
}

// signsFrom returns the signs of n indices, each computed by itself.
func signsFrom(seed, draw, offset uint64, n int) []int {
	z := make([]int, n)
	for i := range z {
		z[i] = sign(seed, draw, offset+uint64(i))
	}
	return z
}

// TestKernelRademacherRanges tries ranges that start and end anywhere: within blocks,
// batches of blocks and calls, at the carry of the block number, and where the index
// wraps.
func TestKernelRademacherRanges(t *testing.T) {
	eachISAAndType(t, testRademacherRanges[float32], testRademacherRanges[float64])
}

func testRademacherRanges[T Float](t *testing.T) {
	const seed, draw, room = 0x9e3779b97f4a7c15, 0xdeadbeefcafe, 2600
	for _, origin := range []uint64{
		0, 1<<39 - 300, 1<<39 - 1300, // block 2³² − 1 and 2³²
		1<<46 - 1000, 1<<63 - 1000, // nothing special happens there
		1<<64 - 1300, 1<<64 - 301, // the index wraps
	} {
		want := signsFrom(seed, draw, origin, room)
		check := func(from, n int) {
			t.Helper()
			z, before, after := misaligned[T](n, from%16)
			Rademacher(z, seed, draw, origin+uint64(from))
			for i := range z {
				if int(z[i]) != want[from+i] || z[i] != 1 && z[i] != -1 {
					t.Fatalf("offset=%#x n=%d: z[%d] = %v, want %d", origin+uint64(from), n, i, z[i], want[from+i])
				}
			}
			if !untouched(before) || !untouched(after) {
				t.Fatalf("offset=%#x n=%d: wrote outside of z", origin+uint64(from), n)
			}
		}
		step := 1
		if brief() {
			step = 7
		}
		for from := 0; from <= 300; from += step {
			for _, n := range []int{0, 1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 255, 256, 257, 300} {
				check(from, n)
			}
			check(from, (from*37)%301)
			check(from, 1024)
			check(from, 1024-from%128)   // ends with a block
			check(from, 1024-from%128+1) // and one further
		}
		for n := 0; n <= 300; n += step {
			check((n*11)%301, n)
			check(n%130, 1000+n)
		}
		check(0, room)
		check(17, room-17)
	}
}

// TestKernelRademacherCalls tries ranges that take several calls of a kernel.
func TestKernelRademacherCalls(t *testing.T) {
	eachISAAndType(t, testRademacherCalls[float32], testRademacherCalls[float64])
}

func testRademacherCalls[T Float](t *testing.T) {
	r := newRota[T]()
	for _, n := range []int{maxCall - 1, maxCall, maxCall + 1, 2*maxCall + 33} {
		for _, offset := range []uint64{0, 1, 127, 1<<39 - maxCall, 1<<64 - maxCall, 1<<64 - maxCall - 5, 1<<64 - 1} {
			r.checkNext(t, exportedRademacherCall[T](n, 3, 4, offset))
		}
	}
}

// TestKernelRademacherTypes compares all types, including the caller's own.
func TestKernelRademacherTypes(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		for _, n := range []int{1, 9, 129, 1000, maxCall + 1} {
			a, b, c, d := make([]float32, n), make([]float64, n), make([]weight, n), make([]wide, n)
			Rademacher(a, 5, 6, 77)
			Rademacher(b, 5, 6, 77)
			Rademacher(c, 5, 6, 77)
			Rademacher(d, 5, 6, 77)
			for i := range n {
				if x := b[i]; float64(a[i]) != x || float64(c[i]) != x || float64(d[i]) != x {
					t.Fatalf("n=%d: z[%d] = %v, %v, %v, %v", n, i, a[i], b[i], c[i], d[i])
				}
			}
		}
	})
}

// TestRademacherStatistics looks for what a probe must not have: a preferred sign, or a
// correlation between elements, draws, seeds, or neighbouring parameters. The seeds are
// fixed, so the result is too. The bound is 4.5 standard deviations of a fair coin.
func TestRademacherStatistics(t *testing.T) {
	const n = 1 << 16
	bound := 4.5 / math.Sqrt(n)
	draw := func(seed, draw, offset uint64) []float32 {
		z := make([]float32, n)
		Rademacher(z, seed, draw, offset)
		return z
	}
	correlation := func(a, b []float32) float64 {
		sum := 0.0
		for i := range min(len(a), len(b)) {
			sum += float64(a[i]) * float64(b[i])
		}
		return sum / float64(min(len(a), len(b)))
	}
	ones := make([]float32, n)
	for i := range ones {
		ones[i] = 1
	}
	base := draw(0, 0, 0)
	type pair struct {
		what string
		a, b []float32
	}
	var pairs []pair
	for bit := range 64 {
		pairs = append(pairs,
			pair{"the seed's bit", base, draw(1<<bit, 0, 0)},
			pair{"the draw's bit", base, draw(0, 1<<bit, 0)},
			pair{"balance of a seed", ones, draw(1<<bit, 0, 0)},
			pair{"balance of a draw", ones, draw(0, 1<<bit, 0)})
	}
	for bit := 16; bit < 64; bit++ {
		pairs = append(pairs, pair{"the offset's bit", base, draw(0, 0, 1<<bit)})
	}
	for _, lag := range []int{1, 2, 3, 4, 7, 8, 16, 31, 32, 33, 64, 127, 128, 129, 1024} {
		pairs = append(pairs, pair{"neighbours", base, base[lag:]})
	}
	for k := uint64(1); k < 20; k++ {
		pairs = append(pairs, pair{"following draws", draw(9, k, 0), draw(9, k+1, 0)}, pair{"following seeds", draw(k, 5, 0), draw(k+1, 5, 0)})
	}
	for i, p := range pairs {
		if c := correlation(p.a, p.b); math.Abs(c) > bound {
			t.Errorf("pair %d, %s: correlation %.4f, want at most %.4f", i, p.what, c, bound)
		}
	}
	// Every position of a block is balanced.
	var at [128]int
	for i, z := range base {
		at[i%128] += int(z)
	}
	for i, sum := range at {
		if math.Abs(float64(sum)) > 4.5*math.Sqrt(n/128) {
			t.Errorf("position %d of the blocks: sum %d of %d", i, sum, n/128)
		}
	}
	// And each bit of the seed turns about half of the bits.
	word := philox(0, 0, 0)
	for bit := range 64 {
		turned := 0
		for i, w := range philox(1<<bit, 0, 0) {
			turned += bits.OnesCount32(w ^ word[i])
		}
		if turned < 32 || turned > 96 {
			t.Errorf("bit %d of the seed turns %d of 128 bits", bit, turned)
		}
	}
}

// setStreamBytes sets the size above which probes are written past the caches.
func setStreamBytes(t *testing.T, bytes int) {
	before := streamBytes
	streamBytes = bytes
	t.Cleanup(func() { streamBytes = before })
}

// TestStreamSigns checks how far streamSigns goes. Otherwise the tests of its results
// could test nothing.
func TestStreamSigns(t *testing.T) {
	t.Run("float32", testStreamSigns[float32])
	t.Run("float64", testStreamSigns[float64])
}

func testStreamSigns[T Float](t *testing.T) {
	line := lanes512[T]()
	for _, c := range []struct {
		misaligned, n int
		offset        uint64
		want          int
	}{
		{0, 0, 0, 0}, {1, 3, 0, 0}, {0, streamUnit - 1, 5, 0}, {0, streamUnit, 5, streamUnit}, {0, 2*streamUnit - 1, 5, streamUnit},
		{1, streamUnit + line - 2, 5, 0}, {1, streamUnit + line - 1, 5, streamUnit + line - 1}, {line - 1, streamUnit + 1, 5, streamUnit + 1},
		{0, streamCall + streamUnit, 9, streamCall + streamUnit},
		{0, streamUnit, 1<<64 - streamUnit, streamUnit}, {0, streamUnit, 1<<64 - streamUnit + 1, 0}, // the index wraps
	} {
		z, _, _ := misaligned[T](c.n, c.misaligned)
		if got := streamSigns(z, 1, 2, c.offset); got != c.want {
			t.Errorf("misaligned=%d n=%d offset=%#x: %d elements, want %d", c.misaligned, c.n, c.offset, got, c.want)
		}
	}
	// In a mapped file, for example, elements may lie at any address.
	bytes := make([]byte, 2*streamUnit*unsafe.Sizeof(T(0)))
	for skip := range 8 {
		z := unsafe.Slice((*T)(unsafe.Pointer(&bytes[skip])), streamUnit+line)
		aligned := uintptr(unsafe.Pointer(&z[0]))%unsafe.Sizeof(T(0)) == 0
		if n := streamSigns(z, 1, 2, 0); (n > 0) != aligned {
			t.Errorf("%d bytes further: %d elements", skip, n)
		}
	}
}

// TestKernelStreamExported lets the exported function and a step decide.
func TestKernelStreamExported(t *testing.T) {
	eachISAAndType(t, testStreamExported[float32], testStreamExported[float64])
}

func testStreamExported[T Float](t *testing.T) {
	setStreamBytes(t, 5000*int(unsafe.Sizeof(T(0))))
	if streams[T](5000) || !streams[T](5001) {
		t.Fatal("streams does not depend on the length")
	}
	r := newRota[T]()
	for _, n := range []int{4999, 5000, 5001, 3*maxCall + 7} {
		for _, offset := range []uint64{0, 77, 1<<39 - 3000, 1<<64 - 3000} {
			r.checkNext(t, exportedRademacherCall[T](n, 3, 4, offset))
		}
	}
}

// TestStreamStep compares a step's probe that is written past the caches with one that
// is not. Each tensor by itself is shorter than the bound.
func TestStreamStep(t *testing.T) {
	t.Run("float32", testStreamStep[float32])
	t.Run("float64", testStreamStep[float64])
}

func testStreamStep[T Float](t *testing.T) {
	lens := []int{3, 5000, 17, 70001, 40000, 1}
	probe := func(bytes int) (all []T) {
		setStreamBytes(t, bytes)
		opts := DefaultOptions()
		opts.Workers = 2
		var params []Param[T]
		var grads [][]T
		total := 0
		for _, n := range lens {
			params = append(params, Param[T]{Value: make([]T, n)})
			grads = append(grads, make([]T, n))
			total += n
		}
		o, err := New(opts, params...)
		if err != nil {
			t.Fatal(err)
		}
		if want := bytes < total*int(unsafe.Sizeof(T(0))); o.plan.stream != want {
			t.Fatalf("stream = %v, want %v", o.plan.stream, want)
		}
		err = o.Step(grads, func(hz, z [][]T) error {
			for i := range z {
				all = append(all, z[i]...)
				clear(hz[i])
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	plain, streamed := probe(1<<30), probe(100000*int(unsafe.Sizeof(T(0))))
	if len(plain) != len(streamed) {
		t.Fatalf("%d and %d elements", len(plain), len(streamed))
	}
	for i, z := range plain {
		if z != streamed[i] || z*z != 1 {
			t.Fatalf("z[%d] = %v and %v", i, z, streamed[i])
		}
	}
}
