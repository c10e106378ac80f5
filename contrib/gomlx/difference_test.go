package ahgomlx

import (
	"math/rand/v2"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train"
)

// TestFiniteDifference proves that the difference of gradients equals the second
// derivative, even with dropout, within the documented error.
func TestFiniteDifference(t *testing.T) {
	t.Run("float32", func(t *testing.T) { differs[float32](t, 2e-2) })
	t.Run("float64", func(t *testing.T) { differs[float64](t, 1e-6) })
}

func differs[T float32 | float64](t *testing.T, tolerance float64) {
	store := newStore(t, 5)
	f := perceptron(dropout, []int{8, 8}, 3)
	x, y := spirals[T](rand.New(rand.NewPCG(1, 1)), 60)
	var order []string
	out, err := model.CallOnceN(backend, store, func(scope *model.Scope, x, y *Node) []*Node {
		loss := crossEntropy([]*Node{y}, f(scope, nil, []*Node{x}))
		params := New().params(scope, x.Graph(), loss, dtypeOf[T]())
		_, z := draw(rng(store).NodeValue(x.Graph()), params, 0)
		for _, p := range params {
			order = append(order, p.variable.Path())
		}
		return append(product(params, z), difference(loss, params, z)...)
	}, x, y)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range order {
		want, got := tensors.MustCopyFlatData[T](out[i]), tensors.MustCopyFlatData[T](out[len(order)+i])
		if d := distance(got, want); !(d <= tolerance) {
			t.Errorf("%s: the difference is off by %.2g of the largest |H z|, want at most %.0g", name, d, tolerance)
		}
	}
}

// TestFiniteDifferenceOfConvolve proves that a network with a convolution trains.
func TestFiniteDifferenceOfConvolve(t *testing.T) {
	f := func(scope *model.Scope, _ any, in []*Node) []*Node {
		kernel := scope.VariableWithShape("kernel", shapes.Make(dtypes.Float32, 3, 3, 1, 4)).NodeValue(in[0].Graph())
		x := Tanh(Convolve(in[0], kernel).PadSame().Done())
		return []*Node{dense(scope.In("out"), Reshape(x, in[0].Shape().Dimensions[0], -1), 3)}
	}
	window := func(v *model.Variable) []int {
		if v.Name() == "kernel" {
			return []int{0, 1}
		}
		return nil
	}
	for name, newOptimizer := range optimizers(New().LearningRate(0.1).FiniteDifference().Average(window).UpdateEach(3)) {
		opt := newOptimizer()
		trainer := attach(train.NewTrainer(backend, newStore(t, 1), f, crossEntropy, opt, nil, nil), opt)
		r := rand.New(rand.NewPCG(1, 1))
		// A bright row, column or diagonal of a 6×6 image.
		batch := func() train.Batch {
			const n = 24
			x, y := make([]float32, n*36), make([]float32, n*3)
			for i := range n {
				kind, at := r.IntN(3), r.IntN(6)
				for j := range 6 {
					x[i*36+[]int{at*6 + j, j*6 + at, j*6 + (j+at)%6}[kind]] = 1
				}
				y[i*3+kind] = 1
			}
			return train.Batch{Inputs: []*tensors.Tensor{tensors.FromFlatDataAndDimensions(x, n, 6, 6, 1)},
				Labels: []*tensors.Tensor{tensors.FromFlatDataAndDimensions(y, n, 3)}}
		}
		first, last := 0.0, 0.0
		for i := range 200 {
			metrics, err := trainer.TrainStep(batch())
			if err != nil {
				t.Fatal(name, err)
			}
			if loss := float64(tensors.ToScalar[float32](metrics[0])); i < 5 {
				first += loss / 5
			} else if i >= 195 {
				last += loss / 5
			}
		}
		t.Logf("%s: loss %.3f at first, %.3f at the end", name, first, last)
		if !(last < 0.1) {
			t.Errorf("%s: loss %.3f after 200 steps, want less than 0.1", name, last)
		}
	}
}
