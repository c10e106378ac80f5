package adahessian

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"unsafe"
)

const (
	// stateChunk is how many bytes of a stream are held at a time. The sizes that
	// a stream claims never decide how much is allocated.
	stateChunk = 64 << 10

	sumLen = 4 // bytes of a checksum
)

// crcTable is for CRC-32C, which amd64, arm64, s390x and others compute in
// hardware.
var crcTable = crc32.MakeTable(crc32.Castagnoli)

// A stateWriter keeps the running checksum. The first error stays in w, so of several
// calls only the last one needs to be checked.
type stateWriter struct {
	w   *bufio.Writer
	sum uint32 // CRC-32C of everything written, except the checksums
	buf []byte
}

func (s *stateWriter) write(p []byte) error {
	s.sum = crc32.Update(s.sum, crcTable, p)
	_, err := s.w.Write(p)
	return err
}

// encode writes a struct of fixed size.
func (s *stateWriter) encode(fixed any) {
	n, _ := binary.Encode(s.buf, binary.LittleEndian, fixed) // fails only if the buffer is too short
	s.write(s.buf[:n])
}

// writeSum writes the checksum. The checksum itself is not summed: the CRC of data
// followed by its own CRC is always the same, so everything before it would be lost.
func (s *stateWriter) writeSum() error {
	_, err := s.w.Write(binary.LittleEndian.AppendUint32(nil, s.sum))
	return err
}

// A countingWriter counts the bytes that w accepts, and reports a w that claims an
// impossible number. A short write becomes an error in bufio.
type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if n < 0 || n > len(p) {
		return 0, fmt.Errorf("the writer claims to have taken %d of %d bytes", n, len(p))
	}
	c.n += int64(n)
	return n, err
}

// A stateReader keeps the running checksum. It never reads ahead, since what follows
// the state is not part of it.
type stateReader struct {
	r   *countingReader
	sum uint32 // as for stateWriter
	buf []byte
}

// next reads the next n bytes, at most stateChunk. They are valid until the next
// call.
func (s *stateReader) next(n int) ([]byte, error) {
	b, err := s.read(n)
	s.sum = crc32.Update(s.sum, crcTable, b)
	return b, err
}

// checkSum reads a checksum and compares it.
func (s *stateReader) checkSum() error {
	b, err := s.read(sumLen)
	if err != nil {
		return err
	}
	if got := binary.LittleEndian.Uint32(b); got != s.sum {
		return fmt.Errorf("checksum %08x before byte %d, want %08x: the state is damaged", got, s.r.n, s.sum)
	}
	return nil
}

func (s *stateReader) read(n int) ([]byte, error) {
	_, err := io.ReadFull(s.r, s.buf[:n])
	if err == nil {
		return s.buf[:n], nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF // the state is not complete
	}
	return nil, fmt.Errorf("read failed after %d bytes: %w", s.r.n, err)
}

// A countingReader counts the bytes that r delivers, and reports an r that claims an
// impossible number or keeps delivering nothing.
type countingReader struct {
	r     io.Reader
	n     int64
	empty int // reads in a row without any bytes
}

func (c *countingReader) Read(p []byte) (int, error) {
	if c.r == nil {
		return 0, errors.New("the reader is nil")
	}
	n, err := c.r.Read(p)
	if n < 0 || n > len(p) {
		return 0, fmt.Errorf("the reader claims to have given %d of %d bytes", n, len(p))
	}
	c.n += int64(n)
	if c.empty++; n > 0 {
		c.empty = 0
	}
	if c.empty == 100 && err == nil { // as many as bufio allows
		err = io.ErrNoProgress
	}
	return n, err
}

// encodeWords encodes x into b.
func encodeWords[T Float](b []byte, x []T) {
	if unsafe.Sizeof(T(0)) == 4 {
		for i, w := range words[uint32](x) {
			binary.LittleEndian.PutUint32(b[4*i:], w)
		}
		return
	}
	for i, w := range words[uint64](x) {
		binary.LittleEndian.PutUint64(b[8*i:], w)
	}
}

// decodeWords decodes x from b.
func decodeWords[T Float](x []T, b []byte) {
	if unsafe.Sizeof(T(0)) == 4 {
		for i, w := 0, words[uint32](x); i < len(w); i++ {
			w[i] = binary.LittleEndian.Uint32(b[4*i:])
		}
		return
	}
	for i, w := 0, words[uint64](x); i < len(w); i++ {
		w[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
}

// words views the memory of x as integers of the same size: floating-point loads and
// conversions could change a NaN.
func words[W uint32 | uint64, T Float](x []T) []W {
	return unsafe.Slice((*W)(unsafe.Pointer(unsafe.SliceData(x))), len(x))
}
