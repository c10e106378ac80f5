// Command roofline writes internal/roofline/stream_amd64.s and its Go
// declarations.
package main

import (
	"fmt"

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

// stream writes a loop over arrays a to e: it loads the first reads of them, does
// one addition for each that it loads, and stores the first writes. All loads
// of a cache line come before its stores.
func stream(reads, writes int) {
	names := []string{"a", "b", "c", "d", "e"}[:max(reads, writes)]
	signature := "func("
	for _, n := range names {
		signature += n + ", "
	}
	name := fmt.Sprintf("read%dwrite%dAVX2", reads, writes)
	TEXT(name, attr.NOSPLIT, signature[:len(signature)-2]+" *float32, n int)")
	Doc(fmt.Sprintf("%s streams %d arrays in and %d out, n elements each, a multiple of 16.", name, reads, writes))
	Pragma("noescape")
	var base []reg.Register
	for _, n := range names {
		base = append(base, Load(Param(n), GP64()))
	}
	n := Load(Param("n"), GP64())
	i := GP64()
	XORQ(i, i)
	total := YMM()
	VPXOR(total, total, total)
	Label("loop")
	CMPQ(i, n)
	JGE(LabelRef("done"))
	const vectors = 2
	var sums [vectors][]reg.VecVirtual
	at := func(a, v int) Mem { return Mem{Base: base[a], Index: i, Scale: 4, Disp: v * 32} }
	for v := range vectors {
		for a := range max(reads, writes) {
			sum := total
			if writes > 0 {
				sum = YMM()
			}
			switch {
			case reads == 0: // fill: nothing is loaded
				sum = total
			case a < writes && a+writes < reads: // with the loaded array that is not stored
				VMOVUPS(at(a+writes, v), sum)
				VADDPS(at(a, v), sum, sum)
			case a < writes:
				VADDPS(at(a, v), total, sum)
			case a >= 2*writes || writes == 0:
				VADDPS(at(a, v), total, total)
			}
			sums[v] = append(sums[v], sum)
		}
	}
	for v := range vectors {
		for a := range writes {
			VMOVUPS(sums[v][a], at(a, v))
		}
	}
	ADDQ(U8(vectors*8), i)
	JMP(LabelRef("loop"))
	Label("done")
	VZEROUPPER()
	RET()
}
