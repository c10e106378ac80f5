package amd64

import (
	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// tables are the read-only data, by name.
var tables = map[string]Mem{}

// data returns the table with the given name. When it is first asked for, it is made
// from the words that fill adds.
func data(name string, fill func(add func(word Constant))) Mem {
	if m, ok := tables[name]; ok {
		return m
	}
	m := GLOBL(name, attr.RODATA|attr.NOPTR)
	at := 0
	fill(func(word Constant) {
		DATA(at, word)
		at += word.Bytes()
	})
	tables[name] = m
	return m
}

// integer returns x as a word of the given number of bytes.
func integer(size, x int) Constant {
	if size == 4 {
		return U32(x)
	}
	return U64(x)
}
