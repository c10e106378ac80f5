package intrinsics

// #cgo CFLAGS: -O3
// #include "kernels.h"
import "C"

import (
	"math"
	"unsafe"

	"github.com/adahessian-go/adahessian"
)

// scalars are the coefficients of the first step with k = 1 and one probe,
// rounded to T. The bias corrections are then 1 − β.
func scalars[T float32 | float64](h adahessian.Hyper) [9]C.double {
	limit := math.Inf(1)
	if h.MaxUpdate != 0 {
		limit = h.LR * h.MaxUpdate
	}
	var s [9]C.double
	for i, f := range []float64{
		h.Beta1, 1 - h.Beta1, h.Beta2, 1 - h.Beta2, h.LR / (1 - h.Beta1), 1 - float64(h.LR*h.WeightDecay),
		1 / math.Sqrt(1-h.Beta2), h.Eps, limit,
	} {
		s[i] = C.double(T(f))
	}
	return s
}

// update is adahessian.Update for blocks of one element, k = 1 and one probe.
// The length is a multiple of 16.
func update[T float32 | float64](isa string, theta, m, v, g, hz []T, s *[9]C.double) {
	n := C.long(len(theta))
	switch isa + typeOf[T]() {
	case "avx2float32":
		C.updateF32AVX2(f32(theta), f32(m), f32(v), f32(g), f32(hz), n, &s[0])
	case "avx2float64":
		C.updateF64AVX2(f64(theta), f64(m), f64(v), f64(g), f64(hz), n, &s[0])
	case "avx512float32":
		C.updateF32AVX512(f32(theta), f32(m), f32(v), f32(g), f32(hz), n, &s[0])
	case "avx512float64":
		C.updateF64AVX512(f64(theta), f64(m), f64(v), f64(g), f64(hz), n, &s[0])
	default:
		panic(isa)
	}
}

// signs is adahessian.Rademacher from index 0. The length is a multiple of 128.
func signs[T float32 | float64](isa string, z []T, seed, draw uint64) {
	n := C.long(len(z))
	switch isa + typeOf[T]() {
	case "avx2float32":
		C.signsF32AVX2(f32(z), n, C.uint64_t(seed), C.uint64_t(draw))
	case "avx2float64":
		C.signsF64AVX2(f64(z), n, C.uint64_t(seed), C.uint64_t(draw))
	case "avx512float32":
		C.signsF32AVX512(f32(z), n, C.uint64_t(seed), C.uint64_t(draw))
	case "avx512float64":
		C.signsF64AVX512(f64(z), n, C.uint64_t(seed), C.uint64_t(draw))
	default:
		panic(isa)
	}
}

// fill sets z to 1, with plain or non-temporal stores. The length is a multiple of 16,
// and z aligned to 64 bytes.
func fill[T float32 | float64](isa string, z []T, nonTemporal bool) {
	n := C.long(len(z))
	switch isa + typeOf[T]() {
	case "avx2float32":
		if nonTemporal {
			C.streamF32AVX2(f32(z), n)
		} else {
			C.fillF32AVX2(f32(z), n)
		}
	case "avx2float64":
		if nonTemporal {
			C.streamF64AVX2(f64(z), n)
		} else {
			C.fillF64AVX2(f64(z), n)
		}
	case "avx512float32":
		if nonTemporal {
			C.streamF32AVX512(f32(z), n)
		} else {
			C.fillF32AVX512(f32(z), n)
		}
	case "avx512float64":
		if nonTemporal {
			C.streamF64AVX512(f64(z), n)
		} else {
			C.fillF64AVX512(f64(z), n)
		}
	default:
		panic(isa)
	}
}

func typeOf[T float32 | float64]() string {
	if unsafe.Sizeof(T(0)) == 4 {
		return "float32"
	}
	return "float64"
}

func f32[T float32 | float64](x []T) *C.float { return (*C.float)(unsafe.Pointer(unsafe.SliceData(x))) }
func f64[T float32 | float64](x []T) *C.double {
	return (*C.double)(unsafe.Pointer(unsafe.SliceData(x)))
}
