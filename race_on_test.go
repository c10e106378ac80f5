//go:build race

package adahessian

// underRace says that the race detector makes everything many times slower.
const underRace = true
