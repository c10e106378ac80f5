package adahessian

import (
	"fmt"
	"math"
	"testing"
	"unsafe"
)

// BenchmarkHalf measures UpdateHalf. "ratio" is its time divided by that of Update with the same
// layout, and "ratio-apart" its time divided by that of Widen, Widen, Update and Narrow one after
// the other. For a block of B, memory moves 22 + 8/B bytes per element, and 2 more if the cache
// lines of out are fetched before they are written. Update moves 24 + 8/B.
func BenchmarkHalf(b *testing.B) {
	for _, layout := range []string{"1", "9", "9-strided", "9-columns", "32"} {
		for _, n := range ratioLengths {
			for _, f := range halfTypes {
				b.Run(fmt.Sprintf("block=%s/n=%.0e/type=%s", layout, float64(n), f.bits.Name), func(b *testing.B) { benchHalf(b, f, benchLayouts(n)[layout]) })
			}
		}
	}
}

// BenchmarkHalfRows is BenchmarkHalf for slices of more and fewer rows than 9, as in
// BenchmarkRatioRows, from memory. The last two are several slices of short rows.
func BenchmarkHalfRows(b *testing.B) {
	const n = 10_000_000
	for _, l := range []Layout{{1, 4, n / 4}, {1, 9, n / 9}, {1, 64, n / 64}, {1, 1024, n / 1024}, {1, 4096, n / 4096}, {1, 20000, n / 20000}, {32, 300, 1024}, {277, 9, 4000}} {
		for _, f := range halfTypes {
			b.Run(fmt.Sprintf("rows=%dx%d/type=%s", l.Block, l.Inner, f.bits.Name), func(b *testing.B) { benchHalf(b, f, l) })
		}
	}
}

func benchHalf(b *testing.B, f halfType, l Layout) {
	n := l.Len()
	a := benchArrays[float32](n, n, l.Blocks(), n, n)
	theta, m, v, g32, hz32 := a[0], a[1], a[2], a[3], a[4]
	clear(v)
	halves := func(role int) []halfBits {
		words := newArray[float32](max(n/2+1, 1024), role)
		return unsafe.Slice((*halfBits)(unsafe.Pointer(&words[0])), n)
	}
	g, hz, out := halves(7), halves(9), halves(11)
	f.narrow(g, g32)
	f.narrow(hz, hz32)
	c, err := NewCoefficients[float32](DefaultHyper(), 10, 1)
	if err != nil {
		b.Fatal(err)
	}
	update := func() { Update(theta, m, v, g32, hz32, l, &c) }
	half := func() { f.update(theta, out, g, hz, m, v, l, &c, 1) }
	apart := func() {
		f.widen(g32, g)
		f.widen(hz32, hz)
		update()
		f.narrow(out, theta)
	}
	benchAgainst(b, n, half, update)
	b.ReportMetric(ratioOf(max(1, 200_000/n), half, apart), "ratio-apart")
	for _, x := range theta {
		if math.IsNaN(float64(x)) {
			b.Fatal("NaN")
		}
	}
}
