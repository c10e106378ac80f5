package lm

import (
	"slices"
	"testing"

	"github.com/adahessian-go/adahessian"
)

type newStepper = func(*Model[float64], adahessian.Options, []adahessian.Layout) (*AdaHessian[float64], error)

func start(t *testing.T, m *Model[float64], opts adahessian.Options, newOne newStepper) *AdaHessian[float64] {
	t.Helper()
	layouts, err := OverKernel(tiny)
	if err != nil {
		t.Fatal(err)
	}
	a, err := newOne(m, opts, layouts[:])
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestUpdateEachSparesHessians(t *testing.T) {
	opts := adahessian.DefaultOptions()
	opts.UpdateEach = 3
	m := newTinyModel[float64](t, tiny)
	a := start(t, m, opts, NewAdaHessian[float64])
	for i := range 7 {
		due := i%3 == 0
		a.inside = 0
		loss := m.Loss()
		got, _, err := a.Step(0.1)
		if err != nil {
			t.Fatal(err)
		}
		if got != loss {
			t.Errorf("step %d: loss %v, want %v", i, got, loss)
		}
		if (a.inside > 0) != due {
			t.Errorf("step %d: %v in Hessian-vector products, due: %v", i, a.inside, due)
		}
	}
}

// Products of differences must train as exact ones do, with one probe and with
// several, which share the gradient of a step.
func TestDifferencesTrainAsExactProductsDo(t *testing.T) {
	for _, probes := range []int{1, 3} {
		opts := adahessian.DefaultOptions()
		opts.Samples = probes
		exact, differences := newTinyModel[float64](t, tiny), newTinyModel[float64](t, tiny)
		a, b := start(t, exact, opts, NewAdaHessian[float64]), start(t, differences, opts, NewAdaHessianDifferences[float64])
		for i := range 5 {
			la, _, errA := a.Step(0.1)
			lb, _, errB := b.Step(0.1)
			if errA != nil || errB != nil {
				t.Fatal(errA, errB)
			}
			if i == 0 && la != lb {
				t.Errorf("%d probes: loss %v and %v", probes, la, lb)
			}
		}
		for i := range exact.Values {
			if slices.Equal(exact.Values[i], newTinyModel[float64](t, tiny).Values[i]) {
				t.Errorf("%d probes: tensor %d has not moved", probes, i)
			}
			if d := distance(differences.Values[i], exact.Values[i]); !(d < 1e-5) {
				t.Errorf("%d probes: tensor %d differs by %.2g", probes, i, d)
			}
		}
	}
}
