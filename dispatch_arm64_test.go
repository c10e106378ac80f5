//go:build gc && !purego && !asan && !msan

package adahessian

func init() {
	isaChoices = func() []isaChoice {
		return []isaChoice{
			{name: "generic", use: func() { useNEON = false }},
			{name: "neon", use: func() { useNEON = true }},
		}
	}
	saveISA = func() func() {
		neon := useNEON
		return func() { useNEON = neon }
	}
}
