package roofline

// Sink keeps the compiler from leaving out a sum that nobody reads.
var Sink float32

func streamGeneric(s Shape, a [][]float32, n int) {
	x := a[0][:n]
	switch s {
	case Read5Write3:
		b, c, d, e := a[1][:n], a[2][:n], a[3][:n], a[4][:n]
		for i := range x {
			x[i], b[i], c[i] = x[i]+d[i], b[i]+e[i], c[i]+1
		}
	case Read4Write2:
		b, c, d := a[1][:n], a[2][:n], a[3][:n]
		for i := range x {
			x[i], b[i] = x[i]+c[i], b[i]+d[i]
		}
	case Read1:
		var t float32
		for _, f := range x {
			t += f
		}
		Sink = t
	case Write1:
		clear(x)
	}
}
