package arm64

import (
	"encoding/binary"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/arch/arm64/arm64asm"
)

// The tests do not rely on the encoder: each word is decoded again and compared with
// its comment, by a program that has nothing in common with the encoder.

// assemblyFiles have such words.
var assemblyFiles = []string{"../../kernels_arm64.s", "../../internal/roofline/stream_arm64.s"}

// anyWord finds raw machine code in every form that Go's assembler takes.
var anyWord = regexp.MustCompile(`\b(WORD|DWORD|LONG|BYTE)\b`)

// wordFault returns what is wrong with a line of assembly, or nothing.
func wordFault(line string) string {
	code, _, _ := strings.Cut(line, "//")
	if !anyWord.MatchString(code) {
		return ""
	}
	m := wordLine.FindStringSubmatch(line)
	if m == nil || m[0] != line {
		return "a raw word that is not in the form of those that are checked"
	}
	word, err := strconv.ParseUint(m[1], 16, 32)
	if err != nil {
		return err.Error()
	}
	insn, err := arm64asm.Decode(binary.LittleEndian.AppendUint32(nil, uint32(word)))
	if err != nil {
		return err.Error()
	}
	if is := arm64asm.GNUSyntax(insn); is != m[2] {
		return "it is " + is
	}
	return ""
}

func TestWords(t *testing.T) {
	kinds := map[string]int{}
	for _, file := range assemblyFiles {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(source), "\n") {
			if fault := wordFault(line); fault != "" {
				t.Errorf("%s:%d: %s: %s", file, i+1, strings.TrimSpace(line), fault)
			}
			if m := wordLine.FindStringSubmatch(line); m != nil {
				name, _, _ := strings.Cut(m[2], " ")
				kinds[name]++
			}
		}
	}
	t.Logf("words by instruction: %v", kinds)
	for _, name := range []string{"fadd", "fsub", "fmul", "fdiv", "fsqrt", "facgt", "umull"} {
		if kinds[name] == 0 {
			t.Errorf("no %s among the words", name)
		}
	}
}

// TestWordFaults proves that the check finds what it must.
func TestWordFaults(t *testing.T) {
	for _, c := range []struct {
		line string
		ok   bool
	}{
		{"\tWORD $0x4e22d420 // fadd v0.4s, v1.4s, v2.4s", true},
		{"\tFADDD F1, F2, F3 // no word at all", true},
		{"\tWORD $0x4ea2d420 // fadd v0.4s, v1.4s, v2.4s", false}, // fsub
		{"\tWORD $0x4e62d420 // fadd v0.4s, v1.4s, v2.4s", false}, // of .2d
		{"\tWORD $0x4e22d420 // fadd v0.4s, v1.4s, v3.4s", false},
		{"\tWORD $0x4e22d421 // fadd v0.4s, v1.4s, v2.4s", false},
		{"\tWORD $0x00000000 // fadd v0.4s, v1.4s, v2.4s", false}, // left out by the encoder
		{"\tWORD $0x4e22d420", false},
		{"\tWORD  $0x4e22d420 // fadd v0.4s, v1.4s, v2.4s", false},
		{"\tWORD $0x4e22d420  // fadd v0.4s, v1.4s, v2.4s", false},
		{"\tWORD $0x4E22D420 // fadd v0.4s, v1.4s, v2.4s", false},
		{"\tWORD $1310905376 // fadd v0.4s, v1.4s, v2.4s", false},
		{"    WORD $0x4e22d420 // fadd v0.4s, v1.4s, v2.4s", false},
		{"\tNOP; WORD $0x4e22d420 // fadd v0.4s, v1.4s, v2.4s", false},
		{"#define ADD WORD $0x4e22d420", false},
		{"\tLONG $0x4e22d420", false},
		{"\tBYTE $0x20", false},
	} {
		if fault := wordFault(c.line); (fault == "") != c.ok {
			t.Errorf("%q: fault %q", c.line, fault)
		}
	}
}
