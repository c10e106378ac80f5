package adahessian

import (
	"testing"
	"unsafe"
)

// setStreamBytes makes probes of more than so many bytes be written past the caches.
func setStreamBytes(t *testing.T, bytes int) {
	before := streamBytes
	streamBytes = bytes
	t.Cleanup(func() { streamBytes = before })
}

// TestStreamSigns tells how far streamSigns goes, without which the tests of
// its results could be tests of nothing.
func TestStreamSigns(t *testing.T) {
	t.Run("float32", testStreamSigns[float32])
	t.Run("float64", testStreamSigns[float64])
}

func testStreamSigns[T Float](t *testing.T) {
	line := lanes512[T]()
	for _, c := range []struct {
		misaligned, n int
		offset        uint64
		want          int
	}{
		{0, 0, 0, 0}, {1, 3, 0, 0}, {0, streamUnit - 1, 5, 0}, {0, streamUnit, 5, streamUnit}, {0, 2*streamUnit - 1, 5, streamUnit},
		{1, streamUnit + line - 2, 5, 0}, {1, streamUnit + line - 1, 5, streamUnit + line - 1}, {line - 1, streamUnit + 1, 5, streamUnit + 1},
		{0, streamCall + streamUnit, 9, streamCall + streamUnit},
		{0, streamUnit, 1<<64 - streamUnit, streamUnit}, {0, streamUnit, 1<<64 - streamUnit + 1, 0}, // the index wraps
	} {
		z, _, _ := misaligned[T](c.n, c.misaligned)
		if got := streamSigns(z, 1, 2, c.offset); got != c.want {
			t.Errorf("misaligned=%d n=%d offset=%#x: %d elements, want %d", c.misaligned, c.n, c.offset, got, c.want)
		}
	}
	// In a file that is mapped, for example, elements may lie anywhere.
	bytes := make([]byte, 2*streamUnit*unsafe.Sizeof(T(0)))
	for skip := range 8 {
		z := unsafe.Slice((*T)(unsafe.Pointer(&bytes[skip])), streamUnit+line)
		aligned := uintptr(unsafe.Pointer(&z[0]))%unsafe.Sizeof(T(0)) == 0
		if n := streamSigns(z, 1, 2, 0); (n > 0) != aligned {
			t.Errorf("%d bytes further: %d elements", skip, n)
		}
	}
}

// TestKernelStreamExported has the exported function and a step decide.
func TestKernelStreamExported(t *testing.T) {
	eachISAAndType(t, testStreamExported[float32], testStreamExported[float64])
}

func testStreamExported[T Float](t *testing.T) {
	setStreamBytes(t, 5000*int(unsafe.Sizeof(T(0))))
	if streams[T](5000) || !streams[T](5001) {
		t.Fatal("not decided by the length")
	}
	r := newRota[T]()
	for _, n := range []int{4999, 5000, 5001, 3*maxCall + 7} {
		for _, offset := range []uint64{0, 77, 1<<39 - 3000, 1<<64 - 3000} {
			r.checkNext(t, exportedRademacherCall[T](n, 3, 4, offset))
		}
	}
}

// TestStreamStep compares the probe of a step that is written past the caches
// with one that is not, for tensors each of which is shorter than the bound.
func TestStreamStep(t *testing.T) {
	t.Run("float32", testStreamStep[float32])
	t.Run("float64", testStreamStep[float64])
}

func testStreamStep[T Float](t *testing.T) {
	lens := []int{3, 5000, 17, 70001, 40000, 1}
	probe := func(bytes int) (all []T) {
		setStreamBytes(t, bytes)
		opts := DefaultOptions()
		opts.Workers = 2
		var params []Param[T]
		var grads [][]T
		total := 0
		for _, n := range lens {
			params = append(params, Param[T]{Value: make([]T, n)})
			grads = append(grads, make([]T, n))
			total += n
		}
		o, err := New(opts, params...)
		if err != nil {
			t.Fatal(err)
		}
		if want := bytes < total*int(unsafe.Sizeof(T(0))); o.plan.stream != want {
			t.Fatalf("stream = %v, want %v", o.plan.stream, want)
		}
		err = o.Step(grads, func(hz, z [][]T) error {
			for i := range z {
				all = append(all, z[i]...)
				clear(hz[i])
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	plain, streamed := probe(1<<30), probe(100000*int(unsafe.Sizeof(T(0))))
	if len(plain) != len(streamed) {
		t.Fatalf("%d and %d elements", len(plain), len(streamed))
	}
	for i, z := range plain {
		if z != streamed[i] || z*z != 1 {
			t.Fatalf("z[%d] = %v and %v", i, z, streamed[i])
		}
	}
}
