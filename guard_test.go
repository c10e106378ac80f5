package adahessian

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"unsafe"

	"github.com/adahessian-go/adahessian/internal/guard"
)

// guarded runs calls in memory in which each buffer starts directly after a page that
// faults, or ends directly before one. Buffers that the kernel only reads are on
// read-only pages.
type guarded[T Float] struct{ pages []*guard.Pages }

func newGuarded[T Float](t testing.TB, buffers, size int) *guarded[T] {
	t.Helper()
	g := &guarded[T]{}
	t.Cleanup(g.close)
	if err := g.open(buffers, size); errors.Is(err, guard.ErrUnsupported) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	return g
}

// open maps pages for the given number of buffers of at most size elements.
func (g *guarded[T]) open(buffers, size int) error {
	for range buffers {
		p, err := guard.New(size * int(unsafe.Sizeof(T(0))))
		if err != nil {
			return err
		}
		g.pages = append(g.pages, p)
	}
	return nil
}

func (g *guarded[T]) close() {
	for _, p := range g.pages {
		p.Close()
	}
}

// check runs the call against the front or the end of the pages.
func (g *guarded[T]) check(t *testing.T, c call[T], atEnd bool, data filler[T]) {
	t.Helper()
	got, want := make([][]T, len(c.buffers)), make([][]T, len(c.buffers))
	for i, b := range c.buffers {
		size := b.n * int(unsafe.Sizeof(T(0)))
		bytes := g.pages[i].Start(size)
		if atEnd {
			bytes = g.pages[i].End(size)
		}
		// An empty slice without memory would have no address near a page.
		got[i] = unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(bytes))), b.n)
		b.fill(got[i], data)
		want[i] = slices.Clone(got[i])
	}
	g.setReadOnly(t, c, true)
	how := fmt.Sprintf("atEnd=%v data=%v", atEnd, data)
	fault := guard.Run(func() { c.run(got) })
	g.setReadOnly(t, c, false)
	if fault != nil {
		t.Fatalf("%s %s: %v (%s)", c.name, how, fault.Err, g.where(c, got, fault.Addr))
	}
	c.define(want)
	c.compare(t, got, want, how)
}

func (g *guarded[T]) setReadOnly(t *testing.T, c call[T], on bool) {
	t.Helper()
	for i, b := range c.buffers {
		if b.written {
			continue
		}
		if err := g.pages[i].SetReadOnly(on); err != nil {
			t.Fatal(err)
		}
	}
}

// where names the buffer in or next to which the address lies.
func (g *guarded[T]) where(c call[T], x [][]T, addr uintptr) string {
	const near = 4096
	for i, b := range c.buffers {
		start := uintptr(unsafe.Pointer(unsafe.SliceData(x[i])))
		end := start + uintptr(b.n)*unsafe.Sizeof(T(0))
		switch {
		case addr >= end && addr-end < near:
			return fmt.Sprintf("%d bytes after %s", addr-end, b.name)
		case addr < start && start-addr <= near:
			return fmt.Sprintf("%d bytes before %s", start-addr, b.name)
		case addr >= start && addr < end:
			return fmt.Sprintf("writing %s, which is only to be read", b.name)
		}
	}
	return "far from every buffer"
}

// TestKernelGuardPages runs every kernel in all lengths and shapes.
func TestKernelGuardPages(t *testing.T) {
	eachISAAndType(t, testGuardPages[float32], testGuardPages[float64])
}

