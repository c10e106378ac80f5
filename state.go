package adahessian

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"unsafe"
)

// Saved state is what the next step depends on, except for what the caller holds.
// docs/state.md describes the format for readers in other languages.

const (
	stateMagic   = "AdaHess\n"
	stateVersion = 2 // the version that WriteTo writes; version 1 can be read too
)

// stateHeader begins a state, as it is encoded.
type stateHeader struct {
	Magic            [len(stateMagic)]byte
	Version          uint32
	ElementSize      uint32 // bytes: IEEE 754 binary32 or binary64
	Params           uint64
	Seed             uint64
	Samples          uint64
	UpdateEach       uint64
	Steps, Refreshes uint64
	Age              uint64 // steps made with the present curvature; 0: a refresh is due. Since version 2
}

// stateRecord describes a parameter, as it is encoded; the name follows it.
type stateRecord struct {
	Outer, Block, Inner uint64
	Offset              uint64
	Steps               uint64 // that the parameter has made
	Curved              uint8  // 1: its curvature is kept and follows v; otherwise 0
	NameLen             uint16
}

// stateRecord1 is a stateRecord of version 1.
type stateRecord1 struct {
	Outer, Block, Inner uint64
	Offset              uint64
	NameLen             uint16
}

var (
	headerLen = binary.Size(stateHeader{})
	recordLen = binary.Size(stateRecord{})
)

// savedNames names the arrays of a tensor, in the order of the format.
var savedNames = [...]string{"m", "v", "curvature"}

// WriteTo writes the state to w and returns the number of bytes that w has accepted.
// The state is
//
//   - the moments and, if Options.UpdateEach exceeds 1, the curvature that is kept;
//   - the number of steps of the optimizer and of every parameter, and the number of
//     refreshes;
//   - Seed, Samples and UpdateEach of the options;
//   - the name, layout and offset of every parameter.
//
// The values of the parameters and the hyperparameters are not part of it: the caller
// holds them, and saves them along with the state.
//
// WriteTo writes in pieces of 64 KiB and changes nothing. The error wraps ErrState and
// w's own error. A name of more than 65535 bytes is an error before anything is
// written. Within hvp, WriteTo writes the state from before the step in progress. w
// must not write to the slices that State returns.
//
// ReadFrom, ReadNamed and ReadShards read what WriteTo writes. docs/state.md describes
// the format, and how to replace a file safely.
func (o *Optimizer[T]) WriteTo(w io.Writer) (int64, error) {
	if err := o.made("WriteTo"); err != nil {
		return 0, err
	}
	defer o.usage.enter("the Write of WriteTo")()
	for i := range o.tensors {
		if n := len(o.tensors[i].name); n > math.MaxUint16 {
			return 0, fmt.Errorf("%w: parameter %d %.40q…: name of %d bytes, want at most %d",
				ErrState, i, o.tensors[i].name, n, math.MaxUint16)
		}
	}
	to := &countingWriter{w: w}
	s := &stateWriter{w: bufio.NewWriterSize(to, stateChunk), buf: make([]byte, stateChunk)}
	if err := o.writeState(s); err != nil {
		return to.n, fmt.Errorf("%w: write failed after %d bytes: %w", ErrState, to.n, err)
	}
	return to.n, nil
}

// MarshalBinary returns the state as WriteTo writes it. There are only two errors: a
// name of more than 65535 bytes, and an Optimizer that is a copy or was not made by
// New. Both wrap ErrState.
func (o *Optimizer[T]) MarshalBinary() ([]byte, error) { return o.AppendBinary(nil) }

// AppendBinary appends the state, as WriteTo writes it, to b. The errors are those of
// MarshalBinary; on an error it returns b.
func (o *Optimizer[T]) AppendBinary(b []byte) ([]byte, error) {
	w := bytes.NewBuffer(slices.Grow(b, o.stateLen()))
	if _, err := o.WriteTo(w); err != nil {
		return b, err
	}
	return w.Bytes(), nil
}

// header returns the header of the present state.
func (o *Optimizer[T]) header() stateHeader {
	h := stateHeader{
		Magic:       [len(stateMagic)]byte([]byte(stateMagic)),
		Version:     stateVersion,
		ElementSize: uint32(unsafe.Sizeof(T(0))),
		Params:      uint64(len(o.tensors)),
		Seed:        o.options.Seed,
		Samples:     uint64(o.options.Samples),
		UpdateEach:  uint64(o.options.UpdateEach),
		Steps:       o.steps,
		Refreshes:   o.refreshes,
	}
	if !o.NeedsHessian() {
		h.Age = o.age
	}
	return h
}

// record returns the record of a tensor.
func (o *Optimizer[T]) record(i int) stateRecord {
	t := &o.tensors[i]
	l := t.layout
	r := stateRecord{uint64(l.Outer), uint64(l.Block), uint64(l.Inner), t.offset, o.stepsOf(i), 0, uint16(len(t.name))}
	if t.curved {
		r.Curved = 1
	}
	return r
}

// saved returns the arrays of the tensor that are saved, in the order of the format.
func (t *tensor[T]) saved() [][]T {
	if !t.curved {
		return [][]T{t.m, t.v}
	}
	return [][]T{t.m, t.v, t.d}
}

// stateLen returns the number of bytes that WriteTo writes.
func (o *Optimizer[T]) stateLen() int {
	n := headerLen + sumLen
	for i := range o.tensors {
		t := &o.tensors[i]
		n += recordLen + len(t.name) + sumLen
		for _, x := range t.saved() {
			n += len(x)*int(unsafe.Sizeof(T(0))) + sumLen
		}
	}
	return n
}

// writeState writes the header, the records, and then the arrays, so that a reader
// knows whether the state fits before it reads most of it.
func (o *Optimizer[T]) writeState(s *stateWriter) error {
	s.encode(o.header())
	s.writeSum()
	for i := range o.tensors {
		s.encode(o.record(i))
		s.write([]byte(o.tensors[i].name))
		s.writeSum()
	}
	for i := range o.tensors {
		for _, x := range o.tensors[i].saved() {
			if err := writeArray(s, x); err != nil {
				return err
			}
		}
	}
	return s.w.Flush()
}

// writeArray writes an array and its checksum.
func writeArray[T Float](s *stateWriter, x []T) error {
	size := int(unsafe.Sizeof(T(0)))
	for part := range slices.Chunk(x, stateChunk/size) {
		encodeWords(s.buf, part)
		if err := s.write(s.buf[:len(part)*size]); err != nil {
			return err
		}
	}
	return s.writeSum()
}
