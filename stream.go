package adahessian

import "unsafe"

// A probe that is too long for the caches is written past them. An ordinary store would
// first fetch the line that it is about to overwrite, and so move twice as many bytes.

const (
	// streamUnit is the number of signs that the kernels make at a time: a batch of
	// 14 blocks, or two of 7.
	streamUnit  = 14 * 128
	streamCall  = maxCall / streamUnit * streamUnit
	streamAlign = 64 // bytes: a cache line, and the widest vector
)

// streams reports whether a probe of n elements in all is written past the caches.
func streams[T Float](n int) bool { return n > streamBytes/int(unsafe.Sizeof(T(0))) }

// far reports whether the five arrays that a step of n elements in all reads are more than the
// last-level cache, of which streamBytes is half.
func far[T Float](n int) bool { return n > streamBytes/5*2/int(unsafe.Sizeof(T(0))) }

// streamSigns writes signs past the caches, except for those before the first whole
// cache line, which are written as usual. It returns how many signs it has written from
// the start of z. Less than a unit is left, or everything if the index wraps or z is
// not aligned to its elements.
func streamSigns[T Float](z []T, seed, draw, offset uint64) int {
	at, size := uintptr(unsafe.Pointer(unsafe.SliceData(z))), unsafe.Sizeof(T(0))
	front := int(-at % streamAlign / size)
	end := front + (len(z)-front)/streamUnit*streamUnit
	if end <= front || at%size != 0 || offset != 0 && uint64(len(z)) > -offset {
		return 0
	}
	rademacher(z[:front], seed, draw, offset)
	for from := front; from < end; from += streamCall {
		streamRademacher(z[from:min(from+streamCall, end)], seed, draw, offset+uint64(from))
	}
	return end
}
