package main

import (
	"fmt"
	"strings"
)

// roofline writes the loops of internal/roofline: as many arrays in and out as a
// kernel has, and one addition for each array that is loaded.
func roofline(k *kernel) {
	k.suffix = "NEON"
	k.stream(5, 3)
	k.stream(4, 2)
	k.stream(1, 0)
	k.stream(0, 1)
}

// stream is a loop over arrays a to e: it loads the first reads of them, does one
// addition for each that it loads, and stores the first writes. All loads of an
// iteration, which takes a cache line of each array, come before its stores.
func (k *kernel) stream(reads, writes int) {
	names := []string{"a", "b", "c", "d", "e"}[:max(reads, writes)]
	k.text(fmt.Sprintf("read%dwrite%d", reads, writes), strings.Join(names, ", ")+" *float, n int", "", 0,
		fmt.Sprintf("streams %d arrays in and %d out, n elements each, a multiple of 64.", reads, writes))
	var base []gp
	for _, name := range names {
		base = append(base, k.arg(name))
	}
	n, zero, total := k.count("n"), k.vec(), k.some(4)
	k.zero(zero)
	for _, t := range total { // where nothing is written, else without a use
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
}
