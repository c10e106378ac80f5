//go:build !race

package adahessian

const underRace = false

func noteRead[T Float](x []T)    {}
func noteReads[T Float](x [][]T) {}
func noteWrite[T Float](x []T)   {}

func noteUpdate[T Float](theta, m, v, g, hz, cached []T, p panel) {}
func noteUpdates[T Float](theta [][]T, m, v []T, g, hz [][]T)     {}
func noteMean[T Float](d, x []T, p panel)                         {}
