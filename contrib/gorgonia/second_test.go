package ahgorgonia

import (
	"testing"

	"gorgonia.org/gorgonia"
)

// TestSecondGradIsWrong shows why this package uses differences: a Grad of a Grad gives
// 4 instead of 12 for the second derivative of x³ at 2, and no error. When this test
// fails, exact products have become possible.
func TestSecondGradIsWrong(t *testing.T) {
	graph := gorgonia.NewGraph()
	x := gorgonia.NewScalar(graph, gorgonia.Float64, gorgonia.WithName("x"), gorgonia.WithValue(2.0))
	cube := gorgonia.Must(gorgonia.Mul(gorgonia.Must(gorgonia.Mul(x, x)), x))
	first, err := gorgonia.Grad(cube, x)
	if err != nil {
		t.Fatal(err)
	}
	second, err := gorgonia.Grad(first[0], x)
	if err != nil {
		t.Fatal(err)
	}
	vm := gorgonia.NewTapeMachine(graph)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	got := [3]any{cube.Value().Data(), first[0].Value().Data(), second[0].Value().Data()}
	if want := [3]any{8.0, 12.0, 4.0}; got != want {
		t.Errorf("x³ at 2 with its first and second Grad: %v, want %v; is the second now right?", got, want)
	}
}
