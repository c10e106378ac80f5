// Package digits holds 1797 images of handwritten digits that the examples learn to
// read: 8×8 pixels in 17 shades of grey.
//
// The data are E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten
// Digits", UCI Machine Learning Repository, 1998, doi 10.24432/C50P49 (its test
// set), licensed under CC BY 4.0.
package digits

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"io"
	"strconv"
	"strings"
)

// Pixels is how many numbers an image has, and Classes how many digits there are.
const (
	Pixels  = 64
	Classes = 10
)

// trainImages are the first images of the file, for training; the rest are for
// testing. Most of these were written by different people.
const trainImages = 1408

//go:embed digits.csv.gz
var compressed []byte

// Set is some images.
type Set[T ~float32 | ~float64] struct {
	X []T   // [Len()][Pixels], in [0, 1]
	Y []int // the digits
}

// Len returns the number of images.
func (s Set[T]) Len() int { return len(s.Y) }

// Slice returns the images from lo to hi. They share memory with s.
func (s Set[T]) Slice(lo, hi int) Set[T] {
	return Set[T]{X: s.X[lo*Pixels : hi*Pixels], Y: s.Y[lo:hi]}
}

// OneHot returns the digits as rows of Classes numbers: 1 for the digit, else 0.
func (s Set[T]) OneHot() []T {
	rows := make([]T, s.Len()*Classes)
	for i, y := range s.Y {
		rows[i*Classes+y] = 1
	}
	return rows
}

// Correct counts the images whose largest output is that of their digit.
// outputs has Classes numbers for each image.
func (s Set[T]) Correct(outputs []T) int {
	n := 0
	for i, y := range s.Y {
		row := outputs[i*Classes:][:Classes]
		best := 0
		for j, o := range row {
			if o > row[best] {
				best = j
			}
		}
		if best == y {
			n++
		}
	}
	return n
}

// Load returns 1408 images to learn from and 389 to test with.
func Load[T ~float32 | ~float64]() (train, test Set[T]) {
	r, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		panic(err) // the data are part of the program
	}
	text, err := io.ReadAll(r)
	if err != nil {
		panic(err)
	}
	var all Set[T]
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSpace(line), ",")
		for i, f := range fields {
			n, err := strconv.Atoi(f)
			if err != nil {
				panic(err)
			}
			if i < Pixels {
				all.X = append(all.X, T(n)/16)
			} else {
				all.Y = append(all.Y, n)
			}
		}
	}
	return all.Slice(0, trainImages), all.Slice(trainImages, all.Len())
}
