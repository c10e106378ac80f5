package lm

// gelu is the Gaussian error linear unit in its tanh form (Hendrycks and Gimpel, arXiv
// 1606.08415), the middle of a two-layer perceptron:
//
//	h = g(a) = ½ a (1 + t),   t = tanh(u),   u = √(2/π) (a + 0.044715 a³)
//
//	forward               R
//	h = g(a)              R{h} = g′(a) R{a}
//
//	backward              R
//	da = dh g′(a)         R{da} = R{dh} g′(a) + dh g″(a) R{a}
//
// with, since t′ = (1−t²) u′,
//
//	g′ = ½ (1 + t) + ½ a t′
//	g″ = t′ + ½ a (1−t²) (u″ − 2 t u′²)
type gelu[T Float] struct {
	rowwise
	in, out *signal[T]
	tanh    matrix[T] // t
	slope   matrix[T] // g′(a), set by the backward pass
}

const (
	geluScale = 0.7978845608028654 // √(2/π)
	geluCubic = 0.044715
)

// newGELU returns the layer between in and out. The tangent of the gradient is computed
// in place.
func newGELU[T Float](b *batch, in, out *signal[T]) *gelu[T] {
	rows, cols := in.x.rows, in.x.cols
	in.rd = out.rd
	l := &gelu[T]{in: in, out: out, tanh: newMatrix[T](rows, cols), slope: newMatrix[T](rows, cols)}
	l.rowwise = rowwise{b, passes{l.forwardRows, l.backwardRows, l.rForwardRows, l.rBackwardRows}}
	return l
}

func (l *gelu[T]) forwardRows(lo, hi int) {
	for n := lo * l.Positions; n < hi*l.Positions; n++ {
		a, t, h := l.in.x.row(n), l.tanh.row(n), l.out.x.row(n)
		for j, x := range a {
			u := tanh(geluScale * x * (1 + geluCubic*x*x))
			t[j] = u
			h[j] = 0.5 * x * (1 + u)
		}
	}
}

func (l *gelu[T]) backwardRows(lo, hi int) {
	for n := lo * l.Positions; n < hi*l.Positions; n++ {
		a, t, s := l.in.x.row(n), l.tanh.row(n), l.slope.row(n)
		da, dh := l.in.d.row(n), l.out.d.row(n)
		for j, x := range a {
			du := geluScale * (1 + 3*geluCubic*x*x)
			g := 0.5 * (1 + t[j] + x*(1-t[j]*t[j])*du)
			s[j] = g
			da[j] = dh[j] * g
		}
	}
}

func (l *gelu[T]) rForwardRows(lo, hi int) {
	for n := lo * l.Positions; n < hi*l.Positions; n++ {
		s, ra, rh := l.slope.row(n), l.in.rx.row(n), l.out.rx.row(n)
		for j, r := range ra {
			rh[j] = s[j] * r
		}
	}
}

func (l *gelu[T]) rBackwardRows(lo, hi int) {
	for n := lo * l.Positions; n < hi*l.Positions; n++ {
		a, t, s := l.in.x.row(n), l.tanh.row(n), l.slope.row(n)
		ra, dh, rd := l.in.rx.row(n), l.out.d.row(n), l.out.rd.row(n)
		for j, x := range a {
			du := geluScale * (1 + 3*geluCubic*x*x)
			ddu := 6 * geluScale * geluCubic * x
			bend := (1 - t[j]*t[j]) * (du + 0.5*x*(ddu-2*t[j]*du*du))
			rd[j] = rd[j]*s[j] + dh[j]*bend*ra[j]
		}
	}
}
