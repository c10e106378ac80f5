package asmcheck

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// read returns a file in the module's root.
func read(t *testing.T, file string) string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("..", "..", file))
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

// parse returns all functions of an assembly file.
func parse(t *testing.T, file string) []Func {
	t.Helper()
	source := read(t, file)
	funcs := Parse(source)
	if n := strings.Count(source, "\nTEXT "); n == 0 || len(funcs) != n {
		t.Fatalf("%s: found %d functions of %d", file, len(funcs), n)
	}
	return funcs
}

func TestAssemblyKeepsItsNames(t *testing.T) {
	for _, f := range parse(t, "kernels_amd64.s") {
		if len(f.Requires) == 0 {
			t.Errorf("%s has no comment on what it requires", f.Name)
		}
		for _, fault := range f.AMD64() {
			t.Errorf("%s: %s", f.Name, fault)
		}
	}
}

func TestNEONKeepsItsNames(t *testing.T) {
	for _, f := range parse(t, "kernels_arm64.s") {
		for _, fault := range f.ARM64() {
			t.Errorf("%s: %s", f.Name, fault)
		}
	}
}

func TestAssemblyStubs(t *testing.T) { testStubs(t, "kernels_amd64") }
func TestNEONStubs(t *testing.T)     { testStubs(t, "kernels_arm64") }

func testStubs(t *testing.T, file string) {
	t.Helper()
	for _, fault := range Stubs(parse(t, file+".s"), read(t, file+".go")) {
		t.Error(fault)
	}
}

// TestStubsSees proves that the comparison finds what it must.
func TestStubsSees(t *testing.T) {
	const declarations = "//go:noescape\nfunc xF32NEON(n int)\n\n//go:noescape\nfunc xF64NEON(n int)\n"
	good := []Func{{Name: "xF32NEON", Prototype: "func xF32NEON(n int)"}, {Name: "xF64NEON", Prototype: "func xF64NEON(n int)"}}
	if faults := Stubs(good, declarations); len(faults) != 0 {
		t.Errorf("faults %q", faults)
	}
	for what, c := range map[string]struct {
		funcs        []Func
		declarations string
	}{
		"a body without a declaration":   {good, declarations[:strings.LastIndex(declarations, "//go")]},
		"a declaration without a body":   {good[:1], declarations},
		"no //go:noescape":               {good, strings.Replace(declarations, "//go:noescape", "", 1)},
		"another prototype":              {good, strings.Replace(declarations, "n int", "n uint", 1)},
		"one type only":                  {good[:1], declarations[:strings.LastIndex(declarations, "//go")]},
		"one instruction set only":       {[]Func{{Name: "xF32AVX2", Prototype: "func xF32AVX2()"}, {Name: "xF64AVX2", Prototype: "func xF64AVX2()"}}, "//go:noescape\nfunc xF32AVX2()\n//go:noescape\nfunc xF64AVX2()\n"},
		"a name without instruction set": {[]Func{{Name: "xF32", Prototype: "func xF32()"}}, "//go:noescape\nfunc xF32()\n"},
	} {
		if len(Stubs(c.funcs, c.declarations)) == 0 {
			t.Errorf("%s is not noticed", what)
		}
	}
}

// TestAssemblyCheckSees proves that the check finds what it must.
func TestAssemblyCheckSees(t *testing.T) {
	good := []string{"VADDPS (AX), Y1, Y1", "MOVQ AX, CX", "VZEROUPPER", "RET"}
	wide := slices.Concat([]string{"VADDPS Z1, Z1, Z1"}, good)
	for _, c := range []struct {
		name string
		line string
		ok   bool
	}{
		{"xF32AVX2", "VMOVUPS (AX)(BX*1), Y15", true},
		{"xF32AVX2", "VPXOR X1, X1, X1", true},
		{"xF32AVX2", "VPANDN Y1, Y2, Y3", true},
		{"xF32AVX2", "VADDPS Z1, Z1, Z1", false},
		{"xF32AVX512", "VADDPS Z1, Z1, Z1", true},
		{"xF32AVX2", "VMOVUPS (AX), Y16", false},
		{"xF32AVX2", "VPADDD X31, X0, X0", false},
		{"xF32AVX2", "KMOVW K1, AX", false},
		{"xF32AVX512", "KMOVW K1, AX", true},
		{"xF64AVX2", "VPXORQ Y1, Y2, Y3", false},
		{"xF64AVX2", "VPTERNLOGD $1, Y1, Y2, Y3", false},
		{"xF64AVX2", "VADDPD.BCST (AX), Y1, Y2", false},
		{"xF64AVX2", "VFMADD231PD Y1, Y2, Y3", false},
		{"xF64AVX512", "VFNMADD213PD Z1, Z2, Z3", false},
		{"xF32AVX2", "VRCPPS Y1, Y2", false},
		{"xF32AVX512", "VRSQRT14PS Z1, Z2", false},
		{"xF32AVX2", "VRSQRTPS Y1, Y2", false},
		{"xF32AVX2", "ADDPS X1, X2", false},
		{"xF32AVX2", "VLDMXCSR (AX)", false},
		{"xF32AVX2", "RET", false},
		{"xF32", "NOP", false},
		{"xAVX2", "NOP", false},
	} {
		f := Func{Name: c.name, Body: append([]string{c.line}, good...)}
		if strings.HasSuffix(c.name, "AVX512") {
			f.Body = append([]string{c.line}, wide...)
		}
		if got := f.AMD64(); (len(got) == 0) != c.ok {
			t.Errorf("%s with %q: faults %q", c.name, c.line, got)
		}
	}
	if got := (Func{Name: "xF32AVX2", Body: good[:3]}).AMD64(); len(got) == 0 {
		t.Error("a function without RET is not noticed")
	}
	if got := (Func{Name: "xF32AVX512", Body: good}).AMD64(); len(got) == 0 {
		t.Error("a function of AVX-512 without its registers is not noticed")
	}
	for _, c := range []struct {
		name, set string
		ok        bool
	}{
		{"xF32AVX2", "AVX2", true}, {"xF32AVX2", "FMA3", false}, {"xF32AVX2", "AVX512F", false}, {"xF32AVX2", "BMI2", false},
		{"xF32AVX2", "F16C", false}, {"xBF16AVX2", "F16C", false}, {"xF16AVX2", "F16C", true}, {"xBF16AVX2", "AVX2", true},
		{"xF32AVX512", "AVX512F", true}, {"xF32AVX512", "AVX512VL", true}, {"xF32AVX512", "AVX512VBMI", false}, {"xF32AVX512", "AVX512CD", false},
	} {
		f := Func{Name: c.name, Requires: []string{"AVX", c.set}, Body: wide}
		if strings.HasSuffix(c.name, "AVX2") {
			f.Body = good
		}
		if got := f.AMD64(); (len(got) == 0) != c.ok {
			t.Errorf("%s that requires %s: faults %q", c.name, c.set, got)
		}
	}
}

