package lm

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/adahessian-go/adahessian"
)

// tiny is small enough to differentiate element by element, and has more than
// one sequence, and fewer symbols than places, so that symbols repeat.
var tiny = Shape{Vocab: 7, Embed: 3, Width: 5, Kernel: 4, Batch: 2, Positions: 6, Workers: 1}

// newTinyModel returns a model with a batch, and no parameter at 0.
func newTinyModel[T Float](t testing.TB, s Shape) *Model[T] {
	t.Helper()
	m := NewModel[T](s, 3)
	rng := rand.New(rand.NewPCG(5, 5))
	for _, v := range m.Values {
		for i := range v {
			v[i] += T(0.1 * rng.NormFloat64())
		}
	}
	text := make([]uint8, 200)
	for i := range text {
		text[i] = uint8(rng.IntN(s.Vocab))
	}
	m.Load(text, NewSampler(len(text), s.Span(), s.Batch, 1).Next())
	return m
}

// randomDirection returns normal values in the shape of a model's parameters.
func randomDirection[T Float](m *Model[T], seed uint64) [][]T {
	rng := rand.New(rand.NewPCG(seed, 0))
	z := zerosLike(m.Values[:])
	for _, v := range z {
		for i := range v {
			v[i] = T(rng.NormFloat64())
		}
	}
	return z
}

// clone returns a deep copy.
func clone[T Float](tensors [][]T) [][]T {
	c := make([][]T, len(tensors))
	for i, v := range tensors {
		c[i] = slices.Clone(v)
	}
	return c
}

// distance returns the largest difference of a and b, relative to the largest
// element of b.
func distance[T Float](a, b []T) float64 {
	diff, top := 0.0, 0.0
	for i := range b {
		diff = max(diff, math.Abs(float64(a[i]-b[i])))
		top = max(top, math.Abs(float64(b[i])))
	}
	return diff / top
}

// The loss, written again as the formulas of model's comment, one prediction
// and one element at a time.
func directLoss(m *Model[float64]) float64 {
	s, v := m.Shape, m.Values
	sum := 0.0
	for b := range s.Batch {
		symbols := m.symbols[b*s.Span() : (b+1)*s.Span()]
		for t := s.Kernel; t < len(symbols); t++ {
			h := make([]float64, s.Width)
			for o := range h {
				a := v[ConvBias][o]
				for c := range s.Embed {
					for k := range s.Kernel {
						x := v[Embedding][int(symbols[t-s.Kernel+k])*s.Embed+c]
						a += v[ConvWeight][(o*s.Embed+c)*s.Kernel+k] * x
					}
				}
				h[o] = math.Tanh(a)
			}
			total, correct := 0.0, 0.0
			for j := range s.Vocab {
				y := v[OutBias][j]
				for o := range h {
					y += v[OutWeight][j*s.Width+o] * h[o]
				}
				total += math.Exp(y)
				if j == int(symbols[t]) {
					correct = y
				}
			}
			sum += math.Log(total) - correct
		}
	}
	return sum / float64(s.Batch*s.Positions)
}

func TestLossIsTheFormula(t *testing.T) {
	m := newTinyModel[float64](t, tiny)
	if got, want := m.Loss(), directLoss(m); math.Abs(got-want) > 1e-14*want {
		t.Errorf("loss %.17g, want %.17g", got, want)
	}
}

func TestGradientAgainstDifferencesOfLoss(t *testing.T) {
	m := newTinyModel[float64](t, tiny)
	m.gradient()
	analytic := clone(m.grads[:])
	const h = 1e-5
	for i, value := range m.Values {
		numeric := make([]float64, len(value))
		for j, x := range value {
			value[j] = x + h
			plus := m.Loss()
			value[j] = x - h
			minus := m.Loss()
			value[j] = x
			numeric[j] = (plus - minus) / (2 * h)
		}
		if d := distance(analytic[i], numeric); !(d < 1e-8) {
			t.Errorf("tensor %d: gradient differs from differences of the loss by %.2g", i, d)
		}
	}
}

func TestHessianVectorAgainstDifferencesOfGradient(t *testing.T) {
	m := newTinyModel[float64](t, tiny)
	z := randomDirection(m, 1)
	hz := zerosLike(z)
	m.hessianVector(hz, z)

	const h = 1e-5
	at := clone(m.Values[:])
	gradientAt := func(step float64) [][]float64 {
		for i, value := range m.Values {
			for j := range value {
				value[j] = at[i][j] + step*z[i][j]
			}
		}
		m.gradient()
		return clone(m.grads[:])
	}
	plus, minus := gradientAt(h), gradientAt(-h)
	for i := range hz {
		numeric := make([]float64, len(hz[i]))
		for j := range numeric {
			numeric[j] = (plus[i][j] - minus[i][j]) / (2 * h)
		}
		if d := distance(hz[i], numeric); !(d < 1e-8) {
			t.Errorf("tensor %d: H z differs from differences of the gradient by %.2g", i, d)
		}
	}
}

