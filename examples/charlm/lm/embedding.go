package lm

// embedding looks up the symbols before each prediction, the context: x is
// unfolded (im2col), in the order [channels, context] of a row of a
// convolution's weights. If it has places, it also adds to each prediction the
// embedding of its place in the sequence. It is linear, and so its own tangent.
type embedding[T Float] struct {
	*batch
	out    *signal[T]
	table  *Parameter[T] // [symbols, channels]
	places *Parameter[T] // [positions, channels]; nil: none

	sequences int    // of the tangent of the gradient
	passes    passes // the backward passes take a range of channels, since different rows add to the same symbol
}

func newEmbedding[T Float](b *batch, out *signal[T], table, places *Parameter[T]) *embedding[T] {
	l := &embedding[T]{batch: b, out: out, table: table, places: places}
	l.passes = passes{
		forward: func(lo, hi int) {
			l.unfold(l.out.x, l.table.value, lo, hi)
			if places != nil {
				l.addPlaces(l.out.x, l.places.value, lo, hi)
			}
		},
		backward: func(lo, hi int) {
			l.fold(l.table.grad, l.out.d, lo, hi)
			if places != nil {
				l.sumPlaces(l.places.grad, l.out.d, lo, hi)
			}
		},
		rForward: func(lo, hi int) {
			l.unfold(l.out.rx, l.table.z, lo, hi)
			if places != nil {
				l.addPlaces(l.out.rx, l.places.z, lo, hi)
			}
		},
		rBackward: func(lo, hi int) {
			rd := l.out.rd.top(l.sequences * l.Positions)
			l.fold(l.table.hz, rd, lo, hi)
			if places != nil {
				l.sumPlaces(l.places.hz, rd, lo, hi)
			}
		},
	}
	return l
}

func (l *embedding[T]) channels() int { return l.table.Shape[1] }

func (l *embedding[T]) forward()       { parallel(l.workers, l.Batch, l.passes.forward) }
func (l *embedding[T]) backward()      { parallel(l.workers, l.channels(), l.passes.backward) }
func (l *embedding[T]) rForward(n int) { parallel(l.workers, n, l.passes.rForward) }

func (l *embedding[T]) rBackward(n int) {
	l.sequences = n
	parallel(l.workers, l.channels(), l.passes.rBackward)
}

// unfold sets the rows of sequences lo to hi in x to the rows of table that their
// predictions see.
func (l *embedding[T]) unfold(x matrix[T], table []T, lo, hi int) {
	channels := l.channels()
	for n := lo * l.Positions; n < hi*l.Positions; n++ {
		row := x.row(n)
		for k, symbol := range l.before(n) {
			for c, v := range table[int(symbol)*channels:][:channels] {
				row[c*l.context+k] = v
			}
		}
	}
}

// fold is the transpose of unfold: it sets channels lo to hi of table to the sums over
// all places in d that hold them.
func (l *embedding[T]) fold(table []T, d matrix[T], lo, hi int) {
	channels := l.channels()
	for i := 0; i < len(table); i += channels {
		clear(table[i+lo : i+hi])
	}
	for n := range d.rows {
		row := d.row(n)
		for k, symbol := range l.before(n) {
			sums := table[int(symbol)*channels:][:channels]
			for c := lo; c < hi; c++ {
				sums[c] += row[c*l.context+k]
			}
		}
	}
}

func (l *embedding[T]) addPlaces(x matrix[T], places []T, lo, hi int) {
	all := l.places.matrix(places)
	for n := lo * l.Positions; n < hi*l.Positions; n++ {
		row := x.row(n)
		for c, v := range all.row(n % l.Positions) {
			row[c] += v
		}
	}
}

// sumPlaces is the transpose of addPlaces, for channels lo to hi.
func (l *embedding[T]) sumPlaces(places []T, d matrix[T], lo, hi int) {
	all := l.places.matrix(places)
	for t := range l.Positions {
		clear(all.row(t)[lo:hi])
	}
	for n := range d.rows {
		sums := all.row(n % l.Positions)[lo:hi]
		for c, v := range d.row(n)[lo:hi] {
			sums[c] += v
		}
	}
}
