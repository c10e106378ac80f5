package lm

// linear is y = x Wᵀ, or y += x Wᵀ onto a residual stream. If there is a bias, it
// belongs to the next layer, which adds it in its own pass.
type linear[T Float] struct {
	*batch
	in, out *signal[T]
	weight  *Parameter[T] // [out, in]
	onto    T             // 1 on a residual stream, 0 elsewhere
}

func (l *linear[T]) forward() {
	gemm(noTrans, trans, l.in.x, l.weight.matrix(l.weight.value), l.onto, l.out.x)
}

func (l *linear[T]) backward() {
	w := l.weight
	gemm(trans, noTrans, l.out.d, l.in.x, 0, w.matrix(w.grad))
	gemm(noTrans, noTrans, l.out.d, w.matrix(w.value), 0, l.in.d)
}

func (l *linear[T]) rForward(sequences int) {
	w, n := l.weight, sequences*l.Positions
	out := l.out.rx.top(n)
	gemm(noTrans, trans, l.in.rx.top(n), w.matrix(w.value), l.onto, out)
	gemm(noTrans, trans, l.in.x.top(n), w.matrix(w.z), 1, out)
}

func (l *linear[T]) rBackward(sequences int) {
	w, n := l.weight, sequences*l.Positions
	d, rd := l.out.d.top(n), l.out.rd.top(n)
	gemm(trans, noTrans, rd, l.in.x.top(n), 0, w.matrix(w.hz))
	gemm(trans, noTrans, d, l.in.rx.top(n), 1, w.matrix(w.hz))
	gemm(noTrans, noTrans, rd, w.matrix(w.value), 0, l.in.rd.top(n))
	gemm(noTrans, noTrans, d, w.matrix(w.z), 1, l.in.rd.top(n))
}
