package adahessian

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"unsafe"
)

// ReadFrom reads a state that WriteTo wrote for an optimizer with the same parameters
// in the same order, and the same Seed and Samples. With the parameters' values and
// the hyperparameters of that time, the next steps give the same bits as without the
// interruption. The slices that State has returned stay valid and hold the restored
// moments.
//
// A state saved between refreshes also needs the same UpdateEach. A state saved when a
// refresh was due can be loaded with any UpdateEach. A refresh is then due, and the
// next steps are those of an optimizer for which SetUpdateEach was called at this
// point.
//
// Unlike other ReadFrom methods, it stops at the end of the state and reads nothing
// after it, so more may follow in the same stream. It returns the number of bytes
// read. While it reads, it allocates a second set of moments, and no more than that
// whatever r contains.
//
// The error wraps ErrState and r's own error. If r ends too early, even at the first
// byte, that is io.ErrUnexpectedEOF. Everything is checked before anything is changed:
// on an error the optimizer is as it was. Values are taken as they are, NaN included,
// because with SkipFiniteCheck they can be part of the state.
func (o *Optimizer[T]) ReadFrom(r io.Reader) (int64, error) {
	if err := o.idle("ReadFrom"); err != nil {
		return 0, err
	}
	defer o.usage.enter("the Read of ReadFrom")()
	l := newLoader(o)
	from := &countingReader{r: r}
	if err := l.loadOwn(from); err != nil {
		return from.n, fmt.Errorf("%w: %w", ErrState, err)
	}
	l.takeOver()
	return from.n, nil
}

// UnmarshalBinary is ReadFrom for a state that is all of data: bytes after the state
// are an error too. It does not keep data.
func (o *Optimizer[T]) UnmarshalBinary(data []byte) error {
	if err := o.idle("UnmarshalBinary"); err != nil {
		return err
	}
	l := newLoader(o)
	r := bytes.NewReader(data)
	err := l.loadOwn(&countingReader{r: r})
	if err == nil && r.Len() > 0 {
		err = fmt.Errorf("%d bytes follow the state", r.Len())
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrState, err)
	}
	l.takeOver()
	return nil
}

// A loader reads states into a second set of arrays and checks them. Until takeOver
// the optimizer does not change.
type loader[T Float] struct {
	o       *Optimizer[T]
	same    bool        // the state has the optimizer's parameters
	header  stateHeader // of the last state
	tensors []loadedTensor[T]
}

// loadedTensor is what has been read for a tensor.
type loadedTensor[T Float] struct {
	found  bool
	steps  uint64
	curved bool
	arrays [len(savedNames)][]T // nil if empty
}

// savedTensor is a tensor in a state.
type savedTensor struct {
	stateRecord
	name string
	kept bool // a curvature follows v; in version 1 it may not have been set yet
}

// A piece is a range of Outer slices that a tensor in a state and a tensor of the
// optimizer have in common.
type piece struct {
	tensor   int
	from, to uint64 // its first slice in the saved tensor and in the optimizer's
	n        uint64
}

// savedParts says what the arrays of a state consist of.
type savedParts struct {
	tensors []savedArrays
	pieces  []piece // of all tensors, in their order, and in each in rising order
}

// savedArrays says how long the arrays of a tensor of a state are.
type savedArrays struct {
	outer        uint64
	slice, inner uint64 // elements and blocks of a slice
	kept         bool
	pieces       int // end of its own, in the pieces of the state
}

func newLoader[T Float](o *Optimizer[T]) *loader[T] {
	return &loader[T]{o: o, tensors: make([]loadedTensor[T], len(o.tensors))}
}

