package adahessian

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"unsafe"

	"github.com/adahessian-go/adahessian/internal/guard"
)

// Each target runs one kernel on every instruction set, in both types, and compares
// with the generic definition, at any offset between canaries and between guard pages.
// The data are the fuzzer's bytes, repeated as needed. The other arguments come from
// small numbers.

// fuzzBytes is a filler that takes its data from bytes.
type fuzzBytes[T Float] struct {
	bytes []byte
	next  int
}

func (f *fuzzBytes[T]) fill(x []T) {
	for i := range x {
		var bits uint64
		for b := range int(unsafe.Sizeof(x[i])) {
			if len(f.bytes) > 0 {
				bits |= uint64(f.bytes[f.next%len(f.bytes)]) << (8 * b)
				f.next++
			}
		}
		x[i] = fromBits[T](bits)
	}
}

func (f *fuzzBytes[T]) String() string { return fmt.Sprintf("%x", f.bytes) }

// widths lie around the vector lengths of every instruction set.
var widths = []uint16{0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 1023, 1024, 1025}

// fuzzData are seeds of data, from none at all to values at which arithmetic goes
// wrong.
var fuzzData = [][]byte{
	nil,
	[]byte("\x00\x00\x80\x3f\x00\x00\x00\xc0\xcd\xcc\x4c\x3e\x00\x00\x00\x80\xff\xff\x7f\x00\x00\x00\x80\x00"),
	[]byte("\x00\x00\x00\x00\x00\x00\xf0\x3f\x9a\x99\x99\x99\x99\x99\xb9\xbf\xff\xff\xff\xff\xff\xff\x0f\x00\x00\x00\x00\x00\x00\x00\x10\x80"),
	[]byte("\xff\xff\x7f\x7f\x00\x00\x80\x7f\x01\x00\xc0\xff\xff\xff\xef\x7f\x00\x00\xf0\xff"),
	[]byte("the quick brown fox jumps over the lazy dog"),
}

// fuzzCheck runs a call, made for each type, on every instruction set.
func fuzzCheck(t *testing.T, data []byte, offset uint8, f32 func(f *fuzzBytes[float32]) call[float32], f64 func(f *fuzzBytes[float64]) call[float64]) {
	defer saveISA()()
	for _, c := range testedISAs() {
		c.use()
		isaTested[c.name] = true
		narrow, wide := &fuzzBytes[float32]{bytes: data}, &fuzzBytes[float64]{bytes: data}
		f32(narrow).check(t, int(offset%16), narrow)
		f64(wide).check(t, int(offset%16), wide)
		for _, atEnd := range []bool{true, false} {
			if g := fuzzGuarded32(); g != nil {
				g.check(t, f32(narrow), atEnd, narrow)
			}
			if g := fuzzGuarded64(); g != nil {
				g.check(t, f64(wide), atEnd, wide)
			}
		}
	}
}

// fuzzGuarded32 and fuzzGuarded64 are guard pages for the calls of all targets,
// or nil where the system has none. They are made once, since mapping memory takes
// longer than a target's call.
var (
	fuzzGuarded32 = sync.OnceValue(fuzzGuarded[float32])
	fuzzGuarded64 = sync.OnceValue(fuzzGuarded[float64])
)

func fuzzGuarded[T Float]() *guarded[T] {
	const size = 5000 + 300*256 // the rows of a panel of fuzzPanel may lie apart
	g := &guarded[T]{}
	if err := g.open(7, size); errors.Is(err, guard.ErrUnsupported) {
		return nil
	} else if err != nil {
		panic(err)
	}
	return g
}

// fuzzStep makes scalars from the data.
func fuzzStep[T Float](f *fuzzBytes[T], k, div uint8) stepCase[T] {
	c := stepCase[T]{name: "fuzz", k: power(k % 4), a: float64(k) / 255}
	f.fill(unsafe.Slice((*T)(unsafe.Pointer(&c.s)), len(scalarFields)))
	c.s.div = T(div) + 1
	return c.bounded()
}

// fuzzPanel makes a panel of at most some thousand elements.
func fuzzPanel(outer, block, width uint16, gap uint8) panel {
	p := panel{1 + int(outer%40), 1 + int(block%300), 0, 1 + int(width%200)}
	if p.outer > 1 {
		gap = 0
	}
	for p.len() > 5000 {
		p.block, p.outer = max(1, p.block/2), max(1, p.outer/2)
	}
	p.stride = p.width + int(gap)
	return p
}

// fuzzBlocks makes contiguous blocks of at most some thousand elements.
func fuzzBlocks(blocks, block uint16) panel {
	p := panel{int(blocks % 1000), 1 + int(block%5000), 1, 1}
	if p.len() > 5000 {
		p.outer = max(1, 5000/p.block)
	}
	return p
}

