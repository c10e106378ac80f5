// Package arm64 writes the NEON kernels.
//
// Each kernel is one function here, written once and emitted for float32 and float64.
// The differences between the two are in vec.go. Instructions for which Go's assembler
// has no mnemonic are written in GNU syntax and encoded at the end, in encode.go.
// Package table has the kernels' names and arguments.
package arm64

import (
	"errors"
	"fmt"

	"github.com/adahessian-go/adahessian/_asm/table"
)

// bodies are the kernels, by their names in the table.
var bodies = map[string]func(k *kernel){
	"rademacher":     (*kernel).rademacher,
	"addProbe":       (*kernel).addProbe,
	"allFinite":      (*kernel).allFinite,
	"blockMeans":     (*kernel).blockMeans,
	"stridedMeans":   (*kernel).stridedMeans,
	"curvature":      (*kernel).curvature,
	"curvaturePow":   (*kernel).curvaturePow,
	"descendRows":    (*kernel).descendRows,
	"descendBlocks":  (*kernel).descendBlocks,
	"updateElements": (*kernel).updateElements,
	"updateBlocks":   (*kernel).updateBlocks,
	"updateRows":     (*kernel).updateRows,
	"widen":          (*kernel).widen,
	"narrow":         (*kernel).narrow,
	"allFiniteHalf":  (*kernel).allFiniteHalf,

	"blockMeansHalf":     (*kernel).blockMeans,
	"stridedMeansHalf":   (*kernel).stridedMeans,
	"descendRowsHalf":    (*kernel).descendRows,
	"descendBlocksHalf":  (*kernel).descendBlocks,
	"updateElementsHalf": (*kernel).updateElements,
	"updateBlocksHalf":   (*kernel).updateBlocks,
	"updateRowsHalf":     (*kernel).updateRows,
}

// Kernels returns the assembly of all kernels.
func Kernels() ([]byte, error) {
	f := newFile(table.ARM64.Constraint())
	p := newPow()
	for _, t := range table.Types {
		k := f.kernel(t)
		k.pow = p
		for _, row := range table.Kernels {
			if !row.Of(table.NEON, t) {
				continue
			}
			body, ok := bodies[row.Name]
			if !ok {
				return nil, errors.New("no body for arm64 of " + row.Name)
			}
			body(k)
		}
		f.text += k.text_.String()
	}
	return f.assembly()
}

// A file is assembly that is being written.
type file struct {
	constraint, text string
	tables           *tables
}

func newFile(constraint string) *file {
	return &file{constraint: constraint, tables: &tables{words: map[string][]uint64{}}}
}

// kernel returns a writer of kernels for elements of the type.
func (f *file) kernel(t table.Type) *kernel {
	k := &kernel{elem: t.Size, typ: t, tables: f.tables}
	if t.Size == 4 {
		k.floats = floats{k, "4s", "S4"}
	} else {
		k.floats = floats{k, "2d", "D2"}
	}
	return k
}

// assembly returns the whole file.
func (f *file) assembly() ([]byte, error) {
	text, err := encode(fmt.Sprintf("%s//go:build %s\n\n#include \"textflag.h\"\n%s%s", table.Header, f.constraint, f.text, f.tables))
	return []byte(text), err
}
