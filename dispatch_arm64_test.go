//go:build gc && !purego && !asan && !msan

package adahessian

// isaChoices lists what this build has, the best one last.
func isaChoices() []isaChoice {
	return []isaChoice{
		{name: "generic", use: func() { useNEON = false }},
		{name: "neon", use: func() { useNEON = true }},
	}
}

// saveISA returns a function that restores the present choice.
func saveISA() func() {
	neon := useNEON
	return func() { useNEON = neon }
}
