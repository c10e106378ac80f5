package tutorial_test

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"math"
	"slices"

	"github.com/adahessian-go/adahessian"
	"github.com/adahessian-go/adahessian/internal/tutorial"
)

// params returns the model's parameters, as the first part of the tutorial does.
func params(model *tutorial.Model) []adahessian.Param[float64] {
	return []adahessian.Param[float64]{
		{Name: "W1", Value: model.W1},
		{Name: "b1", Value: model.B1},
		{Name: "W2", Value: model.W2},
		{Name: "b2", Value: model.B2},
	}
}

// options returns what the parts of the tutorial train with.
func options() adahessian.Options {
	opts := adahessian.DefaultOptions()
	opts.MaxUpdate = 1
	return opts
}

// gradients returns a gradient for each of the model's parameters.
func gradients(model *tutorial.Model) [][]float64 {
	return [][]float64{
		make([]float64, len(model.W1)), make([]float64, len(model.B1)),
		make([]float64, len(model.W2)), make([]float64, len(model.B2)),
	}
}

func Example_gradients() {
	model := tutorial.NewModel(1)
	points := tutorial.Moons(200, 1)

	params := []adahessian.Param[float64]{
		{Name: "W1", Value: model.W1},
		{Name: "b1", Value: model.B1},
		{Name: "W2", Value: model.W2},
		{Name: "b2", Value: model.B2},
	}
	opts := adahessian.DefaultOptions()
	opts.MaxUpdate = 1
	opt, err := adahessian.New(opts, params...)
	if err != nil {
		log.Fatal(err)
	}

	var loss float64
	gradient := func(grads [][]float64) error {
		loss = model.Gradient(grads, points)
		return nil
	}
	for range 300 {
		if err := opt.StepGradient(gradient); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Printf("loss %.2f\n", loss)
	// Output: loss 0.02
}

func Example_check() {
	model := tutorial.NewModel(1)
	points := tutorial.Moons(200, 1)
	params := params(model)

	grads := gradients(model)
	gradient := func(grads [][]float64) error {
		model.Gradient(grads, points)
		return nil
	}
	product := func(hz, z [][]float64) error {
		model.Product(grads, hz, z, points)
		return nil
	}
	if err := adahessian.CheckHVP(params, gradient, product, 1); err != nil {
		log.Fatal(err)
	}

	wrong := func(hz, z [][]float64) error {
		model.Product(grads, hz, z, points)
		clear(hz[2]) // a layer forgotten
		return nil
	}
	err := adahessian.CheckHVP(params, gradient, wrong, 1)
	fmt.Println(errors.Is(err, adahessian.ErrHVP))
	// Output: true
}

func Example_product() {
	model := tutorial.NewModel(1)
	points := tutorial.Moons(200, 1)
	opt, err := adahessian.New(options(), params(model)...)
	if err != nil {
		log.Fatal(err)
	}

	var loss float64
	grads := gradients(model)
	product := func(hz, z [][]float64) error {
		loss = model.Product(grads, hz, z, points)
		return nil
	}
	for range 300 {
		if err := opt.Step(grads, product); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Printf("loss %.2f\n", loss)
	// Output: loss 0.02
}

func Example_cheaper() {
	model := tutorial.NewModel(1)
	points := tutorial.Moons(200, 1)

	opts := options()
	opts.UpdateEach = 5
	opt, err := adahessian.New(opts, params(model)...)
	if err != nil {
		log.Fatal(err)
	}

	var loss float64
	grads := gradients(model)
	scratch := gradients(model)
	product := func(hz, z [][]float64) error {
		model.Product(scratch, hz, z, points[:50])
		return nil
	}
	for range 300 {
		loss = model.Gradient(grads, points)
		if err := opt.Step(grads, product); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Printf("loss %.2f\n", loss)
	// Output: loss 0.03
}

func Example_blocks() {
	model := tutorial.NewModel(1)

	layout, err := adahessian.AverageAxes([]int{2, 16}, 0)
	if err != nil {
		log.Fatal(err)
	}
	params := params(model)
	params[0].Layout = layout // W1: one curvature for each hidden unit

	opt, err := adahessian.New(options(), params...)
	if err != nil {
		log.Fatal(err)
	}
	_, v := opt.State(0)
	fmt.Println(len(model.W1), "weights,", len(v), "curvatures")
	// Output: 32 weights, 16 curvatures
}

func Example_groups() {
	model := tutorial.NewModel(1)
	params := params(model)

	opts := adahessian.DefaultOptions()
	opts.MaxUpdate = 1
	opts.WeightDecay = 1e-4

	biases := opts.Hyper
	biases.WeightDecay = 0
	params[1].Hyper = &biases
	params[3].Hyper = &biases

	opt, err := adahessian.New(opts, params...)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(opt.Steps())
	// Output: 0
}

func Example_schedule() {
	model := tutorial.NewModel(1)
	points := tutorial.Moons(200, 1)
	opt, err := adahessian.New(options(), params(model)...)
	if err != nil {
		log.Fatal(err)
	}
	var loss float64
	grads := gradients(model)
	product := func(hz, z [][]float64) error {
		loss = model.Product(grads, hz, z, points)
		return nil
	}

	const peak, warmup, steps = 0.3, 20, 300
	for step := range steps {
		lr := peak * math.Min(float64(step+1)/warmup, float64(steps-step)/(steps-warmup))
		if err := opt.SetLR(lr); err != nil {
			log.Fatal(err)
		}
		if err := opt.Step(grads, product); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Printf("loss %.2f\n", loss)
	// Output: loss 0.02
}

func Example_saving() {
	model := tutorial.NewModel(1)
	points := tutorial.Moons(200, 1)
	opt, err := adahessian.New(options(), params(model)...)
	if err != nil {
		log.Fatal(err)
	}
	grads := gradients(model)
	product := func(hz, z [][]float64) error {
		model.Product(grads, hz, z, points)
		return nil
	}
	for range 100 {
		if err := opt.Step(grads, product); err != nil {
			log.Fatal(err)
		}
	}

	var file bytes.Buffer
	if _, err := opt.WriteTo(&file); err != nil {
		log.Fatal(err)
	}

	resumed := tutorial.NewModel(2)
	copy(resumed.W1, model.W1)
	copy(resumed.B1, model.B1)
	copy(resumed.W2, model.W2)
	copy(resumed.B2, model.B2)
	opt2, err := adahessian.New(options(), params(resumed)...)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := opt2.ReadFrom(&file); err != nil {
		log.Fatal(err)
	}

	product2 := func(hz, z [][]float64) error {
		resumed.Product(grads, hz, z, points)
		return nil
	}
	for range 100 {
		if err := errors.Join(opt.Step(grads, product), opt2.Step(grads, product2)); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(slices.Equal(model.W1, resumed.W1))
	// Output: true
}

// A process of data-parallel training sees its part of the points and averages
// gradients and products with the others. Two goroutines play the processes.
func Example_processes() {
	points := tutorial.Moons(200, 1)
	parts := [][]tutorial.Point{points[:100], points[100:]}
	all := newAllReduce(len(parts))

	done := make(chan float64)
	for _, part := range parts {
		go func() {
			model := tutorial.NewModel(1)
			opt, err := adahessian.New(options(), params(model)...)
			if err != nil {
				log.Fatal(err)
			}

			var loss float64
			grads := gradients(model)
			product := func(hz, z [][]float64) error {
				loss = model.Product(grads, hz, z, part)
				all.mean(grads)
				all.mean(hz)
				return nil
			}
			for range 300 {
				if err := opt.Step(grads, product); err != nil {
					log.Fatal(err)
				}
			}
			done <- loss
		}()
	}
	fmt.Printf("loss %.2f\n", (<-done+<-done)/2)
	// Output: loss 0.02
}
