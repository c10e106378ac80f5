// Package table holds the list of the kernels, and what follows from it alone: their
// prototypes, their Go declarations, and the functions that choose between them.
//
// A new kernel needs a row in Kernels, a body in amd64 and one in arm64, and its
// definition in kernels_generic.go of the package itself.
package table

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A Set is an instruction set that has kernels.
type Set struct {
	Name string // at the end of a kernel's name
	ISA  string // as the function ISA returns it
	Use  string // the variable that tells whether it is used
}

var (
	AVX2   = Set{"AVX2", "avx2", "useAVX2"}
	AVX512 = Set{"AVX512", "avx512", "useAVX512"}
	NEON   = Set{"NEON", "neon", "useNEON"}
)

// An Arch is an architecture with its instruction sets, the best one last.
type Arch struct {
	Name string // GOARCH, or noasm for all that have no kernels
	Sets []Set
}

var (
	AMD64 = Arch{"amd64", []Set{AVX2, AVX512}}
	ARM64 = Arch{"arm64", []Set{NEON}}
	NoAsm = Arch{"noasm", nil}
)

// Constraint returns the build constraint of the architecture's files, whose names end
// with the architecture's name.
func (a Arch) Constraint() string {
	if a.Sets == nil {
		return "(!amd64 && !arm64) || !gc || purego || asan || msan"
	}
	return "gc && !purego && !asan && !msan"
}

// A Type is the type of a kernel's elements.
type Type struct {
	Name string // in a kernel's name
	Size int    // bytes of the type that the kernel computes in
}

// The types. Halves are converted from and to float32.
var (
	F32  = Type{"F32", 4}
	F64  = Type{"F64", 8}
	BF16 = Type{"BF16", 4}
	F16  = Type{"F16", 4}
)

// Types are all types, in the order in which their kernels are emitted.
var Types = []Type{F32, F64, BF16, F16}

// Half reports whether the type is a half.
func (t Type) Half() bool { return t == BF16 || t == F16 }

// Named is the name of a kernel that is written once, for gradients and products of floats and
// of halves.
func (t Type) Named(name string) string {
	if t.Half() {
		return name + "Half"
	}
	return name
}

// A Kernel is a row of the table.
type Kernel struct {
	Name string
	Args []Arg
	Half bool     // its types are the halves, otherwise the floats
	Bool bool     // it returns a bool
	Sets []Set    // the sets that have it; the others call Else
	Else string   // the Go call that does the same without assembly
	Doc  []string // the mathematics, and what the kernel requires

	// Also is a further condition on an instruction set, besides its own variable, in
	// Go.
	Also map[Set]string
}

// Types returns the two types for which the kernel exists.
func (k Kernel) Types() [2]Type {
	if k.Half {
		return [2]Type{BF16, F16}
	}
	return [2]Type{F32, F64}
}

// Of reports whether the set has the kernel for a type.
func (k Kernel) Of(s Set, t Type) bool {
	types := k.Types()
	return k.In(s) && slices.Contains(types[:], t)
}

// An Arg is an argument of a kernel, and what it is made from in Go.
type Arg struct {
	Name, Type string // in the kernel, if it has the argument; float stands for the element's type
	Param      string // the Go function's parameter, unless another argument has it
	Value      string // in Go; {bits} stands for 32 or 64
	Without    []Set  // the sets that do not have the argument
	Doc        string // what the kernel's documentation says if it has the argument
}

// slice returns arguments that point to the elements of slices.
func slice(names ...string) (args []Arg) {
	for _, name := range names {
		args = append(args, Arg{Name: asmName(name), Type: "*float", Param: name + " []T", Value: "f{bits}(" + name + ")"})
	}
	return args
}

// multi returns arguments that point to the first of several slices.
func multi(names ...string) (args []Arg) {
	for _, name := range names {
		args = append(args, Arg{Name: asmName(name), Type: "*[]float", Param: name + " [][]T", Value: "multi{bits}(" + name + ")"})
	}
	return args
}

