package adahessian

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"
	"unsafe"
)

// Saved state is what the next step depends on and the caller does not hold.
// docs/state.md describes the format for readers in other languages.

const (
	stateMagic   = "AdaHess\n"
	stateVersion = 1

	// stateChunk is how many bytes of a stream are held at a time. What a
	// stream says about its own sizes never decides what is allocated.
	stateChunk = 64 << 10

	sumLen = 4 // bytes of a checksum
)

// crcTable is for CRC-32C, which amd64, arm64, s390x and others compute in
// hardware.
var crcTable = crc32.MakeTable(crc32.Castagnoli)

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
}

// stateRecord describes a parameter, as it is encoded; the name follows it.
type stateRecord struct {
	Outer, Block, Inner uint64
	Offset              uint64
	NameLen             uint16
}

var (
	headerLen = binary.Size(stateHeader{})
	recordLen = binary.Size(stateRecord{})
	prefixLen = len(stateMagic) + 4 // of a header: as far as all versions agree
)

// savedNames names the arrays of a tensor, in the order of the format.
var savedNames = [...]string{"m", "v", "curvature"}

// WriteTo writes the state to w and returns the number of bytes that w took:
// the moments, the curvature that is kept when Options.UpdateEach exceeds 1,
// the numbers of steps and refreshes, the Seed, Samples and UpdateEach of the
// options, and the name, layout and offset of every parameter. It does not
// write the parameters' values nor the hyperparameters: the caller holds them,
// and saves them beside the state.
//
// WriteTo writes in pieces of 64 KiB and changes nothing. The error wraps
// ErrState, and w's own error. A name of more than 65535 bytes is an error,
// before anything is written. Within hvp it writes the state before the present
// Step. w must not write to what State has returned.
//
// docs/state.md has the format, and how to replace a file safely.
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

// ReadFrom reads a state that WriteTo wrote, of an optimizer with the same
// parameters in the same order, and the same Seed, Samples and UpdateEach.
// Together with the parameters' values and the hyperparameters of that time,
// the next steps then give the bits that they would have given without the
// interruption. The slices that State has returned stay live.
//
// Unlike other ReadFrom methods, it stops at the end of the state and reads
// nothing after it, so more may follow in the same stream. It returns the
// number of bytes read. While it reads, it takes memory for a second set of
// moments; whatever r says, it takes no more.
//
// The error wraps ErrState, and r's own error; where r ends too early, that is
// io.ErrUnexpectedEOF, at the first byte too. Everything is checked before
// anything is changed: on an error the optimizer is as it was. The values are
// taken as they are, NaN included, since with SkipFiniteCheck they may be a
// part of the state.
func (o *Optimizer[T]) ReadFrom(r io.Reader) (int64, error) {
	if err := o.idle("ReadFrom"); err != nil {
		return 0, err
	}
	defer o.usage.enter("the Read of ReadFrom")()
	from := &countingReader{r: r}
	l, err := o.readState(from)
	if err != nil {
		return from.n, fmt.Errorf("%w: %w", ErrState, err)
	}
	o.takeOver(l)
	return from.n, nil
}

// MarshalBinary returns the state as WriteTo writes it. The only errors, which
// wrap ErrState, are a name of more than 65535 bytes and an Optimizer that New has
// not made.
func (o *Optimizer[T]) MarshalBinary() ([]byte, error) { return o.AppendBinary(nil) }

// AppendBinary appends the state, as WriteTo writes it, to b. On an error, the
// same as that of MarshalBinary, it returns b.
func (o *Optimizer[T]) AppendBinary(b []byte) ([]byte, error) {
	w := bytes.NewBuffer(slices.Grow(b, o.stateLen()))
	if _, err := o.WriteTo(w); err != nil {
		return b, err
	}
	return w.Bytes(), nil
}

// UnmarshalBinary is ReadFrom for a state that is the whole of data: bytes
// that follow it are an error too. It does not keep data.
func (o *Optimizer[T]) UnmarshalBinary(data []byte) error {
	if err := o.idle("UnmarshalBinary"); err != nil {
		return err
	}
	r := bytes.NewReader(data)
	l, err := o.readState(&countingReader{r: r})
	if err == nil && r.Len() > 0 {
		err = fmt.Errorf("%d bytes follow the state", r.Len())
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrState, err)
	}
	o.takeOver(l)
	return nil
}