// loadOwn loads the state of an optimizer with the same parameters.
func (l *loader[T]) loadOwn(r *countingReader) error {
	o := l.o
	l.same = true
	s := &stateReader{r: r, buf: make([]byte, stateChunk)}
	if err := l.loadHeader(s); err != nil {
		return err
	}
	parts, err := l.loadRecords(s, func(i int, saved *savedTensor, pieces []piece) ([]piece, error) {
		own, name := o.record(i), o.tensors[i].name
		switch {
		case saved.name != name:
			return nil, fmt.Errorf("saved with the name %.60q", saved.name)
		case !saved.fits(&own):
			return nil, fmt.Errorf("saved with Layout {%d %d %d}, want {%d %d %d}",
				saved.Outer, saved.Block, saved.Inner, own.Outer, own.Block, own.Inner)
		case saved.Offset != own.Offset:
			return nil, fmt.Errorf("saved with Offset %d, want %d", saved.Offset, own.Offset)
		}
		l.find(i, saved)
		return append(pieces, piece{tensor: i, n: own.Outer}), nil
	})
	if err != nil {
		return err
	}
	return l.loadArrays(s, parts)
}

// fits reports whether the layouts are the same.
func (r *stateRecord) fits(own *stateRecord) bool {
	return r.Outer == own.Outer && r.Block == own.Block && r.Inner == own.Inner
}

// find notes that tensor i of the optimizer is in the state.
func (l *loader[T]) find(i int, saved *savedTensor) {
	t := &l.tensors[i]
	t.found, t.steps, t.curved = true, saved.Steps, saved.Curved == 1
}

// loadHeader reads a header and compares it with the optimizer's own.
func (l *loader[T]) loadHeader(s *stateReader) error {
	h, err := s.readHeader()
	own := l.o.header()
	if err == nil && !l.same {
		if most := own.Params + foreignTensors; h.Params > most {
			err = fmt.Errorf("number of parameters: saved with %d, want at most %d", h.Params, most)
		}
		own.Params = h.Params
	}
	if err == nil {
		err = h.check(own)
	}
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	l.header = h
	return nil
}

// loadRecords reads the records. match appends, in rising order, the pieces of the i-th
// saved tensor that the optimizer takes.
func (l *loader[T]) loadRecords(s *stateReader, match func(i int, saved *savedTensor, pieces []piece) ([]piece, error)) (parts savedParts, err error) {
	for i := range int(l.header.Params) {
		saved, err := s.readRecord(&l.header)
		if err == nil {
			err = saved.check(&l.header)
		}
		if err == nil {
			parts.pieces, err = match(i, &saved, parts.pieces)
		}
		if err != nil {
			return parts, l.inTensor(i, saved.name, err)
		}
		parts.tensors = append(parts.tensors, savedArrays{
			saved.Outer, saved.Block * saved.Inner, saved.Inner, saved.kept, len(parts.pieces)})
	}
	return parts, nil
}

// loadArrays reads the arrays. All that it allocates has the optimizer's own sizes.
func (l *loader[T]) loadArrays(s *stateReader, parts savedParts) error {
	first := 0
	for i, a := range parts.tensors {
		name := ""
		pieces := parts.pieces[first:a.pieces]
		if first = a.pieces; len(pieces) > 0 {
			name = l.o.tensors[pieces[0].tensor].name
		}
		for k, what := range savedNames {
			unit := a.inner
			if k == 0 {
				unit = a.slice
			}
			if k == 2 && !a.kept {
				continue
			}
			err := readArray(s, a.outer*unit, unit, pieces, func(tensor int) []T { return l.array(tensor, k) })
			if err != nil {
				return l.inTensor(i, name, fmt.Errorf("%s: %w", what, err))
			}
		}
	}
	return nil
}

// inTensor says in which tensor of a state an error is. The name is "" if it has not
// been read, or if the optimizer takes nothing from that tensor.
func (l *loader[T]) inTensor(i int, name string, err error) error {
	if l.same {
		return fmt.Errorf("parameter %d %.60q: %w", i, l.o.tensors[i].name, err)
	}
	return fmt.Errorf("saved parameter %d %.60q: %w", i, name, err)
}

// array returns the slice into which the k-th array of a tensor is read, or nil if that
// array is not needed.
func (l *loader[T]) array(tensor, k int) []T {
	own := &l.o.tensors[tensor]
	t := &l.tensors[tensor]
	if k == 2 && (own.d == nil || !t.curved) {
		return nil
	}
	if t.arrays[k] == nil {
		t.arrays[k] = make([]T, len([...][]T{own.m, own.v, own.d}[k]))
	}
	return t.arrays[k]
}

