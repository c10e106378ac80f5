//go:build arm64 && gc

package roofline

func stream(s Shape, a [][]float32, n int) {
	switch s {
	case Read5Write3:
		read5write3NEON(&a[0][0], &a[1][0], &a[2][0], &a[3][0], &a[4][0], n)
	case Read4Write2:
		read4write2NEON(&a[0][0], &a[1][0], &a[2][0], &a[3][0], n)
	case Read1:
		read1write0NEON(&a[0][0], n)
	case Write1:
		read0write1NEON(&a[0][0], n)
	}
}
