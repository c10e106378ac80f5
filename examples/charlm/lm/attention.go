package lm

import "math"

// attention is causal attention with several heads (Vaswani et al., "Attention
// Is All You Need", 2017). The rows of its input are [queries | keys | values], each of
// these [heads, size]. A prediction sees itself and those before it in its sequence.
// For each head of a sequence, with c = 1/√size:
//
//	forward               R
//	S = c Q Kᵀ            R{S} = c (R{Q} Kᵀ + Q R{K}ᵀ)
//	P = softmax(S)        R{P} = P (R{S} − Σ P R{S})
//	O = P V               R{O} = R{P} V + P R{V}
//
//	backward              R
//	dP = dO Vᵀ            R{dP} = R{dO} Vᵀ + dO R{V}ᵀ
//	e  = dP − Σ P dP
//	dS = P e              R{dS} = R{P} e + P (R{dP} − Σ (R{P} e + P R{dP}))
//	dQ = c dS K           R{dQ} = c (R{dS} K + dS R{K})
//	dK = c dSᵀ Q          R{dK} = c (R{dS}ᵀ Q + dSᵀ R{Q})
//	dV = Pᵀ dO            R{dV} = R{P}ᵀ dO + Pᵀ R{dO}
//
// The sums run over a row. The sum in R{dS} has e instead of dP, since R{P} sums to 0.
//
// Masked elements are 0 in P, dS and their tangents, and gonum's products skip zeros in
// their left factor.
type attention[T Float] struct {
	rowwise
	in, out *signal[T]
	heads   int
	size    int // channels of a head
	scale   T   // c

	// [batch·heads·positions, positions]
	probs, rProbs     matrix[T] // P
	centred           matrix[T] // e
	dScores, rDScores matrix[T] // dS
}

func newAttention[T Float](b *batch, in, out *signal[T], heads int) *attention[T] {
	size := out.x.cols / heads
	scores := func() matrix[T] { return newMatrix[T](b.Batch*heads*b.Positions, b.Positions) }
	l := &attention[T]{
		in: in, out: out, heads: heads, size: size, scale: T(1 / math.Sqrt(float64(size))),
		probs: scores(), rProbs: scores(), centred: scores(), dScores: scores(), rDScores: scores(),
	}
	l.rowwise = rowwise{b, passes{l.forwardRows, l.backwardRows, l.rForwardRows, l.rBackwardRows}}
	return l
}

// The parts of a row of the input.
const (
	queries = iota
	keys
	values
	attentionParts
)

// part returns the queries, keys or values of head h of sequence b. An output matrix
// has one part.
func (l *attention[T]) part(a matrix[T], part, b, h int) matrix[T] {
	return a.block(b*l.Positions, part*l.heads*l.size+h*l.size, l.Positions, l.size)
}

// table returns the part of scores that belongs to head h of sequence b.
func (l *attention[T]) table(scores matrix[T], b, h int) matrix[T] {
	return scores.block((b*l.heads+h)*l.Positions, 0, l.Positions, l.Positions)
}

func (l *attention[T]) forwardRows(lo, hi int) {
	for b := lo; b < hi; b++ {
		for h := range l.heads {
			p := l.table(l.probs, b, h)
			scaledGemm(noTrans, trans, l.scale, l.part(l.in.x, queries, b, h), l.part(l.in.x, keys, b, h), 0, p)
			for i := range l.Positions {
				causalSoftmax(p.row(i), i+1)
			}
			gemm(noTrans, noTrans, p, l.part(l.in.x, values, b, h), 0, l.part(l.out.x, 0, b, h))
		}
	}
}

// causalSoftmax sets the first elements of p to their softmax, and the rest to 0.
func causalSoftmax[T Float](p []T, first int) {
	clear(p[first:])
	p = p[:first]
	top := p[0]
	for _, s := range p {
		top = max(top, s)
	}
	sum := 0.0
	for j, s := range p {
		e := math.Exp(float64(s - top))
		p[j] = T(e)
		sum += e
	}
	inverse := T(1 / sum)
	for j := range p {
		p[j] *= inverse
	}
}

