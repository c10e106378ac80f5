package adahessian

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	// What AVX2 does not have: registers, and instructions that need no such
	// register to be of AVX-512.
	beyondAVX2 = regexp.MustCompile(`\bZ\d+\b|\bK[0-7]\b|\b[XY](1[6-9]|2\d|3[01])\b` +
		`|^(VMOVDQ[AU](8|16|32|64)|VP(AND|ANDN|OR|XOR)[DQ]|VPTERNLOG[DQ]|VPMULLQ|VPSRAQ|VPSRAVQ|VPRO[LR]V?[DQ]|VALIGN[DQ]` +
		`|VP(MAX|MIN)[SU]Q|VPABSQ|VPERM[IT]2\w+|VPERM[BW]|VPCMPU?[BWDQ]|VPTESTN?M[BWDQ]|VPBLENDM\w+|VBLENDMP[SD]|VPMOV[BWDQ]2M|VPMOVM2\w+` +
		`|VRNDSCALE\w+|VRANGE\w+|VREDUCE\w+|VSCALEF\w+|VFIXUPIMM\w+|VFPCLASS\w+|VGET(EXP|MANT)\w+|V(COMPRESS|EXPAND)P[SD]|VP(COMPRESS|EXPAND)\w+` +
		`|VCVTT?P[SD]2U?QQ|VCVTU?QQ2P[SD]|VCVTT?P[SD]2UDQ|VCVTUDQ2P[SD]|V(EXTRACT|INSERT)[FI](32|64)X\d|VBROADCAST[FI](32|64)X\d|VSHUF[FI](32|64)X\d)\b` +
		`|\.(BCST|SAE|Z)\b`)

	// What dispatch asks of a processor. CMOV every amd64 has, and PREFETCH,
	// which avo counts with what came after MMX; AVX-512 includes AVX2.
	allowed = map[string][]string{
		"AVX2":   {"AVX", "AVX2", "CMOV", "MMX+"},
		"AVX512": {"AVX", "AVX2", "CMOV", "MMX+", "AVX512F", "AVX512DQ", "AVX512BW", "AVX512VL"},
	}
	wideRegister = regexp.MustCompile(`\bZ\d+\b`)

	// What the contract excludes everywhere: fused or approximate arithmetic.
	forbidden = regexp.MustCompile(`^(VFN?M(ADD|SUB)\w*|VRCP\w*|VRSQRT\w*|VEXP2\w*|RCP\w*|RSQRT\w*)\b`)

	vectorRegister = regexp.MustCompile(`\b[XYZ]\d+\b`)
	controlWord    = regexp.MustCompile(`^V?(LDMXCSR|STMXCSR)\b`)
)

// faults returns what is wrong with the function.
func (f asmFunc) faults() (faults []string) {
	m := kernelName.FindStringSubmatch(f.name)
	if m == nil {
		return []string{"the name has no type and instruction set"}
	}
	if len(f.body) == 0 {
		return []string{"no instructions"}
	}
	for _, set := range f.requires {
		if !slices.Contains(allowed[m[3]], set) {
			faults = append(faults, "requires "+set)
		}
	}
	if m[3] == "AVX512" && !wideRegister.MatchString(strings.Join(f.body, "\n")) {
		faults = append(faults, "no 512-bit register")
	}
	returns := 0
	for i, line := range f.body {
		switch {
		case m[3] == "AVX2" && beyondAVX2.MatchString(line):
			faults = append(faults, "not AVX2: "+line)
		case forbidden.MatchString(line):
			faults = append(faults, "fused or approximate: "+line)
		case controlWord.MatchString(line):
			faults = append(faults, "touches the control word: "+line)
		case vectorRegister.MatchString(line) && line[0] != 'V':
			faults = append(faults, "mixes SSE with AVX: "+line)
		case line == "RET":
			returns++
			if i == 0 || f.body[i-1] != "VZEROUPPER" {
				faults = append(faults, "RET without VZEROUPPER")
			}
		}
	}
	if returns == 0 {
		faults = append(faults, "no RET")
	}
	return faults
}

func TestAssemblyKeepsItsNames(t *testing.T) {
	funcs := parseAssembly(t, "kernels_amd64.s")
	if len(funcs) < 48 {
		t.Fatalf("found %d functions only", len(funcs))
	}
	for _, f := range funcs {
		if len(f.requires) == 0 {
			t.Errorf("%s has no comment on what it requires", f.name)
		}
		for _, fault := range f.faults() {
			t.Errorf("%s: %s", f.name, fault)
		}
	}
}

func TestAssemblyStubs(t *testing.T) { testStubs(t, "kernels_amd64") }

// TestAssemblyCheckSees gives the check what it must find.
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
		f := asmFunc{name: c.name, body: append([]string{c.line}, good...)}
		if strings.HasSuffix(c.name, "AVX512") {
			f.body = append([]string{c.line}, wide...)
		}
		if got := f.faults(); (len(got) == 0) != c.ok {
			t.Errorf("%s with %q: faults %q", c.name, c.line, got)
		}
	}
	if got := (asmFunc{name: "xF32AVX2", body: good[:3]}).faults(); len(got) == 0 {
		t.Error("a function without RET is not noticed")
	}
	if got := (asmFunc{name: "xF32AVX512", body: good}).faults(); len(got) == 0 {
		t.Error("a function of AVX-512 without its registers is not noticed")
	}
	for _, c := range []struct {
		name, set string
		ok        bool
	}{
		{"xF32AVX2", "AVX2", true}, {"xF32AVX2", "FMA3", false}, {"xF32AVX2", "AVX512F", false}, {"xF32AVX2", "BMI2", false},
		{"xF32AVX512", "AVX512F", true}, {"xF32AVX512", "AVX512VL", true}, {"xF32AVX512", "AVX512VBMI", false}, {"xF32AVX512", "AVX512CD", false},
	} {
		f := asmFunc{name: c.name, requires: []string{"AVX", c.set}, body: wide}
		if c.name == "xF32AVX2" {
			f.body = good
		}
		if got := f.faults(); (len(got) == 0) != c.ok {
			t.Errorf("%s that requires %s: faults %q", c.name, c.set, got)
		}
	}
}
