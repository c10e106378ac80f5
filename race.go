//go:build race

package adahessian

import (
	"runtime"
	"unsafe"
)

// underRace is true with the race detector, which makes everything many times slower,
// so tests are then shorter.
const underRace = true

// The race detector sees what compiled code reads and writes, but not what assembly
// reads and writes. With the detector on, the functions that call kernels report these
// accesses themselves, each for all of its arguments.

func noteRead[T any](x []T) {
	if len(x) > 0 {
		runtime.RaceReadRange(unescaped(x), len(x)*int(unsafe.Sizeof(x[0])))
	}
}

func noteWrite[T any](x []T) {
	if len(x) > 0 {
		runtime.RaceWriteRange(unescaped(x), len(x)*int(unsafe.Sizeof(x[0])))
	}
}

// unescaped returns the slice's memory, hidden from the compiler, which would otherwise
// move memory on a caller's stack to the heap.
func unescaped[T any](x []T) unsafe.Pointer {
	p := uintptr(unsafe.Pointer(unsafe.SliceData(x)))
	return *(*unsafe.Pointer)(unsafe.Pointer(&p))
}

// noteRows calls note for the elements of a panel.
func noteRows[T Float](note func([]T), x []T, p panel) {
	if p.width == p.stride {
		note(x[:p.len()])
		return
	}
	for b := range p.outer * p.block {
		note(x[b*p.stride:][:p.width])
	}
}

// noteUpdate notes what updatePanel does.
func noteUpdate[T Float](theta, m, v, g, hz, cached []T, p panel) {
	noteRows(noteWrite[T], theta, p)
	noteRows(noteWrite[T], m, p)
	noteRows(noteRead[T], g, p)
	noteWrite(v[:p.blocks()])
	if hz != nil {
		noteRows(noteRead[T], hz, p)
	}
	if cached != nil && hz != nil {
		noteWrite(cached[:p.blocks()])
	} else if cached != nil {
		noteRead(cached[:p.blocks()])
	}
}

// noteUpdates notes what updateMulti does.
func noteUpdates[T Float](theta [][]T, m, v []T, g, hz [][]T) {
	noteWrite(m)
	noteWrite(v)
	for i := range theta {
		noteWrite(theta[i])
	}
	noteReads(g)
	noteReads(hz)
}

func noteReads[T Float](x [][]T) {
	for i := range x {
		noteRead(x[i])
	}
}

// noteMean notes what meanPanel does.
func noteMean[T Float](d, x []T, p panel) {
	noteRows(noteRead[T], x, p)
	noteWrite(d[:p.blocks()])
}

// noteUpdateHalf notes what UpdateHalf does.
func noteUpdateHalf[H Half](theta []float32, out, g, hz []H, m, v []float32) {
	noteWrite(theta)
	noteWrite(out)
	noteRead(g)
	noteRead(hz)
	noteWrite(m)
	noteWrite(v)
}
