package adahessian

import (
	"fmt"
	"math"
	"runtime"
	"runtime/metrics"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/adahessian-go/adahessian/internal/roofline"
)

// Steps compared with other steps. The benchmarks show the effect of blocks, of
// workers, of the search for values that are not finite, of a Hessian at every fifth
// step, and of subnormal numbers, and compare with what a user would otherwise run.
// Each benchmark's "ratio" is its own time divided by that of the other, both measured
// in turns after it.

// benchBothTypes runs a benchmark for both types and some lengths with the
// instruction set that is used by default.
func benchBothTypes(b *testing.B, lengths []int, f32, f64 func(b *testing.B, n int)) {
	for _, n := range lengths {
		b.Run(fmt.Sprintf("type=float32/n=%.0e", float64(n)), func(b *testing.B) { f32(b, n) })
		b.Run(fmt.Sprintf("type=float64/n=%.0e", float64(n)), func(b *testing.B) { f64(b, n) })
	}
}

// benchAgainst measures f, and then f and g in turns.
func benchAgainst(b *testing.B, n int, f, g func()) {
	f() // page faults in the user's arrays belong to the system, not to the step
	g()
	for b.Loop() {
		f()
	}
	perElement(b, n)
	reportRatio(b, max(1, 200_000/n), f, g)
}

// stepOf returns a step of one tensor, with products that cost nothing.
func stepOf[T Float](b *testing.B, l Layout, change func(o *Options)) func() {
	n := l.Len()
	a := benchArrays[T](n, n, n)
	opts := DefaultOptions()
	opts.Workers = 1
	change(&opts)
	o, err := New(opts, Param[T]{Value: a[0], Layout: l})
	if err != nil {
		b.Fatal(err)
	}
	grads := [][]T{a[1]}
	hvp := func(hz, z [][]T) error {
		hz[0] = a[2]
		return nil
	}
	return func() {
		if err := o.Step(grads, hvp); err != nil {
			b.Fatal(err)
		}
	}
}

func nothing(*Options) {}

var ratioLengths = []int{2e4, 1e7}

// BenchmarkRatioBlocks compares Update with blocks and Update without. Memory moves 24
// + 8/B bytes per element instead of 32.
func BenchmarkRatioBlocks(b *testing.B) {
	for _, layout := range layoutNames[1:] {
		b.Run("block="+layout, func(b *testing.B) {
			benchBothTypes(b, ratioLengths,
				func(b *testing.B, n int) { benchRatioBlocks[float32](b, benchLayouts(n)[layout]) },
				func(b *testing.B, n int) { benchRatioBlocks[float64](b, benchLayouts(n)[layout]) })
		})
	}
}

// BenchmarkRatioRows is BenchmarkRatioBlocks for blocks of more and fewer rows than 9,
// such as a dense layer has with that many inputs. The columns are as many as make up
// the length.
func BenchmarkRatioRows(b *testing.B) {
	for _, rows := range []int{3, 4, 9, 25, 64, 128, 1024, 4096, 20000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			benchBothTypes(b, []int{1e5, 1e7},
				func(b *testing.B, n int) { benchRatioBlocks[float32](b, Layout{1, rows, n / rows}) },
				func(b *testing.B, n int) { benchRatioBlocks[float64](b, Layout{1, rows, n / rows}) })
		})
	}
}

func benchRatioBlocks[T Float](b *testing.B, l Layout) {
	n := l.Len()
	a := benchArrays[T](n, n, n, n, n)
	clear(a[4])
	c, err := NewCoefficients[T](DefaultHyper(), 10, 1)
	if err != nil {
		b.Fatal(err)
	}
	of := func(l Layout) func() {
		n := l.Len()
		return func() { Update(a[0][:n], a[1][:n], a[4][:l.Blocks()], a[2][:n], a[3][:n], l, &c) }
	}
	benchAgainst(b, l.Len(), of(l), of(Elementwise(l.Len())))
}

