package adahessian

import (
	"fmt"
	"slices"
	"testing"
	"time"
	"unsafe"
)

// What a Hessian power costs that has no special case: 0.75, beside 1.
//
//	go test -run '^$' -bench Power -count 6 | tee new.txt
//	benchstat -col /k new.txt
//
// The metric "ratio" is the time with the power 0.75 divided by that with the
// power 1, both measured in turns after the benchmark itself, so that a
// machine that is busy for a while slows both.

// eachPowerCase runs a benchmark for every type, length, power and instruction
// set. What stands behind the length is the layout.
func eachPowerCase(b *testing.B, lengths []int, layout string, powers []float64, f32, f64 func(b *testing.B, n int, k float64)) {
	for _, typ := range []string{"float32", "float64"} {
		for _, n := range lengths {
			for _, k := range powers {
				benchISAs(b, fmt.Sprintf("type=%s/n=%.0e%s/k=%v/isa=", typ, float64(n), layout, k), func(b *testing.B) {
					if typ == "float32" {
						f32(b, n, k)
					} else {
						f64(b, n, k)
					}
				})
			}
		}
	}
}

// powerHyper returns DefaultHyper with another power.
func powerHyper(k float64) Hyper {
	h := DefaultHyper()
	h.HessianPower = k
	return h
}

// reportRatio reports the ratio of the times of f and g.
func reportRatio(b *testing.B, reps int, f, g func()) {
	b.StopTimer()
	b.ReportMetric(ratioOf(reps, f, g), "ratio")
}

// ratioOf measures f and g in turns, and returns the ratio of their medians. reps
// is how often one turn calls them.
func ratioOf(reps int, f, g func()) float64 {
	var times [2][]float64
	const turns, fewest, patience = 21, 3, time.Second / 2
	begun := time.Now()
	for turn := 0; turn < turns && (turn < fewest || time.Since(begun) < patience); turn++ {
		for i, run := range []func(){f, g} {
			start := time.Now()
			for range reps {
				run()
			}
			times[i] = append(times[i], time.Since(start).Seconds())
		}
	}
	slices.Sort(times[0])
	slices.Sort(times[1])
	return times[0][len(times[0])/2] / times[1][len(times[1])/2]
}

// BenchmarkPowerCurvature is the kernel alone, in cache: v and the denominators
// of n blocks.
func BenchmarkPowerCurvature(b *testing.B) {
	eachPowerCase(b, []int{1e3, 2e4}, "", []float64{1, 0.75}, benchCurvature[float32], benchCurvature[float64])
}

func benchCurvature[T Float](b *testing.B, n int, k float64) {
	a := benchArrays[T](n, n, n)
	v, d, den := a[0], a[1], a[2]
	for i := range d {
		v[i], d[i] = abs(v[i]), abs(d[i])
	}
	run := func(k float64) func() {
		c, err := NewCoefficients[T](powerHyper(k), 10, 1)
		if err != nil {
			b.Fatal(err)
		}
		s := c.scalarsFor(1)
		return func() {
			for at := 0; at < n; at += onePassWidth {
				end := min(at+onePassWidth, n)
				curvature(v[at:end], den[at:end], d[at:end], &s, c.power, c.exponent)
			}
		}
	}
	f := run(k)
	b.SetBytes(int64(4*n) * int64(unsafe.Sizeof(T(0)))) // v and d are read, v and den written
	for b.Loop() {
		f()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/value")
	if k != 1 {
		reportRatio(b, max(1, 200_000/n), f, run(1))
	}
}

// BenchmarkPowerUpdate is a step of a tensor with one curvature for 9 elements.
func BenchmarkPowerUpdate(b *testing.B) {
	eachPowerCase(b, []int{2e4, 1e6, 1e7}, "/block=9", []float64{0.75}, benchPowerUpdate[float32], benchPowerUpdate[float64])
}

func benchPowerUpdate[T Float](b *testing.B, n int, k float64) {
	l := Layout{n / 9, 9, 1}
	n = l.Len()
	a := benchArrays[T](n, n, n, n, l.Blocks())
	theta, m, g, hz, v := a[0], a[1], a[2], a[3], a[4]
	clear(v)
	run := func(k float64) func() {
		c, err := NewCoefficients[T](powerHyper(k), 10, 1)
		if err != nil {
			b.Fatal(err)
		}
		return func() { Update(theta, m, v, g, hz, l, &c) }
	}
	f := run(k)
	b.SetBytes(int64(6*n+2*l.Blocks()) * int64(unsafe.Sizeof(T(0))))
	for b.Loop() {
		f()
	}
	perElement(b, n)
	reportRatio(b, max(1, 200_000/n), f, run(1))
}

// BenchmarkPowerStep is BenchmarkStep with blocks of 9: the probe and the finite
// check take the same time for every power.
func BenchmarkPowerStep(b *testing.B) {
	eachPowerCase(b, []int{2e4, 1e7}, "/block=9", []float64{0.75}, benchPowerStep[float32], benchPowerStep[float64])
}

func benchPowerStep[T Float](b *testing.B, n int, k float64) {
	l := Layout{n / 9, 9, 1}
	n = l.Len()
	a := benchArrays[T](n, n, n)
	grads := [][]T{a[1]}
	hvp := func(hz, z [][]T) error {
		hz[0] = a[2]
		return nil
	}
	h := powerHyper(k)
	o, err := New(DefaultOptions(), Param[T]{Value: a[0], Layout: l, Hyper: &h})
	if err != nil {
		b.Fatal(err)
	}
	step := func() {
		if err := o.Step(grads, hvp); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(9*n+2*l.Blocks()) * int64(unsafe.Sizeof(T(0))))
	for b.Loop() {
		step()
	}
	perElement(b, n)
	reportRatio(b, max(1, 200_000/n),
		func() { h.HessianPower = k; step() },
		func() { h.HessianPower = 1; step() })
}
