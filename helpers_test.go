package adahessian

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"testing"
	"unsafe"
)

// forFloats runs a test for each element type.
func forFloats(t *testing.T, f32, f64, named func(t *testing.T)) {
	t.Run("float32", f32)
	t.Run("float64", f64)
	t.Run("weight", named)
}

// allocsPerRun is testing.AllocsPerRun if Allocations is true, and 0 otherwise.
func allocsPerRun(runs int, f func()) float64 {
	allocs := testing.AllocsPerRun(runs, f)
	if !Allocations() {
		return 0
	}
	return allocs
}

// Allocations reports whether the allocations counted are the package's own; if not, it
// notes that they are left out. With -asan or -msan the compiler moves variables to the
// heap. The tests outside the package use it too.
func Allocations() bool {
	with := sanitizer()
	if with != "" {
		leave("counts of allocations", "without "+with)
	}
	return with == ""
}

// sanitizer returns the sanitizer's flag with which the program was built, or "".
func sanitizer() string {
	info, _ := debug.ReadBuildInfo()
	if info == nil {
		return ""
	}
	for _, s := range info.Settings {
		if (s.Key == "-asan" || s.Key == "-msan") && s.Value == "true" {
			return s.Key
		}
	}
	return ""
}

// memory returns the bytes of x.
func memory[T Float](x []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), len(x)*int(unsafe.Sizeof(T(0))))
}

// requireSame fails the test if x and y differ according to equalBits.
func requireSame[T Float](t *testing.T, x, y []T, format string, args ...any) {
	t.Helper()
	if len(x) != len(y) {
		t.Fatalf(format+": lengths %d and %d", append(args, len(x), len(y))...)
	}
	if bytes.Equal(memory(x), memory(y)) {
		return // the usual case, and fast even with the race detector
	}
	if at := firstDifference(x, y); at >= 0 {
		t.Fatalf(format+"[%d] = %v, want %v", append(args, at, showBits(x[at]), showBits(y[at]))...)
	}
}

// requireError fails the test unless err wraps the sentinel and its text has
// every word.
func requireError(t *testing.T, err, sentinel error, words ...string) {
	t.Helper()
	if !errors.Is(err, sentinel) {
		t.Fatalf("error is %v, want one that wraps %v", err, sentinel)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q does not say %q", err, word)
		}
	}
}

// snapshot holds what a failed Step must not change.
type snapshot[T Float] struct {
	theta, m, v, d   [][]T
	own              []uint64 // steps
	curved           []bool
	steps, refreshes uint64
	due              bool
}

func takeSnapshot[T Float](o *Optimizer[T]) snapshot[T] {
	s := snapshot[T]{steps: o.Steps(), refreshes: o.refreshes, due: o.NeedsHessian()}
	for i := range o.tensors {
		t := &o.tensors[i]
		s.theta = append(s.theta, append([]T(nil), t.value...))
		s.m = append(s.m, append([]T(nil), t.m...))
		s.v = append(s.v, append([]T(nil), t.v...))
		s.d = append(s.d, append([]T(nil), t.d...))
		s.own, s.curved = append(s.own, o.stepsOf(i)), append(s.curved, t.curved)
	}
	return s
}

// require fails the test if the optimizer is not as it was.
func (s snapshot[T]) require(t *testing.T, o *Optimizer[T]) {
	t.Helper()
	if o.Steps() != s.steps || o.NeedsHessian() != s.due {
		t.Fatalf("Steps, NeedsHessian = %d, %v, want %d, %v", o.Steps(), o.NeedsHessian(), s.steps, s.due)
	}
	if o.refreshes != s.refreshes {
		t.Fatalf("%d refreshes drawn, want %d", o.refreshes, s.refreshes)
	}
	if len(o.tensors) != len(s.theta) {
		t.Fatalf("%d parameters, want %d", len(o.tensors), len(s.theta))
	}
	for i := range o.tensors {
		x := &o.tensors[i]
		if o.stepsOf(i) != s.own[i] || x.curved != s.curved[i] {
			t.Fatalf("parameter %d: %d steps, curvature kept: %v, want %d, %v", i, o.stepsOf(i), x.curved, s.own[i], s.curved[i])
		}
		requireSame(t, x.value, s.theta[i], "parameter %d: θ", i)
		requireSame(t, x.m, s.m[i], "parameter %d: m", i)
		requireSame(t, x.v, s.v[i], "parameter %d: v", i)
		requireSame(t, x.d, s.d[i], "parameter %d: D", i)
	}
}

// weight and wide are a caller's own types, which a type switch would miss.
type (
	weight float32
	wide   float64
)

func bitsOf[T Float](x T) uint64 {
	if unsafe.Sizeof(x) == 4 {
		return uint64(math.Float32bits(float32(x)))
	}
	return math.Float64bits(float64(x))
}

func fromBits[T Float](b uint64) (x T) {
	if unsafe.Sizeof(x) == 4 {
		return T(math.Float32frombits(uint32(b)))
	}
	return T(math.Float64frombits(b))
}

// equalBits is the equality of the contract: +0 and −0 differ, and any NaN equals any
// other.
func equalBits[T Float](a, b T) bool { return bitsOf(a) == bitsOf(b) || a != a && b != b }

// showBits formats a number with its bits.
func showBits[T Float](x T) string {
	return fmt.Sprintf("%0*x (%g)", 2*unsafe.Sizeof(x), bitsOf(x), float64(x))
}