// takeOver copies what was loaded into the optimizer. It does not exchange the arrays,
// because callers hold views of the present ones.
func (l *loader[T]) takeOver() {
	o := l.o
	for i := range o.tensors {
		t, from := &o.tensors[i], &l.tensors[i]
		if !from.found {
			o.call.steps[i] = o.stepsOf(i)
			continue
		}
		copy(t.m, from.arrays[0])
		copy(t.v, from.arrays[1])
		t.curved = from.curved && t.d != nil
		clear(t.d)
		copy(t.d, from.arrays[2])
		o.call.steps[i] = from.steps
	}
	o.counters = counters{steps: l.header.Steps, refreshes: l.header.Refreshes, age: l.header.Age}
	o.setCohorts(o.call.steps)
}

// readHeader reads a header. It reports damage before other differences. It reads no
// further than it must to recognize another format or version, since either may be
// shorter than a header.
func (s *stateReader) readHeader() (h stateHeader, err error) {
	encoded := make([]byte, headerLen)
	read := 0
	next := func(to int) error {
		b, err := s.next(to - read)
		read += copy(encoded[read:], b)
		return err
	}
	const prefix = len(stateMagic) + 4 // this much all versions have in common
	if err := next(prefix); err != nil {
		return h, err
	}
	if magic := encoded[:len(stateMagic)]; string(magic) != stateMagic {
		return h, fmt.Errorf("begins with %q, want %q: not a state that WriteTo wrote", magic, stateMagic)
	}
	version := binary.LittleEndian.Uint32(encoded[len(stateMagic):])
	length := headerLen
	switch version {
	case 1:
		length -= binary.Size(h.Age)
	case stateVersion:
	default:
		return h, fmt.Errorf("version %d of the format, want 1 or %d", version, stateVersion)
	}
	if err := next(length); err != nil {
		return h, err
	}
	if err := s.checkSum(); err != nil {
		return h, err
	}
	if _, err := binary.Decode(encoded, binary.LittleEndian, &h); err != nil {
		return h, err
	}
	if version == 1 && h.UpdateEach > 0 {
		h.Age = h.Steps % h.UpdateEach
	}
	return h, nil
}

// check compares a header with the optimizer's own, and its counts with one another.
func (h *stateHeader) check(own stateHeader) error {
	for _, f := range [...]struct {
		what      string
		got, want uint64
	}{
		{"bytes of an element", uint64(h.ElementSize), uint64(own.ElementSize)},
		{"number of parameters", h.Params, own.Params},
		{"Seed", h.Seed, own.Seed},
		{"Samples", h.Samples, own.Samples},
	} {
		if f.got != f.want {
			return fmt.Errorf("%s: saved with %d, want %d", f.what, f.got, f.want)
		}
	}
	if h.UpdateEach != own.UpdateEach {
		switch {
		case h.UpdateEach == 0:
			return fmt.Errorf("UpdateEach: saved with 0, want %d", own.UpdateEach)
		case h.Age != 0:
			return fmt.Errorf("UpdateEach: saved with %d, want %d: %d steps have been made since the last refresh",
				h.UpdateEach, own.UpdateEach, h.Age)
		}
	}
	if h.Version == 1 {
		if want := refreshesAfter(h.Steps, h.UpdateEach); h.Refreshes != want {
			return fmt.Errorf("number of refreshes: saved with %d, want %d", h.Refreshes, want)
		}
	}
	return h.checkCounts()
}

// checkCounts reports counts that no run can have: the first step refreshes, a refresh
// takes a step, and the last one was made age steps ago.
func (h *stateHeader) checkCounts() error {
	switch {
	case h.Age >= h.UpdateEach:
		return fmt.Errorf("age of the curvature: saved with %d of UpdateEach = %d", h.Age, h.UpdateEach)
	case h.Age > h.Steps:
		return fmt.Errorf("age of the curvature: saved with %d after %d steps", h.Age, h.Steps)
	case h.Refreshes > h.Steps || h.Refreshes == 0 && h.Steps > 0 || h.Age > 0 && h.Refreshes-1 > h.Steps-h.Age:
		return fmt.Errorf("number of refreshes: saved with %d after %d steps, the last one %d steps ago",
			h.Refreshes, h.Steps, h.Age)
	}
	return nil
}

