package lm

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/adahessian-go/adahessian"
)

// benchShape is the default Transformer of charlm, on one thread.
var benchShape = TransformerShape{Vocab: 169, Width: 64, Heads: 4, Layers: 2, Batch: 32, Positions: 32, Workers: 1}

// benchText returns a text with about as many different symbols as English text.
func benchText() []uint8 {
	text := make([]uint8, 1<<16)
	for i := range text {
		text[i] = uint8(i * i % 97)
	}
	return text
}

// benchModels returns the models, with their default batches.
func benchModels() map[string]*Model[float32] {
	return map[string]*Model[float32]{
		"convolution": NewConv[float32](Shape{Vocab: 169, Embed: 32, Width: 128, Kernel: 8, Batch: 32, Positions: 32, Workers: 1}, 1),
		"Transformer": NewTransformer[float32](benchShape, 1),
	}
}

// benchmarkModels runs what f returns for each model, whose gradient has been computed.
func benchmarkModels(b *testing.B, f func(m *Model[float32]) func()) {
	for name, m := range benchModels() {
		b.Run(name, func(b *testing.B) {
			text := benchText()
			m.Load(text, NewSampler(len(text), m.Span(), m.Batch, 1).Next())
			m.gradient()
			run := f(m)
			b.ReportAllocs()
			for b.Loop() {
				run()
			}
		})
	}
}

func BenchmarkLoss(b *testing.B) {
	benchmarkModels(b, func(m *Model[float32]) func() { return func() { m.Loss() } })
}

func BenchmarkGradient(b *testing.B) {
	benchmarkModels(b, func(m *Model[float32]) func() { return func() { m.gradient() } })
}

func BenchmarkProduct(b *testing.B) {
	for part, name := range map[int]string{1: "whole", 4: "quarter"} {
		b.Run(name, func(b *testing.B) {
			benchmarkModels(b, func(m *Model[float32]) func() {
				hz := zerosLike(m.Values)
				return func() { m.product(hz, m.Values, m.Batch/part) }
			})
		})
	}
}

// BenchmarkCost measures the cost of AdaHessian's steps as a multiple of AdamW's, on
// the same model and batches and on one thread, for every way to take the product. The
// steps are made in turns, so whatever slows the machine down for a while slows all of
// them equally. The figures are ratios of medians over the turns.
//
//	go -C examples test ./charlm/lm -run - -bench Cost/Transformer -benchtime 20x
func BenchmarkCost(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for name := range benchModels() {
		b.Run(name, func(b *testing.B) { benchmarkCost(b, func() *Model[float32] { return benchModels()[name] }) })
	}
}

func benchmarkCost(b *testing.B, newModel func() *Model[float32]) {
	const turn = 10 // steps, a multiple of every interval between products
	text := benchText()
	type contender struct {
		name  string
		model *Model[float32]
		step  Stepper
		batch *Sampler
		times []time.Duration
	}
	var all []*contender
	add := func(name string, each, part int) {
		m := newModel()
		c := &contender{name: name, model: m, batch: NewSampler(len(text), m.Span(), m.Batch, 1)}
		if each == 0 {
			c.step = NewAdamW(m, DefaultAdamW())
		} else {
			opts := adahessian.DefaultOptions()
			opts.UpdateEach, opts.MaxUpdate, opts.Workers = each, 1, 1
			a, err := NewAdaHessian(m, opts, nil)
			if err != nil {
				b.Fatal(err)
			}
			a.CurvatureBatch = m.Batch / part
			c.step = a
		}
		all = append(all, c)
	}
	add("AdamW", 0, 0)
	add("whole/AdamW", 1, 1)
	add("quarter/AdamW", 1, 4)
	add("quarter-each-5/AdamW", 5, 4)
	add("quarter-each-10/AdamW", 10, 4)
	for b.Loop() {
		for _, c := range all {
			start := time.Now()
			for range turn {
				c.model.Load(text, c.batch.Next())
				if _, _, err := c.step.Step(1e-4); err != nil {
					b.Fatal(err)
				}
			}
			c.times = append(c.times, time.Since(start))
		}
	}
	median := func(c *contender) float64 {
		slices.Sort(c.times)
		return c.times[len(c.times)/2].Seconds() / turn
	}
	adam := median(all[0])
	b.ReportMetric(adam*1e3, "AdamW-ms")
	for _, c := range all[1:] {
		b.ReportMetric(median(c)/adam, c.name)
	}
	b.ReportMetric(0, "ns/op")
}
