// Package intrinsics holds what a C programmer would write with gcc's
// intrinsics in place of the assembly, through cgo: a bound to compare with.
package intrinsics