// asmName returns the name in assembly, since g is a register of arm64.
func asmName(name string) string {
	if name == "g" {
		return "grad"
	}
	return name
}

// halves returns arguments that point to the bits of halves, and singles ones that
// point to float32s.
func halves(name string) []Arg {
	return []Arg{{Name: asmName(name), Type: "*uint16", Param: name + " []uint16", Value: "unsafe.SliceData(" + name + ")"}}
}

func singles(name string) []Arg {
	return []Arg{{Name: name, Type: "*float32", Param: name + " []float32", Value: "unsafe.SliceData(" + name + ")"}}
}

// length returns the length of a slice as an argument.
func length(name, of string) []Arg {
	return []Arg{{Name: name, Type: "int", Value: "len(" + of + ")"}}
}

// plain returns arguments that have the same name and type in Go.
func plain(typ string, names ...string) (args []Arg) {
	for _, name := range names {
		args = append(args, Arg{Name: name, Type: typ, Param: name + " " + typ, Value: name})
	}
	return args
}

var (
	scalars = []Arg{{Name: "s", Type: "*float", Param: "s *scalars[T]", Value: "s{bits}(s)"}}
	power   = []Arg{{Name: "power", Type: "int", Param: "k power", Value: "int(k)"}}
	factor  = []Arg{{Name: "factor", Type: "float32", Param: "factor float32", Value: "factor"}}
	ofHalf  = []Arg{{Param: "f half"}} // only Go has it: it chooses the kernel
	divisor = []Arg{{Name: "div", Type: "float", Param: "div T", Value: "float{bits}(div)"}}

	// The shape of a panel, of contiguous blocks and of strided ones.
	contiguous = []Arg{
		{Name: "blocks", Type: "int", Param: "p panel", Value: "p.outer"},
		{Name: "block", Type: "int", Value: "p.block"},
	}
	strided = []Arg{
		{Name: "outer", Type: "int", Param: "p panel", Value: "p.outer"},
		{Name: "block", Type: "int", Value: "p.block"},
		{Name: "stride", Type: "int", Value: "p.stride"},
		{Name: "width", Type: "int", Value: "p.width"},
	}
)

var (
	everywhere = []Set{AVX2, AVX512, NEON}
	avx        = []Set{AVX2, AVX512}
)

// Row returns the kernel with the given name.
func Row(name string) Kernel {
	for _, k := range Kernels {
		if k.Name == name {
			return k
		}
	}
	panic("no kernel " + name + " in the table")
}

// In reports whether an instruction set has the kernel.
func (k Kernel) In(s Set) bool { return slices.Contains(k.Sets, s) }

// Symbol returns the kernel's name for a type and an instruction set.
func (k Kernel) Symbol(s Set, t Type) string { return k.Name + t.Name + s.Name }

var floatWord = regexp.MustCompile(`\bfloat\b`)

// ArgsOf returns the arguments for a type and an instruction set.
func (k Kernel) ArgsOf(s Set, t Type) (args []Arg) {
	bits := fmt.Sprint(t.Size * 8)
	for _, a := range k.Args {
		if a.Name != "" && !slices.Contains(a.Without, s) {
			a.Type = floatWord.ReplaceAllString(a.Type, "float"+bits)
			a.Value = strings.ReplaceAll(a.Value, "{bits}", bits)
			args = append(args, a)
		}
	}
	return args
}

// Signature returns the type of the kernel as a function.
func (k Kernel) Signature(s Set, t Type) string {
	var params []string
	for _, a := range k.ArgsOf(s, t) {
		params = append(params, a.Name+" "+a.Type)
	}
	signature := "(" + strings.Join(params, ", ") + ")"
	if k.Bool {
		signature += " bool"
	}
	return signature
}

// DocOf returns the documentation for a type and an instruction set.
func (k Kernel) DocOf(s Set, t Type) []string {
	doc := slices.Clone(k.Doc)
	doc[0] = k.Symbol(s, t) + " " + doc[0]
	for _, a := range k.ArgsOf(s, t) {
		if a.Doc != "" {
			doc = append(doc, a.Doc)
		}
	}
	return doc
}
