package main

import "testing"

func benchmarkModel(b *testing.B) *model[float32] {
	s := shape{vocab: 169, embed: 32, width: 128, kernel: 8, batch: 32, positions: 32, workers: 2}
	m := newModel[float32](s, 1)
	text := make([]uint8, 1<<16)
	for i := range text {
		text[i] = uint8(i * i % 97)
	}
	m.load(text, newSampler(len(text), s.span(), s.batch, 1).next())
	return m
}

func BenchmarkLoss(b *testing.B) {
	m := benchmarkModel(b)
	b.ReportAllocs()
	for b.Loop() {
		m.loss()
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
	hz := zerosLike(m.values[:])
	b.ReportAllocs()
	for b.Loop() {
		m.hessianVector(hz, m.values[:])
	}
}
