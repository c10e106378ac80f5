//go:build gc && !purego

package adahessian

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/cpu"
)

// has… tells what the machine has, use… what is used. The choice is an if on
// a variable, not a function variable: through one of those the compiler
// cannot see that the kernels do not keep their arguments, and every caller's
// buffer would move to the heap.
var (
	hasAVX2   = cpu.X86.HasAVX2
	hasAVX512 = machine.hasAVX512()
	useAVX2   = hasAVX2 && !disabled("avx2")
	useAVX512 = hasAVX512 && machine.prefersAVX512() && !disabled("avx512")
)

// avx512 is what the choice of AVX-512 depends on.
type avx512 struct {
	os                      string // GOOS
	saved                   bool   // by the operating system: the wide registers and the masks
	f, dq, bw, vl, popcntdq bool
}

// In the package cpu, HasAVX512 is F where the operating system saves the
// registers. The others are each a bit of its own.
var machine = avx512{
	os:    runtime.GOOS,
	saved: cpu.X86.HasAVX512,
	f:     cpu.X86.HasAVX512F, dq: cpu.X86.HasAVX512DQ, bw: cpu.X86.HasAVX512BW, vl: cpu.X86.HasAVX512VL,
	popcntdq: cpu.X86.HasAVX512VPOPCNTDQ,
}

// hasAVX512 reports whether the kernels can run. Not on darwin: its kernel has
// lost mask registers on the way into a signal handler (golang.org/issue/49233).
func (a avx512) hasAVX512() bool {
	return a.os != "darwin" && a.saved && a.f && a.dq && a.bw && a.vl
}

// prefersAVX512 reports whether a processor that has AVX-512 gains by it. The
// ones without VPOPCNTDQ, Skylake-X and Cascade Lake, lower the clock of the
// core for 512-bit code and for what runs after it, and divide no more numbers
// in a cycle than with 256 bits.
func (a avx512) prefersAVX512() bool { return a.popcntdq }

func isa() string {
	if useAVX512 {
		return "avx512"
	} else if useAVX2 {
		return "avx2"
	}
	return "generic"
}

// f32 and f64 give a slice's memory its plain type. Assembly never follows
// them past the slice's length, so an empty slice may give any pointer.
func f32[T Float](x []T) *float32 { return (*float32)(unsafe.Pointer(unsafe.SliceData(x))) }
func f64[T Float](x []T) *float64 { return (*float64)(unsafe.Pointer(unsafe.SliceData(x))) }

// each32 and each64 give slices of slices their plain type.
func each32[T Float](x [][]T) *[]float32 { return (*[]float32)(unsafe.Pointer(unsafe.SliceData(x))) }
func each64[T Float](x [][]T) *[]float64 { return (*[]float64)(unsafe.Pointer(unsafe.SliceData(x))) }

// s32 and s64 give the scalars their plain type.
func s32[T Float](s *scalars[T]) *float32 { return (*float32)(unsafe.Pointer(s)) }
func s64[T Float](s *scalars[T]) *float64 { return (*float64)(unsafe.Pointer(s)) }

// is32 reports whether T is a float32. A type switch would miss named types.
func is32[T Float]() bool { return unsafe.Sizeof(T(0)) == 4 }

func rademacher[T Float](z []T, seed, draw, offset uint64) {
	if useAVX512 {
		if is32[T]() {
			rademacherF32AVX512(f32(z), len(z), seed, draw, offset)
		} else {
			rademacherF64AVX512(f64(z), len(z), seed, draw, offset)
		}
	} else if useAVX2 {
		if is32[T]() {
			rademacherF32AVX2(f32(z), len(z), seed, draw, offset)
		} else {
			rademacherF64AVX2(f64(z), len(z), seed, draw, offset)
		}
	} else {
		rademacherGeneric(z, seed, draw, offset)
	}
}

func addProbe[T Float](acc, z, hz []T) {
	if useAVX512 {
		if is32[T]() {
			addProbeF32AVX512(f32(acc), f32(z), f32(hz), len(acc))
		} else {
			addProbeF64AVX512(f64(acc), f64(z), f64(hz), len(acc))
		}
	} else if useAVX2 {
		if is32[T]() {
			addProbeF32AVX2(f32(acc), f32(z), f32(hz), len(acc))
		} else {
			addProbeF64AVX2(f64(acc), f64(z), f64(hz), len(acc))
		}
	} else {
		addProbeGeneric(acc, z, hz)
	}
}

