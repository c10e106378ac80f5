//go:build gc && !purego

package adahessian

// isaChoices lists what this build and this CPU have, the best one last.
func isaChoices() []isaChoice {
	choice := func(name string, avx2, avx512 bool) isaChoice {
		return isaChoice{name: name, use: func() { useAVX2, useAVX512 = avx2, avx512 }}
	}
	choices := []isaChoice{choice("generic", false, false)}
	if hasAVX2 {
		choices = append(choices, choice("avx2", true, false))
	}
	if hasAVX512 {
		c := choice("avx512", true, true)
		c.slow = !machine.prefersAVX512()
		choices = append(choices, c)
	}
	return choices
}

// saveISA returns a function that restores the present choice.
func saveISA() func() {
	avx2, avx512 := useAVX2, useAVX512
	return func() { useAVX2, useAVX512 = avx2, avx512 }
}
