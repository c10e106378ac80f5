package main

import (
	"fmt"
	"regexp"
	"strings"
)

// A kernel is the function that is being written: the element's size in bytes,
// the registers in use, and the text so far. Its instructions take the
// destination first, then the sources in the order of the mathematics, whatever
// the order in the assembly is.
type kernel struct {
	floats // of the element's type
	elem   int
	suffix string // of names: type and instruction set

	text_     strings.Builder // kernels_arm64.s
	stubs     strings.Builder // its Go declarations
	tables    *tables
	params    map[string]param
	frame     int
	vecs      registers
	gps       registers
	labels    int
	outOfLine []func() // code to be placed behind the kernel's RET
}

// A param is an argument or the result.
type param struct{ offset, size int }

// vec and gp are registers. A vec is V5 or F5 in Go's syntax, by what is done.
type (
	vec int
	gp  int
)

func (v vec) f() string           { return fmt.Sprintf("F%d", v) }
func (v vec) as(a string) string  { return fmt.Sprintf("V%d.%s", v, a) }
func (v vec) gnu(a string) string { return fmt.Sprintf("v%d.%s", v, a) }
func (r gp) String() string       { return fmt.Sprintf("R%d", int(r)) }

// registers has those that are free, the one to be taken next first.
type registers []int

// newRegisters returns all vector registers, and the general ones but R18, which
// belongs to the system, and R26 to R30, which belong to Go.
func newRegisters() (vecs, gps registers) {
	for i := range 32 {
		vecs = append(vecs, i)
		if i < 26 && i != 18 {
			gps = append(gps, i)
		}
	}
	return vecs, gps
}

func (r *registers) take() int {
	if len(*r) == 0 {
		panic("no register is free")
	}
	first := (*r)[0]
	*r = (*r)[1:]
	return first
}

func (k *kernel) vec() vec { return vec(k.vecs.take()) }
func (k *kernel) gp() gp   { return gp(k.gps.take()) }

// some returns n vector registers.
func (k *kernel) some(n int) (v []vec) {
	for range n {
		v = append(v, k.vec())
	}
	return v
}

// free gives vector registers back before their scope ends.
func (k *kernel) free(v ...vec) {
	returned := make(registers, 0, len(k.vecs)+len(v))
	for _, v := range v {
		returned = append(returned, int(v))
	}
	k.vecs = append(returned, k.vecs...)
}

// scope emits body, and frees the registers that it takes.
func (k *kernel) scope(body func()) {
	vecs, gps := k.vecs, k.gps
	body()
	k.vecs, k.gps = vecs, gps
}

// later has body emitted behind the kernel's RET, with the registers that are
// free now.
func (k *kernel) later(body func()) {
	vecs, gps := k.vecs, k.gps
	k.outOfLine = append(k.outOfLine, func() {
		k.vecs, k.gps = vecs, gps
		body()
	})
}

// ---- functions -----------------------------------------------------------

var (
	floatWord = regexp.MustCompile(`\bfloat\b`)
	paramList = regexp.MustCompile(`((?:\w+, )*\w+) (\*?\w+)`)
)

