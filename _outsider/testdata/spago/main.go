// A perceptron with one hidden layer learns sin x.
package main

import (
	"fmt"
	"log"
	"math"
	"math/rand/v2"

	ahspago "github.com/adahessian-go/adahessian/contrib/spago"
	"github.com/nlpodyssey/spago/ag"
	"github.com/nlpodyssey/spago/mat"
	"github.com/nlpodyssey/spago/nn"
)

type perceptron struct {
	nn.Module
	W1, W2 *nn.Param
}

func main() {
	r := rand.New(rand.NewPCG(1, 1))
	matrix := func(rows, columns int, element func(i int) float64) *mat.Dense[float32] {
		data := make([]float32, rows*columns)
		for i := range data {
			data[i] = float32(element(i))
		}
		return mat.NewDense[float32](mat.WithShape(rows, columns), mat.WithBacking(data))
	}
	normal := func(int) float64 { return r.NormFloat64() }
	angle := func(i int) float64 { return float64(i-8) / 4 }
	x, y := matrix(1, 16, angle), matrix(1, 16, func(i int) float64 { return math.Sin(angle(i)) })
	mean := matrix(16, 1, func(int) float64 { return 1.0 / 16 })
	m := &perceptron{W1: nn.NewParam(matrix(8, 1, normal)), W2: nn.NewParam(matrix(1, 8, normal))}
	var loss float64
	compute := func() error {
		squares := ag.Square(ag.Sub(ag.Mul(m.W2, ag.Tanh(ag.Mul(m.W1, x))), y))
		l := ag.Mul(squares, mean)
		loss = l.Value().Item().F64()
		return ag.Backward(l)
	}
	optimizer := ahspago.New(nn.Parameters(m), ahspago.NewDefaultConfig(), compute)
	for range 100 {
		if err := compute(); err != nil {
			log.Fatal(err)
		}
		fmt.Println(loss)
		if err := optimizer.Optimize(); err != nil {
			log.Fatal(err)
		}
	}
}
