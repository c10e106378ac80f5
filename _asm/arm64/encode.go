package arm64

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// An encoding is an instruction that Go's assembler lacks: its word with register
// numbers of 0, and the arrangements of its operands, where T stands for 4s or 2d, the
// element's type.
type encoding struct {
	word     uint32
	operands string
}

var encodings = map[string]encoding{
	"fadd":   {0x4e20d400, "T T T"},
	"fsub":   {0x4ea0d400, "T T T"},
	"fmul":   {0x6e20dc00, "T T T"},
	"fdiv":   {0x6e20fc00, "T T T"},
	"fmin":   {0x4ea0f400, "T T T"},
	"fmax":   {0x4e20f400, "T T T"},
	"faddp":  {0x6e20d400, "T T T"},
	"fabs":   {0x4ea0f800, "T T"},
	"fneg":   {0x6ea0f800, "T T"},
	"fsqrt":  {0x6ea1f800, "T T"},
	"facgt":  {0x6ea0ec00, "T T T"},
	"fcmgt":  {0x6ea0e400, "T T T"},
	"fcmeq":  {0x4e20e400, "T T T"},
	"cmhi":   {0x6ea03400, "T T T"},
	"mul":    {0x4ea09c00, "4s 4s 4s"},
	"bic":    {0x4e601c00, "16b 16b 16b"},
	"umull":  {0x2ea0c000, "2d 2s 2s"},
	"umull2": {0x6ea0c000, "2d 4s 4s"},
	"fcvtl":  {0x0e617800, "2d 2s"},
	"fcvtl2": {0x4e617800, "2d 4s"},
	"fcvtn":  {0x0e616800, "2s 2d"},
	"fcvtn2": {0x4e616800, "4s 2d"},
}

// halfEncodings are encodings of the same names with halves among their operands.
var halfEncodings = map[string]encoding{
	"fcvtl":  {0x0e217800, "4s 4h"},
	"fcvtl2": {0x4e217800, "4s 8h"},
	"fcvtn":  {0x0e216800, "4h 4s"},
	"fcvtn2": {0x4e216800, "8h 4s"},
	"shll":   {0x2e613800, "4s 4h"}, // by 16
	"shll2":  {0x6e613800, "4s 8h"}, // by 16
	"addhn":  {0x0e604000, "4h 4s 4s"},
	"addhn2": {0x4e604000, "8h 4s 4s"},
	"cmhi":   {0x6e603400, "8h 8h 8h"},
}

const doubles = 1 << 22 // is set for 2d, but not for 4s

var (
	register = regexp.MustCompile(`v(\d+)\.(\w+)`)
	halves   = regexp.MustCompile(`\.[48]h\b`)
	wordLine = regexp.MustCompile(`(?m)^\tWORD \$0x([0-9a-f]{8}) // (.+)$`)
)

// unencoded is the instruction that encode fills in.
const unencoded = "WORD $0x00000000"

// encode fills in the words of a text. It knows the operands only by their order. Tests
// decode the words again, and compare them with those of an assembler.
func encode(text string) (string, error) {
	var faults []error
	text = wordLine.ReplaceAllStringFunc(text, func(line string) string {
		insn := wordLine.FindStringSubmatch(line)[2]
		word, err := encodeOne(insn)
		if err != nil {
			faults = append(faults, err)
		}
		return fmt.Sprintf("\tWORD $%#08x // %s", word, insn)
	})
	return text, errors.Join(faults...)
}

// encodeOne returns the word of an instruction in GNU syntax.
func encodeOne(insn string) (uint32, error) {
	name, operands, _ := strings.Cut(insn, " ")
	of := encodings
	if halves.MatchString(operands) {
		of = halfEncodings
	}
	e, ok := of[name]
	if !ok {
		return 0, fmt.Errorf("%q: no encoding", insn)
	}
	word := e.word
	var arrangements []string
	for i, m := range register.FindAllStringSubmatch(operands, -1) {
		number, err := strconv.ParseUint(m[1], 10, 5)
		if err != nil || i > 2 {
			return 0, fmt.Errorf("%q: operand %d", insn, i)
		}
		word |= uint32(number) << [...]int{0, 5, 16}[i] // destination, first and second source
		arrangements = append(arrangements, m[2])
	}
	switch have := strings.Join(arrangements, " "); {
	case have == strings.ReplaceAll(e.operands, "T", "4s"):
	case have == strings.ReplaceAll(e.operands, "T", "2d"):
		word |= doubles
	default:
		return 0, fmt.Errorf("%q: operands %s, want %s", insn, have, e.operands)
	}
	return word, nil
}