func (l *attention[T]) backwardRows(lo, hi int) {
	for b := lo; b < hi; b++ {
		for h := range l.heads {
			p, e, ds := l.table(l.probs, b, h), l.table(l.centred, b, h), l.table(l.dScores, b, h)
			do := l.part(l.out.d, 0, b, h)
			gemm(noTrans, trans, do, l.part(l.in.x, values, b, h), 0, e)
			for i := range l.Positions {
				softmaxBack(ds.row(i), p.row(i), e.row(i), i+1)
			}
			scaledGemm(noTrans, noTrans, l.scale, ds, l.part(l.in.x, keys, b, h), 0, l.part(l.in.d, queries, b, h))
			scaledGemm(trans, noTrans, l.scale, ds, l.part(l.in.x, queries, b, h), 0, l.part(l.in.d, keys, b, h))
			gemm(trans, noTrans, p, do, 0, l.part(l.in.d, values, b, h))
		}
	}
}

// softmaxBack sets e, which is dP, to dP − Σ P dP, and ds to P e.
func softmaxBack[T Float](ds, p, e []T, first int) {
	clear(ds[first:])
	p, e, ds = p[:first], e[:first], ds[:first]
	mean := T(0)
	for j, v := range p {
		mean += v * e[j]
	}
	for j, v := range p {
		e[j] -= mean
		ds[j] = v * e[j]
	}
}

func (l *attention[T]) rForwardRows(lo, hi int) {
	for b := lo; b < hi; b++ {
		for h := range l.heads {
			p, rp := l.table(l.probs, b, h), l.table(l.rProbs, b, h)
			scaledGemm(noTrans, trans, l.scale, l.part(l.in.rx, queries, b, h), l.part(l.in.x, keys, b, h), 0, rp)
			scaledGemm(noTrans, trans, l.scale, l.part(l.in.x, queries, b, h), l.part(l.in.rx, keys, b, h), 1, rp)
			for i := range l.Positions {
				rSoftmax(rp.row(i), p.row(i), i+1)
			}
			ro := l.part(l.out.rx, 0, b, h)
			gemm(noTrans, noTrans, rp, l.part(l.in.x, values, b, h), 0, ro)
			gemm(noTrans, noTrans, p, l.part(l.in.rx, values, b, h), 1, ro)
		}
	}
}

// rSoftmax sets rp, which is R{S}, to R{P}.
func rSoftmax[T Float](rp, p []T, first int) {
	clear(rp[first:])
	p, rp = p[:first], rp[:first]
	mean := T(0)
	for j, v := range p {
		mean += v * rp[j]
	}
	for j, v := range p {
		rp[j] = v * (rp[j] - mean)
	}
}

func (l *attention[T]) rBackwardRows(lo, hi int) {
	for b := lo; b < hi; b++ {
		for h := range l.heads {
			p, rp, e := l.table(l.probs, b, h), l.table(l.rProbs, b, h), l.table(l.centred, b, h)
			ds, rds := l.table(l.dScores, b, h), l.table(l.rDScores, b, h)
			do, rdo := l.part(l.out.d, 0, b, h), l.part(l.out.rd, 0, b, h)
			gemm(noTrans, trans, rdo, l.part(l.in.x, values, b, h), 0, rds)
			gemm(noTrans, trans, do, l.part(l.in.rx, values, b, h), 1, rds)
			for i := range l.Positions {
				rSoftmaxBack(rds.row(i), p.row(i), rp.row(i), e.row(i), i+1)
			}
			rd := l.part(l.in.rd, queries, b, h)
			scaledGemm(noTrans, noTrans, l.scale, rds, l.part(l.in.x, keys, b, h), 0, rd)
			scaledGemm(noTrans, noTrans, l.scale, ds, l.part(l.in.rx, keys, b, h), 1, rd)
			rd = l.part(l.in.rd, keys, b, h)
			scaledGemm(trans, noTrans, l.scale, rds, l.part(l.in.x, queries, b, h), 0, rd)
			scaledGemm(trans, noTrans, l.scale, ds, l.part(l.in.rx, queries, b, h), 1, rd)
			rd = l.part(l.in.rd, values, b, h)
			gemm(trans, noTrans, rp, do, 0, rd)
			gemm(trans, noTrans, p, rdo, 1, rd)
		}
	}
}

// rSoftmaxBack sets rds, which is R{dP}, to R{dS}.
func rSoftmaxBack[T Float](rds, p, rp, e []T, first int) {
	clear(rds[first:])
	p, rp, e, rds = p[:first], rp[:first], e[:first], rds[:first]
	mean := T(0)
	for j, v := range p {
		mean += rp[j]*e[j] + v*rds[j]
	}
	for j, v := range p {
		rds[j] = rp[j]*e[j] + v*(rds[j]-mean)
	}
}
