package adahessian

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/adahessian-go/adahessian/internal/roofline"
	"github.com/klauspost/cpuid/v2"
)

// The benchmarks' names line up in benchstat:
//
//	go test -run '^$' -bench . -count 6 | tee new.txt
//	benchstat -col /isa new.txt
//
// The metric "roofline" is the time in which the machine streams the same arrays with
// one addition each, divided by the kernel's time. Both are measured in turns after the
// benchmark itself. 1 is the limit.

var benchLengths = []int{1e3, 2e4, 1e5, 1e6, 1e7}

// benchLayouts returns the layouts of about n elements.
func benchLayouts(n int) map[string]Layout {
	return map[string]Layout{
		"1":         Elementwise(n),
		"9":         {n / 9, 9, 1},
		"9-strided": {max(1, n/(9*64)), 9, 64},
		"9-columns": {1, 9, n / 9},
		"9-pages":   {1, 9, max(1024, n/9&^1023)}, // rows of whole pages of 4,096 bytes
		"32":        {n / 32, 32, 1},
		"all":       {1, n, 1}, // in runs, where n is more than runLen
	}
}

var layoutNames = []string{"1", "9", "9-strided", "9-columns", "9-pages", "32"}

// eachCase runs a benchmark for every type, length, layout and instruction
// set. The instruction set comes last, so benchmarks that are compared run one after
// the other.
func eachCase(b *testing.B, layouts []string, f32 func(b *testing.B, l Layout), f64 func(b *testing.B, l Layout)) {
	printCaches()
	for _, typ := range []string{"float32", "float64"} {
		for _, n := range benchLengths {
			for _, name := range layouts {
				benchISAs(b, fmt.Sprintf("type=%s/n=%.0e/block=%s/isa=", typ, float64(n), name), func(b *testing.B) {
					if typ == "float32" {
						f32(b, benchLayouts(n)[name])
					} else {
						f64(b, benchLayouts(n)[name])
					}
				})
			}
		}
	}
}

// printCaches prints the sizes of the caches in benchstat's form. They decide which
// lengths are measured in memory.
var printCaches = sync.OnceFunc(func() {
	c := cpuid.CPU.Cache
	fmt.Printf("caches: L1d %d KiB, L2 %d KiB, L3 %d KiB\n", c.L1D>>10, c.L2>>10, c.L3>>10)
})

// benchArrays returns arrays of the given lengths, each starting some cache lines
// further into its page than the one before. They repeat a short sequence of normal
// random numbers, which is quick to make.
func benchArrays[T Float](lengths ...int) [][]T {
	r := rand.New(rand.NewPCG(1, 2))
	normal := make([]T, 4093)
	for i := range normal {
		normal[i] = T(r.NormFloat64())
	}
	var arrays [][]T
	for role, n := range lengths {
		a := newArray[T](max(n, 1024), role+1)[:n]
		for i := 0; i < n; i += len(normal) {
			copy(a[i:], normal)
		}
		arrays = append(arrays, a)
	}
	return arrays
}

// reportRoofline measures f and the streams of the given number of bytes each in
// turns, and reports the ratio of their medians.
func reportRoofline(b *testing.B, shape roofline.Shape, bytes int, f func()) {
	b.StopTimer()
	n := bytes / 4
	arrays := benchArrays[float32](n, n, n, n, n)
	reps := max(1, 200_000/max(n, 1))
	var ours, limit []float64
	const turns, fewest, patience = 21, 3, time.Second / 2
	begun := time.Now()
	for turn := 0; turn < turns && (turn < fewest || time.Since(begun) < patience); turn++ {
		start := time.Now()
		for range reps {
			f()
		}
		middle := time.Now()
		for range reps {
			roofline.Stream(shape, arrays...)
		}
		ours = append(ours, middle.Sub(start).Seconds())
		limit = append(limit, time.Since(middle).Seconds())
	}
	slices.Sort(ours)
	slices.Sort(limit)
	b.ReportMetric(limit[len(limit)/2]/ours[len(ours)/2], "roofline")
}

// perElement reports the time per element.
func perElement(b *testing.B, n int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/elem")
}

func BenchmarkUpdate(b *testing.B) {
	eachCase(b, layoutNames, benchUpdate[float32], benchUpdate[float64])
}

