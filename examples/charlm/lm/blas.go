package lm

import (
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/blas/blas64"
)

// Float is the arithmetic of a model: the types that BLAS has routines for.
type Float interface{ float32 | float64 }

// matrix is a dense row-major matrix, or a part of one: its rows are stride
// elements apart.
type matrix[T Float] struct {
	rows, cols, stride int
	data               []T
}

func newMatrix[T Float](rows, cols int) matrix[T] {
	return asMatrix(rows, cols, make([]T, rows*cols))
}

// asMatrix views data as a matrix.
func asMatrix[T Float](rows, cols int, data []T) matrix[T] {
	return matrix[T]{rows, cols, cols, data}
}

func (a matrix[T]) row(i int) []T { return a.data[i*a.stride:][:a.cols] }

// top returns the first rows of a.
func (a matrix[T]) top(rows int) matrix[T] { return a.block(0, 0, rows, a.cols) }

// block returns the part of a whose first element is a[i, j].
func (a matrix[T]) block(i, j, rows, cols int) matrix[T] {
	first := i*a.stride + j
	return matrix[T]{rows, cols, a.stride, a.data[first : first+(rows-1)*a.stride+cols]}
}

const (
	noTrans = blas.NoTrans
	trans   = blas.Trans
)

// gemm sets c to op(a)·op(b) + beta·c. Its result does not depend on the
// number of processors: gonum's goroutines split c into tiles, and each tile
// is summed by one of them in a fixed order.
func gemm[T Float](opA, opB blas.Transpose, a, b matrix[T], beta T, c matrix[T]) {
	scaledGemm(opA, opB, 1, a, b, beta, c)
}

// scaledGemm sets c to alpha·op(a)·op(b) + beta·c.
func scaledGemm[T Float](opA, opB blas.Transpose, alpha T, a, b matrix[T], beta T, c matrix[T]) {
	switch c := any(&c).(type) {
	case *matrix[float32]:
		blas32.Gemm(opA, opB, float32(alpha), general32(any(&a).(*matrix[float32])), general32(any(&b).(*matrix[float32])), float32(beta), general32(c))
	case *matrix[float64]:
		blas64.Gemm(opA, opB, float64(alpha), general64(any(&a).(*matrix[float64])), general64(any(&b).(*matrix[float64])), float64(beta), general64(c))
	}
}

func general32(a *matrix[float32]) blas32.General {
	return blas32.General{Rows: a.rows, Cols: a.cols, Stride: a.stride, Data: a.data}
}

func general64(a *matrix[float64]) blas64.General {
	return blas64.General{Rows: a.rows, Cols: a.cols, Stride: a.stride, Data: a.data}
}

// columnSums sets sums[j] to the sum of column j of a: the gradient of a bias
// that is added to every row.
func columnSums[T Float](sums []T, a matrix[T]) {
	clear(sums)
	for i := range a.rows {
		for j, x := range a.row(i) {
			sums[j] += x
		}
	}
}