// text begins a kernel. The name gets the suffix, params and
// result say float for the element's type, and doc is the mathematics and what
// the kernel requires.
func (k *kernel) text(name, params, result string, frame int, doc ...string) {
	name += k.suffix
	params = floatWord.ReplaceAllString(params, fmt.Sprintf("float%d", k.elem*8))
	k.params, k.frame, k.labels, k.outOfLine = map[string]param{}, frame, 0, nil
	k.vecs, k.gps = newRegisters()
	end := 0
	place := func(name, typ string) {
		size, ok := map[string]int{"bool": 1, "float32": 4}[typ]
		if !ok {
			size = 8
		}
		end = (end + size - 1) / size * size
		k.params[name] = param{end, size}
		end += size
	}
	for _, group := range paramList.FindAllStringSubmatch(params, -1) {
		for _, p := range strings.Split(group[1], ", ") {
			place(p, group[2])
		}
	}
	if result != "" {
		end = (end + 7) / 8 * 8
		place("ret", result)
		result = " " + result
	}
	prototype := fmt.Sprintf("func %s(%s)%s", name, params, result)
	fmt.Fprintf(&k.text_, "\n// %s\n", prototype)
	doc[0] = name + " " + doc[0]
	k.stubs.WriteString("\n")
	for _, line := range doc {
		fmt.Fprintf(&k.text_, "// %s\n", line)
		fmt.Fprintf(&k.stubs, "// %s\n", line)
	}
	fmt.Fprintf(&k.text_, "TEXT ·%s(SB), NOSPLIT, $%d-%d\n", name, frame, end)
	fmt.Fprintf(&k.stubs, "//\n//go:noescape\n%s\n", prototype)
}

// ret ends the kernel.
func (k *kernel) ret() {
	k.ins("RET")
	for len(k.outOfLine) > 0 {
		f := k.outOfLine[0]
		k.outOfLine = k.outOfLine[1:]
		f()
	}
}

// ins emits an instruction of Go's assembler.
func (k *kernel) ins(format string, args ...any) {
	k.text_.WriteString("\t" + fmt.Sprintf(format, args...) + "\n")
}

// word emits an instruction that Go's assembler does not have, in GNU syntax, to
// be encoded by encode. The form of the line is fixed: one space before the
// comment, one instruction to a line.
func (k *kernel) word(format string, args ...any) {
	k.text_.WriteString("\t" + unencoded + " // " + fmt.Sprintf(format, args...) + "\n")
}

// label returns a label that is unique within the kernel, and at puts it here.
func (k *kernel) label(word string) string {
	k.labels++
	return fmt.Sprintf("%s%d", word, k.labels)
}

func (k *kernel) at(label string) { k.text_.WriteString(label + ":\n") }

// mem is the memory of an argument.
func (k *kernel) mem(name string) string {
	p, ok := k.params[name]
	if !ok {
		panic("no parameter " + name)
	}
	return fmt.Sprintf("%s+%d(FP)", name, p.offset)
}

// arg loads an argument into a general register.
func (k *kernel) arg(name string) gp {
	r := k.gp()
	move := map[int]string{1: "MOVBU", 8: "MOVD"}[k.params[name].size]
	k.ins("%s %s, %v", move, k.mem(name), r)
	return r
}

// local returns a register with the address of the frame's byte at.
func (k *kernel) local(at int) gp {
	r := k.gp()
	k.ins("MOVD $frame-%d(SP), %v", k.frame-at, r)
	return r
}

// constant returns a general register with the number x.
func (k *kernel) constant(x uint64) gp {
	r := k.gp()
	k.ins("MOVD $%#x, %v", x, r)
	return r
}

// ---- tables --------------------------------------------------------------

// tables are the read-only vectors of all kernels, in the order of their first
// use.
type tables struct {
	names []string
	words map[string][]uint64
}

// table returns a register with the address of a table, which has the given
// words of 64 bits.
func (k *kernel) table(name string, words ...uint64) gp {
	if _, ok := k.tables.words[name]; !ok {
		k.tables.names = append(k.tables.names, name)
	}
	k.tables.words[name] = words
	r := k.gp()
	k.ins("MOVD $%s<>(SB), %v", name, r)
	return r
}

func (t *tables) String() string {
	var s strings.Builder
	for _, name := range t.names {
		s.WriteString("\n")
		for i, w := range t.words[name] {
			fmt.Fprintf(&s, "DATA %s<>+%d(SB)/8, $0x%016x\n", name, i*8, w)
		}
		fmt.Fprintf(&s, "GLOBL %s<>(SB), RODATA|NOPTR, $%d\n", name, len(t.words[name])*8)
	}
	return s.String()
}
