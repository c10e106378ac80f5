//go:build gc && !purego

package adahessian

// isaChoices lists what this build and this CPU have, the best one last.
func isaChoices() []isaChoice {
	choices := []isaChoice{{"generic", func() { useAVX2 = false }}}
	if hasAVX2 {
		choices = append(choices, isaChoice{"avx2", func() { useAVX2 = true }})
	}
	return choices
}

// saveISA returns a function that restores the present choice.
func saveISA() func() {
	avx2 := useAVX2
	return func() { useAVX2 = avx2 }
}
