package arm64

import (
	"fmt"
	"strings"

	"github.com/adahessian-go/adahessian/_asm/table"
)

// A kernel is the function that is being written: the element's size in bytes, the
// registers in use, and the text so far. Its methods for instructions take the
// destination first, and then the sources in their mathematical order, whatever the
// order in assembly.
type kernel struct {
	floats // of the element's type
	elem   int
	typ    table.Type
	pow    *pow

	text_     strings.Builder
	tables    *tables
	params    map[string]param
	frame     int
	vecs      registers
	gps       registers
	labels    int
	outOfLine []func() // code to be placed after the kernel's RET

	conversion *conversion // of the inputs, if they are halves
}

// A param is an argument or the result.
type param struct{ offset, size int }

// vec and gp are registers. A vec is V5 or F5 in Go's syntax, depending on the
// instruction.
type (
	vec int
	gp  int
)

func (v vec) f() string           { return fmt.Sprintf("F%d", v) }
func (v vec) as(a string) string  { return fmt.Sprintf("V%d.%s", v, a) }
func (v vec) gnu(a string) string { return fmt.Sprintf("v%d.%s", v, a) }
func (r gp) String() string       { return fmt.Sprintf("R%d", int(r)) }

// registers holds the free registers, with the one to be taken next first.
type registers []int

// newRegisters returns all vector registers, and all general ones except R18, which
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

// later lets body be emitted after the kernel's RET, with the registers that are free
// now.
func (k *kernel) later(body func()) {
	vecs, gps := k.vecs, k.gps
	k.outOfLine = append(k.outOfLine, func() {
		k.vecs, k.gps = vecs, gps
		body()
	})
}

// ---- functions -----------------------------------------------------------

// begin begins the kernel with that name in the table, with a frame of the given number
// of bytes.
func (k *kernel) begin(name string, frame int) {
	row := table.Row(name)
	var params [][2]string
	for _, a := range row.ArgsOf(table.NEON, k.typ) {
		params = append(params, [2]string{a.Name, a.Type})
	}
	k.text(row.Symbol(table.NEON, k.typ), row.Signature(table.NEON, k.typ), params, row.Bool, frame, row.DocOf(table.NEON, k.typ))
}

// text begins a function with the given parameters, each a name and a type, and with a
// bool as its result or none.
func (k *kernel) text(name, signature string, params [][2]string, result bool, frame int, doc []string) {
	k.params, k.frame, k.labels, k.outOfLine, k.conversion = map[string]param{}, frame, 0, nil, nil
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
	for _, p := range params {
		place(p[0], p[1])
	}
	if result {
		end = (end + 7) / 8 * 8
		place("ret", "bool")
	}
	fmt.Fprintf(&k.text_, "\n// func %s%s\n", name, signature)
	for _, line := range doc {
		fmt.Fprintf(&k.text_, "// %s\n", line)
	}
	fmt.Fprintf(&k.text_, "TEXT ·%s(SB), NOSPLIT, $%d-%d\n", name, frame, end)
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

// word emits an instruction that Go's assembler lacks, in GNU syntax, to be encoded by
// encode. The form of the line is fixed: one space before the comment, and one
// instruction per line.
func (k *kernel) word(format string, args ...any) {
	k.text_.WriteString("\t" + unencoded + " // " + fmt.Sprintf(format, args...) + "\n")
}

// label returns a label that is unique within the kernel, and at puts it here.
func (k *kernel) label(word string) string {
	k.labels++
	return fmt.Sprintf("%s%d", word, k.labels)
}

func (k *kernel) at(label string) { k.text_.WriteString(label + ":\n") }

// mem returns the memory of an argument.
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
