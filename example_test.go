package adahessian_test

import (
	"errors"
	"fmt"
	"log"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/adahessian-go/adahessian"
)

// The loss ½ mean (x·w − y)² of a linear model has the gradient
// mean x (x·w − y) and the Hessian mean x xᵀ, so one pass over the data gives
// the gradient and the product H z. The inputs have the units 1, 10 and 100.
func Example() {
	xs := [][]float64{{1, 10, 100}, {-1, 10, -100}, {1, -10, -100}, {-1, -10, 100}}
	ys := []float64{6, -10, 0, 4} // 3·x₀ − 0.2·x₁ + 0.05·x₂

	w := make([]float64, 3)
	opt, err := adahessian.New(adahessian.DefaultOptions(), adahessian.Param[float64]{Name: "w", Value: w})
	if err != nil {
		log.Fatal(err)
	}
	g := make([]float64, 3)
	product := func(hz, z [][]float64) error { // and the gradient, in g
		clear(g)
		clear(hz[0])
		for i, x := range xs {
			residual := x[0]*w[0] + x[1]*w[1] + x[2]*w[2] - ys[i]
			along := x[0]*z[0][0] + x[1]*z[0][1] + x[2]*z[0][2] // x·z
			for j := range w {
				g[j] += x[j] * residual / 4
				hz[0][j] += x[j] * along / 4
			}
		}
		return nil
	}
	for range 150 {
		if err := opt.Step([][]float64{g}, product); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Printf("w = %.3f\n", w)
	// Output: w = [3.000 -0.200 0.050]
}

// A Layout views a tensor as [Outer][Block][Inner] and averages over Block. These are
// the usual ones.
func ExampleLayout() {
	show := func(what string, l adahessian.Layout, err error) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%-26s %+v: %d elements, %d curvatures\n", what, l, l.Len(), l.Blocks())
	}
	// A convolution of 16 outputs, 8 inputs and 3×3 kernels: over each kernel.
	l, err := adahessian.AverageAxes([]int{16, 8, 3, 3}, 2, 3)
	show("convolution, OIHW", l, err)
	l, err = adahessian.AverageAxes([]int{3, 3, 8, 16}, 0, 1)
	show("convolution, HWIO", l, err)
	// A linear layer of 10 outputs and 64 inputs: over each output's weights.
	l, err = adahessian.AverageAxes([]int{10, 64}, 1)
	show("linear [out, in], rows", l, err)
	l, err = adahessian.AverageAxes([]int{64, 10}, 0)
	show("linear [in, out], columns", l, err)
	// A transformer's matrices: runs of 32, whatever the shape.
	l, err = adahessian.Flat(768*768, 32)
	show("transformer, blocks of 32", l, err)
	show("bias, nothing averaged", adahessian.Elementwise(768), nil)
	// Output:
	// convolution, OIHW          {Outer:128 Block:9 Inner:1}: 1152 elements, 128 curvatures
	// convolution, HWIO          {Outer:1 Block:9 Inner:128}: 1152 elements, 128 curvatures
	// linear [out, in], rows     {Outer:10 Block:64 Inner:1}: 640 elements, 10 curvatures
	// linear [in, out], columns  {Outer:1 Block:64 Inner:10}: 640 elements, 10 curvatures
	// transformer, blocks of 32  {Outer:18432 Block:32 Inner:1}: 589824 elements, 18432 curvatures
	// bias, nothing averaged     {Outer:768 Block:1 Inner:1}: 768 elements, 768 curvatures
}

// The axes to average over must be adjacent. If they are not, AverageAxes returns an
// error instead of silently taking some other average.
func ExampleAverageAxes() {
	l, err := adahessian.AverageAxes([]int{16, 8, 3, 3}, 2, 3)
	fmt.Println(l, err)
	_, err = adahessian.AverageAxes([]int{16, 8, 3, 3}, 0, 2)
	fmt.Println(err)
	// Output:
	// {128 9 1} <nil>
	// adahessian: invalid layout: axes 0 and 2 are not adjacent: name the axes between them too, or transpose the tensor
}

// If block does not divide the length, Flat returns an error.
func ExampleFlat() {
	l, err := adahessian.Flat(4096, 32)
	fmt.Println(l, err)
	_, err = adahessian.Flat(100, 32)
	fmt.Println(err)
	// Output:
	// {128 32 1} <nil>
	// adahessian: invalid layout: length 100 is not a multiple of the block of 32 elements
}

