package lm

import "math"

// softmaxLoss is the loss of each prediction, −log softmax(y + bias)[target], with y
// the logits. p = softmax(y + bias) replaces y in its memory. With N predictions in a
// batch:
//
//	backward                            R
//	dy = (p − [symbol is target]) / N   R{dy} = p (R{y} − Σ p R{y}) / N
type softmaxLoss[T Float] struct {
	rowwise // its backward passes are only sums over rows
	logits  *signal[T]
	bias    *Parameter[T]
	losses  []float64 // of each prediction
}

func newSoftmaxLoss[T Float](b *batch, logits *signal[T], bias *Parameter[T]) *softmaxLoss[T] {
	l := &softmaxLoss[T]{logits: logits, bias: bias, losses: make([]float64, b.rows())}
	l.rowwise = rowwise{b, passes{forward: l.forwardRows, rForward: l.rForwardRows}}
	return l
}

// mean returns the mean loss of the batch.
func (l *softmaxLoss[T]) mean() float64 {
	sum := 0.0
	for _, x := range l.losses {
		sum += x
	}
	return sum / float64(l.rows())
}

// forwardRows also sets the gradient, while it has p.
func (l *softmaxLoss[T]) forwardRows(lo, hi int) {
	scale := 1 / T(l.rows())
	for n := lo * l.Positions; n < hi*l.Positions; n++ {
		p, d, target := l.logits.x.row(n), l.logits.d.row(n), l.target(n)
		top := T(math.Inf(-1))
		for j, b := range l.bias.value {
			p[j] += b
			top = max(top, p[j])
		}
		correct := float64(p[target] - top)
		sum := 0.0
		for j, y := range p {
			e := math.Exp(float64(y - top))
			p[j] = T(e)
			sum += e
		}
		l.losses[n] = math.Log(sum) - correct
		inverse := T(1 / sum)
		for j := range p {
			p[j] *= inverse
			d[j] = p[j] * scale
		}
		d[target] -= scale
	}
}

func (l *softmaxLoss[T]) backward() { columnSums(l.bias.grad, l.logits.d) }

func (l *softmaxLoss[T]) rForwardRows(lo, hi int) {
	scale := 1 / T(l.rows())
	for n := lo * l.Positions; n < hi*l.Positions; n++ {
		p, ry, rd := l.logits.x.row(n), l.logits.rx.row(n), l.logits.rd.row(n)
		mean := T(0)
		for j, zb := range l.bias.z {
			ry[j] += zb
			mean += p[j] * ry[j]
		}
		for j := range rd {
			rd[j] = p[j] * (ry[j] - mean) * scale
		}
	}
}

func (l *softmaxLoss[T]) rBackward(sequences int) {
	columnSums(l.bias.hz, l.logits.rd.top(sequences*l.Positions))
}
