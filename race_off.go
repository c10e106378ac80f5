//go:build !race

package adahessian

const underRace = false

func noteRead[T any](x []T)      {}
func noteReads[T Float](x [][]T) {}
func noteWrite[T any](x []T)     {}

func noteUpdate[T Float](theta, m, v, g, hz, cached []T, p panel) {}
func noteUpdates[T Float](theta [][]T, m, v []T, g, hz [][]T)     {}
func noteMean[T Float](d, x []T, p panel)                         {}

func noteUpdateHalf[H Half](theta []float32, out, g, hz []H, m, v []float32) {}
