package adahessian

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unsafe"
)

// forFloats runs a test for each kind of element.
func forFloats(t *testing.T, f32, f64, named func(t *testing.T)) {
	t.Run("float32", f32)
	t.Run("float64", f64)
	t.Run("weight", named)
}

// memory returns the bytes of x.
func memory[T Float](x []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), len(x)*int(unsafe.Sizeof(T(0))))
}

// requireSame fails the test where x and y differ, as equalBits sees it.
func requireSame[T Float](t *testing.T, x, y []T, format string, args ...any) {
	t.Helper()
	if len(x) != len(y) {
		t.Fatalf(format+": lengths %d and %d", append(args, len(x), len(y))...)
	}
	if bytes.Equal(memory(x), memory(y)) {
		return // most often, and fast with the race detector too
	}
	if at := firstDifference(x, y); at >= 0 {
		t.Fatalf(format+"[%d] = %v, want %v", append(args, at, showBits(x[at]), showBits(y[at]))...)
	}
}

// requireError fails the test unless err wraps the sentinel and its text has
// every word.
func requireError(t *testing.T, err, sentinel error, words ...string) {
	t.Helper()
	if !errors.Is(err, sentinel) {
		t.Fatalf("error is %v, want one that wraps %v", err, sentinel)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q does not say %q", err, word)
		}
	}
}

// snapshot is what a failed Step leaves as it is.
type snapshot[T Float] struct {
	theta, m, v, d   [][]T
	steps, refreshes uint64
	due              bool
}

func takeSnapshot[T Float](o *Optimizer[T]) snapshot[T] {
	s := snapshot[T]{steps: o.Steps(), refreshes: o.refreshes, due: o.NeedsHessian()}
	for i := range o.tensors {
		t := &o.tensors[i]
		s.theta = append(s.theta, append([]T(nil), t.value...))
		s.m = append(s.m, append([]T(nil), t.m...))
		s.v = append(s.v, append([]T(nil), t.v...))
		s.d = append(s.d, append([]T(nil), t.d...))
	}
	return s
}

// require fails the test where the optimizer is not as it was.
func (s snapshot[T]) require(t *testing.T, o *Optimizer[T]) {
	t.Helper()
	if o.Steps() != s.steps || o.NeedsHessian() != s.due {
		t.Fatalf("Steps, NeedsHessian = %d, %v, want %d, %v", o.Steps(), o.NeedsHessian(), s.steps, s.due)
	}
	if o.refreshes != s.refreshes {
		t.Fatalf("%d refreshes drawn, want %d", o.refreshes, s.refreshes)
	}
	for i := range o.tensors {
		x := &o.tensors[i]
		requireSame(t, x.value, s.theta[i], "parameter %d: θ", i)
		requireSame(t, x.m, s.m[i], "parameter %d: m", i)
		requireSame(t, x.v, s.v[i], "parameter %d: v", i)
		requireSame(t, x.d, s.d[i], "parameter %d: D", i)
	}
}
