package adahessian_test

import (
	"fmt"
	"log"

	"github.com/adahessian-go/adahessian"
)

// A Layout names no axes of its own: it views the tensor as
// [Outer][Block][Inner] and averages over Block. These are the usual ones.
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

// The axes averaged over must be neighbours; an axis that is not is an error,
// and never silently another average.
func ExampleAverageAxes() {
	l, err := adahessian.AverageAxes([]int{16, 8, 3, 3}, 2, 3)
	fmt.Println(l, err)
	_, err = adahessian.AverageAxes([]int{16, 8, 3, 3}, 0, 2)
	fmt.Println(err)
	// Output:
	// {128 9 1} <nil>
	// adahessian: invalid layout: axes 0 and 2 are not adjacent, so no strides describe their blocks
}

// A length that blocks of 32 do not divide is an error.
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
