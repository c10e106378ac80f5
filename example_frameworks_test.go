package adahessian_test

import (
	"fmt"
	"log"
	"math"
	"math/rand/v2"

	"github.com/adahessian-go/adahessian"
)

// descend minimizes ½ Σ cᵢ·θᵢ², whose Hessian is diagonal, with the HVP that wrap makes
// from the exact one.
func descend(steps int, opts adahessian.Options, wrap func(hvp adahessian.HVP[float64]) adahessian.HVP[float64]) []float64 {
	curvature := []float64{1, 100}
	theta, g := []float64{1, 1}, make([]float64, 2)
	opt, err := adahessian.New(opts, adahessian.Param[float64]{Value: theta})
	if err != nil {
		log.Fatal(err)
	}
	hvp := wrap(func(hz, z [][]float64) error {
		for i, c := range curvature {
			hz[0][i] = c * z[0][i]
		}
		return nil
	})
	for range steps {
		for i, c := range curvature {
			g[i] = c * theta[i]
		}
		if err := opt.Step([][]float64{g}, hvp); err != nil {
			log.Fatal(err)
		}
	}
	return theta
}

// A framework moves a tensor between two steps, later adds another, and has no gradient
// for the first one in one step.
func ExampleOptimizer_Rebind() {
	body := []float32{1, 2}
	opt, err := adahessian.New(adahessian.DefaultOptions(), adahessian.Param[float32]{Name: "body", Value: body})
	if err != nil {
		log.Fatal(err)
	}
	hvp := func(hz, z [][]float32) error { // the loss is ½ Σ θᵢ²
		for i := range z {
			copy(hz[i], z[i])
		}
		return nil
	}
	step := func(grads ...[]float32) {
		if err := opt.Step(grads, hvp); err != nil {
			log.Fatal(err)
		}
	}
	step(body)

	moved := append([]float32(nil), body...) // the framework has copied it
	if err := opt.Rebind([][]float32{moved}); err != nil {
		log.Fatal(err)
	}
	step(moved)

	head := []float32{1}
	if err := opt.Add(adahessian.Param[float32]{Name: "head", Value: head}); err != nil {
		log.Fatal(err)
	}
	step(nil, head) // the body is frozen in this step
	fmt.Printf("%.3f %.3f\n", moved, head)
	// Output: [0.712 1.424] [0.850]
}

// The weights live elsewhere in bfloat16, the upper half of a float32. The optimizer
// trains float32 masters: gradients and products are widened before each step, and the
// rounded masters are copied back after it.
func Example_bfloat16() {
	weights := []uint16{0x3f80, 0x4000} // 1 and 2, on the accelerator
	master, g := make([]float32, 2), make([]float32, 2)
	adahessian.Widen[adahessian.BFloat16](master, weights)
	opt, err := adahessian.New(adahessian.DefaultOptions(), adahessian.Param[float32]{Name: "w", Value: master})
	if err != nil {
		log.Fatal(err)
	}
	for range 3 {
		gradient := weights // that of ½ Σ wᵢ², in bfloat16
		adahessian.Widen[adahessian.BFloat16](g, gradient)
		err := opt.Step([][]float32{g}, func(hz, z [][]float32) error {
			copy(hz[0], z[0])
			return nil
		})
		if err != nil {
			log.Fatal(err)
		}
		adahessian.Narrow[adahessian.BFloat16](weights, master)
	}
	adahessian.Widen[adahessian.BFloat16](g, weights)
	fmt.Printf("masters %.5f, weights %.5f\n", master, g)
	// Output: masters [0.58515 1.17031], weights [0.58594 1.17188]
}

