//go:build gc && !purego

package adahessian

// isaChoices lists what this build has, the best one last.
func isaChoices() []isaChoice {
	return []isaChoice{
		{"generic", func() { useNEON = false }},
		{"neon", func() { useNEON = true }},
	}
}

// saveISA returns a function that restores the present choice.
func saveISA() func() {
	neon := useNEON
	return func() { useNEON = neon }
}
