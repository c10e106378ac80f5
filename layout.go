package adahessian

import (
	"fmt"
	"math"
	"slices"
)

// Layout views a row-major tensor as [Outer][Block][Inner]. The curvature is
// averaged over the Block axis, and one value is kept for each of the
// Outer·Inner blocks: element (o, b, i) belongs to block o·Inner + i.
//
// With Inner = 1 the elements of a block are adjacent; with Inner > 1 they lie
// Inner apart. Block is at least 1. A tensor without elements has no blocks. In a
// Param the zero Layout means Elementwise.
//
// Averaging is the "spatial averaging" of Yao et al., AAAI 2021,
// arXiv 2006.00719, section 3.2 and equation 10.
type Layout struct{ Outer, Block, Inner int }

// Elementwise returns the layout of n elements, each with a curvature of its own:
// {n, 1, 1}.
func Elementwise(n int) Layout { return Layout{Outer: n, Block: 1, Inner: 1} }

// AverageAxes returns the layout of a row-major tensor of the given shape whose
// curvature is averaged over the given axes. The axes may be in any order, but they
// must be adjacent, so that together they form the Block axis:
//
//	AverageAxes([]int{out, in, kh, kw}, 2, 3)   // convolution, OIHW: over the kernel
//	AverageAxes([]int{kh, kw, in, out}, 0, 1)   // convolution, HWIO: over the kernel
//	AverageAxes([]int{out, in}, 1)              // matrix: over each row
//
// Without axes, or without elements, the layout is Elementwise. The error wraps
// ErrLayout for a negative dimension, a shape whose product overflows int, or an
// axis that is out of range, repeated, or not adjacent to the others.
func AverageAxes(shape []int, axes ...int) (Layout, error) {
	for i, d := range shape {
		if d < 0 {
			return Layout{}, fmt.Errorf("%w: shape[%d] = %d is negative", ErrLayout, i, d)
		}
	}
	sorted := slices.Clone(axes)
	slices.Sort(sorted)
	for i, a := range sorted {
		switch {
		case a < 0 || a >= len(shape):
			return Layout{}, fmt.Errorf("%w: axis %d is out of range for a shape of %d axes", ErrLayout, a, len(shape))
		case i > 0 && a == sorted[i-1]:
			return Layout{}, fmt.Errorf("%w: axis %d is repeated", ErrLayout, a)
		case i > 0 && a != sorted[i-1]+1:
			return Layout{}, fmt.Errorf("%w: axes %d and %d are not adjacent: name the axes between them too, or transpose the tensor", ErrLayout, sorted[i-1], a)
		}
	}
	if slices.Contains(shape, 0) {
		return Elementwise(0), nil
	}
	first, last := len(shape), len(shape)
	if len(sorted) > 0 {
		first, last = sorted[0], sorted[len(sorted)-1]
	}
	l := Layout{1, 1, 1}
	for i, d := range shape {
		axis := &l.Block
		if i < first {
			axis = &l.Outer
		} else if i > last {
			axis = &l.Inner
		}
		if l.Len() > math.MaxInt/d {
			return Layout{}, fmt.Errorf("%w: shape %v has more elements than an int can count", ErrLayout, shape)
		}
		*axis *= d
	}
	return l, nil
}

// Flat returns the layout of n elements in runs of block adjacent elements,
// whatever the tensor's shape: {n/block, block, 1}. A run may cross rows.
//
// The error wraps ErrLayout if n is negative, if block is less than 1, or if block
// does not divide n.
func Flat(n, block int) (Layout, error) {
	switch {
	case n < 0:
		return Layout{}, fmt.Errorf("%w: length %d is negative", ErrLayout, n)
	case block < 1:
		return Layout{}, fmt.Errorf("%w: block of %d elements, want at least 1", ErrLayout, block)
	case n%block != 0:
		return Layout{}, fmt.Errorf("%w: length %d is not a multiple of the block of %d elements", ErrLayout, n, block)
	}
	return Layout{Outer: n / block, Block: block, Inner: 1}, nil
}

// Len returns the number of elements, Outer·Block·Inner. For a Layout that New refuses,
// the number has no meaning.
func (l Layout) Len() int { return l.Outer * l.Block * l.Inner }

