package asmcheck

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	// A word's instruction is in its comment. A test of the generator makes sure that
	// the two agree.
	wordLine = regexp.MustCompile(`^WORD \$0x[0-9a-f]{8} // (\w+) (.+)$`)

	// What the contract forbids: fused or approximate arithmetic.
	forbiddenNEON = regexp.MustCompile(`^(V?FN?M(LA|LS|ADD|SUB)[SDHL]?2?|FR(ECP|SQRT)[EXS]\w*|URECPE|URSQRTE|FCMLA|BF\w+)$`)

	// What not every arm64 has: SVE, half precision, SHA-3, dot products.
	beyondNEON = regexp.MustCompile(`^(VEOR3|VBCAX|VRAX1|VXAR|[SU]DOT|[SU]MMLA|EOR3|BCAX|SQRDML[AS]H)$|\b[zp]\d+\.|\bZ\d+\.`)

	// Floating-point arithmetic on vectors of four float32, and of two float64.
	singles = regexp.MustCompile(`^f\w+ .*\.4s`)
	doubles = regexp.MustCompile(`^f\w+ .*\.2d`)

	// Registers that belong to the system or to Go.
	reserved = regexp.MustCompile(`\bR(18|2[6-9]|30)\b|\bg\b`)

	statusRegister = regexp.MustCompile(`^(MSR|MRS)\b`)
)

// ARM64 returns what is wrong with a function for arm64.
func (f Func) ARM64() (faults []string) {
	m := kernelName.FindStringSubmatch(f.Name)
	if m == nil || m[3] != "NEON" {
		return []string{"the name has no type and instruction set"}
	}
	returns := 0
	for _, line := range f.Body {
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
		case m[2] == "F64" && singles.MatchString(what), m[2] != "F64" && doubles.MatchString(what) && m[1] != "curvaturePow":
			faults = append(faults, "of the other type: "+line)
		case name == "RET":
			returns++
		}
	}
	if returns == 0 {
		faults = append(faults, "no RET")
	}
	// The linker allows 792 bytes, including the frames of the callers.
	if f.Frame < 0 || f.Frame >= 512 {
		faults = append(faults, fmt.Sprintf("not NOSPLIT with a frame of less than 512 bytes: %d", f.Frame))
	}
	return faults
}
