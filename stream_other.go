//go:build !amd64 || !gc || purego || asan || msan

package adahessian

import "math"

// streamBytes is more than any probe has, since no kernels here write past the caches.
var streamBytes = math.MaxInt
