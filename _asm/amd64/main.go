// Command amd64 writes kernels_amd64.s and its Go declarations, kernels_amd64.go.
//
// Each kernel is one function here, which is written once and emitted for
// float32 and float64, AVX2 and AVX-512; the differences live in vec.go and
// masks.go.
package main

import (
	. "github.com/mmcloughlin/avo/build"
)

func main() {
	ConstraintExpr("gc,!purego")
	constants := newPowConstants()
	for _, bits := range []int{256, 512} {
		for _, elem := range []int{4, 8} {
			k := newKernel(elem, bits)
			k.rademacher()
			k.streamRademacher()
			k.addProbe()
			k.allFinite()
			k.allFiniteEach()
			if !k.wide() { // one chain for each 64 bytes: no faster in 512 bits
				k.addAbs()
			}
			k.blockMeans()
			k.stridedMeans()
			k.curvature()
			k.curvaturePow(constants)
			k.descendRows()
			k.descendBlocks()
			k.update()
			k.updateEach()
			k.updateBlocks()
			k.updateRows()
		}
	}
	constants.emit()
	Generate()
}
