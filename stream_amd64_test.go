//go:build gc && !purego

package adahessian

import "testing"

func TestStreamFrom(t *testing.T) {
	for cache, want := range map[int]int{-1: 16 << 20, 0: 16 << 20, 4 << 20: 2 << 20, 256 << 20: 128 << 20} {
		if got := streamFrom(cache); got != want {
			t.Errorf("streamFrom(%d) = %d, want %d", cache, got, want)
		}
	}
}
