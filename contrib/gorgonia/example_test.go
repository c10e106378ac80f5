package ahgorgonia_test

import (
	"fmt"
	"log"

	ahgorgonia "github.com/adahessian-go/adahessian/contrib/gorgonia"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// A line through points of y = 2x + 1.
func Example() {
	g := gorgonia.NewGraph()
	vector := func(name string, v ...float64) *gorgonia.Node {
		return gorgonia.NewVector(g, gorgonia.Float64, gorgonia.WithName(name), gorgonia.WithShape(len(v)),
			gorgonia.WithValue(tensor.New(tensor.WithShape(len(v)), tensor.WithBacking(v))))
	}
	x, y := vector("x", -1, 0, 1, 2), vector("y", -1, 1, 3, 5)
	w := gorgonia.NewScalar(g, gorgonia.Float64, gorgonia.WithName("w"), gorgonia.WithValue(0.0))
	b := gorgonia.NewScalar(g, gorgonia.Float64, gorgonia.WithName("b"), gorgonia.WithValue(0.0))
	line := gorgonia.Must(gorgonia.Add(gorgonia.Must(gorgonia.Mul(x, w)), b))
	cost := gorgonia.Must(gorgonia.Mean(gorgonia.Must(gorgonia.Square(gorgonia.Must(gorgonia.Sub(line, y))))))
	if _, err := gorgonia.Grad(cost, w, b); err != nil {
		log.Fatal(err)
	}
	machine := gorgonia.NewTapeMachine(g, gorgonia.BindDualValues(w, b))
	defer machine.Close()

	solver := ahgorgonia.NewAdaHessianSolver(machine, ahgorgonia.WithLearnRate(0.1))
	for range 200 {
		if err := machine.RunAll(); err != nil {
			log.Fatal(err)
		}
		if err := solver.Step([]gorgonia.ValueGrad{w, b}); err != nil {
			log.Fatal(err)
		}
		machine.Reset()
	}
	fmt.Printf("%.2f %.2f\n", w.Value().Data(), b.Value().Data())
	// Output: 2.00 1.00
}
