package adahessian_test

import (
	"bytes"
	"fmt"
	"log"
	"math"

	"github.com/adahessian-go/adahessian"
)

// logistic is a logistic regression: the probability of passing after x hours of study
// is σ(w·x + b).
type logistic struct {
	hours  []float64
	passed []float64 // 0 or 1
	w, b   []float64 // parameters
	gw, gb []float64 // the gradient of the loss
}

func newLogistic() *logistic {
	return &logistic{
		hours:  []float64{0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4},
		passed: []float64{0, 0, 0, 1, 0, 1, 1, 1},
		w:      make([]float64, 1), b: make([]float64, 1),
		gw: make([]float64, 1), gb: make([]float64, 1),
	}
}

// hessianVector is an adahessian.HVP that also sets the gradient in the same pass.
// With p = σ(w·x + b), the mean loss has the gradient mean (p−y)·(x, 1) and the
// Hessian mean p(1−p)·(x, 1)(x, 1)ᵀ, cross term between w and b included.
func (l *logistic) hessianVector(hz, z [][]float64) error {
	l.gw[0], l.gb[0], hz[0][0], hz[1][0] = 0, 0, 0, 0
	n := float64(len(l.hours))
	for i, x := range l.hours {
		p := 1 / (1 + math.Exp(-(l.w[0]*x + l.b[0])))
		l.gw[0] += (p - l.passed[i]) * x / n
		l.gb[0] += (p - l.passed[i]) / n
		along := p * (1 - p) * (x*z[0][0] + z[1][0]) / n
		hz[0][0] += along * x
		hz[1][0] += along
	}
	return nil
}

// optimizer trains the two parameters of l.
func (l *logistic) optimizer() *adahessian.Optimizer[float64] {
	opts := adahessian.DefaultOptions()
	opts.Seed = 7
	o, err := adahessian.New(opts,
		adahessian.Param[float64]{Name: "w", Value: l.w},
		adahessian.Param[float64]{Name: "b", Value: l.b})
	if err != nil {
		log.Fatal(err)
	}
	return o
}

// An optimizer that is saved and restored together with the parameters continues as if
// nothing had happened, to the bit.
func ExampleOptimizer() {
	l := newLogistic()
	opt := l.optimizer()
	train := func(l *logistic, opt *adahessian.Optimizer[float64], steps int) {
		for range steps {
			// Step calls hessianVector first and reads the gradients after.
			if err := opt.Step([][]float64{l.gw, l.gb}, l.hessianVector); err != nil {
				log.Fatal(err)
			}
		}
	}
	train(l, opt, 100)

	var saved bytes.Buffer // in a real program, a file
	if _, err := opt.WriteTo(&saved); err != nil {
		log.Fatal(err)
	}
	restored := newLogistic()
	copy(restored.w, l.w) // the program saves the parameters itself
	copy(restored.b, l.b)
	resumed := restored.optimizer()
	if _, err := resumed.ReadFrom(&saved); err != nil {
		log.Fatal(err)
	}

	train(l, opt, 400)
	train(restored, resumed, 400)
	fmt.Printf("after %d steps: w = %.3f, b = %.3f\n", opt.Steps(), l.w[0], l.b[0])
	fmt.Println("resumed run is the same:", restored.w[0] == l.w[0] && restored.b[0] == l.b[0])
	// Output:
	// after 500 steps: w = 2.138, b = -4.751
	// resumed run is the same: true
}