func benchUpdate[T Float](b *testing.B, l Layout) {
	n := l.Len()
	a := benchArrays[T](n, n, n, n, l.Blocks())
	theta, m, g, hz, v := a[0], a[1], a[2], a[3], a[4]
	clear(v)
	c, err := NewCoefficients[T](DefaultHyper(), 10, 1)
	if err != nil {
		b.Fatal(err)
	}
	size := int(unsafe.Sizeof(T(0)))
	b.SetBytes(int64(6*n+2*l.Blocks()) * int64(size))
	update := func() { Update(theta, m, v, g, hz, l, &c) }
	for b.Loop() {
		update()
	}
	perElement(b, n)
	shape := roofline.Read5Write3
	if l.Block > 1 {
		shape = roofline.Read4Write2
	}
	reportRoofline(b, shape, n*size, update)
}

func BenchmarkRademacher(b *testing.B) {
	eachCase(b, layoutNames[:1], benchRademacher[float32], benchRademacher[float64])
}

func benchRademacher[T Float](b *testing.B, l Layout) {
	z := benchArrays[T](l.Len())[0]
	size := int(unsafe.Sizeof(T(0)))
	b.SetBytes(int64(len(z) * size))
	draw := uint64(0)
	signs := func() {
		Rademacher(z, 1, draw, 0)
		draw++
	}
	for b.Loop() {
		signs()
	}
	perElement(b, len(z))
	reportRoofline(b, roofline.Write1, len(z)*size, signs)
}

func BenchmarkBlockMeanAbs(b *testing.B) {
	eachCase(b, append(slices.Clone(layoutNames[1:]), "all"), benchBlockMeanAbs[float32], benchBlockMeanAbs[float64])
}

func benchBlockMeanAbs[T Float](b *testing.B, l Layout) {
	a := benchArrays[T](l.Len(), l.Blocks())
	size := int(unsafe.Sizeof(T(0)))
	b.SetBytes(int64((l.Len() + l.Blocks()) * size))
	mean := func() { BlockMeanAbs(a[1], a[0], l) }
	for b.Loop() {
		mean()
	}
	perElement(b, l.Len())
	reportRoofline(b, roofline.Read1, l.Len()*size, mean)
}

// BenchmarkMeanRows is BlockMeanAbs over blocks of more and fewer rows, in as many columns
// as make up the length.
func BenchmarkMeanRows(b *testing.B) {
	for _, rows := range []int{3, 4, 9, 25, 64, 128, 1024, 4096, 20000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			benchBothTypes(b, []int{1e5, 1e7},
				func(b *testing.B, n int) { benchBlockMeanAbs[float32](b, Layout{1, rows, n / rows}) },
				func(b *testing.B, n int) { benchBlockMeanAbs[float64](b, Layout{1, rows, n / rows}) })
		})
	}
}

// BenchmarkStep is a whole step of one tensor: the probe, the finite check and
// the update, with a Hessian-vector product that costs nothing.
func BenchmarkStep(b *testing.B) {
	eachCase(b, layoutNames, benchStep[float32], benchStep[float64])
}

func benchStep[T Float](b *testing.B, l Layout) {
	n := l.Len()
	a := benchArrays[T](n, n, n)
	o, err := New(DefaultOptions(), Param[T]{Value: a[0], Layout: l})
	if err != nil {
		b.Fatal(err)
	}
	grads := [][]T{a[1]}
	hvp := func(hz, z [][]T) error {
		hz[0] = a[2]
		return nil
	}
	// The probe is written, the gradient and the product are read once more.
	b.SetBytes(int64(9*n+2*l.Blocks()) * int64(unsafe.Sizeof(T(0))))
	if err := o.Step(grads, hvp); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := o.Step(grads, hvp); err != nil {
			b.Fatal(err)
		}
	}
	perElement(b, n)
}

// benchISAs runs a benchmark with each instruction set.
func benchISAs(b *testing.B, prefix string, f func(b *testing.B)) {
	for _, c := range isaChoices() {
		b.Run(prefix+c.name, func(b *testing.B) {
			c.run(b)
			f(b)
		})
	}
}

// BenchmarkStream is the basis of streamBytes. It reports the time of a probe written
// past the caches divided by that of one written with ordinary stores: "draw" for the
// probe alone, "read" with one pass over z after it, as hvp makes, and "cold" the same
// after other arrays have filled the caches, as in a step. The two ways of storing are
// measured in turns, each after a call that is not measured.
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

