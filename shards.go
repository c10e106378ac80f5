package adahessian

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
)

// ReadShards restores the optimizer from states that WriteTo wrote in any number of
// processes. The tensors may have been divided among these processes in any way, as
// long as the states together hold everything that this optimizer has. So a process
// that holds shards of tensors (see Param.Offset) can resume from states that another
// number of processes has saved: each process reads all states, and takes its own
// part. The next steps have the same bits as without the interruption, which are those
// of tensors that were never cut.
//
// An element is found by the name of its parameter and its global index. A shard has
// the Name of its tensor, the same Block and Inner, and an Offset counted from the
// same index. The order and the number of parameters do not matter, and other
// parameters in a state are ignored. A parameter without elements is never missing.
//
// All states must be from the same step, with the optimizer's Seed and Samples; for
// UpdateEach see ReadFrom. Every element must be in exactly one state, and all elements
// of a parameter must have made the same number of steps.
//
// The states are read in the order of the arguments, each to its end and no further. So
// several states may follow one another in one stream: pass that stream once for each
// state. The memory needed is a second set of moments, and some 100 bytes for each
// parameter in one state, which may have up to 2²⁰ more than the optimizer.
//
// The error wraps ErrState and a reader's own error. It names the state by its index,
// and the parameter and the range of global indices that are missing, saved twice, or
// saved with another layout. On an error the optimizer is as it was.
func (o *Optimizer[T]) ReadShards(states ...io.Reader) error {
	if err := o.idle("ReadShards"); err != nil {
		return err
	}
	defer o.usage.enter("the Read of ReadShards")()
	l := newShardLoader(o)
	if err := l.loadAll(states); err != nil {
		return fmt.Errorf("%w: %w", ErrState, err)
	}
	l.takeOver()
	return nil
}

// foreignTensors is how many more tensors a state may have than the optimizer. It bounds
// the memory that a stream, however long, can make the optimizer use.
const foreignTensors = 1 << 20

// shardLoader is a loader of several states that together hold every tensor.
type shardLoader[T Float] struct {
	loader[T]
	order   []int            // the tensors with elements, by name and global index
	empty   map[string][]int // the tensors without elements, by name
	covered [][]sliceRange   // for each tensor: what has been found; at the end of a state sorted and without overlap
	touched []int            // the tensors of which the present state has a part
}

// sliceRange is a range of the Outer slices of a tensor.
type sliceRange struct{ lo, hi uint64 }

func newShardLoader[T Float](o *Optimizer[T]) *shardLoader[T] {
	l := &shardLoader[T]{loader: *newLoader(o), empty: map[string][]int{}, covered: make([][]sliceRange, len(o.tensors))}
	for i := range o.tensors {
		if t := &o.tensors[i]; len(t.value) == 0 {
			l.empty[t.name] = append(l.empty[t.name], i)
		} else {
			l.order = append(l.order, i)
		}
	}
	slices.SortFunc(l.order, func(a, b int) int {
		return cmp.Or(cmp.Compare(o.tensors[a].name, o.tensors[b].name), cmp.Compare(o.tensors[a].offset, o.tensors[b].offset))
	})
	return l
}

// last returns the global index of the last element of a tensor that has one.
func (t *tensor[T]) last() uint64 { return t.offset + uint64(len(t.value)) - 1 }

// loadAll loads the states.
func (l *shardLoader[T]) loadAll(states []io.Reader) error {
	if len(states) == 0 {
		return errors.New("ReadShards without a state: pass every state that was saved")
	}
	var first stateHeader
	for i, r := range states {
		s := &stateReader{r: &countingReader{r: r}, buf: make([]byte, stateChunk)}
		err := l.loadHeader(s)
		if i == 0 {
			first = l.header
		} else if err == nil {
			err = l.header.checkSame(&first)
		}
		if err == nil {
			err = l.loadShards(s)
		}
		if err != nil {
			return fmt.Errorf("states[%d]: %w", i, err)
		}
	}
	return l.checkComplete()
}

// loadShards loads what follows the header of a state.
func (l *shardLoader[T]) loadShards(s *stateReader) error {
	l.touched = l.touched[:0]
	parts, err := l.loadRecords(s, l.match)
	if err != nil {
		return err
	}
	for _, i := range l.touched {
		if err := l.settle(i); err != nil {
			return err
		}
	}
	return l.loadArrays(s, parts)
}

// checkSame compares a header with that of the first state.
func (h *stateHeader) checkSame(first *stateHeader) error {
	for _, f := range [...]struct {
		what       string
		got, first uint64
	}{
		{"steps", h.Steps, first.Steps},
		{"refreshes", h.Refreshes, first.Refreshes},
		{"UpdateEach", h.UpdateEach, first.UpdateEach},
		{"age of the curvature", h.Age, first.Age},
	} {
		if f.got != f.first {
			return fmt.Errorf("header: %s: saved with %d, and states[0] with %d", f.what, f.got, f.first)
		}
	}
	return nil
}

