package lm

// The exact Hessian-vector product by forward-over-reverse differentiation:
// the R-operator of Pearlmutter, "Fast Exact Multiplication by the Hessian",
// Neural Computation 6, 1994. R{x} is the derivative of x along the direction
// z, d x(θ + r·z)/dr at r = 0. Applied to every line of the forward pass it
// gives R of the activations; applied to every line of the backward pass it
// gives R of the gradient, which is H z. Products follow the product rule:
//
//	forward               R
//	a = x Wᵀ              R{a} = R{x} Wᵀ + x zᵀ
//	h = tanh(a)           R{h} = (1−h²) R{a}
//	p = softmax(y)        R{p} = p (R{y} − Σ p R{y})
//
//	backward              R
//	dW = daᵀ x            R{dW} = R{da}ᵀ x + daᵀ R{x}
//	dx = da W             R{dx} = R{da} W + da z
//	da = dh (1−h²)        R{da} = R{dh} (1−h²) − 2 dh h R{h}

// tangents holds the direction of one Hessian-vector product, and R of the
// activations and of their gradients.
type tangents[T Float] struct {
	z, hz [][]T

	windows, hidden, logits             matrix[T]
	dWindows, dHidden, dPreact, dLogits matrix[T]
}

func newTangents[T Float](s Shape) tangents[T] {
	return tangents[T]{
		windows:  newMatrix[T](s.rows(), s.Embed*s.Kernel),
		hidden:   newMatrix[T](s.rows(), s.Width),
		logits:   newMatrix[T](s.rows(), s.Vocab),
		dWindows: newMatrix[T](s.rows(), s.Embed*s.Kernel),
		dHidden:  newMatrix[T](s.rows(), s.Width),
		dPreact:  newMatrix[T](s.rows(), s.Width),
		dLogits:  newMatrix[T](s.rows(), s.Vocab),
	}
}

// hessianVector sets hz to the product of the Hessian of the mean loss of the
// batch and z. On the way it sets m.grads, and returns the loss, as gradient
// does.
func (m *Model[T]) hessianVector(hz, z [][]T) float64 {
	loss := m.gradient()
	m.product(hz, z)
	return loss
}

// product is hessianVector after gradient has been called: several products
// at one point share the gradient's passes.
func (m *Model[T]) product(hz, z [][]T) {
	m.direction.hz, m.direction.z = hz, z
	m.rForward()
	m.rBackward()
}

func (m *Model[T]) rForward() {
	r, values, z := &m.direction, m.Values[:], m.direction.z
	parallel(m.Workers, m.rows(), m.passes.rUnfold)
	gemm(noTrans, trans, r.windows, convMatrix(m.Shape, values), 0, r.hidden)
	gemm(noTrans, trans, m.windows, convMatrix(m.Shape, z), 1, r.hidden)
	parallel(m.Workers, m.rows(), m.passes.rActivate)
	gemm(noTrans, trans, r.hidden, outMatrix(m.Shape, values), 0, r.logits)
	gemm(noTrans, trans, m.hidden, outMatrix(m.Shape, z), 1, r.logits)
	parallel(m.Workers, m.rows(), m.passes.rSoftmax)
}

func (m *Model[T]) rBackward() {
	r, values, z, hz := &m.direction, m.Values[:], m.direction.z, m.direction.hz
	gemm(trans, noTrans, r.dLogits, m.hidden, 0, outMatrix(m.Shape, hz))
	gemm(trans, noTrans, m.dLogits, r.hidden, 1, outMatrix(m.Shape, hz))
	columnSums(hz[OutBias], r.dLogits)
	gemm(noTrans, noTrans, r.dLogits, outMatrix(m.Shape, values), 0, r.dHidden)
	gemm(noTrans, noTrans, m.dLogits, outMatrix(m.Shape, z), 1, r.dHidden)
	parallel(m.Workers, m.rows(), m.passes.rActivateBack)
	gemm(trans, noTrans, r.dPreact, m.windows, 0, convMatrix(m.Shape, hz))
	gemm(trans, noTrans, m.dPreact, r.windows, 1, convMatrix(m.Shape, hz))
	columnSums(hz[ConvBias], r.dPreact)
	gemm(noTrans, noTrans, r.dPreact, convMatrix(m.Shape, values), 0, r.dWindows)
	gemm(noTrans, noTrans, m.dPreact, convMatrix(m.Shape, z), 1, r.dWindows)
	parallel(m.Workers, m.Embed, m.passes.rFoldChannels)
}

func (m *Model[T]) rUnfold(lo, hi int) {
	m.unfoldRows(m.direction.windows, m.direction.z[Embedding], lo, hi)
}

func (m *Model[T]) rFoldChannels(lo, hi int) {
	m.foldColumns(m.direction.hz[Embedding], m.direction.dWindows, lo, hi)
}

func (m *Model[T]) rActivate(lo, hi int) {
	zBias := m.direction.z[ConvBias]
	for n := lo; n < hi; n++ {
		h, rh := m.hidden.row(n), m.direction.hidden.row(n)
		for j, zb := range zBias {
			rh[j] = (1 - h[j]*h[j]) * (rh[j] + zb)
		}
	}
}

func (m *Model[T]) rActivateBack(lo, hi int) {
	r := &m.direction
	for n := lo; n < hi; n++ {
		h, rh, dh := m.hidden.row(n), r.hidden.row(n), m.dHidden.row(n)
		rdh, rda := r.dHidden.row(n), r.dPreact.row(n)
		for j := range rda {
			rda[j] = rdh[j]*(1-h[j]*h[j]) - 2*dh[j]*h[j]*rh[j]
		}
	}
}

func (m *Model[T]) rSoftmax(lo, hi int) {
	zBias, scale := m.direction.z[OutBias], 1/T(m.rows())
	for n := lo; n < hi; n++ {
		p, ry, rd := m.probs.row(n), m.direction.logits.row(n), m.direction.dLogits.row(n)
		mean := T(0)
		for j, zb := range zBias {
			ry[j] += zb
			mean += p[j] * ry[j]
		}
		for j := range rd {
			rd[j] = p[j] * (ry[j] - mean) * scale
		}
	}
}