// TestNEONCheckSees proves that the check finds what it must.
func TestNEONCheckSees(t *testing.T) {
	good := []string{"VADD V1.S4, V2.S4, V3.S4", "FLDPQ.P 32(R0), (F1, F2)", "RET"}
	for _, c := range []struct {
		name, line string
		ok         bool
	}{
		{"xF32NEON", "WORD $0x4e22d420 // fadd v0.4s, v1.4s, v2.4s", true},
		{"xF64NEON", "WORD $0x4e62d420 // fadd v0.2d, v1.2d, v2.2d", true},
		{"xF64NEON", "WORD $0x4e22d420 // fadd v0.4s, v1.4s, v2.4s", false},
		{"xF32NEON", "WORD $0x4e62d420 // fadd v0.2d, v1.2d, v2.2d", false},
		{"xBF16NEON", "WORD $0x4e22d420 // fadd v0.4s, v1.4s, v2.4s", true},
		{"xF16NEON", "WORD $0x0e217820 // fcvtl v0.4s, v1.4h", true},
		{"xF16NEON", "WORD $0x4e62d420 // fadd v0.2d, v1.2d, v2.2d", false},
		{"curvaturePowF32NEON", "WORD $0x4e62d420 // fadd v0.2d, v1.2d, v2.2d", true},
		{"xF64NEON", "WORD $0x4ea19c00 // mul v0.4s, v0.4s, v1.4s", true},
		{"xF32NEON", "WORD $0x4e22cc20 // fmla v0.4s, v1.4s, v2.4s", false},
		{"xF32NEON", "WORD $0x4ea2cc20 // fmls v0.4s, v1.4s, v2.4s", false},
		{"xF32NEON", "WORD $0x4ea1d820 // frecpe v0.4s, v1.4s", false},
		{"xF32NEON", "WORD $0x6ea1d820 // frsqrte v0.4s, v1.4s", false},
		{"xF32NEON", "VFMLA V1.S4, V2.S4, V3.S4", false},
		{"xF64NEON", "FMADDD F1, F2, F3, F4", false},
		{"xF32NEON", "FNMSUBS F1, F2, F3, F4", false},
		{"xF32NEON", "VEOR3 V1.B16, V2.B16, V3.B16, V4.B16", false},
		{"xF32NEON", "MSR R0, FPCR", false},
		{"xF32NEON", "MOVD R1, R18", false},
		{"xF32NEON", "ADD $8, R28", false},
		{"xF32NEON", "WORD $0x4e22d420", false},
		{"xF32AVX2", "NOP", false},
		{"xF32", "NOP", false},
	} {
		f := Func{Name: c.name, Body: append([]string{c.line}, good...)}
		if got := f.ARM64(); (len(got) == 0) != c.ok {
			t.Errorf("%s with %q: faults %q", c.name, c.line, got)
		}
	}
	if got := (Func{Name: "xF32NEON", Body: good[:2]}).ARM64(); len(got) == 0 {
		t.Error("a function without RET is not noticed")
	}
	for _, frame := range []int{-1, 512} {
		if got := (Func{Name: "xF32NEON", Body: good, Frame: frame}).ARM64(); len(got) == 0 {
			t.Errorf("a frame of %d is not noticed", frame)
		}
	}
}
