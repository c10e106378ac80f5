package lm

import (
	"fmt"
	"slices"
	"strings"
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

// countingLayer counts the passes through one layer.
type countingLayer struct {
	layer
	forwards, backwards   int
	rForwards, rBackwards []int // sequences
}

func (l *countingLayer) forward()  { l.forwards++; l.layer.forward() }
func (l *countingLayer) backward() { l.backwards++; l.layer.backward() }

func (l *countingLayer) rForward(sequences int) {
	l.rForwards = append(l.rForwards, sequences)
	l.layer.rForward(sequences)
}

func (l *countingLayer) rBackward(sequences int) {
	l.rBackwards = append(l.rBackwards, sequences)
	l.layer.rBackward(sequences)
}

// Nothing is computed twice. The products of a step share its gradient's passes, and
// make the passes of the tangents over their part of the batch only.
func TestPassesOfAStep(t *testing.T) {
	for name, m := range tinyModels[float64](t) {
		var counts []*countingLayer
		for i, l := range m.layers {
			counts = append(counts, &countingLayer{layer: l})
			m.layers[i] = counts[i]
		}
		opts := adahessian.DefaultOptions()
		opts.UpdateEach, opts.Samples = 2, 3
		a, err := NewAdaHessian(m, opts, nil)
		if err != nil {
			t.Fatal(err)
		}
		a.CurvatureBatch = 1
		for step, want := range [][]int{{1, 1, 1}, {}, {1, 1, 1}} {
			for _, c := range counts {
				*c = countingLayer{layer: c.layer}
			}
			if _, _, err := a.Step(0.1); err != nil {
				t.Fatal(err)
			}
			for i, c := range counts {
				if c.forwards != 1 || c.backwards != 1 || !slices.Equal(c.rForwards, want) || !slices.Equal(c.rBackwards, want) {
					t.Errorf("%s, step %d, layer %d: %d forward, %d backward, tangents over %v and %v sequences, want 1, 1 and twice %v",
						name, step, i, c.forwards, c.backwards, c.rForwards, c.rBackwards, want)
				}
			}
		}
	}
}

// A part larger than the batch is an error, and makes no step.
func TestCurvatureBatchIsPartOfTheBatch(t *testing.T) {
	for _, part := range []int{-1, tiny.Batch + 1} {
		m := newTinyModel[float64](t, tiny)
		a := start(t, m, adahessian.DefaultOptions(), NewAdaHessian[float64])
		a.CurvatureBatch = part
		before := clone(m.Values)
		if _, _, err := a.Step(0.1); err == nil || !strings.Contains(err.Error(), fmt.Sprint("CurvatureBatch = ", part)) {
			t.Errorf("%d: %v, want an error that says so", part, err)
		}
		for i := range before {
			if !slices.Equal(m.Values[i], before[i]) {
				t.Errorf("%d: tensor %d has moved", part, i)
			}
		}
	}
}

// Products from differences must train as exact ones do, with one probe and with
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