// The same step without an optimizer: the masters and moments of a tensor, its weights,
// gradient and product in bfloat16, of a loss that was scaled by 256.
func ExampleUpdateHalf() {
	const scale = 256
	weights := []adahessian.BFloat16{0x3f80, 0x4000}  // 1 and 2
	gradient := []adahessian.BFloat16{0x4380, 0x4400} // 256 times that: the loss is ½ Σ wᵢ²
	product := []adahessian.BFloat16{0x4380, 0xc380}  // 256 times the signs of a probe
	master, m, v := make([]float32, 2), make([]float32, 2), make([]float32, 2)
	adahessian.Widen[adahessian.BFloat16](master, weights)

	for _, x := range [][]adahessian.BFloat16{gradient, product} {
		if i := adahessian.FirstNonFiniteHalf[adahessian.BFloat16](x); i >= 0 {
			log.Fatalf("element %d is not finite: make the scale smaller, and leave the step out", i)
		}
	}
	c, err := adahessian.NewCoefficients[float32](adahessian.DefaultHyper(), 1, 1)
	if err != nil {
		log.Fatal(err)
	}
	adahessian.UpdateHalf[adahessian.BFloat16](master, weights, gradient, product, m, v, adahessian.Elementwise(2), &c, 1./scale)
	fmt.Printf("masters %.5f, weights %#04x\n", master, weights)
	// Output: masters [0.85001 1.70003], weights [0x3f5a 0x3fda]
}

