package asmcheck

import (
	"regexp"
	"slices"
	"strings"
)

var (
	// What AVX2 lacks: registers, and instructions that belong to AVX-512 even without
	// such a register.
	beyondAVX2 = regexp.MustCompile(`\bZ\d+\b|\bK[0-7]\b|\b[XY](1[6-9]|2\d|3[01])\b` +
		`|^(VMOVDQ[AU](8|16|32|64)|VP(AND|ANDN|OR|XOR)[DQ]|VPTERNLOG[DQ]|VPMULLQ|VPSRAQ|VPSRAVQ|VPRO[LR]V?[DQ]|VALIGN[DQ]` +
		`|VP(MAX|MIN)[SU]Q|VPABSQ|VPERM[IT]2\w+|VPERM[BW]|VPCMPU?[BWDQ]|VPTESTN?M[BWDQ]|VPBLENDM\w+|VBLENDMP[SD]|VPMOV[BWDQ]2M|VPMOVM2\w+` +
		`|VRNDSCALE\w+|VRANGE\w+|VREDUCE\w+|VSCALEF\w+|VFIXUPIMM\w+|VFPCLASS\w+|VGET(EXP|MANT)\w+|V(COMPRESS|EXPAND)P[SD]|VP(COMPRESS|EXPAND)\w+` +
		`|VCVTT?P[SD]2U?QQ|VCVTU?QQ2P[SD]|VCVTT?P[SD]2UDQ|VCVTUDQ2P[SD]|V(EXTRACT|INSERT)[FI](32|64)X\d|VBROADCAST[FI](32|64)X\d|VSHUF[FI](32|64)X\d)\b` +
		`|\.(BCST|SAE|Z)\b`)

	// What dispatch asks of a processor, and F16C for the float16 kernels. Every amd64 has CMOV, and PREFETCH,
	// which avo counts among the extensions of MMX. AVX-512 includes AVX2.
	allowed = map[string][]string{
		"AVX2":   {"AVX", "AVX2", "CMOV", "MMX+"},
		"AVX512": {"AVX", "AVX2", "CMOV", "MMX+", "AVX512F", "AVX512DQ", "AVX512BW", "AVX512VL"},
	}
	wideRegister = regexp.MustCompile(`\bZ\d+\b`)

	// What the contract forbids everywhere: fused or approximate arithmetic.
	forbidden = regexp.MustCompile(`^(VFN?M(ADD|SUB)\w*|VRCP\w*|VRSQRT\w*|VEXP2\w*|RCP\w*|RSQRT\w*)\b`)

	vectorRegister = regexp.MustCompile(`\b[XYZ]\d+\b`)
	controlWord    = regexp.MustCompile(`^V?(LDMXCSR|STMXCSR)\b`)
)

// AMD64 returns what is wrong with a function for amd64.
func (f Func) AMD64() (faults []string) {
	m := kernelName.FindStringSubmatch(f.Name)
	if m == nil {
		return []string{"the name has no type and instruction set"}
	}
	if len(f.Body) == 0 {
		return []string{"no instructions"}
	}
	for _, set := range f.Requires {
		if !slices.Contains(allowed[m[3]], set) && !(set == "F16C" && m[2] == "F16") {
			faults = append(faults, "requires "+set)
		}
	}
	if m[3] == "AVX512" && !wideRegister.MatchString(strings.Join(f.Body, "\n")) {
		faults = append(faults, "no 512-bit register")
	}
	returns := 0
	for i, line := range f.Body {
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
			if i == 0 || f.Body[i-1] != "VZEROUPPER" {
				faults = append(faults, "RET without VZEROUPPER")
			}
		}
	}
	if returns == 0 {
		faults = append(faults, "no RET")
	}
	return faults
}
