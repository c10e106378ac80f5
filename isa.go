package adahessian

import (
	"os"
	"strings"
)

// disabled reports whether the environment variable ADAHESSIAN_DISABLE, a list
// such as "avx512,avx2", names the instruction set.
func disabled(isa string) bool {
	for _, name := range strings.Split(os.Getenv("ADAHESSIAN_DISABLE"), ",") {
		if strings.EqualFold(strings.TrimSpace(name), isa) {
			return true
		}
	}
	return false
}

// ISA returns the instruction set that the kernels use on this machine:
// "avx512", "avx2", "neon" or "generic". All of them give the same bits. The
// environment variable ADAHESSIAN_DISABLE, a list such as "avx512,avx2" that
// is read when the program starts, keeps the package from using some, and the
// build tag purego from using any.
func ISA() string { return isa() }
