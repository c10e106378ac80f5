// Command roofline writes internal/roofline/stream_amd64.s and its Go
// declarations.
package main

import (
	"fmt"
	"strings"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("gc")
	stream(5, 3)
	stream(4, 2)
	stream(1, 0)
	stream(0, 1)
	Generate()
}

// stream writes a loop over arrays a to e: it loads the first reads of them,
// does one addition for each that it loads, and stores the first writes. All
// loads of an iteration come before its stores.
func stream(reads, writes int) {
	names := []string{"a", "b", "c", "d", "e"}[:max(reads, writes)]
	name := fmt.Sprintf("read%dwrite%dAVX2", reads, writes)
	TEXT(name, attr.NOSPLIT, "func("+strings.Join(names, ", ")+" *float32, n int)")
	Doc(fmt.Sprintf("%s streams %d arrays in and %d out, n elements each, a multiple of 64.", name, reads, writes))
	Pragma("noescape")
	var base []reg.Register
	for _, n := range names {
		base = append(base, Load(Param(n), GP64()))
	}
	n := Load(Param("n"), GP64())
	i := GP64()
	XORQ(i, i)
	zero := YMM()
	VPXOR(zero, zero, zero)

	// A cache line of each array at a time; more where nothing is written, with
	// a sum for each vector, so that the latency of additions is no limit.
	vectors := 2
	var total []reg.VecVirtual
	if writes == 0 {
		vectors = 8
		for range vectors {
			t := YMM()
			VPXOR(t, t, t)
			total = append(total, t)
		}
	}
	Label("loop")
	var sums [][]reg.VecVirtual
	for v := range vectors {
		at := func(a int) Mem { return Mem{Base: base[a], Index: i, Scale: 4, Disp: v * 32} }
		row := []reg.VecVirtual{}
		for a := range writes {
			sum := zero
			switch partner := a + writes; {
			case partner < reads: // add an array that is not stored
				sum = YMM()
				VMOVUPS(at(partner), sum)
				VADDPS(at(a), sum, sum)
			case reads > 0:
				sum = YMM()
				VADDPS(at(a), zero, sum)
			}
			row = append(row, sum)
		}
		if writes == 0 {
			VADDPS(at(0), total[v], total[v])
		}
		sums = append(sums, row)
	}
	for v := range vectors {
		for a, sum := range sums[v] {
			VMOVUPS(sum, Mem{Base: base[a], Index: i, Scale: 4, Disp: v * 32})
		}
	}
	ADDQ(U8(vectors*8), i)
	CMPQ(i, n)
	JLT(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
