//go:build gc && !purego && !asan && !msan

package adahessian

import (
	"runtime"

	"github.com/klauspost/cpuid/v2"
	"golang.org/x/sys/cpu"
)

// has… says what the machine has, use… what the kernels use.
var (
	hasAVX2   = cpu.X86.HasAVX2
	hasAVX512 = machine.hasAVX512()
	useAVX2   = hasAVX2 && !disabled("avx2")
	useAVX512 = hasAVX512 && machine.prefersAVX512() && !disabled("avx512")

	// useF16C says whether the AVX2 kernels convert float16. Every processor with AVX2
	// has F16C, but a virtual machine may hide either. The package cpu does not report
	// it. AVX-512 includes it.
	useF16C = cpuid.CPU.Supports(cpuid.F16C)
)

// avx512 is what the decision to use AVX-512 depends on.
type avx512 struct {
	os                      string // GOOS
	saved                   bool   // by the operating system: the wide registers and the masks
	f, dq, bw, vl, popcntdq bool
}

// In the package cpu, HasAVX512 means F on an operating system that saves the
// registers. Each of the others is a CPUID bit alone.
var machine = avx512{
	os:    runtime.GOOS,
	saved: cpu.X86.HasAVX512,
	f:     cpu.X86.HasAVX512F, dq: cpu.X86.HasAVX512DQ, bw: cpu.X86.HasAVX512BW, vl: cpu.X86.HasAVX512VL,
	popcntdq: cpu.X86.HasAVX512VPOPCNTDQ,
}

// hasAVX512 reports whether the kernels can run. They cannot on darwin, where the
// operating system lost the mask registers on entry to a signal handler
// (golang.org/issue/49233).
func (a avx512) hasAVX512() bool {
	return a.os != "darwin" && a.saved && a.f && a.dq && a.bw && a.vl
}

// prefersAVX512 reports whether a processor with AVX-512 is faster with it. Those
// without VPOPCNTDQ (Skylake-X and Cascade Lake) are not: they lower the core's clock
// for 512-bit code and for what runs after it, and divide no more numbers per cycle
// than with 256 bits.
func (a avx512) prefersAVX512() bool { return a.popcntdq }
