//go:build !race

package adahessian

const underRace = false
