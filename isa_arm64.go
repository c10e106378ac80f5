//go:build gc && !purego && !asan && !msan

package adahessian

// useNEON says whether the kernels are used; every arm64 processor has NEON.
var useNEON = !disabled("neon")
