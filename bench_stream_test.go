package adahessian

import (
	"fmt"
	"slices"
	"testing"
	"time"
	"unsafe"
)

// BenchmarkStream is what streamBytes rests on: the time of a probe written past the
// caches divided by that of one written with ordinary stores. "draw" is that
// alone, "read" with one pass over z behind it, as hvp makes, and "cold" the same
// after other arrays have taken the caches, as in a step. Each is measured in
// turns with the other way of storing, after a call that is not measured.
func BenchmarkStream(b *testing.B) {
	b.Run("type=float32", benchStream[float32])
	b.Run("type=float64", benchStream[float64])
}

func benchStream[T Float](b *testing.B) {
	others := newArray[T](64<<20/int(unsafe.Sizeof(T(0))), 2)
	for _, mib := range []int{1, 2, 4, 8, 12, 16, 20, 24, 32, 48} {
		b.Run(fmt.Sprintf("MiB=%d", mib), func(b *testing.B) {
			z := newArray[T](mib<<20/int(unsafe.Sizeof(T(0))), 1)
			var times [3][2][]float64
			ways := func() {
				for way := range times {
					for stream := range 2 {
						for range 2 { // the second is measured
							if way == 2 {
								finiteRange(others)
							}
							start := time.Now()
							fillSigns(z, 1, 2, 0, stream == 1)
							if way > 0 {
								finiteRange(z)
							}
							times[way][stream] = append(times[way][stream], time.Since(start).Seconds())
						}
					}
				}
			}
			for b.Loop() {
				ways()
			}
			median := func(t []float64) float64 {
				var second []float64
				for i := 1; i < len(t); i += 2 {
					second = append(second, t[i])
				}
				slices.Sort(second)
				return second[len(second)/2]
			}
			for way, name := range []string{"draw", "read", "cold"} {
				b.ReportMetric(median(times[way][1])/median(times[way][0]), name)
			}
		})
	}
}
