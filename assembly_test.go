package adahessian

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What the assembly's names and comments claim, read from its source, of whatever
// architecture it is.

// An asmFunc is a TEXT of an assembly file.
type asmFunc struct {
	name, prototype string
	requires        []string // instruction sets, by avo's tables
	body            []string // instructions, without labels and comments
}

var (
	textLine  = regexp.MustCompile(`^TEXT ·(\w+)\(SB\)`)
	labelLine = regexp.MustCompile(`^\w+:$`)
	stubLine  = regexp.MustCompile(`^func (\w+)\(`)
)

func parseAssembly(t *testing.T, file string) (funcs []asmFunc) {
	t.Helper()
	prototype := ""
	var requires []string
	for line := range strings.Lines(readSource(t, file)) {
		line = strings.TrimSpace(line)
		switch m := textLine.FindStringSubmatch(line); {
		case m != nil:
			funcs = append(funcs, asmFunc{name: m[1], prototype: prototype, requires: requires})
			prototype, requires = "", nil
		case strings.HasPrefix(line, "// func "):
			prototype = strings.TrimPrefix(line, "// ")
		case strings.HasPrefix(line, "// Requires: "):
			requires = strings.Split(strings.TrimPrefix(line, "// Requires: "), ", ")
		case line == "" || line[0] == '#' || strings.HasPrefix(line, "//") || labelLine.MatchString(line):
		case strings.HasPrefix(line, "DATA") || strings.HasPrefix(line, "GLOBL"):
		case len(funcs) > 0:
			f := &funcs[len(funcs)-1]
			f.body = append(f.body, line)
		}
	}
	return funcs
}

func readSource(t *testing.T, file string) string {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

// kernelName has a kernel's purpose, type and instruction set.
var kernelName = regexp.MustCompile(`^([a-z]\w*?)F(32|64)(AVX2|AVX512|NEON)$`)

// testStubs compares the functions of an assembly file with their Go declarations,
// in both directions, and looks for both types of each, and on amd64 for both instruction sets of all but addAbs.
func testStubs(t *testing.T, file string) {
	t.Helper()
	stubs := map[string]string{}
	previous := ""
	for line := range strings.Lines(readSource(t, file+".go")) {
		line = strings.TrimSpace(line)
		if m := stubLine.FindStringSubmatch(line); m != nil {
			stubs[m[1]] = line
			if previous != "//go:noescape" {
				t.Errorf("%s has no //go:noescape", m[1])
			}
		}
		previous = line
	}
	funcs := parseAssembly(t, file+".s")
	var names []string
	for _, f := range funcs {
		names = append(names, f.name)
		if stubs[f.name] != f.prototype || f.prototype == "" {
			t.Errorf("%s: the prototype in assembly is %q, in Go %q", f.name, f.prototype, stubs[f.name])
		}
		delete(stubs, f.name)
	}
	for name := range stubs {
		t.Errorf("%s has no body", name)
	}
	for _, name := range names {
		m := kernelName.FindStringSubmatch(name)
		if m == nil {
			continue // reported above
		}
		others := []string{m[1] + "F" + map[string]string{"32": "64", "64": "32"}[m[2]] + m[3]}
		if set := map[string]string{"AVX2": "AVX512", "AVX512": "AVX2"}[m[3]]; set != "" && m[1] != "addAbs" {
			others = append(others, m[1]+"F"+m[2]+set)
		}
		for _, other := range others {
			if !slices.Contains(names, other) {
				t.Errorf("%s exists, %s does not", name, other)
			}
		}
	}
}