// BenchmarkRatioWorkers compares a step by one worker and a step by two. Its
// "stream-ratio" is the same for plain streams through the same number of bytes: no
// step can gain more than the machine gives these. A turn consists of many steps,
// because in a training run no other optimizer uses the caches in between.
func BenchmarkRatioWorkers(b *testing.B) {
	benchBothTypes(b, []int{5e4, 1e5, 2e5, 3e5, 1e6, 1e7}, benchRatioWorkers[float32], benchRatioWorkers[float64])
}

func benchRatioWorkers[T Float](b *testing.B, n int) {
	if runtime.GOMAXPROCS(0) < 2 {
		b.Skip("one processor")
	}
	l := Elementwise(n)
	one, two := stepOf[T](b, l, nothing), stepOf[T](b, l, func(o *Options) { o.Workers = 2 })
	one()
	two()
	for b.Loop() {
		one()
	}
	perElement(b, n)
	turn := max(1, 30_000_000/n)
	reportRatio(b, turn, one, two)

	words := n * int(unsafe.Sizeof(T(0))) / 4
	stream := streamOf(words)
	ratio := ratioOf(turn, func() { stream(0, words) }, func() { inHalves(words, stream) })
	b.ReportMetric(ratio, "stream-ratio")
}

// streamOf streams a part of the arrays of a step, which have the given number of
// 32-bit words.
func streamOf(words int) func(from, to int) {
	a := benchArrays[float32](words, words, words, words, words)
	return func(from, to int) {
		part := make([][]float32, len(a))
		for i := range a {
			part[i] = a[i][from:to]
		}
		roofline.Stream(roofline.Read5Write3, part...)
	}
}

// inHalves runs f for both halves at the same time.
func inHalves(n int, f func(from, to int)) {
	var other sync.WaitGroup
	other.Add(1)
	go func() {
		f(n/2, n)
		other.Done()
	}()
	f(0, n/2)
	other.Wait()
}

// BenchmarkRatioHalves compares Update on two goroutines, half of a tensor each, with
// streams of the same arrays on two goroutines: the limit for two workers.
func BenchmarkRatioHalves(b *testing.B) {
	benchBothTypes(b, []int{1e7}, benchRatioHalves[float32], benchRatioHalves[float64])
}

func benchRatioHalves[T Float](b *testing.B, n int) {
	if runtime.GOMAXPROCS(0) < 2 {
		b.Skip("one processor")
	}
	a := benchArrays[T](n, n, n, n, n)
	clear(a[4])
	c, err := NewCoefficients[T](DefaultHyper(), 10, 1)
	if err != nil {
		b.Fatal(err)
	}
	update := func(from, to int) {
		Update(a[0][from:to], a[1][from:to], a[4][from:to], a[2][from:to], a[3][from:to], Elementwise(to-from), &c)
	}
	words := n * int(unsafe.Sizeof(T(0))) / 4
	stream := streamOf(words)
	benchAgainst(b, n, func() { inHalves(n, update) }, func() { inHalves(words, stream) })
}

// BenchmarkRatioFiniteCheck compares a step that looks for values that are not finite
// with one that does not.
func BenchmarkRatioFiniteCheck(b *testing.B) {
	for _, layout := range layoutNames {
		b.Run("block="+layout, func(b *testing.B) {
			skip := func(o *Options) { o.SkipFiniteCheck = true }
			benchBothTypes(b, ratioLengths,
				func(b *testing.B, n int) {
					l := benchLayouts(n)[layout]
					benchAgainst(b, n, stepOf[float32](b, l, nothing), stepOf[float32](b, l, skip))
				},
				func(b *testing.B, n int) {
					l := benchLayouts(n)[layout]
					benchAgainst(b, n, stepOf[float64](b, l, nothing), stepOf[float64](b, l, skip))
				})
		})
	}
}

