// Package asmcheck checks in the source of the assembly what its names and comments
// claim. Any machine can check the assembly of any architecture.
package asmcheck

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Func is a TEXT of an assembly file.
type Func struct {
	Name, Prototype string
	Requires        []string // instruction sets, according to avo's tables
	Frame           int      // bytes of a NOSPLIT function's frame; −1 for other functions
	Body            []string // instructions, without labels and comments
}

var (
	textLine  = regexp.MustCompile(`^TEXT ·(\w+)\(SB\)(?:, NOSPLIT, \$(\d+)-\d+$)?`)
	labelLine = regexp.MustCompile(`^\w+:$`)
	stubLine  = regexp.MustCompile(`^func (\w+)\(`)
)

// Parse returns the functions of an assembly file.
func Parse(source string) (funcs []Func) {
	prototype := ""
	var requires []string
	for line := range strings.Lines(source) {
		line = strings.TrimSpace(line)
		switch m := textLine.FindStringSubmatch(line); {
		case m != nil:
			frame := -1
			if n, err := strconv.Atoi(m[2]); err == nil {
				frame = n
			}
			funcs = append(funcs, Func{Name: m[1], Prototype: prototype, Requires: requires, Frame: frame})
			prototype, requires = "", nil
		case strings.HasPrefix(line, "// func "):
			prototype = strings.TrimPrefix(line, "// ")
		case strings.HasPrefix(line, "// Requires: "):
			requires = strings.Split(strings.TrimPrefix(line, "// Requires: "), ", ")
		case line == "" || line[0] == '#' || strings.HasPrefix(line, "//") || labelLine.MatchString(line):
		case strings.HasPrefix(line, "DATA") || strings.HasPrefix(line, "GLOBL"):
		case len(funcs) > 0:
			f := &funcs[len(funcs)-1]
			f.Body = append(f.Body, line)
		}
	}
	return funcs
}

// kernelName matches a kernel's purpose, type and instruction set.
var kernelName = regexp.MustCompile(`^([a-z]\w*?)(F32|F64|BF16|F16)(AVX2|AVX512|NEON)$`)

// Stubs compares the functions of an assembly file with their Go declarations, in both
// directions. It expects each function for both types and, on amd64, for both
// instruction sets. It returns what is wrong.
func Stubs(funcs []Func, declarations string) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	stubs := map[string]string{}
	previous := ""
	for line := range strings.Lines(declarations) {
		line = strings.TrimSpace(line)
		if m := stubLine.FindStringSubmatch(line); m != nil {
			stubs[m[1]] = line
			if previous != "//go:noescape" {
				fault("%s has no //go:noescape", m[1])
			}
		}
		previous = line
	}
	var names []string
	for _, f := range funcs {
		names = append(names, f.Name)
		if stubs[f.Name] != f.Prototype || f.Prototype == "" {
			fault("%s: the prototype in assembly is %q, in Go %q", f.Name, f.Prototype, stubs[f.Name])
		}
		delete(stubs, f.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(stubs)) {
		fault("%s has no body", name)
	}
	for _, name := range names {
		m := kernelName.FindStringSubmatch(name)
		if m == nil {
			fault("%s: the name has no type and instruction set", name)
			continue
		}
		others := []string{m[1] + map[string]string{"F32": "F64", "F64": "F32", "BF16": "F16", "F16": "BF16"}[m[2]] + m[3]}
		if set := map[string]string{"AVX2": "AVX512", "AVX512": "AVX2"}[m[3]]; set != "" {
			others = append(others, m[1]+m[2]+set)
		}
		for _, other := range others {
			if !slices.Contains(names, other) {
				fault("%s exists, %s does not", name, other)
			}
		}
	}
	return faults
}
