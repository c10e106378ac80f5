//go:build !race

package adahessian

func noteRead[T Float](x []T)  {}
func noteWrite[T Float](x []T) {}

func noteUpdate[T Float](theta, m, v, g, hz, cached []T, p panel) {}
func noteMean[T Float](d, x []T, p panel)                         {}