func allFinite[T Float](x []T) bool {
	if useAVX512 {
		if is32[T]() {
			return allFiniteF32AVX512(f32(x), len(x))
		}
		return allFiniteF64AVX512(f64(x), len(x))
	} else if useAVX2 {
		if is32[T]() {
			return allFiniteF32AVX2(f32(x), len(x))
		}
		return allFiniteF64AVX2(f64(x), len(x))
	}
	return allFiniteGeneric(x)
}

// addAbs has no kernel of AVX-512, which would be no faster (docs/performance.md).
func addAbs[T Float](p *partialSums[T], x []T) {
	if useAVX2 {
		if is32[T]() {
			addAbsF32AVX2(f32(p[:]), f32(x), len(x))
		} else {
			addAbsF64AVX2(f64(p[:]), f64(x), len(x))
		}
	} else {
		addAbsGeneric(p, x)
	}
}

func blockMeans[T Float](d, x []T, block int, div T) {
	if useAVX512 {
		if is32[T]() {
			blockMeansF32AVX512(f32(d), f32(x), len(d), block, float32(div))
		} else {
			blockMeansF64AVX512(f64(d), f64(x), len(d), block, float64(div))
		}
	} else if useAVX2 {
		if is32[T]() {
			blockMeansF32AVX2(f32(d), f32(x), len(d), block, float32(div))
		} else {
			blockMeansF64AVX2(f64(d), f64(x), len(d), block, float64(div))
		}
	} else {
		blockMeansGeneric(d, x, block, div)
	}
}

func stridedMeans[T Float](d, x []T, p panel, div T, more bool) {
	if useAVX512 {
		if is32[T]() {
			stridedMeansF32AVX512(f32(d), f32(x), p.outer, p.block, p.stride, p.width, float32(div), more)
		} else {
			stridedMeansF64AVX512(f64(d), f64(x), p.outer, p.block, p.stride, p.width, float64(div), more)
		}
	} else if useAVX2 {
		if is32[T]() {
			stridedMeansF32AVX2(f32(d), f32(x), p.outer, p.block, p.stride, p.width, float32(div), more)
		} else {
			stridedMeansF64AVX2(f64(d), f64(x), p.outer, p.block, p.stride, p.width, float64(div), more)
		}
	} else {
		stridedMeansGeneric(d, x, p, div, more)
	}
}

func curvature[T Float](v, den, d []T, s *scalars[T], k power, a float64) {
	if useAVX512 {
		if k == powerAny {
			p := newExponent(a)
			if is32[T]() {
				curvaturePowF32AVX512(f32(v), f32(den), f32(d), len(v), s32(s), &p.a)
			} else {
				curvaturePowF64AVX512(f64(v), f64(den), f64(d), len(v), s64(s), &p.a)
			}
		} else if is32[T]() {
			curvatureF32AVX512(f32(v), f32(den), f32(d), len(v), s32(s), int(k))
		} else {
			curvatureF64AVX512(f64(v), f64(den), f64(d), len(v), s64(s), int(k))
		}
	} else if useAVX2 {
		if k == powerAny {
			p := newExponent(a)
			if is32[T]() {
				curvaturePowF32AVX2(f32(v), f32(den), f32(d), len(v), s32(s), &p.a)
			} else {
				curvaturePowF64AVX2(f64(v), f64(den), f64(d), len(v), s64(s), &p.a)
			}
		} else if is32[T]() {
			curvatureF32AVX2(f32(v), f32(den), f32(d), len(v), s32(s), int(k))
		} else {
			curvatureF64AVX2(f64(v), f64(den), f64(d), len(v), s64(s), int(k))
		}
	} else {
		curvatureGeneric(v, den, d, s, k, a)
	}
}

func descend[T Float](theta, m, g, den, ahead []T, p panel, s *scalars[T]) {
	if useAVX512 {
		switch {
		case p.contiguous() && p.block > 1 && is32[T]():
			descendBlocksF32AVX512(f32(theta), f32(m), f32(g), f32(den), p.outer, p.block, s32(s))
		case p.contiguous() && p.block > 1:
			descendBlocksF64AVX512(f64(theta), f64(m), f64(g), f64(den), p.outer, p.block, s64(s))
		default:
			p = p.asRow()
			if is32[T]() {
				descendRowsF32AVX512(f32(theta), f32(m), f32(g), f32(den), f32(ahead), p.outer, p.block, p.stride, p.width, s32(s))
			} else {
				descendRowsF64AVX512(f64(theta), f64(m), f64(g), f64(den), f64(ahead), p.outer, p.block, p.stride, p.width, s64(s))
			}
		}
	} else if useAVX2 {
		switch {
		case p.contiguous() && p.block > 1 && is32[T]():
			descendBlocksF32AVX2(f32(theta), f32(m), f32(g), f32(den), p.outer, p.block, s32(s))
		case p.contiguous() && p.block > 1:
			descendBlocksF64AVX2(f64(theta), f64(m), f64(g), f64(den), p.outer, p.block, s64(s))
		default:
			p = p.asRow()
			if is32[T]() {
				descendRowsF32AVX2(f32(theta), f32(m), f32(g), f32(den), f32(ahead), p.outer, p.block, p.stride, p.width, s32(s))
			} else {
				descendRowsF64AVX2(f64(theta), f64(m), f64(g), f64(den), f64(ahead), p.outer, p.block, p.stride, p.width, s64(s))
			}
		}
	} else {
		descendGeneric(theta, m, g, den, p, s)
	}
}

