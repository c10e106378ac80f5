package adahessian

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// ISA returns the instruction set that the kernels use on this machine:
// "avx512", "avx2", "neon" or "generic". All of them give the same bits.
//
// The environment variable ADAHESSIAN_DISABLE turns instruction sets off. It is a
// list such as "avx512,avx2", or "all", and is read when the program starts. The
// build tag purego turns all of them off, as do -asan and -msan, which cannot see
// what assembly reads and writes. GODEBUG=cpu.avx512f=off turns AVX-512 off in every
// package that asks golang.org/x/sys/cpu.
func ISA() string { return isa() }

// disableVariable is the environment variable that turns instruction sets off.
const disableVariable = "ADAHESSIAN_DISABLE"

func init() { noteUnknown(os.Stderr, disabledNames()) }

// disabledNames returns the names in the environment variable.
func disabledNames() (names []string) {
	for _, name := range strings.Split(os.Getenv(disableVariable), ",") {
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// disabled reports whether the environment variable names the instruction set,
// or all.
func disabled(isa string) bool {
	return slices.ContainsFunc(disabledNames(), func(name string) bool { return name == isa || name == "all" })
}

// noteUnknown writes a line about each name that is no instruction set on any
// machine. Otherwise, after a misspelling, you would measure or debug the very
// kernels that should be off.
func noteUnknown(w io.Writer, names []string) {
	unknown := slices.DeleteFunc(names, func(name string) bool {
		return slices.Contains([]string{"avx512", "avx2", "neon", "all"}, name)
	})
	if len(unknown) > 0 {
		fmt.Fprintf(w, "adahessian: %s names no instruction set: %q; it is a list of avx512, avx2, neon and all\n",
			disableVariable, strings.Join(unknown, ","))
	}
}
