// Package copies copies an Optimizer, for a test that go vet reports it.
package copies

import "github.com/adahessian-go/adahessian"

// Duplicate copies.
func Duplicate(o *adahessian.Optimizer[float32]) uint64 {
	dup := *o
	return dup.Steps()
}
