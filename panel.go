package adahessian

// A panel is a part of a tensor that a kernel works on: outer slices of block
// rows, of which the panel has width columns. Element (o, b, i) lies at
// (o·block + b)·stride + i, and its curvature at o·stride + i, from the
// panel's first. Contiguous blocks have stride = width = 1. A panel of more
// than one slice has all columns: width = stride.
type panel struct{ outer, block, stride, width int }

func (l Layout) panel() panel {
	if l.Blocks() == 0 { // the other axes, of any length, count nothing
		return panel{0, l.Block, 1, 1}
	}
	if l.Block == 1 { // whatever the axes, every element is a block
		return panel{l.Outer * l.Inner, 1, 1, 1}
	}
	return panel{l.Outer, l.Block, l.Inner, l.Inner}
}

func (p panel) len() int    { return p.outer * p.block * p.width }
func (p panel) blocks() int { return p.outer * p.width }

// contiguous reports whether the panel's blocks are runs of elements. One
// column alone of a wider tensor is not: its elements lie stride apart.
func (p panel) contiguous() bool { return p.stride == 1 }

// grain returns how many slices and how many columns make a piece of the panel
// of about limit elements, and of at least minWidth columns where it has so
// many: whole slices if they are small enough, else columns of one slice.
func (p panel) grain(limit, minWidth int) (outer, width int) {
	if p.width == 0 || p.block*p.width <= limit {
		return max(1, limit/max(1, p.block*p.width)), max(1, p.width)
	}
	return 1, min(p.width, max(minWidth, limit/p.block))
}

// piece returns the part of p from slice o and column i on that is at most
// outer by width, the index of its first element and that of its first block.
func (p panel) piece(o, i, outer, width int) (q panel, element, block int) {
	q = panel{min(outer, p.outer-o), p.block, p.stride, min(width, p.width-i)}
	return q, o*p.block*p.stride + i, o*p.stride + i
}

// asRow turns a panel of single elements into one row of as many columns, and
// leaves others as they are.
func (p panel) asRow() panel {
	if p.block == 1 && p.contiguous() {
		return panel{1, 1, p.outer, p.outer}
	}
	return p
}
