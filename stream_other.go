//go:build !amd64 || !gc || purego || asan || msan

package adahessian

import "math"

// streamBytes is more than any probe has: there are no kernels that write past
// the caches.
var streamBytes = math.MaxInt
