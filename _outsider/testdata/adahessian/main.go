// A linear model, as in the package's README, fit to a line.
package main

import (
	"fmt"
	"log"

	"github.com/adahessian-go/adahessian"
)

func main() {
	x := [][]float32{{1, 0.5}, {1, 2}, {1, 3.5}, {1, 4}}
	y := []float32{2, 5, 8, 9}
	w := make([]float32, 2)
	opt, err := adahessian.New(adahessian.DefaultOptions(), adahessian.Param[float32]{Name: "w", Value: w})
	if err != nil {
		log.Fatal(err)
	}
	g := make([]float32, 2)
	for range 100 {
		loss := float32(0)
		hvp := func(hz, z [][]float32) error {
			clear(g)
			clear(hz[0])
			for i, x := range x {
				residual := x[0]*w[0] + x[1]*w[1] - y[i]
				along := x[0]*z[0][0] + x[1]*z[0][1]
				loss += residual * residual / 8
				for j := range w {
					g[j] += x[j] * residual / 4
					hz[0][j] += x[j] * along / 4
				}
			}
			return nil
		}
		if err := opt.Step([][]float32{g}, hvp); err != nil {
			log.Fatal(err)
		}
		fmt.Println(loss)
	}
}