// Blocks returns the number of curvature values, Outer·Inner. For a Layout that New
// refuses, the number has no meaning.
func (l Layout) Blocks() int { return l.Outer * l.Inner }

// check reports a layout that describes no tensor: a negative axis, blocks
// without elements, or a length that overflows int.
func (l Layout) check() error {
	if l.Outer < 0 || l.Block < 1 || l.Inner < 0 {
		return fmt.Errorf("%w: %+v, want Outer and Inner of at least 0 and Block of at least 1", ErrLayout, l)
	}
	if l.Outer == 0 || l.Inner == 0 {
		return nil
	}
	if l.Outer > math.MaxInt/l.Inner || l.Block > math.MaxInt/(l.Outer*l.Inner) {
		return fmt.Errorf("%w: %+v has more elements than an int can count", ErrLayout, l)
	}
	return nil
}

// fitting says which Outer makes a layout of n elements, for an error.
func (l Layout) fitting(n int) string {
	if n > 0 && (l.Inner == 0 || l.Block > n/l.Inner || n%(l.Block*l.Inner) != 0) {
		return fmt.Sprintf("no Outer fits, since %d is not a multiple of Block·Inner", n)
	}
	outer := 0
	if n > 0 {
		outer = n / (l.Block * l.Inner)
	}
	return fmt.Sprintf("Outer = %d would fit", outer)
}

// A panel is a part of a tensor that a kernel works on: outer slices of block
// rows, and width columns of these. Counted from the panel's first, element
// (o, b, i) lies at (o·block + b)·stride + i, and its curvature at o·stride + i.
// Contiguous blocks have stride = width = 1. A panel of more than one slice has all
// columns: width = stride.
type panel struct{ outer, block, stride, width int }

func (l Layout) panel() panel {
	if l.Blocks() == 0 { // whatever the other axes are
		return panel{0, l.Block, 1, 1}
	}
	if l.Block == 1 { // whatever the axes, every element is a block
		return panel{l.Outer * l.Inner, 1, 1, 1}
	}
	return panel{l.Outer, l.Block, l.Inner, l.Inner}
}

func (p panel) len() int    { return p.outer * p.block * p.width }
func (p panel) blocks() int { return p.outer * p.width }

// contiguous reports whether the panel's blocks are runs of elements. Those of a
// single column of a wider tensor are not: their elements lie stride apart.
func (p panel) contiguous() bool { return p.stride == 1 }

// tileSize returns how many slices and columns of the panel make a tile of about limit
// elements: whole slices if they are small enough, otherwise columns of one slice, at
// least minWidth of them if there are as many.
func (p panel) tileSize(limit, minWidth int) (outer, width int) {
	if p.width == 0 || p.block*p.width <= limit {
		return max(1, limit/max(1, p.block*p.width)), max(1, p.width)
	}
	return 1, min(p.width, max(minWidth, limit/p.block))
}

// tile returns the part of p that starts at slice o and column i and is at most outer
// by width, with the index of its first element and that of its first block.
func (p panel) tile(o, i, outer, width int) (q panel, element, block int) {
	q = panel{min(outer, p.outer-o), p.block, p.stride, min(width, p.width-i)}
	return q, o*p.block*p.stride + i, o*p.stride + i
}

// eachPiece calls f for pieces of a panel of at most the given number of elements, or of one
// row if that is longer. A piece is some whole slices, or rows of one slice: with contiguous
// blocks, elements of one block. f gets the piece, its first element and its first block. The
// panel is not empty.
func (p panel) eachPiece(most int, f func(q panel, e, b int)) {
	whole, rows := max(1, most/(p.block*p.width)), max(1, most/p.width)
	for o := 0; o < p.outer; o += whole {
		for r := 0; r < p.block; r += rows {
			q := panel{min(whole, p.outer-o), min(rows, p.block-r), p.stride, p.width}
			f(q, (o*p.block+r)*p.stride, o*p.width)
		}
	}
}

// asRow turns a panel of single elements into one row with as many columns. Others stay
// as they are.
func (p panel) asRow() panel {
	if p.block == 1 && p.contiguous() {
		return panel{1, 1, p.outer, p.outer}
	}
	return p
}
