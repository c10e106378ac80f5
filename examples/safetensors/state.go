package main

import (
	"encoding/binary"
	"hash/crc32"
	"unsafe"

	"github.com/adahessian-go/adahessian"
)

type moment[T adahessian.Float] struct{ m, v []T }

// encodeState writes a saved state, in the format of docs/state.md: only that
// can set the number of steps too.
func encodeState[T adahessian.Float](opts adahessian.Options, tensors []Tensor, steps uint64, moments []moment[T]) []byte {
	var s encoder
	s.bytes = append(s.bytes, "AdaHess\n"...)
	s.add(uint32(1), uint32(unsafe.Sizeof(T(0))), uint64(len(tensors)),
		opts.Seed, uint64(opts.Samples), uint64(opts.UpdateEach), steps, steps/uint64(opts.UpdateEach))
	s.seal()
	var next uint64
	for _, t := range tensors {
		if t.Offset != 0 {
			next = t.Offset
		}
		l := t.Layout
		s.add(uint64(l.Outer), uint64(l.Block), uint64(l.Inner), next, uint16(len(t.Param)), []byte(t.Param))
		s.seal()
		next += uint64(l.Len())
	}
	for _, x := range moments {
		s.add(x.m)
		s.seal()
		s.add(x.v)
		s.seal()
		if opts.UpdateEach > 1 {
			s.add(make([]T, len(x.v))) // a refresh comes before it is used
			s.seal()
		}
	}
	return s.bytes
}

// encoder keeps the running checksum of docs/state.md.
type encoder struct {
	bytes  []byte
	sealed int // of bytes
	sum    uint32
}

func (s *encoder) add(values ...any) {
	for _, v := range values {
		s.bytes, _ = binary.Append(s.bytes, binary.LittleEndian, v) // fixed sizes: no error
	}
}

// seal ends a part with the checksum.
func (s *encoder) seal() {
	s.sum = crc32.Update(s.sum, crc32.MakeTable(crc32.Castagnoli), s.bytes[s.sealed:])
	s.bytes = binary.LittleEndian.AppendUint32(s.bytes, s.sum)
	s.sealed = len(s.bytes)
}