func FuzzRademacher(f *testing.F) {
	for i, n := range widths {
		f.Add(n, uint8(i), uint64(i), uint64(1)<<i, uint64(i*i))
		f.Add(n, uint8(i), uint64(1)<<40, uint64(0), uint64(1<<39)-uint64(n/2))
		f.Add(n, uint8(i), uint64(1)<<40, uint64(0), -uint64(n/2))
	}
	f.Fuzz(func(t *testing.T, n uint16, at uint8, seed, draw, offset uint64) {
		count := int(n % 4096)
		fuzzCheck(t, nil, at,
			func(*fuzzBytes[float32]) call[float32] {
				return exportedRademacherCall[float32](count, seed, draw, offset)
			},
			func(*fuzzBytes[float64]) call[float64] {
				return exportedRademacherCall[float64](count, seed, draw, offset)
			})
	})
}

// fuzzElementwise is a target for a kernel whose only shape is a length.
func fuzzElementwise(f *testing.F, f32 func(n int) call[float32], f64 func(n int) call[float64]) {
	for i, n := range widths {
		f.Add(fuzzData[i%len(fuzzData)], n, uint8(i))
	}
	f.Fuzz(func(t *testing.T, data []byte, n uint16, at uint8) {
		count := int(n % 4096)
		fuzzCheck(t, data, at,
			func(*fuzzBytes[float32]) call[float32] { return f32(count) },
			func(*fuzzBytes[float64]) call[float64] { return f64(count) })
	})
}

func FuzzAddProbe(f *testing.F)  { fuzzElementwise(f, addProbeCall[float32], addProbeCall[float64]) }
func FuzzAllFinite(f *testing.F) { fuzzElementwise(f, allFiniteCall[float32], allFiniteCall[float64]) }
func FuzzBothFinite(f *testing.F) {
	fuzzElementwise(f, bothFiniteCall[float32], bothFiniteCall[float64])
}

func FuzzBlockMeans(f *testing.F) {
	for i, n := range widths {
		f.Add(fuzzData[i%len(fuzzData)], uint16(9), n, uint8(i), uint8(i))
		f.Add(fuzzData[i%len(fuzzData)], n, uint16(i), uint8(0), uint8(i))
	}
	f.Fuzz(func(t *testing.T, data []byte, blocks, block uint16, div, at uint8) {
		p := fuzzBlocks(blocks, block)
		fuzzCheck(t, data, at,
			func(*fuzzBytes[float32]) call[float32] {
				return blockMeansCall(p.outer, p.block, float32(div)+1)
			},
			func(*fuzzBytes[float64]) call[float64] {
				return blockMeansCall(p.outer, p.block, float64(div)+1)
			})
	})
}

func FuzzStridedMeans(f *testing.F) {
	for i, n := range widths {
		f.Add(fuzzData[i%len(fuzzData)], uint16(i%3), uint16(i), n, uint8(i%4*i), uint8(i), i%2 == 0, uint8(i))
	}
	f.Fuzz(func(t *testing.T, data []byte, outer, block, width uint16, gap, div uint8, more bool, at uint8) {
		p := fuzzPanel(outer, block, width, gap)
		fuzzCheck(t, data, at,
			func(*fuzzBytes[float32]) call[float32] { return stridedMeansCall(p, float32(div)+1, more) },
			func(*fuzzBytes[float64]) call[float64] { return stridedMeansCall(p, float64(div)+1, more) })
	})
}

// fuzzCurvature is a call with any power, the general one included.
func fuzzCurvature[T Float](n int, c stepCase[T], k uint8, overlay bool) call[T] {
	c.k = power(k % 5)
	if overlay {
		return curvatureOverlayCall(n, c)
	}
	return curvatureCall(n, c)
}

func FuzzCurvature(f *testing.F) {
	for i, n := range widths {
		f.Add(fuzzData[i%len(fuzzData)], n, uint8(i), uint8(i), i%2 == 0, uint8(i))
	}
	f.Fuzz(func(t *testing.T, data []byte, n uint16, k, div uint8, overlay bool, at uint8) {
		count := int(n % 4096)
		fuzzCheck(t, data, at,
			func(f *fuzzBytes[float32]) call[float32] {
				return fuzzCurvature(count, fuzzStep(f, k, div), k, overlay)
			},
			func(f *fuzzBytes[float64]) call[float64] {
				return fuzzCurvature(count, fuzzStep(f, k, div), k, overlay)
			})
	})
}

// fuzzPanelShape makes any panel. A gap of 255 means contiguous blocks.
func fuzzPanelShape(outer, block, width uint16, gap uint8) panel {
	if gap == 255 {
		return fuzzBlocks(outer, block)
	}
	p := fuzzPanel(outer, block, width, gap)
	if p.stride == 1 {
		p.stride, p.outer = 2, 1 // a column alone
	}
	return p
}

