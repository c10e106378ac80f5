//go:build (!amd64 && !arm64) || !gc

package roofline

func stream(s Shape, a [][]float32, n int) { streamGeneric(s, a, n) }