// header returns the header of the present state.
func (o *Optimizer[T]) header() stateHeader {
	return stateHeader{
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
}

// record returns the record of the tensor.
func (t *tensor[T]) record() stateRecord {
	l := t.layout
	return stateRecord{uint64(l.Outer), uint64(l.Block), uint64(l.Inner), t.offset, uint16(len(t.name))}
}

// saved returns what is saved of the tensor, in the order of the format.
func (t *tensor[T]) saved() [][]T {
	if t.d == nil {
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

// writeState writes the header, the records, and then the arrays: a reader
// knows that the state fits before it comes to the bulk of it.
func (o *Optimizer[T]) writeState(s *stateWriter) error {
	s.encode(o.header())
	s.writeSum()
	for i := range o.tensors {
		t := &o.tensors[i]
		s.encode(t.record())
		s.write([]byte(t.name))
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

// loadedState is a state that has been read and checked. The optimizer does
// not have it yet.
type loadedState[T Float] struct {
	steps, refreshes uint64
	arrays           [][][]T // of each tensor, as saved
}

// takeOver makes a loaded state the optimizer's. It copies, because callers
// hold views of the present arrays.
func (o *Optimizer[T]) takeOver(l loadedState[T]) {
	for i := range o.tensors {
		for k, x := range o.tensors[i].saved() {
			copy(x, l.arrays[i][k])
		}
	}
	each := uint64(o.options.UpdateEach)
	o.counters = counters{steps: l.steps, refreshes: l.refreshes, age: l.steps % each}
	for i := range o.tensors {
		o.tensors[i].curved = l.steps > 0
		o.call.steps[i] = l.steps
	}
	o.setCohorts(o.call.steps)
}

// readState reads and checks a state, and changes nothing.
func (o *Optimizer[T]) readState(r *countingReader) (l loadedState[T], err error) {
	s := &stateReader{r: r, buf: make([]byte, stateChunk)}
	h, err := s.readHeader()
	if err == nil {
		err = h.check(o.header())
	}
	if err != nil {
		return l, fmt.Errorf("header: %w", err)
	}
	l.steps, l.refreshes = h.Steps, h.Refreshes
	for i := range o.tensors {
		if err := o.tensors[i].readRecord(s); err != nil {
			return l, fmt.Errorf("parameter %d %q: %w", i, o.tensors[i].name, err)
		}
	}
	// All sizes are the optimizer's own from here on.
	for i := range o.tensors {
		var arrays [][]T
		for k, own := range o.tensors[i].saved() {
			x := make([]T, len(own))
			if err := readArray(s, x); err != nil {
				return l, fmt.Errorf("parameter %d %q: %s: %w", i, o.tensors[i].name, savedNames[k], err)
			}
			arrays = append(arrays, x)
		}
		l.arrays = append(l.arrays, arrays)
	}
	return l, nil
}

// readHeader reads a header. It tells damage before other differences, and
// reads no further than it must to tell another format or version, since
// either may be shorter than a header.
func (s *stateReader) readHeader() (h stateHeader, err error) {
	b, err := s.next(prefixLen)
	if err != nil {
		return h, err
	}
	h.Version = binary.LittleEndian.Uint32(b[len(stateMagic):])
	if magic := b[:len(stateMagic)]; string(magic) != stateMagic {
		return h, fmt.Errorf("begins with %q, want %q: not a saved state", magic, stateMagic)
	}
	if h.Version != stateVersion {
		return h, fmt.Errorf("version %d of the format, want %d", h.Version, stateVersion)
	}
	prefix := slices.Clone(b)
	if b, err = s.next(headerLen - prefixLen); err != nil {
		return h, err
	}
	b = append(prefix, b...)
	if err := s.checkSum(); err != nil {
		return h, err
	}
	_, err = binary.Decode(b, binary.LittleEndian, &h)
	return h, err
}

// check compares a header with the optimizer's own.
func (h *stateHeader) check(own stateHeader) error {
	for _, f := range [...]struct {
		what      string
		got, want uint64
	}{
		{"bytes of an element", uint64(h.ElementSize), uint64(own.ElementSize)},
		{"number of parameters", h.Params, own.Params},
		{"Seed", h.Seed, own.Seed},
		{"Samples", h.Samples, own.Samples},
		{"UpdateEach", h.UpdateEach, own.UpdateEach},
		{"number of refreshes", h.Refreshes, refreshesAfter(h.Steps, own.UpdateEach)},
	} {
		if f.got != f.want {
			return fmt.Errorf("%s: saved with %d, want %d", f.what, f.got, f.want)
		}
	}
	return nil
}

// refreshesAfter returns the number of refreshes that the given number of
// steps makes: one at the first, and at every each-th after it.
func refreshesAfter(steps, each uint64) uint64 {
	n := steps / each
	if steps%each != 0 {
		n++
	}
	return n
}

// readRecord reads the record of t and compares it.
func (t *tensor[T]) readRecord(s *stateReader) error {
	b, err := s.next(recordLen)
	if err != nil {
		return err
	}
	var r stateRecord
	if _, err := binary.Decode(b, binary.LittleEndian, &r); err != nil {
		return err
	}
	if b, err = s.next(int(r.NameLen)); err != nil {
		return err
	}
	name := string(b)
	if err := s.checkSum(); err != nil {
		return err
	}
	own := t.record()
	switch {
	case name != t.name:
		return fmt.Errorf("saved with the name %.60q", name)
	case r.Outer != own.Outer || r.Block != own.Block || r.Inner != own.Inner:
		return fmt.Errorf("saved with Layout {%d %d %d}, want {%d %d %d}",
			r.Outer, r.Block, r.Inner, own.Outer, own.Block, own.Inner)
	case r.Offset != own.Offset:
		return fmt.Errorf("saved with Offset %d, want %d", r.Offset, own.Offset)
	}
	return nil
}

// readArray reads an array and its checksum.
func readArray[T Float](s *stateReader, x []T) error {
	size := int(unsafe.Sizeof(T(0)))
	for part := range slices.Chunk(x, stateChunk/size) {
		b, err := s.next(len(part) * size)
		if err != nil {
			return err
		}
		decodeWords(part, b)
	}
	return s.checkSum()
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