// BenchmarkRatioUpdateEach compares a Hessian at every fifth step with one at every
// step. hvp, which is what UpdateEach saves, costs nothing here.
func BenchmarkRatioUpdateEach(b *testing.B) {
	benchBothTypes(b, ratioLengths, benchRatioUpdateEach[float32], benchRatioUpdateEach[float64])
}

func benchRatioUpdateEach[T Float](b *testing.B, n int) {
	l := benchLayouts(n)["9"]
	five := stepOf[T](b, l, func(o *Options) { o.UpdateEach = 5 })
	one := stepOf[T](b, l, nothing)
	times := func(f func()) func() {
		return func() {
			for range 5 {
				f()
			}
		}
	}
	benchAgainst(b, 5*n, times(five), times(one))
}

// BenchmarkRatioSubnormal compares 2,000 steps with subnormal or zero gradients and
// products, in which the moments die away, with as many ordinary steps.
func BenchmarkRatioSubnormal(b *testing.B) {
	for _, c := range []struct {
		name  string
		value float64
	}{{"zero", 0}, {"subnormal32", 1e-40}, {"subnormal64", 1e-310}} {
		b.Run("input="+c.name, func(b *testing.B) {
			benchBothTypes(b, []int{1e3},
				func(b *testing.B, n int) { benchRatioSubnormal(b, n, float32(c.value)) },
				func(b *testing.B, n int) { benchRatioSubnormal(b, n, c.value) })
		})
	}
}

func benchRatioSubnormal[T Float](b *testing.B, n int, value T) {
	const steps = 2000
	l := Elementwise(n)
	of := func(x T) func() {
		a := benchArrays[T](n, n, n, n, n)
		return func() {
			for i := range n {
				a[1][i], a[2][i], a[3][i], a[4][i] = 1, x, x, 1 // m, g, hz, v
			}
			for step := range uint64(steps) {
				c, err := NewCoefficients[T](DefaultHyper(), step+1, 1)
				if err != nil {
					b.Fatal(err)
				}
				Update(a[0], a[1], a[4], a[2], a[3], l, &c)
			}
		}
	}
	benchAgainst(b, steps*n, of(value), of(1))
}

// BenchmarkRatioAdamW compares Update with a step of AdamW in a loop of plain Go, as a
// framework writes it.
func BenchmarkRatioAdamW(b *testing.B) {
	benchBothTypes(b, ratioLengths, benchRatioAdamW[float32], benchRatioAdamW[float64])
}

func benchRatioAdamW[T Float](b *testing.B, n int) {
	a := benchArrays[T](n, n, n, n, n)
	clear(a[4])
	c, err := NewCoefficients[T](DefaultHyper(), 10, 1)
	if err != nil {
		b.Fatal(err)
	}
	l := Elementwise(n)
	benchAgainst(b, n, func() { Update(a[0], a[1], a[4], a[2], a[3], l, &c) },
		func() { adamW(a[0], a[1], a[4], a[2]) })
}

func adamW[T Float](theta, m, v, g []T) {
	const lr, beta1, beta2, eps, decay, bias1, bias2 = 1e-3, 0.9, 0.999, 1e-8, 0.01, 1 - 0.35, 1 - 0.99
	for i := range theta {
		m[i] = beta1*m[i] + (1-beta1)*g[i]
		v[i] = beta2*v[i] + (1-beta2)*g[i]*g[i]
		theta[i] -= lr * (m[i]/bias1/(T(math.Sqrt(float64(v[i]/bias2)))+eps) + decay*theta[i])
	}
}

// BenchmarkStepSmall is a step of many small tensors, all in one goroutine. hvp
// replaces the slices that it gets with its own or, with "filled", copies its products
// into them.
func BenchmarkStepSmall(b *testing.B) {
	for _, c := range []struct {
		name   string
		filled bool
	}{{"", false}, {"/filled", true}} {
		b.Run("type=float32/tensors=400/n=64"+c.name, func(b *testing.B) { benchStepSmall[float32](b, c.filled) })
		b.Run("type=float64/tensors=400/n=64"+c.name, func(b *testing.B) { benchStepSmall[float64](b, c.filled) })
	}
}

