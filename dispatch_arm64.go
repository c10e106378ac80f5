//go:build gc && !purego

package adahessian

import "unsafe"

// useNEON tells whether the kernels are used; every arm64 processor has NEON. The
// choice is an if on a variable, not a function variable: through one of those the
// compiler cannot see that the kernels do not keep their arguments, and every
// caller's buffer would move to the heap.
var useNEON = !disabled("neon")

func isa() string {
	if useNEON {
		return "neon"
	}
	return "generic"
}

// f32 and f64 give a slice's memory its plain type. Assembly never follows
// them past the slice's length, so an empty slice may give any pointer.
func f32[T Float](x []T) *float32 { return (*float32)(unsafe.Pointer(unsafe.SliceData(x))) }
func f64[T Float](x []T) *float64 { return (*float64)(unsafe.Pointer(unsafe.SliceData(x))) }

// s32 and s64 give the scalars their plain type.
func s32[T Float](s *scalars[T]) *float32 { return (*float32)(unsafe.Pointer(s)) }
func s64[T Float](s *scalars[T]) *float64 { return (*float64)(unsafe.Pointer(s)) }

// is32 reports whether T is a float32. A type switch would miss named types.
func is32[T Float]() bool { return unsafe.Sizeof(T(0)) == 4 }

func rademacher[T Float](z []T, seed, draw, offset uint64) {
	if useNEON {
		if is32[T]() {
			rademacherF32NEON(f32(z), len(z), seed, draw, offset)
		} else {
			rademacherF64NEON(f64(z), len(z), seed, draw, offset)
		}
		return
	}
	rademacherGeneric(z, seed, draw, offset)
}

func addProbe[T Float](acc, z, hz []T) {
	if useNEON {
		if is32[T]() {
			addProbeF32NEON(f32(acc), f32(z), f32(hz), len(acc))
		} else {
			addProbeF64NEON(f64(acc), f64(z), f64(hz), len(acc))
		}
		return
	}
	addProbeGeneric(acc, z, hz)
}

func allFinite[T Float](x []T) bool {
	if useNEON {
		if is32[T]() {
			return allFiniteF32NEON(f32(x), len(x))
		}
		return allFiniteF64NEON(f64(x), len(x))
	}
	return allFiniteGeneric(x)
}

func addAbs[T Float](p *partialSums[T], x []T) {
	if useNEON {
		if is32[T]() {
			addAbsF32NEON(f32(p[:]), f32(x), len(x))
		} else {
			addAbsF64NEON(f64(p[:]), f64(x), len(x))
		}
		return
	}
	addAbsGeneric(p, x)
}

func blockMeans[T Float](d, x []T, block int, div T) {
	if useNEON {
		if is32[T]() {
			blockMeansF32NEON(f32(d), f32(x), len(d), block, float32(div))
		} else {
			blockMeansF64NEON(f64(d), f64(x), len(d), block, float64(div))
		}
		return
	}
	blockMeansGeneric(d, x, block, div)
}

func stridedMeans[T Float](d, x []T, p panel, div T, more bool) {
	if useNEON {
		if is32[T]() {
			stridedMeansF32NEON(f32(d), f32(x), p.outer, p.block, p.stride, p.width, float32(div), more)
		} else {
			stridedMeansF64NEON(f64(d), f64(x), p.outer, p.block, p.stride, p.width, float64(div), more)
		}
		return
	}
	stridedMeansGeneric(d, x, p, div, more)
}

func curvature[T Float](v, den, d []T, s *scalars[T], k power, a float64) {
	if useNEON {
		if k == powerAny {
			p := newExponent(a)
			if is32[T]() {
				curvaturePowF32NEON(f32(v), f32(den), f32(d), len(v), s32(s), &p.a)
			} else {
				curvaturePowF64NEON(f64(v), f64(den), f64(d), len(v), s64(s), &p.a)
			}
		} else if is32[T]() {
			curvatureF32NEON(f32(v), f32(den), f32(d), len(v), s32(s), int(k))
		} else {
			curvatureF64NEON(f64(v), f64(den), f64(d), len(v), s64(s), int(k))
		}
		return
	}
	curvatureGeneric(v, den, d, s, k, a)
}

func descend[T Float](theta, m, g, den, _ []T, p panel, s *scalars[T]) {
	if useNEON {
		switch {
		case p.contiguous() && p.block > 1 && is32[T]():
			descendBlocksF32NEON(f32(theta), f32(m), f32(g), f32(den), p.outer, p.block, s32(s))
		case p.contiguous() && p.block > 1:
			descendBlocksF64NEON(f64(theta), f64(m), f64(g), f64(den), p.outer, p.block, s64(s))
		default:
			p = p.asRow()
			if is32[T]() {
				descendRowsF32NEON(f32(theta), f32(m), f32(g), f32(den), p.outer, p.block, p.stride, p.width, s32(s))
			} else {
				descendRowsF64NEON(f64(theta), f64(m), f64(g), f64(den), p.outer, p.block, p.stride, p.width, s64(s))
			}
		}
		return
	}
	descendGeneric(theta, m, g, den, p, s)
}

func update[T Float](theta, m, v, g, hz, den []T, p panel, s *scalars[T], k power) {
	if useNEON {
		switch {
		case p.block == 1 && p.contiguous() && is32[T]():
			updateF32NEON(f32(theta), f32(m), f32(v), f32(g), f32(hz), p.outer, s32(s), int(k))
		case p.block == 1 && p.contiguous():
			updateF64NEON(f64(theta), f64(m), f64(v), f64(g), f64(hz), p.outer, s64(s), int(k))
		case p.contiguous() && is32[T]():
			updateBlocksF32NEON(f32(theta), f32(m), f32(v), f32(g), f32(hz), p.outer, p.block, s32(s), int(k))
		case p.contiguous():
			updateBlocksF64NEON(f64(theta), f64(m), f64(v), f64(g), f64(hz), p.outer, p.block, s64(s), int(k))
		case is32[T]():
			updateRowsF32NEON(f32(theta), f32(m), f32(v), f32(g), f32(hz), f32(den), p.outer, p.block, p.stride, p.width, s32(s), int(k))
		default:
			updateRowsF64NEON(f64(theta), f64(m), f64(v), f64(g), f64(hz), f64(den), p.outer, p.block, p.stride, p.width, s64(s), int(k))
		}
		return
	}
	updateGeneric(theta, m, v, g, hz, p, s, k, 0)
}

func updateEach[T Float](theta [][]T, m, v []T, g, hz [][]T, s *scalars[T], k power) {
	updateEachOf(theta, m, v, g, hz, s, k)
}

func allFiniteEach[T Float](x [][]T) bool { return allFiniteEachOf(x) }
