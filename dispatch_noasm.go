//go:build (!amd64 && !arm64) || !gc || purego

package adahessian

func isa() string { return "generic" }

func rademacher[T Float](z []T, seed, draw, offset uint64) {
	rademacherGeneric(z, seed, draw, offset)
}

func addProbe[T Float](acc, z, hz []T) { addProbeGeneric(acc, z, hz) }

func allFinite[T Float](x []T) bool { return allFiniteGeneric(x) }

func addAbs[T Float](p *partialSums[T], x []T) { addAbsGeneric(p, x) }

func blockMeans[T Float](d, x []T, block int, div T) { blockMeansGeneric(d, x, block, div) }

func stridedMeans[T Float](d, x []T, p panel, div T, more bool) {
	stridedMeansGeneric(d, x, p, div, more)
}

func curvature[T Float](v, den, d []T, s *scalars[T], k power, a float64) {
	curvatureGeneric(v, den, d, s, k, a)
}

func descend[T Float](theta, m, g, den, _ []T, p panel, s *scalars[T]) {
	descendGeneric(theta, m, g, den, p, s)
}

func update[T Float](theta, m, v, g, hz, den []T, p panel, s *scalars[T], k power) {
	updateGeneric(theta, m, v, g, hz, p, s, k, 0)
}

func updateEach[T Float](theta [][]T, m, v []T, g, hz [][]T, s *scalars[T], k power) {
	updateEachOf(theta, m, v, g, hz, s, k)
}

func allFiniteEach[T Float](x [][]T) bool { return allFiniteEachOf(x) }