// Clip gradients inside hvp, if hvp fills them, or else before Step: they are read after
// the product. The product is not clipped.
func Example_clipping() {
	const most = 1.0
	theta, g := []float64{30, 40}, make([]float64, 2)
	opt, err := adahessian.New(adahessian.DefaultOptions(), adahessian.Param[float64]{Value: theta})
	if err != nil {
		log.Fatal(err)
	}
	err = opt.Step([][]float64{g}, func(hz, z [][]float64) error { // ½ Σ θᵢ²
		copy(g, theta)
		copy(hz[0], z[0])
		if norm := math.Hypot(g[0], g[1]); norm > most {
			for i := range g {
				g[i] *= most / norm
			}
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("g = %.1f, θ = %.3f\n", g, theta)
	// Output: g = [0.6 0.8], θ = [29.910 39.880]
}

// To use another estimate D of the diagonal of the Hessian, one value for each element,
// return hz = z⊙D. This is right for any number of samples, and D may have any sign.
func Example_diagonal() {
	opts := adahessian.DefaultOptions()
	opts.Samples = 2
	theta := descend(50, opts, func(adahessian.HVP[float64]) adahessian.HVP[float64] {
		return func(hz, z [][]float64) error {
			for i, d := range []float64{1, 100} { // known here
				hz[0][i] = z[0][i] * d
			}
			return nil
		}
	})
	fmt.Printf("%.4f\n", theta)
	// Output: [0.0409 0.0409]
}

// Gaussian probes instead of signs: if x is a vector of normal random numbers, x⊙Hx is
// an estimate of the diagonal. Return it as z⊙(x⊙Hx).
func Example_gaussian() {
	rng := rand.New(rand.NewPCG(1, 2))
	x := [][]float64{make([]float64, 2)}
	theta := descend(300, adahessian.DefaultOptions(), func(hvp adahessian.HVP[float64]) adahessian.HVP[float64] {
		return func(hz, z [][]float64) error {
			for i := range x[0] {
				x[0][i] = rng.NormFloat64()
			}
			if err := hvp(hz, x); err != nil {
				return err
			}
			for i := range hz[0] {
				hz[0][i] *= x[0][i] * z[0][i]
			}
			return nil
		}
	})
	fmt.Println(math.Abs(theta[0]) < 0.1, math.Abs(theta[1]) < 0.1)
	// Output: true true
}

// Weights that two layers share are one Param. Its gradient is the sum over its uses, and
// so is its product, since both are derivatives with respect to the one tensor.
func Example_tied() {
	// ½(w·x − 1)² + ½(w·y − 2)², with one w in both terms
	const x, y = 1.0, 3.0
	w, g := []float64{0}, []float64{0}
	opt, err := adahessian.New(adahessian.DefaultOptions(), adahessian.Param[float64]{Name: "w", Value: w})
	if err != nil {
		log.Fatal(err)
	}
	for range 200 {
		err := opt.Step([][]float64{g}, func(hz, z [][]float64) error {
			g[0] = (w[0]*x-1)*x + (w[0]*y-2)*y
			hz[0][0] = (x*x + y*y) * z[0][0]
			return nil
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	fmt.Printf("%.3f\n", w)
	// Output: [0.700]
}

// Fill a sparse gradient with zeros. A row that is not used in a step still moves by its
// momentum, as with Adam. If a whole tensor is not used, pass a nil gradient, and it does
// not move.
func Example_sparse() {
	used, unused := []float64{1, 1}, []float64{1, 1}
	opt, err := adahessian.New(adahessian.DefaultOptions(),
		adahessian.Param[float64]{Value: used}, adahessian.Param[float64]{Value: unused})
	if err != nil {
		log.Fatal(err)
	}
	hvp := func(hz, z [][]float64) error {
		for i := range z {
			copy(hz[i], z[i])
		}
		return nil
	}
	for _, grads := range [][][]float64{{{1, 1}, {1, 1}}, {{1, 0}, nil}} {
		if err := opt.Step(grads, hvp); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Printf("%.3f %.3f\n", used, unused)
	// Output: [0.700 0.779] [0.850 0.850]
}

// A tensor that is not stored row-major, such as a view, is staged: the Param has memory
// of its own. Copy the tensor into it before each step, and back after it.
func Example_strided() {
	framework := []float64{1, 9, 2, 9, 3, 9} // every second element is the tensor's
	staged, g := make([]float64, 3), make([]float64, 3)
	for i := range staged {
		staged[i] = framework[2*i]
	}
	opt, err := adahessian.New(adahessian.DefaultOptions(), adahessian.Param[float64]{Value: staged})
	if err != nil {
		log.Fatal(err)
	}
	copy(g, staged) // of ½ Σ θᵢ²
	err = opt.Step([][]float64{g}, func(hz, z [][]float64) error { copy(hz[0], z[0]); return nil })
	if err != nil {
		log.Fatal(err)
	}
	for i, x := range staged {
		framework[2*i] = x
	}
	fmt.Printf("%.2f\n", framework)
	// Output: [0.85 9.00 1.70 9.00 2.55 9.00]
}

// The optimizer in a few lines, for a program that has gradients.
func ExampleOptimizer_StepGradient() {
	w := []float64{0, 0}
	grad := func(grads [][]float64) error { // of ½(w₀ − 3)² + 50(w₁ − 1)²
		grads[0][0], grads[0][1] = w[0]-3, 100*(w[1]-1)
		return nil
	}

	opt, err := adahessian.New(adahessian.DefaultOptions(), adahessian.Param[float64]{Name: "w", Value: w})
	if err != nil {
		log.Fatal(err)
	}
	for range 200 {
		if err := opt.StepGradient(grad); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Printf("%.2f\n", w)
	// Output: [3.00 1.00]
}

// The curvature is refreshed in every third step and kept in between.
func ExampleUpdateCurvature() {
	theta, m, v, g := []float64{1, 2}, make([]float64, 2), make([]float64, 2), make([]float64, 2)
	hz, d := make([]float64, 2), make([]float64, 2)
	layout := adahessian.Elementwise(2)
	for step := uint64(1); step <= 6; step++ {
		c, err := adahessian.NewCoefficients[float64](adahessian.DefaultHyper(), step, 1)
		if err != nil {
			log.Fatal(err)
		}
		copy(g, theta) // of ½ Σ θᵢ²
		if step%3 == 1 {
			adahessian.Rademacher(hz, 0, (step-1)/3, 0) // the probe, and its product too
			adahessian.BlockMeanAbs(d, hz, layout)
		}
		adahessian.UpdateCurvature(theta, m, v, g, d, layout, &c)
	}
	fmt.Printf("%.4f\n", theta)
	// Output: [0.2719 0.5437]
}

// A gradient that is not finite is found before anything is changed.
func ExampleFirstNonFinite() {
	g := []float32{1, float32(math.Inf(1)), 3}
	if i := adahessian.FirstNonFinite(g); i >= 0 {
		fmt.Printf("g[%d] = %v\n", i, g[i])
	}
	// Output: g[1] = +Inf
}
