package arm64

import (
	"slices"
	"testing"

	"github.com/adahessian-go/adahessian/_asm/table"
)

// TestBodies looks for bodies without a row in the table.
func TestBodies(t *testing.T) {
	for name := range bodies {
		if !slices.ContainsFunc(table.ARM64.Sets, table.Row(name).In) {
			t.Errorf("%s has no set of this architecture in the table", name)
		}
	}
}
