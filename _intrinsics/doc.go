// Package intrinsics holds what a C programmer would write with gcc's intrinsics
// instead of the assembly, called through cgo, for comparison.
package intrinsics
