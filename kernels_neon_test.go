package adahessian

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The claims of the assembly for arm64, which any machine can read.

var (
	// A word's instruction is in its comment; a test of the generator's holds the
	// two together.
	wordLine = regexp.MustCompile(`^WORD \$0x[0-9a-f]{8} // (\w+) (.+)$`)

	// What the contract excludes: fused or approximate arithmetic.
	forbiddenNEON = regexp.MustCompile(`^(V?FN?M(LA|LS|ADD|SUB)[SDHL]?2?|FR(ECP|SQRT)[EXS]\w*|URECPE|URSQRTE|FCMLA|BF\w+)$`)

	// What is not in every arm64: SVE, half precision, SHA-3, dot products.
	beyondNEON = regexp.MustCompile(`^(VEOR3|VBCAX|VRAX1|VXAR|[SU]DOT|[SU]MMLA|EOR3|BCAX|SQRDML[AS]H)$|\b[zp]\d+\.|\bZ\d+\.`)

	// Floating point in vectors of four float32, and of two float64.
	singles = regexp.MustCompile(`^f\w+ .*\.4s`)
	doubles = regexp.MustCompile(`^f\w+ .*\.2d`)

	// Registers of the system's and of Go's.
	reserved = regexp.MustCompile(`\bR(18|2[6-9]|30)\b|\bg\b`)

	statusRegister = regexp.MustCompile(`^(MSR|MRS)\b`)
	frameSize      = regexp.MustCompile(`(?m)^TEXT ·(\w+)\(SB\), NOSPLIT, \$(\d+)-\d+$`)
)

// neonFaults returns what is wrong with the function.
func (f asmFunc) neonFaults() (faults []string) {
	m := kernelName.FindStringSubmatch(f.name)
	if m == nil || m[3] != "NEON" {
		return []string{"the name has no type and instruction set"}
	}
	returns := 0
	for _, line := range f.body {
		name, _, _ := strings.Cut(line, " ")
		what := line
		if w := wordLine.FindStringSubmatch(line); w != nil {
			name, what = strings.ToUpper(w[1]), w[1]+" "+w[2]
		} else if name == "WORD" {
			faults = append(faults, "a word of another form: "+line)
		}
		name, _, _ = strings.Cut(name, ".")
		switch {
		case forbiddenNEON.MatchString(name):
			faults = append(faults, "fused or approximate: "+line)
		case beyondNEON.MatchString(name) || beyondNEON.MatchString(what):
			faults = append(faults, "not in every arm64: "+line)
		case statusRegister.MatchString(name):
			faults = append(faults, "touches a control register: "+line)
		case reserved.MatchString(line):
			faults = append(faults, "uses a reserved register: "+line)
		case m[2] == "64" && singles.MatchString(what), m[2] == "32" && doubles.MatchString(what) && m[1] != "curvaturePow":
			faults = append(faults, "of the other type: "+line)
		case name == "RET":
			returns++
		}
	}
	if returns == 0 {
		faults = append(faults, "no RET")
	}
	return faults
}

func TestNEONKeepsItsNames(t *testing.T) {
	funcs := parseAssembly(t, "kernels_arm64.s")
	if len(funcs) < 26 {
		t.Fatalf("found %d functions only", len(funcs))
	}
	for _, f := range funcs {
		for _, fault := range f.neonFaults() {
			t.Errorf("%s: %s", f.name, fault)
		}
	}
	frames := frameSize.FindAllStringSubmatch(readSource(t, "kernels_arm64.s"), -1)
	if len(frames) != len(funcs) {
		t.Errorf("%d of %d functions are NOSPLIT", len(frames), len(funcs))
	}
	for _, m := range frames {
		// The linker allows 792 bytes, those of the callers included.
		if size, err := strconv.Atoi(m[2]); err != nil || size >= 512 {
			t.Errorf("%s has a frame of %s bytes (%v)", m[1], m[2], err)
		}
	}
}

func TestNEONStubs(t *testing.T) { testStubs(t, "kernels_arm64") }

// TestNEONCheckSees gives the check what it must find.
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
		f := asmFunc{name: c.name, body: append([]string{c.line}, good...)}
		if got := f.neonFaults(); (len(got) == 0) != c.ok {
			t.Errorf("%s with %q: faults %q", c.name, c.line, got)
		}
	}
	if got := (asmFunc{name: "xF32NEON", body: good[:2]}).neonFaults(); len(got) == 0 {
		t.Error("a function without RET is not noticed")
	}
}
