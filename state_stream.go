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
	// stateChunk is how many bytes of a stream are held at a time. What a
	// stream says about its own sizes never decides what is allocated.
	stateChunk = 64 << 10

	sumLen = 4 // bytes of a checksum
)

// crcTable is for CRC-32C, which amd64, arm64, s390x and others compute in
// hardware.
var crcTable = crc32.MakeTable(crc32.Castagnoli)

// A stateWriter keeps the running checksum. The first error stays in w, so
// only the last of some calls needs a look at it.
type stateWriter struct {
	w   *bufio.Writer
	sum uint32 // CRC-32C of all that was written, the checksums left out
	buf []byte
}

func (s *stateWriter) write(p []byte) error {
	s.sum = crc32.Update(s.sum, crcTable, p)
	_, err := s.w.Write(p)
	return err
}

// encode writes a struct of fixed size.
func (s *stateWriter) encode(fixed any) {
	n, _ := binary.Encode(s.buf, binary.LittleEndian, fixed) // fails only for a buffer too short
	s.write(s.buf[:n])
}

// writeSum writes the checksum. It is not summed itself: a CRC that goes over
// data and then their own CRC always has the same value, and would forget
// what came before.
func (s *stateWriter) writeSum() error {
	_, err := s.w.Write(binary.LittleEndian.AppendUint32(nil, s.sum))
	return err
}

// A countingWriter counts the bytes that w took, and finds it out where it
// claims impossible numbers of them. Of short writes bufio makes an error.
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

// A stateReader keeps the running checksum. It reads what it is asked for and
// never ahead, since what follows the state is not its own.
type stateReader struct {
	r   *countingReader
	sum uint32 // as in stateWriter
	buf []byte
}

// next reads the following n bytes, at most stateChunk. They are valid until
// the next call.
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
		err = io.ErrUnexpectedEOF // the state is not over
	}
	return nil, fmt.Errorf("read failed after %d bytes: %w", s.r.n, err)
}

// A countingReader counts the bytes that r gave, and finds it out where it
// claims impossible numbers of them, or gives nothing for ever.
type countingReader struct {
	r     io.Reader
	n     int64
	empty int // reads in a row that gave nothing
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

// words views the memory of x as words of its size. Floating-point loads and
// conversions may change a NaN.
func words[W uint32 | uint64, T Float](x []T) []W {
	return unsafe.Slice((*W)(unsafe.Pointer(unsafe.SliceData(x))), len(x))
}
