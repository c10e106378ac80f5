// Package roofline streams as many arrays through the processor as a kernel of the
// optimizer does, with one addition for each array that it loads. This takes the
// shortest time that the memory, or the cache that holds the arrays, allows.
package roofline

// A Shape is the number of arrays that are read and written.
type Shape int

const (
	Read5Write3 Shape = iota // a step where each element is a block
	Read4Write2              // a step with larger blocks, their own traffic left out
	Read1                    // a mean, or a look at every element
	Write1                   // a fill
)

// Stream streams the arrays, as many as the shape reads or writes. They have the same
// length. A rest of fewer than 64 elements is left out.
func Stream(s Shape, a ...[]float32) {
	n := len(a[0]) &^ 63
	if n == 0 {
		return
	}
	stream(s, a, n)
}