func update[T Float](theta, m, v, g, hz, den []T, p panel, s *scalars[T], k power) {
	if useAVX512 {
		switch {
		case p.block == 1 && p.contiguous() && is32[T]():
			updateF32AVX512(f32(theta), f32(m), f32(v), f32(g), f32(hz), p.outer, s32(s), int(k))
		case p.block == 1 && p.contiguous():
			updateF64AVX512(f64(theta), f64(m), f64(v), f64(g), f64(hz), p.outer, s64(s), int(k))
		case p.contiguous() && is32[T]():
			updateBlocksF32AVX512(f32(theta), f32(m), f32(v), f32(g), f32(hz), p.outer, p.block, s32(s), int(k))
		case p.contiguous():
			updateBlocksF64AVX512(f64(theta), f64(m), f64(v), f64(g), f64(hz), p.outer, p.block, s64(s), int(k))
		case is32[T]():
			updateRowsF32AVX512(f32(theta), f32(m), f32(v), f32(g), f32(hz), f32(den), p.outer, p.block, p.stride, p.width, s32(s), int(k))
		default:
			updateRowsF64AVX512(f64(theta), f64(m), f64(v), f64(g), f64(hz), f64(den), p.outer, p.block, p.stride, p.width, s64(s), int(k))
		}
	} else if useAVX2 {
		switch {
		case p.block == 1 && p.contiguous() && is32[T]():
			updateF32AVX2(f32(theta), f32(m), f32(v), f32(g), f32(hz), p.outer, s32(s), int(k))
		case p.block == 1 && p.contiguous():
			updateF64AVX2(f64(theta), f64(m), f64(v), f64(g), f64(hz), p.outer, s64(s), int(k))
		case p.contiguous() && is32[T]():
			updateBlocksF32AVX2(f32(theta), f32(m), f32(v), f32(g), f32(hz), p.outer, p.block, s32(s), int(k))
		case p.contiguous():
			updateBlocksF64AVX2(f64(theta), f64(m), f64(v), f64(g), f64(hz), p.outer, p.block, s64(s), int(k))
		case is32[T]():
			updateRowsF32AVX2(f32(theta), f32(m), f32(v), f32(g), f32(hz), f32(den), p.outer, p.block, p.stride, p.width, s32(s), int(k))
		default:
			updateRowsF64AVX2(f64(theta), f64(m), f64(v), f64(g), f64(hz), f64(den), p.outer, p.block, p.stride, p.width, s64(s), int(k))
		}
	} else {
		updateGeneric(theta, m, v, g, hz, p, s, k, 0)
	}
}

func updateEach[T Float](theta [][]T, m, v []T, g, hz [][]T, s *scalars[T], k power) {
	if useAVX512 {
		if is32[T]() {
			updateEachF32AVX512(each32(theta), f32(m), f32(v), each32(g), each32(hz), len(theta), s32(s), int(k))
		} else {
			updateEachF64AVX512(each64(theta), f64(m), f64(v), each64(g), each64(hz), len(theta), s64(s), int(k))
		}
	} else if useAVX2 {
		if is32[T]() {
			updateEachF32AVX2(each32(theta), f32(m), f32(v), each32(g), each32(hz), len(theta), s32(s), int(k))
		} else {
			updateEachF64AVX2(each64(theta), f64(m), f64(v), each64(g), each64(hz), len(theta), s64(s), int(k))
		}
	} else {
		updateEachOf(theta, m, v, g, hz, s, k)
	}
}

func allFiniteEach[T Float](x [][]T) bool {
	if useAVX512 {
		if is32[T]() {
			return allFiniteEachF32AVX512(each32(x), len(x))
		}
		return allFiniteEachF64AVX512(each64(x), len(x))
	} else if useAVX2 {
		if is32[T]() {
			return allFiniteEachF32AVX2(each32(x), len(x))
		}
		return allFiniteEachF64AVX2(each64(x), len(x))
	}
	return allFiniteEachOf(x)
}
