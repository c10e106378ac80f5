package ahgomlx

import (
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train"
)

// TestBroadcasts proves that the second derivative is the same in a conditional and
// outside of one if all inputs of an operation are broadcasts. The Go backend computes
// such an operation in the smaller shape, which the conditional must not miss.
func TestBroadcasts(t *testing.T) {
	f := func(scope *model.Scope, _ any, in []*Node) []*Node {
		x := scope.VariableWithValue("x", [][]float32{{0.5, -1, 2}}).NodeValue(in[0].Graph())
		y := BroadcastToDims(x, 4, 3)
		w := scope.VariableWithValue("w", [][]float32{{1}, {0.5}, {-1}}).NodeValue(in[0].Graph())
		return []*Node{Mul(Square(MatMul(Mul(Square(y), Neg(y)), w)), in[0])}
	}
	loss := func(_, out []*Node) *Node { return ReduceAllMean(out[0]) }
	got := map[int][]float32{}
	for _, each := range []int{1, 2} {
		store := newStore(t, 1)
		trainer := train.NewTrainer(backend, store, f, loss, New().UpdateEach(each).Done(), nil, nil)
		x := tensors.FromFlatDataAndDimensions([]float32{1, 2, 3, 4}, 4, 1)
		if _, err := trainer.TrainStep(train.Batch{Inputs: []*tensors.Tensor{x}}); err != nil {
			t.Fatal(err)
		}
		got[each] = append(values[float32](t, store, "/"+DefaultScope+"/x_2nd_moment"), values[float32](t, store, "/"+DefaultScope+"/w_2nd_moment")...)
	}
	if d := distance(got[2], got[1]); !(d < 1e-6) {
		t.Errorf("second moment %v with a conditional, %v without", got[2], got[1])
	}
}
