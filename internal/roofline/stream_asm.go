//go:build amd64 && gc

package roofline

import "golang.org/x/sys/cpu"

func stream(s Shape, a [][]float32, n int) {
	if !cpu.X86.HasAVX2 {
		streamGeneric(s, a, n)
		return
	}
	switch s {
	case Read5Write3:
		read5write3AVX2(&a[0][0], &a[1][0], &a[2][0], &a[3][0], &a[4][0], n)
	case Read4Write2:
		read4write2AVX2(&a[0][0], &a[1][0], &a[2][0], &a[3][0], n)
	case Read1:
		read1write0AVX2(&a[0][0], n)
	case Write1:
		read0write1AVX2(&a[0][0], n)
	}
}
