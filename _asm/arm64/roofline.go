package arm64

import (
	"fmt"
	"strings"

	"github.com/adahessian-go/adahessian/_asm/table"
)

// Roofline returns the loops of internal/roofline, which read and write as many arrays
// as a kernel does, with one addition for each array that is loaded, and their Go
// declarations.
func Roofline() (text, stubs []byte, err error) {
	f := newFile("gc")
	k := f.kernel(table.F32)
	stubs = []byte(table.Header + "//go:build gc\n\npackage roofline\n")
	for _, s := range [][2]int{{5, 3}, {4, 2}, {1, 0}, {0, 1}} {
		stubs = append(stubs, k.stream(s[0], s[1])...)
	}
	f.text = k.text_.String()
	text, err = f.assembly()
	return text, stubs, err
}

// stream writes a loop over arrays a to e. It loads the first reads of them, makes one
// addition for each that it loads, and stores the first writes. An iteration takes a
// cache line of each array, and all its loads come before its stores. stream returns
// the loop's Go declaration.
func (k *kernel) stream(reads, writes int) (stub string) {
	names := []string{"a", "b", "c", "d", "e"}[:max(reads, writes)]
	var params [][2]string
	for _, name := range names {
		params = append(params, [2]string{name, "*float32"})
	}
	name := fmt.Sprintf("read%dwrite%dNEON", reads, writes)
	signature := "(" + strings.Join(names, ", ") + " *float32, n int)"
	doc := fmt.Sprintf("%s streams %d arrays in and %d out, n elements each, a multiple of 64.", name, reads, writes)
	k.text(name, signature, append(params, [2]string{"n", "int"}), false, 0, []string{doc})
	var base []gp
	for _, name := range names {
		base = append(base, k.arg(name))
	}
	n, zero, total := k.count("n"), k.vec(), k.some(4)
	k.zero(zero)
	for _, t := range total { // used only if nothing is written
		k.zero(t)
	}
	k.at("loop")
	k.scope(func() {
		var x [][]vec
		for a := range reads {
			x = append(x, k.some(4))
			k.next(x[a], base[a], wholeVector)
		}
		for a := range writes {
			if reads == 0 {
				x = append(x, []vec{zero, zero, zero, zero})
				continue
			}
			partner := []vec{zero, zero, zero, zero}
			if a+writes < reads { // an array that is not stored
				partner = x[a+writes]
			}
			each(4, func(i int) { k.add(x[a][i], x[a][i], partner[i]) })
		}
		if writes == 0 {
			each(4, func(i int) { k.add(total[i], total[i], x[0][i]) })
		}
		for a := range writes {
			if a < reads {
				k.storeBack(x[a], base[a], wholeVector)
			} else {
				k.store(x[a], base[a], wholeVector)
			}
		}
	})
	k.ins("SUBS $%d, %v", stride, n)
	k.ins("BNE loop")
	k.ret()
	return fmt.Sprintf("\n// %s\n//\n//go:noescape\nfunc %s%s\n", doc, name, signature)
}
