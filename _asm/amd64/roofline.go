package amd64

import (
	"fmt"
	"strings"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
	"github.com/mmcloughlin/avo/reg"

	"github.com/adahessian-go/adahessian/_asm/table"
)

// Roofline returns the loops of internal/roofline and their Go declarations.
func Roofline() (text, stubs []byte, err error) {
	c := build.NewContext()
	c.ConstraintExpr("gc")
	stream(c, 5, 3)
	stream(c, 4, 2)
	stream(c, 1, 0)
	stream(c, 0, 1)
	file, err := c.Result()
	if err != nil {
		return nil, nil, err
	}
	if err := pass.Compile.Execute(file); err != nil {
		return nil, nil, err
	}
	config := printer.Config{Name: table.Generator, Pkg: "roofline"}
	if text, err = printer.NewGoAsm(config).Print(file); err != nil {
		return nil, nil, err
	}
	stubs, err = printer.NewStubs(config).Print(file)
	return text, stubs, err
}

// stream writes a loop over arrays a to e. It loads the first reads of them, makes one
// addition for each that it loads, and stores the first writes. All loads of an
// iteration come before its stores.
func stream(c *build.Context, reads, writes int) {
	names := []string{"a", "b", "c", "d", "e"}[:max(reads, writes)]
	name := fmt.Sprintf("read%dwrite%dAVX2", reads, writes)
	c.Function(name)
	c.Attributes(attr.NOSPLIT)
	c.SignatureExpr("func(" + strings.Join(names, ", ") + " *float32, n int)")
	c.Doc(fmt.Sprintf("%s streams %d arrays in and %d out, n elements each, a multiple of 64.", name, reads, writes))
	c.Pragma("noescape")
	var base []reg.Register
	for _, n := range names {
		base = append(base, c.Load(c.Param(n), c.GP64()))
	}
	n := c.Load(c.Param("n"), c.GP64())
	i := c.GP64()
	c.XORQ(i, i)
	zero := c.YMM()
	c.VPXOR(zero, zero, zero)

	// A cache line of each array at a time. If nothing is written, more, with a sum for
	// each vector, so that the latency of additions is no limit.
	vectors := 2
	var total []reg.VecVirtual
	if writes == 0 {
		vectors = 8
		for range vectors {
			t := c.YMM()
			c.VPXOR(t, t, t)
			total = append(total, t)
		}
	}
	c.Label("loop")
	var sums [][]reg.VecVirtual
	for v := range vectors {
		at := func(a int) Mem { return Mem{Base: base[a], Index: i, Scale: 4, Disp: v * 32} }
		row := []reg.VecVirtual{}
		for a := range writes {
			sum := zero
			switch partner := a + writes; {
			case partner < reads: // add an array that is not stored
				sum = c.YMM()
				c.VMOVUPS(at(partner), sum)
				c.VADDPS(at(a), sum, sum)
			case reads > 0:
				sum = c.YMM()
				c.VADDPS(at(a), zero, sum)
			}
			row = append(row, sum)
		}
		if writes == 0 {
			c.VADDPS(at(0), total[v], total[v])
		}
		sums = append(sums, row)
	}
	for v := range vectors {
		for a, sum := range sums[v] {
			c.VMOVUPS(sum, Mem{Base: base[a], Index: i, Scale: 4, Disp: v * 32})
		}
	}
	c.ADDQ(U8(vectors*8), i)
	c.CMPQ(i, n)
	c.JLT(LabelRef("loop"))
	c.VZEROUPPER()
	c.RET()
}
