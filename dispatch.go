package adahessian

import (
	"math"
	"unsafe"
)

// Rademacher sets every z[i] to +1 or −1, with equal probability: a probe for
// Hutchinson's estimate of the Hessian's diagonal. z[i] is the sign with global
// index offset+i in draw number draw. It depends only on these and on the seed, so
// any range of any draw can be made anywhere, in any order and in parts. float32 and
// float64 have the same signs. Indices wrap at 2⁶⁴.
//
// The signs are bits of Philox4x32-10 (Salmon et al., SC 2011), one for each. z may
// have any length. If it is too long for the processor's caches, it is written past
// them.
func Rademacher[T Float](z []T, seed, draw, offset uint64) {
	fillSigns(z, seed, draw, offset, streams[T](len(z)))
}

// fillSigns is Rademacher for a part of a probe. stream says whether the whole probe is
// written past the caches.
func fillSigns[T Float](z []T, seed, draw, offset uint64, stream bool) {
	noteWrite(z)
	if stream {
		n := streamSigns(z, seed, draw, offset)
		z, offset = z[n:], offset+uint64(n)
	}
	for len(z) > 0 {
		n := min(len(z), maxCall)
		if toWrap := -offset; toWrap != 0 && uint64(n) > toWrap {
			n = int(toWrap)
		}
		rademacher(z[:n], seed, draw, offset)
		z, offset = z[n:], offset+uint64(n)
	}
}

// BlockMeanAbs sets d[j] to the mean of |x| over block j of the layout: the
// curvature of the block if x is a Hessian-vector product. The additions have a
// fixed order, so the mean is the same on every machine. A block of more than 2¹⁴
// elements is summed in runs of 2¹⁴, and the sums of the runs are added in float64,
// so that a longer block has no larger error (docs/numerics.md).
//
// x has l.Len() elements and d has l.Blocks(); BlockMeanAbs panics if they do not,
// or if l is not a valid layout. d and x must not overlap, but may be the same slice
// if l.Block is 1.
func BlockMeanAbs[T Float](d, x []T, l Layout) {
	if l.check() != nil {
		panic("adahessian: BlockMeanAbs: invalid layout")
	}
	if len(x) != l.Len() || len(d) != l.Blocks() {
		panic("adahessian: BlockMeanAbs: lengths do not fit the layout")
	}
	noteMean(d, x, l.panel())
	meanPanel(d, x, l.panel(), T(l.Block), 0)
}

// Update makes one step of a tensor (Yao et al., AAAI 2021, arXiv 2006.00719,
// algorithm 1) from the gradient g and the Hessian-vector product hz at theta:
// it sets m, v and theta to their values after the step that c belongs to. Before
// step 1, m and v must be zero. If c was made for several samples, hz is the sum of
// z⊙Hz over the probes.
//
// theta, m, g and hz have l.Len() elements, and v, the second moment, has one
// for each block, l.Blocks() in all. Update panics if they do not, if l is not a
// valid layout, or if c was not made by NewCoefficients. g and hz are only read.
// No slice may overlap another, except that g and hz may be the same slice. Update
// does not look for values that are not finite.
func Update[T Float](theta, m, v, g, hz []T, l Layout, c *Coefficients[T]) {
	checkUpdate("Update", theta, m, v, g, l, c)
	if len(hz) != len(theta) {
		panic("adahessian: Update: lengths do not fit the layout")
	}
	updateTensor(theta, m, v, g, hz, nil, l.panel(), c)
}

// UpdateCurvature is Update with the curvature itself: d holds one value for each
// block, at least 0, such as BlockMeanAbs computes. The number of samples that c was
// made for does not matter. UpdateCurvature is for a framework that keeps the curvature
// and refreshes it every few steps. With the d of a product it gives the same bits as
// Update with the product.
//
// d has l.Blocks() elements and is only read; it must not overlap the other slices. The
// rest is as for Update, panics included.
func UpdateCurvature[T Float](theta, m, v, g, d []T, l Layout, c *Coefficients[T]) {
	checkUpdate("UpdateCurvature", theta, m, v, g, l, c)
	if len(d) != len(v) {
		panic("adahessian: UpdateCurvature: lengths do not fit the layout")
	}
	updateTensor(theta, m, v, g, nil, d, l.panel(), c)
}

// checkUpdate panics if the arguments of Update or UpdateCurvature do not fit.
func checkUpdate[T Float](name string, theta, m, v, g []T, l Layout, c *Coefficients[T]) {
	if l.check() != nil {
		panic("adahessian: " + name + ": invalid layout")
	}
	n := l.Len()
	if len(theta) != n || len(m) != n || len(g) != n || len(v) != l.Blocks() {
		panic("adahessian: " + name + ": lengths do not fit the layout")
	}
	if c.samples < 1 {
		panic("adahessian: " + name + ": Coefficients not made by NewCoefficients")
	}
}

// updateTensor is updatePanel with scratch on the stack.
func updateTensor[T Float](theta, m, v, g, hz, d []T, p panel, c *Coefficients[T]) {
	switch {
	case p.width <= onePassWidth:
		var scratch [onePassWidth]T
		updatePanel(theta, m, v, g, hz, d, p, c, scratch[:])
	case p.width <= scratchLen || !longSlices[T](p):
		updateWide(theta, m, v, g, hz, d, p, c)
	default:
		updateLong(theta, m, v, g, hz, d, p, c)
	}
}

// updateWide is updateTensor for many columns, and updateLong for more. They are functions
// of their own because their scratch takes longer to clear than a small step.
func updateWide[T Float](theta, m, v, g, hz, d []T, p panel, c *Coefficients[T]) {
	var scratch [scratchLen]T
	updatePanel(theta, m, v, g, hz, d, p, c, scratch[:])
}

func updateLong[T Float](theta, m, v, g, hz, d []T, p panel, c *Coefficients[T]) {
	var scratch [longBytes / 8]float64 // of either type
	updatePanel(theta, m, v, g, hz, d, p, c, unsafe.Slice((*T)(unsafe.Pointer(&scratch)), longBytes/unsafe.Sizeof(T(0))))
}

// FirstNonFinite returns the index of the first element of x that is NaN or infinite,
// or −1 if all are finite.
func FirstNonFinite[T Float](x []T) int {
	noteRead(x)
	for from := 0; from < len(x); from += maxCall {
		part := x[from:min(from+maxCall, len(x))]
		if allFinite(part) {
			continue
		}
		for i, f := range part {
			if math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) {
				return from + i
			}
		}
	}
	return -1
}
