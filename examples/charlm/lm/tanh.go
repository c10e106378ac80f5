package lm

import "math"

// tanhLayer is h = tanh(a + bias). h replaces a in its memory. Their tangents, and the
// tangents of their gradients, share memory too.
//
//	forward               R
//	h = tanh(a)           R{h} = (1−h²) R{a}
//
//	backward              R
//	da = dh (1−h²)        R{da} = R{dh} (1−h²) − 2 dh h R{h}
type tanhLayer[T Float] struct {
	rowwise
	in, out *signal[T]
	bias    *Parameter[T]
}

// newTanhLayer returns the layer before out, and its input.
func newTanhLayer[T Float](b *batch, out *signal[T], bias *Parameter[T]) (*tanhLayer[T], *signal[T]) {
	in := &signal[T]{out.x, newMatrix[T](out.d.rows, out.d.cols), out.rx, out.rd}
	l := &tanhLayer[T]{in: in, out: out, bias: bias}
	l.rowwise = rowwise{b, passes{l.forwardRows, l.backwardRows, l.rForwardRows, l.rBackwardRows}}
	return l, in
}

// tanh is faster than math.Tanh, and good enough if an absolute error of one rounding
// is acceptable.
func tanh[T Float](x T) T { return T(1 - 2/(math.Exp(2*float64(x))+1)) }

func (l *tanhLayer[T]) forwardRows(lo, hi int) {
	for n := lo * l.Positions; n < hi*l.Positions; n++ {
		h := l.out.x.row(n)
		for j, b := range l.bias.value {
			h[j] = tanh(h[j] + b)
		}
	}
}

func (l *tanhLayer[T]) backward() {
	l.rowwise.backward()
	columnSums(l.bias.grad, l.in.d)
}

func (l *tanhLayer[T]) backwardRows(lo, hi int) {
	for n := lo * l.Positions; n < hi*l.Positions; n++ {
		h, dh, da := l.out.x.row(n), l.out.d.row(n), l.in.d.row(n)
		for j := range da {
			da[j] = dh[j] * (1 - h[j]*h[j])
		}
	}
}

func (l *tanhLayer[T]) rForwardRows(lo, hi int) {
	for n := lo * l.Positions; n < hi*l.Positions; n++ {
		h, rh := l.out.x.row(n), l.out.rx.row(n)
		for j, zb := range l.bias.z {
			rh[j] = (1 - h[j]*h[j]) * (rh[j] + zb)
		}
	}
}

func (l *tanhLayer[T]) rBackward(sequences int) {
	l.rowwise.rBackward(sequences)
	columnSums(l.bias.hz, l.in.rd.top(sequences*l.Positions))
}

func (l *tanhLayer[T]) rBackwardRows(lo, hi int) {
	for n := lo * l.Positions; n < hi*l.Positions; n++ {
		h, rh, dh, rd := l.out.x.row(n), l.out.rx.row(n), l.out.d.row(n), l.out.rd.row(n)
		for j := range rd {
			rd[j] = rd[j]*(1-h[j]*h[j]) - 2*dh[j]*h[j]*rh[j]
		}
	}
}
