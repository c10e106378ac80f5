package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// The mutations of the assembly for arm64. Most of its arithmetic is written as words.
// A mutation of a word changes the bits in which two instructions differ.

var (
	wordInsn = regexp.MustCompile(`^\$0x([0-9a-f]{8}) // (\w+) `)
	partMove = regexp.MustCompile(`^(FMOV[DS])\.P$`)
)

// flips is a kind of mutation that changes bits in the words of some instructions. bits
// says for each mnemonic with what its word is XORed.
func flips(name string, bits map[string]uint64) kind {
	return kind{name, func(insn string, ops []string) string {
		if insn != "WORD" {
			return ""
		}
		text := strings.Join(ops, ", ")
		m := wordInsn.FindStringSubmatch(text)
		if m == nil || bits[m[2]] == 0 {
			return ""
		}
		word, err := strconv.ParseUint(m[1], 16, 32)
		if err != nil {
			return ""
		}
		return fmt.Sprintf("WORD $0x%08x // not %s", word^bits[m[2]], m[2])
	}}
}

// swap is a kind of mutation that exchanges mnemonics.
func swap(name string, pairs ...string) kind {
	return kind{name, func(insn string, ops []string) string {
		for i := 0; i < len(pairs); i += 2 {
			if insn == pairs[i] && len(ops) == 3 && (ops[0] != ops[1] || ops[1] != ops[2]) {
				return join(pairs[i+1], ops)
			}
		}
		return ""
	}}
}

var arm64Kinds = []kind{
	flips("sum", map[string]uint64{"fadd": 0x00800000, "fsub": 0x00800000}),                      // each the other
	flips("product", map[string]uint64{"fmul": 0x20000800, "fdiv": 0x2000, "umull": 0x20000000}), // fadd, fmul, smull
	flips("bound", map[string]uint64{"fmin": 0x00800000, "fmax": 0x00800000}),                    // each the other
	flips("comparison", map[string]uint64{"facgt": 0x00800000, "cmhi": 0x0800}),                  // or equal
	flips("pairs", map[string]uint64{"faddp": 0x20000000}),                                       // fadd
	flips("root left out", map[string]uint64{"fsqrt": 0x20010000}),                               // fabs
	flips("sign", map[string]uint64{"fabs": 0x20000000, "fneg": 0x20000000}),                     // each the other
	flips("half", map[string]uint64{"fcvtl": 0x40000000, "fcvtl2": 0x40000000, "fcvtn": 0x40000000, "fcvtn2": 0x40000000, "shll": 0x40000000,
		"shll2": 0x40000000, "addhn": 0x40000000, "addhn2": 0x40000000, "umull2": 0x40000000}), // the other
	flips("rounding", map[string]uint64{"addhn": 0x20000000, "addhn2": 0x20000000}), // raddhn
	flips("no NaN", map[string]uint64{"fcmeq": 0x20800000}),                         // fcmgt
	swap("logic", "VAND", "VORR", "VORR", "VAND", "VEOR", "VAND", "VBSL", "VBIT", "VBIF", "VBIT", "VCMTST", "VCMEQ"),
	swap("integer sum", "VADD", "VSUB", "VSUB", "VADD"),
	swap("shuffle", "VUZP1", "VUZP2", "VUZP2", "VUZP1", "VZIP1", "VZIP2", "VZIP2", "VZIP1"),
	{"shift", func(insn string, ops []string) string {
		if insn != "VUSHR" && insn != "VSHL" {
			return ""
		}
		return join(insn, append([]string{ops[0] + " - 1"}, ops[1:]...))
	}},
	{"table look-up left out", func(insn string, ops []string) string {
		if insn != "VTBL" {
			return ""
		}
		return join("VMOV", []string{strings.Trim(ops[1], "[]"), ops[2]})
	}},
	{"part of a vector too large", func(insn string, ops []string) string {
		m := partMove.FindStringSubmatch(insn)
		if m == nil {
			return ""
		}
		return join(map[string]string{"FMOVS": "FMOVD", "FMOVD": "FMOVQ"}[m[1]]+".P", ops)
	}},
}