// match finds the parts of a saved tensor that belong to the optimizer.
func (l *shardLoader[T]) match(_ int, saved *savedTensor, pieces []piece) ([]piece, error) {
	n, err := saved.elements()
	if err != nil {
		return nil, err
	}
	for _, i := range l.empty[saved.name] {
		if t := &l.o.tensors[i]; saved.Offset <= t.offset && t.offset-saved.Offset <= n && !l.tensors[i].found {
			l.find(i, saved)
		}
	}
	if n == 0 {
		return pieces, nil
	}
	last := saved.Offset + n - 1
	k, _ := slices.BinarySearchFunc(l.order, saved, func(i int, saved *savedTensor) int {
		t := &l.o.tensors[i]
		if c := cmp.Compare(t.name, saved.name); c != 0 {
			return c
		}
		if t.last() < saved.Offset {
			return -1
		}
		return 1
	})
	for ; k < len(l.order); k++ {
		i := l.order[k]
		t := &l.o.tensors[i]
		if t.name != saved.name || t.offset > last {
			break
		}
		p, err := l.cover(i, saved, max(t.offset, saved.Offset), min(t.last(), last))
		if err != nil {
			return nil, err
		}
		pieces = append(pieces, p)
	}
	return pieces, nil
}

// cover notes that a saved tensor has the global indices from lo to hi of tensor i.
func (l *shardLoader[T]) cover(i int, saved *savedTensor, lo, hi uint64) (p piece, err error) {
	t, own, from := &l.o.tensors[i], l.o.record(i), &l.tensors[i]
	fault := func(format string, args ...any) error {
		return l.inRange(i, lo, hi, fmt.Sprintf(format, args...))
	}
	if saved.Block != own.Block || saved.Inner != own.Inner {
		return p, fault("saved with Layout {%d %d %d}, want Block %d and Inner %d", saved.Outer, saved.Block, saved.Inner, own.Block, own.Inner)
	}
	slice := own.Block * own.Inner
	if apart := max(t.offset, saved.Offset) - min(t.offset, saved.Offset); apart%slice != 0 {
		return p, fault("saved from global index %d on, which is not a whole number of slices (%d elements each) from %d", saved.Offset, slice, t.offset)
	}
	if curved := saved.Curved == 1; from.found && (from.steps != saved.Steps || from.curved != curved) {
		return p, fault("saved after %d steps, curvature kept: %v, and another part after %d steps, curvature kept: %v",
			saved.Steps, curved, from.steps, from.curved)
	}
	l.find(i, saved)
	p = piece{i, (lo - saved.Offset) / slice, (lo - t.offset) / slice, (hi - lo + 1) / slice}
	if n := len(l.touched); n == 0 || l.touched[n-1] != i {
		l.touched = append(l.touched, i)
	}
	l.covered[i] = append(l.covered[i], sliceRange{p.to, p.to + p.n})
	if uint64(len(l.covered[i])) > own.Outer { // some slice is there twice: settle reports it, and memory stays bounded
		return p, l.settle(i)
	}
	return p, nil
}

// settle sorts the ranges that were found of a tensor, and joins adjacent ones. It
// reports what was found twice.
func (l *shardLoader[T]) settle(i int) error {
	found := l.covered[i]
	slices.SortFunc(found, func(a, b sliceRange) int { return cmp.Compare(a.lo, b.lo) })
	joined := found[:0]
	for _, r := range found {
		last := len(joined) - 1
		switch {
		case last < 0 || joined[last].hi < r.lo:
			joined = append(joined, r)
		case joined[last].hi == r.lo:
			joined[last].hi = r.hi
		default:
			lo, hi := l.global(i, sliceRange{r.lo, min(r.hi, joined[last].hi)})
			return l.inRange(i, lo, hi, "saved twice")
		}
	}
	l.covered[i] = joined
	return nil
}

// checkComplete reports the first range that no state has.
func (l *shardLoader[T]) checkComplete() error {
	for i := range l.o.tensors {
		t := &l.o.tensors[i]
		if len(t.value) == 0 {
			if !l.tensors[i].found { // only the number of its steps is missing
				l.tensors[i].found, l.tensors[i].steps = true, l.header.Steps
			}
			continue
		}
		outer := uint64(t.layout.Outer)
		gap := sliceRange{0, outer}
		if found := l.covered[i]; len(found) > 0 && found[0].lo > 0 {
			gap.hi = found[0].lo
		} else if len(found) > 0 {
			gap.lo = found[0].hi
			if len(found) > 1 {
				gap.hi = found[1].lo
			}
		}
		if gap.lo < gap.hi {
			lo, hi := l.global(i, gap)
			return l.inRange(i, lo, hi, "in none of the states")
		}
	}
	return nil
}

// global returns the first and the last global index of a range of slices.
func (l *shardLoader[T]) global(i int, r sliceRange) (lo, hi uint64) {
	t := &l.o.tensors[i]
	slice := uint64(t.layout.Block) * uint64(t.layout.Inner)
	return t.offset + r.lo*slice, t.offset + r.hi*slice - 1
}

// inRange returns an error that says what is wrong with the global indices lo to hi.
func (l *shardLoader[T]) inRange(i int, lo, hi uint64, what string) error {
	return fmt.Errorf("parameter %d %.60q, global indices %d to %d: %s", i, l.o.tensors[i].name, lo, hi, what)
}
