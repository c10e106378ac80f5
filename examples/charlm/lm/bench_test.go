package lm

import "testing"

func benchmarkModel(b *testing.B) *Model[float32] {
	s := Shape{Vocab: 169, Embed: 32, Width: 128, Kernel: 8, Batch: 32, Positions: 32, Workers: 2}
	m := NewConv[float32](s, 1)
	text := make([]uint8, 1<<16)
	for i := range text {
		text[i] = uint8(i * i % 97)
	}
	m.Load(text, NewSampler(len(text), s.Span(), s.Batch, 1).Next())
	return m
}

func BenchmarkLoss(b *testing.B) {
	m := benchmarkModel(b)
	b.ReportAllocs()
	for b.Loop() {
		m.Loss()
	}
}

func BenchmarkGradient(b *testing.B) {
	m := benchmarkModel(b)
	b.ReportAllocs()
	for b.Loop() {
		m.gradient()
	}
}

func BenchmarkHessianVector(b *testing.B) {
	m := benchmarkModel(b)
	hz := zerosLike(m.Values)
	b.ReportAllocs()
	for b.Loop() {
		hessianVector(m, hz, m.Values)
	}
}