// refreshesAfter returns the number of refreshes in the given number of steps: one in
// the first, and one in every each-th step after it.
func refreshesAfter(steps, each uint64) uint64 {
	n := steps / each
	if steps%each != 0 {
		n++
	}
	return n
}

// readRecord reads the record of a tensor.
func (s *stateReader) readRecord(h *stateHeader) (t savedTensor, err error) {
	length := recordLen
	if h.Version == 1 {
		length = binary.Size(stateRecord1{})
	}
	b, err := s.next(length)
	if err != nil {
		return t, err
	}
	if h.Version == 1 {
		var r stateRecord1
		if _, err := binary.Decode(b, binary.LittleEndian, &r); err != nil {
			return t, err
		}
		t.stateRecord = stateRecord{r.Outer, r.Block, r.Inner, r.Offset, h.Steps, 0, r.NameLen}
		if t.kept = h.UpdateEach > 1; t.kept && h.Steps > 0 {
			t.Curved = 1
		}
	} else if _, err := binary.Decode(b, binary.LittleEndian, &t.stateRecord); err != nil {
		return t, err
	} else {
		t.kept = t.Curved == 1
	}
	if b, err = s.next(int(t.NameLen)); err != nil {
		return t, err
	}
	name := string(b)
	if err := s.checkSum(); err != nil {
		return t, err // the name may be damaged
	}
	t.name = name
	return t, nil
}

// check reports a tensor that no optimizer can have, or one whose counts contradict the
// header.
func (t *savedTensor) check(h *stateHeader) error {
	if t.Curved > 1 {
		return fmt.Errorf("flag of the curvature: saved with %d, want 0 or 1", t.Curved)
	}
	if t.Steps > h.Steps {
		return fmt.Errorf("saved with %d steps, and its state has made %d", t.Steps, h.Steps)
	}
	if t.Curved == 1 && (t.Steps == 0 || h.UpdateEach == 1) {
		return fmt.Errorf("saved with a curvature after %d steps with UpdateEach = %d", t.Steps, h.UpdateEach)
	}
	_, err := t.elements()
	return err
}

// elements returns the number of elements, or an error if that or a global index
// exceeds 64 bits.
func (t *savedTensor) elements() (uint64, error) {
	if t.Block == 0 {
		return 0, fmt.Errorf("saved with Layout {%d 0 %d}", t.Outer, t.Inner)
	}
	if t.Outer == 0 || t.Inner == 0 {
		return 0, nil
	}
	wrapped, slice := bits.Mul64(t.Block, t.Inner)
	more, n := bits.Mul64(t.Outer, slice)
	if wrapped|more != 0 || t.Offset+(n-1) < t.Offset {
		return 0, fmt.Errorf("saved with Layout {%d %d %d} and Offset %d, which exceed 64 bits",
			t.Outer, t.Block, t.Inner, t.Offset)
	}
	return n, nil
}

// readArray reads an array and its checksum. The array has the given number of elements,
// unit of them in each slice. The pieces are kept, each in the array of its tensor,
// unless that array is nil.
func readArray[T Float](s *stateReader, elements, unit uint64, pieces []piece, array func(tensor int) []T) error {
	size := uint64(unsafe.Sizeof(T(0)))
	for at := uint64(0); at < elements; {
		end := at + min(elements-at, stateChunk/size)
		b, err := s.next(int((end - at) * size))
		if err != nil {
			return err
		}
		for ; len(pieces) > 0; pieces = pieces[1:] {
			p := &pieces[0]
			first, last := p.from*unit, (p.from+p.n)*unit
			from, to := max(first, at), min(last, end)
			if x := array(p.tensor); x != nil && from < to {
				decodeWords(x[p.to*unit+from-first:][:to-from], b[(from-at)*size:])
			}
			if last > end {
				break // the rest of it is still to come
			}
		}
		at = end
	}
	return s.checkSum()
}