// BenchmarkRatioISA tells for each kernel and length which instruction set is faster
// here. "avx2/avx512" is the time with AVX2 divided by that with AVX-512, measured in
// turns. "choice" is the time with the default set divided by the shorter of the two: if
// it is well above 1, the default is wrong.
func BenchmarkRatioISA(b *testing.B) {
	var sets [2]isaChoice
	for _, c := range isaChoices() {
		switch c.name {
		case "avx2":
			sets[0] = c
		case "avx512":
			sets[1] = c
		}
	}
	if sets[0].use == nil || sets[1].use == nil {
		b.Skip("not both AVX2 and AVX-512")
	}
	b.Cleanup(saveISA())
	for _, name := range isaCaseNames {
		b.Run("kernel="+name, func(b *testing.B) {
			benchBothTypes(b, []int{1e3, 2e4, 1e5, 1e7},
				func(b *testing.B, n int) { benchRatioISA(b, n, sets, isaCases[float32](n)[name]) },
				func(b *testing.B, n int) { benchRatioISA(b, n, sets, isaCases[float64](n)[name]) })
		})
	}
}

func benchRatioISA(b *testing.B, n int, sets [2]isaChoice, prepare func() func()) {
	run := prepare()
	with := func(c isaChoice) func() {
		return func() {
			c.use()
			run()
		}
	}
	avx2, avx512 := with(sets[0]), with(sets[1])
	avx2()
	for b.Loop() {
		avx512()
	}
	perElement(b, n)
	b.StopTimer()
	ratio := ratioOf(max(1, 200_000/n), avx2, avx512)
	b.ReportMetric(ratio, "avx2/avx512")
	choice := max(1, ratio)
	if defaultISA() == sets[1].name {
		choice = max(1, 1/ratio)
	}
	b.ReportMetric(choice, "choice")
}

var isaCaseNames = []string{"rademacher", "addProbe", "allFinite", "blockMeans-9", "blockMeans-32", "stridedMeans-9",
	"updateElements", "updateBlocks-9", "updateBlocks-32", "updateRows-9", "descendTogether-9", "curvaturePow+descendBlocks-9",
	"curvaturePow+descendRows-9", "curvature+descendRows"}

// isaCases prepare, by the name of the kernels, a call for about n elements.
func isaCases[T Float](n int) map[string]func() func() {
	mean := func(layout string) func() func() {
		return func() func() {
			l := benchLayouts(n)[layout]
			a := benchArrays[T](l.Len(), l.Blocks())
			return func() { BlockMeanAbs(a[1], a[0], l) }
		}
	}
	step := func(layout string, k float64, kept bool) func() func() {
		return func() func() {
			l := benchLayouts(n)[layout]
			a := benchArrays[T](l.Len(), l.Len(), l.Blocks(), l.Len(), l.Len())
			clear(a[2])
			c, err := NewCoefficients[T](powerHyper(k), 10, 1)
			if err != nil {
				panic(err)
			}
			if kept {
				d := benchArrays[T](l.Blocks())[0]
				BlockMeanAbs(d, d, Elementwise(len(d)))
				return func() { UpdateCurvature(a[0], a[1], a[2], a[3], d, l, &c) }
			}
			return func() { Update(a[0], a[1], a[2], a[3], a[4], l, &c) }
		}
	}
	return map[string]func() func(){
		"rademacher": func() func() {
			z := benchArrays[T](n)[0]
			return func() { Rademacher(z, 1, 2, 3) }
		},
		"addProbe": func() func() {
			a := benchArrays[T](n, n, n)
			return func() {
				for at := 0; at < n; at += maxCall {
					end := min(n, at+maxCall)
					addProbe(a[0][at:end], a[1][at:end], a[2][at:end])
				}
			}
		},
		"allFinite": func() func() {
			x := benchArrays[T](n)[0]
			return func() { finiteRange(x) }
		},
		"blockMeans-9":                 mean("9"),
		"blockMeans-32":                mean("32"),
		"stridedMeans-9":               mean("9-columns"),
		"updateElements":               step("1", 1, false),
		"updateBlocks-9":               step("9", 1, false),
		"updateBlocks-32":              step("32", 1, false),
		"updateRows-9":                 step("9-strided", 1, false),
		"descendTogether-9":            step("9-columns", 1, false),
		"curvaturePow+descendBlocks-9": step("9", 0.75, false),
		"curvaturePow+descendRows-9":   step("9-strided", 0.75, false),
		"curvature+descendRows":        step("1", 1, true),
	}
}