func ExampleElementwise() {
	l := adahessian.Elementwise(10)
	fmt.Println(l.Len(), l.Blocks())
	// Output: 10 10
}

// The loss ½ Σ (a·b − 6)² of two scalars a and b has the Hessian
//
//	⎡ b²       2ab − 6 ⎤
//	⎣ 2ab − 6  a²      ⎦
//
// An HVP multiplies by the whole matrix, cross terms between tensors included.
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

// FiniteDifference makes the product from gradients. For a quadratic loss it is exact
// except for rounding.
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

// If you write an HVP, call CheckHVP in your tests. Here the wrong one lacks the cross
// terms between the two parameters, a common mistake.
func ExampleCheckHVP() {
	a, b := []float64{2}, []float64{4}
	params := []adahessian.Param[float64]{{Name: "a", Value: a}, {Name: "b", Value: b}}
	grad := func(grads [][]float64) error { // of ½ (a·b − 6)²
		grads[0][0] = (a[0]*b[0] - 6) * b[0]
		grads[1][0] = (a[0]*b[0] - 6) * a[0]
		return nil
	}
	right := func(hz, z [][]float64) error {
		across := 2*a[0]*b[0] - 6 // at the present values
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

// The signs of a range of indices do not depend on how it is cut: a shard draws the same
// signs as the whole tensor.
func ExampleRademacher() {
	const seed, draw = 42, 0
	whole := make([]float32, 8)
	adahessian.Rademacher(whole, seed, draw, 0)
	shard := make([]float32, 3)
	adahessian.Rademacher(shard, seed, draw, 5)
	fmt.Println(whole)
	fmt.Println(shard)
	// Output:
	// [-1 -1 1 1 -1 1 -1 1]
	// [1 -1 1]
}

func ExampleBlockMeanAbs() {
	x := []float64{1, -3, 2, 10, -20, 30}
	rows := make([]float64, 2)
	adahessian.BlockMeanAbs(rows, x, adahessian.Layout{Outer: 2, Block: 3, Inner: 1})
	columns := make([]float64, 3)
	adahessian.BlockMeanAbs(columns, x, adahessian.Layout{Outer: 1, Block: 2, Inner: 3})
	fmt.Println(rows, columns)
	// Output: [2 20] [5.5 11.5 16]
}

// A framework that keeps its own state calls the kernels tensor by tensor. The loss here
// is Σ cᵢ·θᵢ²/2, whose Hessian is diagonal, with the elements c.
func ExampleUpdate() {
	c := []float32{1, 10, 100, 1000}
	theta := []float32{1, 1, 1, 1}
	layout := adahessian.Elementwise(len(theta))
	m := make([]float32, layout.Len())    // first moment
	v := make([]float32, layout.Blocks()) // second moment

	z, g, hz := make([]float32, 4), make([]float32, 4), make([]float32, 4)
	for step := uint64(1); step <= 3; step++ {
		adahessian.Rademacher(z, 1, step-1, 0)
		for i := range theta {
			g[i] = c[i] * theta[i]
			hz[i] = c[i] * z[i]
		}
		coef, err := adahessian.NewCoefficients[float32](adahessian.DefaultHyper(), step, 1)
		if err != nil {
			log.Fatal(err)
		}
		adahessian.Update(theta, m, v, g, hz, layout, &coef)
	}
	// Each step is a Newton step times the learning rate: the same for every
	// element, however different the curvatures are.
	fmt.Printf("%.3f\n", theta)
	// Output:
	// [0.585 0.585 0.585 0.585]
}

// The scalars of a step are made once and used for every tensor of the group.
func ExampleNewCoefficients() {
	hyper := adahessian.DefaultHyper()
	if _, err := adahessian.NewCoefficients[float32](hyper, 1, 1); err != nil {
		log.Fatal(err)
	}
	hyper.Beta1 = 1
	_, err := adahessian.NewCoefficients[float32](hyper, 1, 1)
	fmt.Println(err)
	// Output:
	// adahessian: invalid option: Hyper.Beta1 = 1, want a finite value in [0, 1)
}

func ExampleISA() {
	isa := adahessian.ISA()
	fmt.Println(slices.Contains([]string{"avx512", "avx2", "neon", "generic"}, isa))
	// Output: true
}

// Weights decay and biases do not: parameters that share a Hyper form a group.
// The loss is flat here, so the decay is all that moves them.
func Example_groups() {
	opts := adahessian.DefaultOptions()
	opts.WeightDecay = 0.1 // for every parameter without a Hyper of its own
	biases := opts.Hyper
	biases.WeightDecay = 0

	w1, b1 := []float64{1, 1}, []float64{1}
	w2, b2 := []float64{1, 1}, []float64{1}
	opt, err := adahessian.New(opts,
		adahessian.Param[float64]{Name: "layer1.weight", Value: w1},
		adahessian.Param[float64]{Name: "layer1.bias", Value: b1, Hyper: &biases},
		adahessian.Param[float64]{Name: "layer2.weight", Value: w2},
		adahessian.Param[float64]{Name: "layer2.bias", Value: b2, Hyper: &biases})
	if err != nil {
		log.Fatal(err)
	}
	grads := [][]float64{{0, 0}, {0}, {0, 0}, {0}}
	flat := func(hz, z [][]float64) error {
		for i := range hz {
			clear(hz[i])
		}
		return nil
	}
	for step := range 10 {
		// A schedule sets the rate of each group, and every Step reads it.
		lr := 0.15 / float64(step+1)
		if err := opt.SetLR(lr); err != nil {
			log.Fatal(err)
		}
		biases.LR = lr
		if err := opt.Step(grads, flat); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Printf("weights %.4f %.4f, biases %v %v\n", w1, w2, b1, b2)
	// Output:
	// weights [0.9568 0.9568] [0.9568 0.9568], biases [1] [1]
}

// A batch that is too large for memory is processed in micro-batches, here of two, two
// and one example. Use the same z for all of them, and divide by the number of examples
// at the end: the Hessian of a mean is the mean of the Hessians, so the result is the
// product for the whole batch. With a different z for each micro-batch, it would not be a
// product with any Hessian. The optimizer makes one step for all of them.
func Example_accumulation() {
	// The model y = w·x + b, with the loss ½ mean (w·x + b − y)².
	x := []float64{0, 1, 2, 3, 4}
	y := []float64{1, 3, 5, 7, 9}
	theta, g := make([]float64, 2), make([]float64, 2) // w, b

	opt, err := adahessian.New(adahessian.DefaultOptions(), adahessian.Param[float64]{Name: "line", Value: theta})
	if err != nil {
		log.Fatal(err)
	}
	const micro = 2
	hvp := func(hz, z [][]float64) error {
		clear(g) // the gradient is accumulated along with the product
		clear(hz[0])
		for lo := 0; lo < len(x); lo += micro {
			for i := lo; i < min(lo+micro, len(x)); i++ {
				residual := theta[0]*x[i] + theta[1] - y[i]
				along := z[0][0]*x[i] + z[0][1]
				g[0], g[1] = g[0]+residual*x[i], g[1]+residual
				hz[0][0], hz[0][1] = hz[0][0]+along*x[i], hz[0][1]+along
			}
		}
		for i := range g {
			g[i] /= float64(len(x))
			hz[0][i] /= float64(len(x))
		}
		return nil
	}
	for range 1000 {
		if err := opt.Step([][]float64{g}, hvp); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Printf("y = %.3f·x + %.3f\n", theta[0], theta[1])
	// Output: y = 2.000·x + 1.000
}

// Curvature at a fraction of its cost: the gradient is that of a batch of 8 examples, the
// product that of the first 2, and only every fifth step has one. If the examples of a
// batch are drawn at random, the product over a part of them is an unbiased estimate of
// the product over all. It has more noise, which makes the second moment, a mean of
// squares, larger. And a part may show almost no curvature where the whole batch shows
// some. MaxUpdate then bounds the step.
func Example_partOfABatch() {
	theta, g := make([]float64, 2), make([]float64, 2) // w, b of y = w·x + b
	opts := adahessian.DefaultOptions()
	opts.UpdateEach = 5
	opts.MaxUpdate = 1
	opt, err := adahessian.New(opts, adahessian.Param[float64]{Name: "line", Value: theta})
	if err != nil {
		log.Fatal(err)
	}

	x := make([]float64, 8) // the batch
	const part = 2
	products := 0
	hvp := func(hz, z [][]float64) error {
		products++
		clear(hz[0])
		for _, x := range x[:part] {
			along := z[0][0]*x + z[0][1]
			hz[0][0], hz[0][1] = hz[0][0]+along*x/part, hz[0][1]+along/part
		}
		return nil
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 1000 {
		for i := range x {
			x[i] = 4 * rng.Float64()
		}
		clear(g)
		for _, x := range x {
			residual := theta[0]*x + theta[1] - (2*x + 1)
			g[0], g[1] = g[0]+residual*x/8, g[1]+residual/8
		}
		if err := opt.Step([][]float64{g}, hvp); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Printf("y = %.3f·x + %.3f after %d steps and %d products\n", theta[0], theta[1], opt.Steps(), products)
	// Output: y = 2.000·x + 1.000 after 1000 steps and 200 products
}

// A learning rate that rises linearly for 10 steps and then falls to 0 along
// half a cosine. SetLR sets it for every parameter without a Hyper of its own.
func Example_schedule() {
	const warmup, steps, peak = 10, 100, 0.2
	rate := func(step int) float64 {
		if step < warmup {
			return peak * float64(step+1) / warmup
		}
		done := float64(step-warmup) / (steps - warmup)
		return peak * (1 + math.Cos(math.Pi*done)) / 2
	}

	theta, g := []float64{1, 1}, make([]float64, 2)
	curvature := []float64{1, 100} // the loss is Σ cᵢ·θᵢ²/2
	opt, err := adahessian.New(adahessian.DefaultOptions(), adahessian.Param[float64]{Value: theta})
	if err != nil {
		log.Fatal(err)
	}
	for step := range steps {
		if err := opt.SetLR(rate(step)); err != nil {
			log.Fatal(err)
		}
		err := opt.Step([][]float64{g}, func(hz, z [][]float64) error {
			for i, c := range curvature {
				g[i], hz[0][i] = c*theta[i], c*z[0][i]
			}
			return nil
		})
		if err != nil {
			log.Fatal(err)
		}
		if step == 0 || step == warmup || step == steps-1 {
			fmt.Printf("step %2d: rate %.4f, θ = %.5f\n", step, rate(step), theta)
		}
	}
	// Output:
	// step  0: rate 0.0200, θ = [0.98000 0.98000]
	// step 10: rate 0.2000, θ = [0.01088 0.01081]
	// step 99: rate 0.0001, θ = [-0.00285 -0.00286]
}

// To freeze a tensor for good, leave it out of New. An Offset in the next tensor skips
// its indices, so the others keep the signs that they would have with it. To freeze a
// tensor for some steps, pass a nil gradient in these steps.
func Example_freezing() {
	embedding, body, head := []float64{1, 1}, []float64{1, 1}, []float64{1}
	var signs [][]float64
	hvp := func(hz, z [][]float64) error { // the loss is ½ Σ θᵢ²
		signs = nil
		for i := range z {
			copy(hz[i], z[i])
			signs = append(signs, slices.Clone(z[i]))
		}
		return nil
	}

	opts := adahessian.DefaultOptions()
	opts.Seed = 1
	opt, err := adahessian.New(opts,
		// The embedding is frozen for good: indices 0 and 1 are not used, and
		// hvp multiplies as if z were 0 there.
		adahessian.Param[float64]{Name: "body", Value: body, Offset: uint64(len(embedding))},
		adahessian.Param[float64]{Name: "head", Value: head})
	if err != nil {
		log.Fatal(err)
	}
	step := func(grads ...[]float64) {
		if err := opt.Step(grads, hvp); err != nil {
			log.Fatal(err)
		}
	}
	step(nil, head) // The gradient of this loss is the parameters themselves.
	all := make([]float64, 5)
	adahessian.Rademacher(all, opts.Seed, 0, 0)
	fmt.Println("signs", signs, "of", all)
	fmt.Printf("body frozen: %v %.4f %.4f\n", embedding, body, head)

	step(body, head) // From now on the body is trained.
	fmt.Printf("body thawed: %v %.4f %.4f\n", embedding, body, head)
	// Output:
	// signs [[1 1] [-1]] of [1 1 1 1 -1]
	// body frozen: [1 1] [1.0000 1.0000] [0.8500]
	// body thawed: [1 1] [0.8500 0.8500] [0.7119]
}
