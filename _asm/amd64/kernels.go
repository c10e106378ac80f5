// Package amd64 writes the kernels of AVX2 and AVX-512.
//
// Each kernel is one function here, which is written once and emitted for float32 and
// float64, AVX2 and AVX-512. The differences are in vec.go and masks.go. The names and
// arguments of the kernels are in the package table.
package amd64

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"

	. "github.com/mmcloughlin/avo/build"

	"github.com/adahessian-go/adahessian/_asm/table"
)

// bodies are the kernels by their names in the table.
var bodies = map[string]func(k *kernel){
	"rademacher":          (*kernel).rademacher,
	"streamRademacher":    (*kernel).streamRademacher,
	"addProbe":            (*kernel).addProbe,
	"allFinite":           (*kernel).allFinite,
	"allFiniteMulti":      (*kernel).allFiniteMulti,
	"bothFinite":          (*kernel).bothFinite,
	"blockMeans":          (*kernel).blockMeans,
	"stridedMeans":        (*kernel).stridedMeans,
	"curvature":           (*kernel).curvature,
	"curvaturePow":        (*kernel).curvaturePow,
	"descendRows":         (*kernel).descendRows,
	"descendTogether":     (*kernel).descendTogether,
	"descendBlocks":       (*kernel).descendBlocks,
	"updateElements":      (*kernel).updateElements,
	"updateMulti":         (*kernel).updateMulti,
	"updateBlocks":        (*kernel).updateBlocks,
	"updateRows":          (*kernel).updateRows,
	"updateTogether":      (*kernel).updateTogether,
	"widen":               (*kernel).widen,
	"narrow":              (*kernel).narrow,
	"allFiniteHalf":       (*kernel).allFiniteHalf,
	"updateElementsHalf":  (*kernel).updateElements,
	"updateBlocksHalf":    (*kernel).updateBlocks,
	"updateRowsHalf":      (*kernel).updateRows,
	"updateTogetherHalf":  (*kernel).updateTogether,
	"blockMeansHalf":      (*kernel).blockMeans,
	"stridedMeansHalf":    (*kernel).stridedMeans,
	"descendBlocksHalf":   (*kernel).descendBlocks,
	"descendTogetherHalf": (*kernel).descendTogether,
	"descendRowsHalf":     (*kernel).descendRows,
}

// vectorBits are the sizes of the vectors of the instruction sets.
var vectorBits = map[string]int{table.AVX2.Name: 256, table.AVX512.Name: 512}

// Kernels returns the assembly of all kernels. avo keeps what it builds in a global
// variable, so a program can call this only once.
func Kernels() ([]byte, error) {
	ConstraintExpr(strings.ReplaceAll(table.AMD64.Constraint(), " && ", ",")) // in the old syntax
	pow := newPowConstants()
	for _, set := range table.AMD64.Sets {
		for _, t := range table.Types {
			for _, row := range table.Kernels {
				if !row.Of(set, t) {
					continue
				}
				body, ok := bodies[row.Name]
				if !ok {
					return nil, errors.New("no body for amd64 of " + row.Name)
				}
				k := newKernel(t.Size, vectorBits[set.Name])
				k.set, k.typ, k.pow = set, t, pow
				body(k)
			}
		}
	}
	pow.emit()
	return generated()
}

// generated returns what avo has built. avo writes it to the file that its flag names,
// and puts the command line that it assumes at the beginning.
func generated() ([]byte, error) {
	dir, err := os.MkdirTemp("", "amd64")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "kernels.s")
	if err := flag.Set("out", file); err != nil {
		return nil, err
	}
	Generate()
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	_, text, _ = bytes.Cut(text, []byte("\n\n"))
	return append([]byte(table.Header), text...), nil
}
