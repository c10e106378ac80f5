package intrinsics

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/adahessian-go/adahessian"
)

// arrays returns arrays of normal numbers, aligned to 64 bytes, each of which
// begins some cache lines further into its page than the one before.
func arrays[T float32 | float64](count, n int) [][]T {
	size := int(unsafe.Sizeof(T(0)))
	all := make([][]T, count)
	for k := range all {
		a := make([]T, n+8192/size)
		at := uintptr(unsafe.Pointer(unsafe.SliceData(a)))
		skip := (int(-at&4095) + (k+1)*9*64) / size
		all[k] = a[skip:][:n:n]
		for i := range all[k] {
			all[k][i] = T(rand.NormFloat64())
		}
	}
	return all
}

// isa is the instruction set that the package uses.
func isa(t testing.TB) string {
	if s := adahessian.ISA(); s == "avx2" || s == "avx512" {
		return s
	}
	t.Skip("no AVX2")
	return ""
}

// TestSame proves that the C code gives the same bits as the package, so that the
// benchmarks compare the same work.
func TestSame(t *testing.T) {
	t.Run("float32", testSame[float32])
	t.Run("float64", testSame[float64])
}

func testSame[T float32 | float64](t *testing.T) {
	const n = 1280
	isa := isa(t)
	a := arrays[T](5, n)
	for i := range a[4] {
		a[4][i] *= a[4][i] // v
	}
	var b [5][]T
	for k := range b {
		b[k] = slices.Clone(a[k])
	}
	h := adahessian.DefaultHyper()
	h.MaxUpdate = 1 // some updates are bounded
	c, err := adahessian.NewCoefficients[T](h, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	adahessian.Update(a[0], a[1], a[4], a[2], a[3], adahessian.Elementwise(n), &c)
	s := scalars[T](h)
	update(isa, b[0], b[1], b[4], b[2], b[3], &s)
	for k, name := range []string{"theta", "m", "g", "hz", "v"} {
		if !slices.Equal(a[k], b[k]) {
			t.Errorf("%s differs", name)
		}
	}
	adahessian.Rademacher(a[0], 7, 3, 0)
	signs(isa, b[0], 7, 3)
	if !slices.Equal(a[0], b[0]) {
		t.Error("signs differ")
	}
}

var lengths = []int{20480, 10240000}

// BenchmarkUpdate measures Update for blocks of one element. "ratio" is its time
// divided by that of the C code, measured in turns.
func BenchmarkUpdate(b *testing.B) { each(b, benchUpdate[float32], benchUpdate[float64]) }

func benchUpdate[T float32 | float64](b *testing.B, n int) {
	isa := isa(b)
	a := arrays[T](5, n)
	clear(a[4])
	c, err := adahessian.NewCoefficients[T](adahessian.DefaultHyper(), 1, 1)
	if err != nil {
		b.Fatal(err)
	}
	s := scalars[T](adahessian.DefaultHyper())
	l := adahessian.Elementwise(n)
	t := inTurns(b, n,
		func() { adahessian.Update(a[0], a[1], a[4], a[2], a[3], l, &c) },
		func() { update(isa, a[0], a[1], a[4], a[2], a[3], &s) })
	b.ReportMetric(t[0]/t[1], "ratio")
	b.ReportMetric(t[0]*1e9/float64(n), "ns/elem")
}

// BenchmarkRademacher measures Rademacher. "ratio" is its time divided by that of the C
// code, and "fill-ratio" its time divided by that of the faster of two fills with a
// constant, with plain and with non-temporal stores. All four are measured in turns.
func BenchmarkRademacher(b *testing.B) { each(b, benchRademacher[float32], benchRademacher[float64]) }

func benchRademacher[T float32 | float64](b *testing.B, n int) {
	isa := isa(b)
	z := arrays[T](1, n)[0]
	t := inTurns(b, n,
		func() { adahessian.Rademacher(z, 1, 2, 0) },
		func() { signs(isa, z, 1, 2) },
		func() { fill(isa, z, false) },
		func() { fill(isa, z, true) })
	b.ReportMetric(t[0]/t[1], "ratio")
	b.ReportMetric(t[0]/min(t[2], t[3]), "fill-ratio")
	b.ReportMetric(t[0]*1e9/float64(n), "ns/elem")
}

func each(b *testing.B, narrow, wide func(b *testing.B, n int)) {
	for _, n := range lengths {
		b.Run(fmt.Sprintf("isa=%s/type=float32/n=%d", adahessian.ISA(), n), func(b *testing.B) { narrow(b, n) })
		b.Run(fmt.Sprintf("isa=%s/type=float64/n=%d", adahessian.ISA(), n), func(b *testing.B) { wide(b, n) })
	}
}

// inTurns calls the functions one after the other, again and again, and returns
// the median time of each. The benchmark's own loop is one turn. If the arrays fit into
// the cache, the first call of each turn is not measured, because the non-temporal fill
// leaves nothing in the cache for the call that follows it.
func inTurns(b *testing.B, n int, f ...func()) []float64 {
	times := make([][]float64, len(f))
	reps := max(1, 200_000/n)
	for _, g := range f {
		g()
	}
	for b.Loop() {
		for i, g := range f {
			if reps > 1 {
				g()
			}
			start := time.Now()
			for range reps {
				g()
			}
			times[i] = append(times[i], time.Since(start).Seconds()/float64(reps))
		}
	}
	medians := make([]float64, len(f))
	for i, t := range times {
		slices.Sort(t)
		medians[i] = t[len(t)/2]
	}
	return medians
}
