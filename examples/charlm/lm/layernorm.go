package lm

import "math"

// layerNorm gives each row the mean 0 and the variance 1 before it scales and
// shifts its channels (Ba, Kiros and Hinton, arXiv 1607.06450):
//
//	n = s (x − mean x),   s = 1/√(mean (x − mean x)² + ε),   y = g n + b
//
// Its derivative is s P, with a P that is its own transpose:
//
//	P v = v − mean v − n·mean(n v)
//
//	forward               R
//	n as above            R{n} = s P R{x},   R{s} = −s² mean(n R{x}) = −s q
//	y = g n + b           R{y} = g R{n} + zg n + zb
//
//	backward              R
//	dn = dy g             R{dn} = R{dy} g + dy zg
//	dx = s P dn           R{dx} = s (P R{dn} − R{n}·mean(n dn) − n·mean(R{n} dn)) − s q P dn
//	dg = Σ dy n           R{dg} = Σ R{dy} n + dy R{n}
//	db = Σ dy             R{db} = Σ R{dy}
//
// Before a residual branch, dx is added to the gradient that bypasses the branch.
type layerNorm[T Float] struct {
	rowwise
	in, out    *signal[T]
	past       *signal[T] // the residual stream after the branch; nil: none
	gain, bias *Parameter[T]

	normal, rNormal matrix[T] // n, R{n}
	rows            []normRow[T]
	gains, biases   matrix[T] // sums over each sequence
}

// normRow holds what the passes keep of a row.
type normRow[T Float] struct {
	scale T // s
	mean  T // of dn
	along T // mean(n dn)
	bend  T // q
}

const normEps = 1e-5

func newLayerNorm[T Float](b *batch, in, out, past *signal[T], gain, bias *Parameter[T]) *layerNorm[T] {
	rows, cols := out.x.rows, out.x.cols
	l := &layerNorm[T]{
		in: in, out: out, past: past, gain: gain, bias: bias,
		normal: newMatrix[T](rows, cols), rNormal: newMatrix[T](rows, cols),
		rows:  make([]normRow[T], rows),
		gains: newMatrix[T](b.Batch, cols), biases: newMatrix[T](b.Batch, cols),
	}
	l.rowwise = rowwise{b, passes{l.forwardRows, l.backwardRows, l.rForwardRows, l.rBackwardRows}}
	return l
}

func (l *layerNorm[T]) forwardRows(lo, hi int) {
	gain, bias := l.gain.value, l.bias.value
	size := T(len(gain))
	for r := lo * l.Positions; r < hi*l.Positions; r++ {
		x, n, y := l.in.x.row(r), l.normal.row(r), l.out.x.row(r)
		mean := T(0)
		for _, v := range x {
			mean += v
		}
		mean /= size
		square := T(0)
		for j, v := range x {
			n[j] = v - mean
			square += n[j] * n[j]
		}
		s := T(1 / math.Sqrt(float64(square/size)+normEps))
		l.rows[r].scale = s
		for j, g := range gain {
			n[j] *= s
			y[j] = g*n[j] + bias[j]
		}
	}
}

// backward sums the parameters' gradients over each sequence, then over the sequences.
// So the order does not depend on the number of workers.
func (l *layerNorm[T]) backward() {
	l.rowwise.backward()
	columnSums(l.gain.grad, l.gains)
	columnSums(l.bias.grad, l.biases)
}

func (l *layerNorm[T]) backwardRows(lo, hi int) {
	gain := l.gain.value
	size := T(len(gain))
	for b := lo; b < hi; b++ {
		gains, biases := l.gains.row(b), l.biases.row(b)
		clear(gains)
		clear(biases)
		for r := b * l.Positions; r < (b+1)*l.Positions; r++ {
			n, dy, dx := l.normal.row(r), l.out.d.row(r), l.in.d.row(r)
			mean, along := T(0), T(0)
			for j, g := range gain {
				d := dy[j] * g
				mean += d
				along += d * n[j]
				gains[j] += dy[j] * n[j]
				biases[j] += dy[j]
			}
			row := &l.rows[r]
			row.mean, row.along = mean/size, along/size
			clear(dx)
			if l.past != nil {
				copy(dx, l.past.d.row(r))
			}
			for j, g := range gain {
				dx[j] += row.scale * (dy[j]*g - row.mean - n[j]*row.along)
			}
		}
	}
}

func (l *layerNorm[T]) rForwardRows(lo, hi int) {
	gain, zGain, zBias := l.gain.value, l.gain.z, l.bias.z
	size := T(len(gain))
	for r := lo * l.Positions; r < hi*l.Positions; r++ {
		n, rx, rn, ry := l.normal.row(r), l.in.rx.row(r), l.rNormal.row(r), l.out.rx.row(r)
		mean, along := T(0), T(0)
		for j, v := range rx {
			mean += v
			along += v * n[j]
		}
		mean /= size
		along /= size
		s := l.rows[r].scale
		l.rows[r].bend = s * along
		for j, g := range gain {
			rn[j] = s * (rx[j] - mean - n[j]*along)
			ry[j] = g*rn[j] + zGain[j]*n[j] + zBias[j]
		}
	}
}

func (l *layerNorm[T]) rBackward(sequences int) {
	l.rowwise.rBackward(sequences)
	columnSums(l.gain.hz, l.gains.top(sequences))
	columnSums(l.bias.hz, l.biases.top(sequences))
}

func (l *layerNorm[T]) rBackwardRows(lo, hi int) {
	gain, zGain := l.gain.value, l.gain.z
	size := T(len(gain))
	for b := lo; b < hi; b++ {
		gains, biases := l.gains.row(b), l.biases.row(b)
		clear(gains)
		clear(biases)
		for r := b * l.Positions; r < (b+1)*l.Positions; r++ {
			n, rn := l.normal.row(r), l.rNormal.row(r)
			dy, rdy, rdx := l.out.d.row(r), l.out.rd.row(r), l.in.rd.row(r)
			mean, along := T(0), T(0)
			for j, g := range gain {
				d, rd := dy[j]*g, rdy[j]*g+dy[j]*zGain[j]
				mean += rd
				along += rd*n[j] + d*rn[j]
				gains[j] += rdy[j]*n[j] + dy[j]*rn[j]
				biases[j] += rdy[j]
			}
			mean /= size
			along /= size
			row := l.rows[r]
			if l.past == nil { // otherwise it holds what bypasses the branch: a residual stream has one rd
				clear(rdx)
			}
			for j, g := range gain {
				rd := rdy[j]*g + dy[j]*zGain[j]
				rdx[j] += row.scale * (rd - mean - n[j]*along - rn[j]*row.along -
					row.bend*(dy[j]*g-row.mean-n[j]*row.along))
			}
		}
	}
}