// addShapes adds seeds of all shapes.
func addShapes(f *testing.F) {
	for i, n := range widths {
		data := fuzzData[i%len(fuzzData)]
		f.Add(data, n, uint16(0), uint16(0), uint8(255), uint8(2), uint8(0), uint8(i))
		f.Add(data, uint16(17), n, uint16(0), uint8(255), uint8(i), uint8(i), uint8(i))
		f.Add(data, uint16(i%3), uint16(i), n, uint8(i%4*i), uint8(i), uint8(i), uint8(i))
	}
}

func FuzzDescend(f *testing.F) {
	addShapes(f)
	f.Fuzz(func(t *testing.T, data []byte, outer, block, width uint16, gap, k, div, at uint8) {
		p := fuzzPanelShape(outer, block, width, gap)
		fuzzCheck(t, data, at,
			func(f *fuzzBytes[float32]) call[float32] { return descendCall(p, fuzzStep(f, k, div)) },
			func(f *fuzzBytes[float64]) call[float64] { return descendCall(p, fuzzStep(f, k, div)) })
		if p.contiguous() {
			return
		}
		fuzzCheck(t, data, at,
			func(f *fuzzBytes[float32]) call[float32] { return descendTogetherCall(p, fuzzStep(f, k, div)) },
			func(f *fuzzBytes[float64]) call[float64] { return descendTogetherCall(p, fuzzStep(f, k, div)) })
	})
}

func FuzzUpdate(f *testing.F) {
	addShapes(f)
	f.Fuzz(func(t *testing.T, data []byte, outer, block, width uint16, gap, k, div, at uint8) {
		p := fuzzPanelShape(outer, block, width, gap)
		fuzzCheck(t, data, at,
			func(f *fuzzBytes[float32]) call[float32] { return updateCall(p, fuzzStep(f, k, div)) },
			func(f *fuzzBytes[float64]) call[float64] { return updateCall(p, fuzzStep(f, k, div)) })
		if p.contiguous() {
			return
		}
		fuzzCheck(t, data, at,
			func(f *fuzzBytes[float32]) call[float32] { return updateTogetherCall(p, fuzzStep(f, k, div)) },
			func(f *fuzzBytes[float64]) call[float64] { return updateTogetherCall(p, fuzzStep(f, k, div)) })
	})
}

// FuzzAverageAxes checks that any shape and axes give a right layout or an error, and
// never a panic.
func FuzzAverageAxes(f *testing.F) {
	f.Add([]byte{8, 4, 3, 3}, []byte{2, 3}, false)
	f.Add([]byte{3, 3, 4, 8}, []byte{0, 1}, false)
	f.Add([]byte{6, 7}, []byte{1}, false)
	f.Add([]byte{2, 3, 5}, []byte{0, 2}, false)
	f.Add([]byte{2, 0, 5}, []byte{1, 1}, false)
	f.Add([]byte{2, 255}, []byte{254}, true)
	f.Add([]byte{}, []byte{}, false)
	f.Fuzz(func(t *testing.T, shapeBytes, axesBytes []byte, huge bool) {
		if len(shapeBytes) > 6 || len(axesBytes) > 6 {
			return
		}
		var shape, axes []int
		n := 1
		for _, b := range shapeBytes {
			d := int(int8(b))
			if huge {
				d <<= 24
			}
			shape = append(shape, d)
			n *= max(0, min(d, 1<<8))
		}
		for _, b := range axesBytes {
			axes = append(axes, int(int8(b)))
		}
		l, err := AverageAxes(shape, axes...)
		if err != nil {
			wantLayoutError(t, fmt.Sprint(shape, axes), l, err)
			return
		}
		if err := l.check(); err != nil {
			t.Fatalf("AverageAxes(%v, %v) = %+v: %v", shape, axes, l, err)
		}
		if 0 < n && n <= 4096 && !huge {
			checkBlocks(t, l, shape, axes)
		}
	})
}

// FuzzFlat checks the layout of runs.
func FuzzFlat(f *testing.F) {
	for _, n := range widths {
		f.Add(int(n), 1)
		f.Add(int(n), int(n))
		f.Add(int(n)*9, 9)
		f.Add(-int(n), 8)
		f.Add(int(n), -8)
	}
	f.Fuzz(func(t *testing.T, n, block int) {
		l, err := Flat(n, block)
		if ok := n >= 0 && block >= 1 && n%max(block, 1) == 0; ok != (err == nil) {
			t.Fatalf("Flat(%d, %d) = %+v, %v", n, block, l, err)
		}
		if err != nil {
			wantLayoutError(t, fmt.Sprint(n, block), l, err)
			return
		}
		if l.Len() != n || l.Blocks() != n/block || l.Block != block || l.check() != nil {
			t.Fatalf("Flat(%d, %d) = %+v", n, block, l)
		}
		if 0 < n && n <= 1024 {
			checkBlocks(t, l, []int{n / block, block}, []int{1})
		}
	})
}