func benchStepSmall[T Float](b *testing.B, filled bool) {
	const tensors, n = 400, 64
	var params []Param[T]
	var grads, products [][]T
	values := benchArrays[T](n)[0]
	for range tensors {
		// As a framework allocates them: close together, not pages apart.
		a := [][]T{slices.Clone(values), slices.Clone(values), slices.Clone(values)}
		params = append(params, Param[T]{Value: a[0]})
		grads, products = append(grads, a[1]), append(products, a[2])
	}
	o, err := New(DefaultOptions(), params...)
	if err != nil {
		b.Fatal(err)
	}
	hvp := func(hz, z [][]T) error {
		if !filled {
			copy(hz, products)
			return nil
		}
		for i := range hz {
			copy(hz[i], products[i])
		}
		return nil
	}
	b.SetBytes(9 * tensors * n * int64(unsafe.Sizeof(T(0))))
	for b.Loop() {
		if err := o.Step(grads, hvp); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStepPauses reports the longest time that the garbage collector waited for
// the goroutines of a large step to stop, in "µs-pause": assembly cannot be preempted.
// The runtime counts pauses in classes, and this is the upper bound of the class.
// "µs-pause-99" is the same for 99 of 100 pauses. With "go" the step is replaced by a
// loop of plain Go, which can be preempted anywhere, so its pauses are the machine's
// own.
func BenchmarkStepPauses(b *testing.B) {
	const name = "/sched/pauses/stopping/gc:seconds"
	sample := []metrics.Sample{{Name: name}}
	counts := func() []uint64 {
		metrics.Read(sample)
		return slices.Clone(sample[0].Value.Float64Histogram().Counts)
	}
	for _, layout := range []string{"1", "9", "go"} {
		b.Run("type=float32/n=1e+07/block="+layout, func(b *testing.B) {
			var step func()
			if layout == "go" {
				a := benchArrays[float32](1e7, 1e7, 1e7, 1e7)
				clear(a[2])
				step = func() { adamW(a[0], a[1], a[2], a[3]) }
			} else {
				step = stepOf[float32](b, benchLayouts(1e7)[layout], nothing)
			}
			before := counts()
			stop, done := make(chan bool), make(chan bool)
			go func() {
				defer close(done)
				for {
					select {
					case <-stop:
						return
					default:
						runtime.GC()
					}
				}
			}()
			for b.Loop() {
				step()
			}
			close(stop)
			<-done
			after := counts()
			buckets := sample[0].Value.Float64Histogram().Buckets
			pauses := uint64(0)
			for i := range after {
				after[i] -= before[i]
				pauses += after[i]
			}
			// percent of the pauses were no longer than bound.
			bound := func(percent uint64) (most float64) {
				for i, seen := 0, uint64(0); 100*seen < percent*pauses; i++ {
					most, seen = buckets[i+1], seen+after[i]
				}
				return most
			}
			b.ReportMetric(bound(100)*1e6, "µs-pause")
			b.ReportMetric(bound(99)*1e6, "µs-pause-99")
			b.ReportMetric(float64(pauses), "pauses")
		})
	}
}

// What a Hessian power without a special case costs: 0.75, compared with 1.
//
//	go test -run '^$' -bench Power -count 6 | tee new.txt
//	benchstat -col /k new.txt
//
// The metric "ratio" is the time with the power 0.75 divided by that with the
// power 1, both measured in turns after the benchmark itself, so that a
// machine that is busy for a while slows both.

// eachPowerCase runs a benchmark for every type, length, power and instruction set. In
// the names, the layout follows the length.
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

// ratioOf measures f and g in turns, and returns the ratio of their medians. One turn
// calls them reps times.
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
				denominators(v[at:end], den[at:end], d[at:end], &s, c.power, c.exponent)
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