func testGuardPages[T Float](t *testing.T) {
	g := newGuarded[T](t, 9, 40*most)
	r := newRota[T]()
	check := func(c call[T]) {
		t.Helper()
		if r.skip() {
			return
		}
		r.turn++
		for _, atEnd := range []bool{true, false} {
			g.check(t, c, atEnd, r.sources[r.next(int(moods))])
		}
	}
	// Elements in one run.
	for n := range most + 1 {
		for _, offset := range []uint64{0, 1, 7, 120, 127, uint64(n)} {
			check(rademacherCall[T](n, 1, 2, offset))
		}
		check(addProbeCall[T](n))
		check(allFiniteCall[T](n))
		check(allFiniteMultiCall[T](n))
		check(bothFiniteCall[T](n))
		for _, c := range stepCases[T](curvaturePowers, 1)[:2*len(curvaturePowers)] {
			check(curvatureCall(n, c))
			check(curvatureOverlayCall(n, c))
		}
		for _, c := range stepCases[T](kernelPowers, 1)[:2*len(kernelPowers)] {
			check(descendCall(panel{n, 1, 1, 1}, c))
			check(updateCall(panel{n, 1, 1, 1}, c))
			check(updateMultiCall(n, c))
		}
	}
	for _, n := range []int{1000, 1023, 1024, 1025, 1100} {
		check(rademacherCall[T](n, 1, 2, 3))
		check(bothFiniteCall[T](n))
	}
	for n := range 2 * most {
		check(streamedRademacherCall[T](streamUnit-1+n, 1, 2, uint64(61*n)))
	}
	// Blocks in all shapes.
	cases := stepCases[T](kernelPowers, 3)
	for i, s := range contiguousShapes() {
		if s[0]*s[1] <= 40*most {
			c := cases[i%len(cases)]
			check(blockMeansCall(s[0], s[1], T(s[1])))
			check(descendCall(panel{s[0], s[1], 1, 1}, c))
			check(updateCall(panel{s[0], s[1], 1, 1}, c))
		}
	}
	for i, p := range stridedPanels() {
		if p.span() <= 40*most {
			c := cases[i%len(cases)]
			check(stridedMeansCall(p, T(p.block), i%2 == 0))
			check(descendCall(p, c))
			check(descendTogetherCall(p, c))
			check(updateCall(p, c))
			check(updateTogetherCall(p, c))
		}
	}
}

// TestKernelGuardLongBlocks runs the kernels that sum and update blocks of several
// runs.
func TestKernelGuardLongBlocks(t *testing.T) {
	eachISAAndType(t, testGuardLongBlocks[float32], testGuardLongBlocks[float64])
}

func testGuardLongBlocks[T Float](t *testing.T) {
	g := newGuarded[T](t, 5, 6*runLen+100)
	r := newRota[T]()
	c, err := NewCoefficients[T](DefaultHyper(), 3, 1)
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range []Layout{
		{1, runLen + 1, 1}, {2, runLen + 3, 1}, {1, 2 * runLen, 1}, {1, 2*runLen + 5, 1}, {3, 2*runLen - 1, 1},
		{1, runLen + 1, 2}, {2, runLen + 7, 3}, {1, 2*runLen + 5, 3}, {1, runLen + 2, 5},
	} {
		for _, atEnd := range []bool{true, false} {
			g.check(t, exportedBlockMeanAbsCall[T](l), atEnd, r.sources[i%len(r.sources)])
			g.check(t, exportedUpdateCall(l, &c), atEnd, r.sources[plain])
		}
	}
}

// TestKernelGuardSeesAll makes sure that the test above would notice a kernel
// that reads or writes one element too far or too early.
func TestKernelGuardSeesAll(t *testing.T) {
	g := newGuarded[float32](t, 2, most)
	at := func(x []float32, i int) *float32 {
		return (*float32)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(x)), 4*i))
	}
	var read float32
	for _, c := range []struct {
		name  string
		atEnd bool
		bad   func(x [][]float32)
	}{
		{"reads after the end", true, func(x [][]float32) { read = *at(x[1], 9) }},
		{"reads before the start", false, func(x [][]float32) { read = *at(x[1], -1) }},
		{"writes after the end", true, func(x [][]float32) { *at(x[0], 9) = 1 }},
		{"writes before the start", false, func(x [][]float32) { *at(x[0], -1) = 1 }},
		{"writes what it may only read", true, func(x [][]float32) { x[1][0] = read }},
	} {
		pages := call[float32]{buffers: []buffer[float32]{out[float32]("out", 9), in[float32]("in", 9)}}
		x := make([][]float32, 2)
		for i := range x {
			bytes := g.pages[i].Start(36)
			if c.atEnd {
				bytes = g.pages[i].End(36)
			}
			x[i] = unsafe.Slice((*float32)(unsafe.Pointer(&bytes[0])), 9)
		}
		g.setReadOnly(t, pages, true)
		fault := guard.Run(func() { c.bad(x) })
		g.setReadOnly(t, pages, false)
		if fault == nil {
			t.Errorf("a kernel that %s is not noticed", c.name)
		} else if where := g.where(pages, x, fault.Addr); where == "far from every buffer" {
			t.Errorf("a kernel that %s: the fault at %#x is not located", c.name, fault.Addr)
		}
	}
}
