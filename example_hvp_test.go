package adahessian_test

import (
	"errors"
	"fmt"
	"log"

	"github.com/adahessian-go/adahessian"
)

// The loss ½ Σ (a·b − 6)² of two scalars a and b has the Hessian
//
//	⎡ b²       2ab − 6 ⎤
//	⎣ 2ab − 6  a²      ⎦
//
// An HVP multiplies by all of it, the terms across tensors included.
func ExampleHVP() {
	a, b := []float64{2}, []float64{4}
	var hvp adahessian.HVP[float64] = func(hz, z [][]float64) error {
		across := 2*a[0]*b[0] - 6
		hz[0][0] = b[0]*b[0]*z[0][0] + across*z[1][0]
		hz[1][0] = across*z[0][0] + a[0]*a[0]*z[1][0]
		return nil
	}
	z := [][]float64{{1}, {-1}}
	hz := [][]float64{make([]float64, 1), make([]float64, 1)}
	if err := hvp(hz, z); err != nil {
		log.Fatal(err)
	}
	fmt.Println(hz)
	// Output: [[6] [6]]
}

// FiniteDifference makes the product from a gradient. On a quadratic loss it
// is exact but for rounding.
func ExampleFiniteDifference() {
	theta := []float64{1, 2}
	params := []adahessian.Param[float64]{{Name: "theta", Value: theta}}
	grad := func(grads [][]float64) error { // of 3·θ₀² + θ₀·θ₁ + 5·θ₁²
		grads[0][0] = 6*theta[0] + theta[1]
		grads[0][1] = theta[0] + 10*theta[1]
		return nil
	}
	hvp := adahessian.FiniteDifference(params, grad, 0)
	hz := [][]float64{make([]float64, 2)}
	if err := hvp(hz, [][]float64{{1, -1}}); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("H z = %.3f, θ = %v as before\n", hz[0], theta)
	// Output: H z = [5.000 -9.000], θ = [1 2] as before
}

// CheckHVP belongs in the tests of whoever writes an HVP. Here one leaves out
// the terms across the two parameters, a usual mistake.
func ExampleCheckHVP() {
	a, b := []float64{2}, []float64{4}
	params := []adahessian.Param[float64]{{Name: "a", Value: a}, {Name: "b", Value: b}}
	grad := func(grads [][]float64) error { // of ½ (a·b − 6)²
		grads[0][0] = (a[0]*b[0] - 6) * b[0]
		grads[1][0] = (a[0]*b[0] - 6) * a[0]
		return nil
	}
	across := 2*a[0]*b[0] - 6
	right := func(hz, z [][]float64) error {
		hz[0][0] = b[0]*b[0]*z[0][0] + across*z[1][0]
		hz[1][0] = across*z[0][0] + a[0]*a[0]*z[1][0]
		return nil
	}
	wrong := func(hz, z [][]float64) error {
		hz[0][0] = b[0] * b[0] * z[0][0]
		hz[1][0] = a[0] * a[0] * z[1][0]
		return nil
	}
	fmt.Println("right:", adahessian.CheckHVP(params, grad, right, 1))
	err := adahessian.CheckHVP(params, grad, wrong, 1)
	fmt.Println("wrong:", errors.Is(err, adahessian.ErrHVP))
	fmt.Println(err)
	// Output:
	// right: <nil>
	// wrong: true
	// adahessian: Hessian-vector product failed: CheckHVP: disagrees with finite differences: relative error 0.385, tolerance 1e-05; worst at parameter 0 "a", index 0: 16, want 26
}