func TestCheckHVP(t *testing.T) {
	t.Run("float64", testCheckHVP[float64])
	t.Run("float32", testCheckHVP[float32])
}

func testCheckHVP[T Float](t *testing.T) {
	m := newTinyModel[T](t, tiny)
	layouts, err := OverKernel(tiny)
	if err != nil {
		t.Fatal(err)
	}
	params := m.params(layouts, nil)
	grad := func(grads [][]T) error {
		m.gradient()
		for i := range grads {
			copy(grads[i], m.grads[i])
		}
		return nil
	}
	hvp := func(hz, z [][]T) error {
		m.hessianVector(hz, z)
		return nil
	}
	for seed := range uint64(5) {
		if err := adahessian.CheckHVP(params, grad, hvp, seed); err != nil {
			t.Error(err)
		}
	}
	wrong := func(hz, z [][]T) error {
		m.hessianVector(hz, z)
		hz[ConvBias][2] *= 1.5
		return nil
	}
	if err := adahessian.CheckHVP(params, grad, wrong, 1); err == nil {
		t.Error("a wrong element passes the check")
	}
}

func TestHessianVectorGivesLossAndGradient(t *testing.T) {
	m := newTinyModel[float32](t, tiny)
	loss := m.gradient()
	grads := clone(m.grads[:])
	for _, g := range m.grads {
		clear(g)
	}
	z := randomDirection(m, 1)
	if got := m.hessianVector(zerosLike(z), z); got != loss {
		t.Errorf("loss %v, gradient gives %v", got, loss)
	}
	for i := range grads {
		if !slices.Equal(m.grads[i], grads[i]) {
			t.Errorf("tensor %d: gradient differs from that of gradient", i)
		}
	}
}

// The number of workers must not change a single bit, also where gonum splits
// its products.
func TestWorkersGiveTheSameBits(t *testing.T) {
	s := Shape{Vocab: 70, Embed: 16, Width: 80, Kernel: 5, Batch: 9, Positions: 31, Workers: 1}
	results := func(workers int) ([][]float32, [][]float32, float64) {
		s.Workers = workers
		m := newTinyModel[float32](t, s)
		hz := zerosLike(m.Values[:])
		loss := m.hessianVector(hz, randomDirection(m, 2))
		return m.grads[:], hz, loss
	}
	grads1, hz1, loss1 := results(1)
	for _, workers := range []int{2, 3, 7} {
		grads, hz, loss := results(workers)
		if loss != loss1 {
			t.Errorf("%d workers: loss %v, one gives %v", workers, loss, loss1)
		}
		for i := range grads {
			if !slices.Equal(grads[i], grads1[i]) || !slices.Equal(hz[i], hz1[i]) {
				t.Errorf("%d workers: tensor %d differs", workers, i)
			}
		}
	}
}

// With one worker, and products below the size from which gonum starts
// goroutines, nothing at all is allocated.
func TestStepDoesNotAllocate(t *testing.T) {
	m := newTinyModel[float32](t, tiny)
	z := randomDirection(m, 1)
	hz := zerosLike(z)
	text := make([]uint8, 200)
	batches := NewSampler(len(text), m.Span(), m.Batch, 1)
	if n := testing.AllocsPerRun(20, func() {
		m.Load(text, batches.Next())
		m.hessianVector(hz, z)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestContextIsCausal(t *testing.T) {
	m := NewModel[float64](Shape{Vocab: 9, Embed: 1, Width: 1, Kernel: 3, Batch: 2, Positions: 2, Workers: 1}, 1)
	m.Load([]uint8{0, 1, 2, 3, 4, 5, 6, 7, 8}, []int{0, 4})
	for n, want := range []struct {
		context []uint8
		target  uint8
	}{
		{[]uint8{0, 1, 2}, 3},
		{[]uint8{1, 2, 3}, 4},
		{[]uint8{4, 5, 6}, 7},
		{[]uint8{5, 6, 7}, 8},
	} {
		if got := m.context(n); !slices.Equal(got, want.context) || m.target(n) != want.target {
			t.Errorf("prediction %d: %v → %d, want %v → %d", n, got, m.target(n), want.context, want.target)
		}
	}
}
