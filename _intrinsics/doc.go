// Package intrinsics compares the assembly with C; see intrinsics_amd64.go.
package intrinsics
