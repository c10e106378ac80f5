// A perceptron with one hidden layer learns sin x.
package main

import (
	"fmt"
	"log"
	"math"
	"math/rand/v2"

	ahgorgonia "github.com/adahessian-go/adahessian/contrib/gorgonia"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

func main() {
	g, r := gorgonia.NewGraph(), rand.New(rand.NewPCG(1, 1))
	matrix := func(name string, rows, columns int, element func(i int) float64) *gorgonia.Node {
		data := make([]float32, rows*columns)
		for i := range data {
			data[i] = float32(element(i))
		}
		return gorgonia.NewMatrix(g, gorgonia.Float32, gorgonia.WithName(name), gorgonia.WithShape(rows, columns),
			gorgonia.WithValue(tensor.New(tensor.WithShape(rows, columns), tensor.WithBacking(data))))
	}
	normal := func(int) float64 { return r.NormFloat64() }
	angle := func(i int) float64 { return float64(i-8) / 4 }
	x, y := matrix("x", 16, 1, angle), matrix("y", 16, 1, func(i int) float64 { return math.Sin(angle(i)) })
	weights := gorgonia.Nodes{matrix("w1", 1, 8, normal), matrix("w2", 8, 1, normal)}
	hidden := gorgonia.Must(gorgonia.Tanh(gorgonia.Must(gorgonia.Mul(x, weights[0]))))
	difference := gorgonia.Must(gorgonia.Sub(gorgonia.Must(gorgonia.Mul(hidden, weights[1])), y))
	loss := gorgonia.Must(gorgonia.Mean(gorgonia.Must(gorgonia.Square(difference))))
	if _, err := gorgonia.Grad(loss, weights...); err != nil {
		log.Fatal(err)
	}
	machine := gorgonia.NewTapeMachine(g, gorgonia.BindDualValues(weights...))
	defer machine.Close()
	solver := ahgorgonia.NewAdaHessianSolver(machine)
	for range 100 {
		if err := machine.RunAll(); err != nil {
			log.Fatal(err)
		}
		fmt.Println(loss.Value())
		if err := solver.Step(gorgonia.NodesToValueGrads(weights)); err != nil {
			log.Fatal(err)
		}
		machine.Reset()
	}
}