// firstDifference returns where the slices differ first, or −1.
func firstDifference[T Float](a, b []T) int {
	for i := range a {
		if !equalBits(a[i], b[i]) {
			return i
		}
	}
	return -1
}

// format describes T.
type format struct {
	mantissa              int // bits that are stored
	minNormal, infinity   uint64
	minSubnormal, largest float64
}

func formatOf[T Float]() format {
	if unsafe.Sizeof(T(0)) == 4 {
		return format{23, 0x00800000, 0x7f800000, math.SmallestNonzeroFloat32, math.MaxFloat32}
	}
	return format{52, 0x0010000000000000, 0x7ff0000000000000, math.SmallestNonzeroFloat64, math.MaxFloat64}
}

// specials returns values, of both signs, at which arithmetic behaves differently.
func specials[T Float]() (x []T) {
	f := formatOf[T]()
	for _, b := range []uint64{
		0,
		1, f.minNormal / 2, f.minNormal - 1, // subnormals
		f.minNormal, f.minNormal + 1, 2 * f.minNormal, // the smallest normals
		bitsOf(T(math.Sqrt(float64(fromBits[T](f.minNormal))))), // its square is the smallest normal
		bitsOf(T(1)),
		bitsOf(T(math.Sqrt(f.largest))), bitsOf(T(math.Sqrt(f.largest))) + 1, // the square overflows or nearly
		f.infinity - f.minNormal, f.infinity - 1, // huge, and the largest finite
		f.infinity, f.infinity + 1, f.infinity | f.minNormal>>1, // a signaling and a quiet NaN
	} {
		x = append(x, fromBits[T](b), -fromBits[T](b))
	}
	return x
}

// A mood is a kind of data.
type mood int

const (
	plain  mood = iota // of moderate size
	finite             // any finite numbers, with many zeros and subnormals
	odd                // plain, with some specials
	tiny               // around the smallest normal number
	moods
)

func (m mood) String() string { return [...]string{"plain", "finite", "odd", "tiny"}[m] }

func (m mood) value(r *rand.Rand) (bits func(f format) uint64) {
	biased := func(lo, hi int) func(f format) uint64 { // exponents from lo up to hi
		return func(f format) uint64 {
			return uint64(lo+r.IntN(hi-lo))<<f.mantissa | r.Uint64N(1<<f.mantissa)
		}
	}
	switch m {
	case plain:
		return func(f format) uint64 {
			one := int(f.infinity>>f.mantissa) / 2
			return biased(one-8, one+8)(f)
		}
	case finite:
		switch r.IntN(8) {
		case 0:
			return func(format) uint64 { return 0 }
		case 1, 2:
			return tiny.value(r)
		case 3:
			return func(f format) uint64 { return r.Uint64N(f.infinity) }
		}
		return plain.value(r)
	case tiny:
		if r.IntN(8) == 0 {
			return func(format) uint64 { return 0 }
		}
		return biased(0, 4)
	}
	return nil
}

// values returns n numbers of the given mood.
func values[T Float](m mood, n int, r *rand.Rand) []T {
	x, f, special := make([]T, n), formatOf[T](), specials[T]()
	for i := range x {
		switch {
		case m == odd && r.IntN(24) == 0:
			x[i] = special[r.IntN(len(special))]
			continue
		case m == odd:
			x[i] = fromBits[T](plain.value(r)(f))
		default:
			x[i] = fromBits[T](m.value(r)(f))
		}
		if r.IntN(2) == 0 {
			x[i] = -x[i]
		}
	}
	return x
}

// A source gives numbers without end, by going round in a pool.
type source[T Float] struct {
	mood mood
	pool []T
	//lint:ignore U1000 of fill
	next int
}

// sources returns one source for each mood.
func sources[T Float]() (s [moods]*source[T]) {
	r := rand.New(rand.NewPCG(20060719, 1))
	for m := range moods {
		s[m] = &source[T]{mood: m, pool: values[T](m, 4099, r)}
	}
	return s
}

//lint:ignore U1000 it is a method of filler, which the linter misses for a generic type
func (s *source[T]) fill(x []T) {
	for len(x) > 0 {
		n := copy(x, s.pool[s.next:])
		x = x[n:]
		s.next = (s.next + n) % len(s.pool)
	}
}

func (s *source[T]) String() string { return s.mood.String() }

func TestSources(t *testing.T) {
	t.Run("float32", testSources[float32])
	t.Run("float64", testSources[float64])
}

// testSources checks that the data of the tests is what it is said to be.
func testSources[T Float](t *testing.T) {
	minNormal := float64(fromBits[T](formatOf[T]().minNormal))
	for m, s := range sources[T]() {
		var zero, subnormal, nan, inf, large int
		for _, x := range s.pool {
			switch a := math.Abs(float64(x)); {
			case a == 0:
				zero++
			case a < minNormal:
				subnormal++
			case math.IsNaN(a):
				nan++
			case math.IsInf(a, 0):
				inf++
			case a > 1e30:
				large++
			}
		}
		got := [...]bool{zero > 0, subnormal > 0, nan > 0, inf > 0, large > 0}
		want := [moods][5]bool{
			plain:  {},
			finite: {true, true, false, false, true},
			odd:    {true, true, true, true, true},
			tiny:   {true, true, false, false, false},
		}[m]
		if got != want {
			t.Errorf("%v data has zeros, subnormals, NaNs, infinities, large values: %v, want %v", s, got, want)
		}
	}
}
