package main

import (
	"testing"

	g "gorgonia.org/gorgonia"
)

// TestSecondGradIsWrong shows why products are made from differences here: a
// Grad of a Grad gives 4 for the second derivative of x³ at 2, not 12, and no
// error. When this test fails, exact products have become possible.
func TestSecondGradIsWrong(t *testing.T) {
	graph := g.NewGraph()
	x := g.NewScalar(graph, g.Float64, g.WithName("x"), g.WithValue(2.0))
	cube := g.Must(g.Mul(g.Must(g.Mul(x, x)), x))
	first, err := g.Grad(cube, x)
	if err != nil {
		t.Fatal(err)
	}
	second, err := g.Grad(first[0], x)
	if err != nil {
		t.Fatal(err)
	}
	vm := g.NewTapeMachine(graph)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	got := [3]any{cube.Value().Data(), first[0].Value().Data(), second[0].Value().Data()}
	if want := [3]any{8.0, 12.0, 4.0}; got != want {
		t.Errorf("x³ at 2 with its first and second Grad: %v, want %v; is the second right at last?", got, want)
	}
}
