package lm

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/adahessian-go/adahessian"
)

// prepare gives m a batch, and moves every parameter away from 0.
func prepare[T Float](t testing.TB, m *Model[T], vocab int) *Model[T] {
	t.Helper()
	rng := rand.New(rand.NewPCG(5, 5))
	for _, v := range m.Values {
		for i := range v {
			v[i] += T(0.1 * rng.NormFloat64())
		}
	}
	text := make([]uint8, 200)
	for i := range text {
		text[i] = uint8(rng.IntN(vocab))
	}
	m.Load(text, NewSampler(len(text), m.Span(), m.Batch, 1).Next())
	return m
}

// newTinyModel returns a convolution with a batch, and no parameter at 0.
func newTinyModel[T Float](t testing.TB, s Shape) *Model[T] {
	return prepare(t, NewConv[T](s, 3), s.Vocab)
}

// tinyModels returns the two models, with a batch.
func tinyModels[T Float](t testing.TB) map[string]*Model[T] {
	return map[string]*Model[T]{
		"convolution": newTinyModel[T](t, tiny),
		"Transformer": prepare(t, NewTransformer[T](tinyTransformer, 3), tinyTransformer.Vocab),
	}
}

// allModels returns the two models and the models of one layer, with a batch.
func allModels(t *testing.T) map[string]*Model[float64] {
	models := layerModels()
	for _, m := range models {
		prepare(t, m, tiny.Vocab)
	}
	for name, m := range tinyModels[float64](t) {
		models[name] = m
	}
	return models
}

// randomDirection returns normal values in the shape of a model's parameters.
func randomDirection[T Float](m *Model[T], seed uint64) [][]T {
	rng := rand.New(rand.NewPCG(seed, 0))
	z := zerosLike(m.Values)
	for _, v := range z {
		for i := range v {
			v[i] = T(rng.NormFloat64())
		}
	}
	return z
}

// hessianVector is gradient, and product over the whole batch.
func hessianVector[T Float](m *Model[T], hz, z [][]T) float64 {
	loss := m.gradient()
	m.product(hz, z, m.Batch)
	return loss
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

func TestGradientAgainstDifferencesOfLoss(t *testing.T) {
	for name, m := range allModels(t) {
		m.gradient()
		analytic := clone(m.grads)
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
				t.Errorf("%s, %s: gradient differs from differences of the loss by %.2g", name, m.params[i].Name, d)
			}
		}
	}
}

func TestHessianVectorAgainstDifferencesOfGradient(t *testing.T) {
	for name, m := range allModels(t) {
		z := randomDirection(m, 1)
		hz := zerosLike(z)
		hessianVector(m, hz, z)

		const h = 1e-4
		at := clone(m.Values)
		gradientAt := func(step float64) [][]float64 {
			for i, value := range m.Values {
				for j := range value {
					value[j] = at[i][j] + step*z[i][j]
				}
			}
			m.gradient()
			return clone(m.grads)
		}
		// Of the fourth order, since a Transformer's gradient bends.
		plus, minus, plus2, minus2 := gradientAt(h), gradientAt(-h), gradientAt(2*h), gradientAt(-2*h)
		for i := range hz {
			numeric := make([]float64, len(hz[i]))
			for j := range numeric {
				numeric[j] = (8*(plus[i][j]-minus[i][j]) - (plus2[i][j] - minus2[i][j])) / (12 * h)
			}
			if d := distance(hz[i], numeric); !(d < 1e-8) {
				t.Errorf("%s, %s: H z differs from differences of the gradient by %.2g", name, m.params[i].Name, d)
			}
		}
	}
}

func TestCheckHVP(t *testing.T) {
	for name, m := range allModels(t) {
		testCheckHVP(t, name, m)
	}
	for name, m := range tinyModels[float32](t) {
		testCheckHVP(t, name, m)
	}
}

func testCheckHVP[T Float](t *testing.T, name string, m *Model[T]) {
	params, err := m.forOptimizer(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	grad := func(grads [][]T) error {
		m.gradient()
		for i := range grads {
			copy(grads[i], m.grads[i])
		}
		return nil
	}
	hvp := func(hz, z [][]T) error {
		hessianVector(m, hz, z)
		return nil
	}
	for seed := range uint64(5) {
		if err := adahessian.CheckHVP(params, grad, hvp, seed); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	wrong := func(hz, z [][]T) error {
		hessianVector(m, hz, z)
		last := hz[len(hz)-1]
		top := 0
		for i, x := range last {
			if math.Abs(float64(x)) > math.Abs(float64(last[top])) {
				top = i
			}
		}
		last[top] *= 1.5
		return nil
	}
	if err := adahessian.CheckHVP(params, grad, wrong, 1); err == nil {
		t.Errorf("%s: a wrong element passes the check", name)
	}
}

// The product over a part of a batch equals that of a batch with only that part,
// whatever an earlier product over the whole batch has left behind. It computes nothing
// for the rest.
func TestProductOverAPart(t *testing.T) {
	const part = 1
	convolution, transformer := tiny, tinyTransformer
	convolution.Batch, transformer.Batch = part, part
	small := map[string]*Model[float64]{
		"convolution": NewConv[float64](convolution, 3),
		"Transformer": NewTransformer[float64](transformer, 3),
	}
	for name, m := range tinyModels[float64](t) {
		s := small[name]
		for i, v := range m.Values {
			copy(s.Values[i], v)
		}
		copy(s.symbols, m.symbols)
		z := randomDirection(m, 1)
		got, want := zerosLike(z), zerosLike(z)
		hessianVector(s, want, z)
		m.gradient()
		m.product(got, randomDirection(m, 2), m.Batch)
		const untouched = 7
		rd := m.layers[0].(*embedding[float64]).out.rd
		rest := rd.data[part*m.Positions*rd.cols:]
		for i := range rest {
			rest[i] = untouched
		}
		m.product(got, z, part)
		for i := range want {
			if d := distance(got[i], want[i]); !(d < 1e-13) {
				t.Errorf("%s, %s: H z over a part differs from that of a smaller batch by %.2g", name, m.params[i].Name, d)
			}
		}
		for _, x := range rest {
			if x != untouched {
				t.Fatalf("%s: tangents of the rest of the batch", name)
			}
		}
	}
}

func TestHessianVectorGivesLossAndGradient(t *testing.T) {
	for name, m := range tinyModels[float32](t) {
		loss := m.gradient()
		grads := clone(m.grads)
		for _, g := range m.grads {
			clear(g)
		}
		z := randomDirection(m, 1)
		if got := hessianVector(m, zerosLike(z), z); got != loss {
			t.Errorf("%s: loss %v, gradient gives %v", name, got, loss)
		}
		for i := range grads {
			if !slices.Equal(m.grads[i], grads[i]) {
				t.Errorf("%s, %s: gradient differs from that of gradient", name, m.params[i].Name)
			}
		}
	}
}

// The number of workers must not change a single bit, even if gonum splits its
// products.
func TestWorkersGiveTheSameBits(t *testing.T) {
	for name, model := range map[string]func(workers int) *Model[float32]{
		"convolution": func(workers int) *Model[float32] {
			s := Shape{Vocab: 70, Embed: 16, Width: 80, Kernel: 5, Batch: 9, Positions: 31, Workers: workers}
			return newTinyModel[float32](t, s)
		},
		"Transformer": func(workers int) *Model[float32] {
			s := TransformerShape{Vocab: 70, Width: 40, Heads: 5, Layers: 2, Batch: 9, Positions: 31, Workers: workers}
			return prepare(t, NewTransformer[float32](s, 3), s.Vocab)
		},
	} {
		results := func(workers int) ([][]float32, [][]float32, float64) {
			m := model(workers)
			hz := zerosLike(m.Values)
			loss := m.gradient()
			m.product(hz, randomDirection(m, 2), 7)
			return m.grads, hz, loss
		}
		grads1, hz1, loss1 := results(1)
		for _, workers := range []int{2, 3, 7} {
			grads, hz, loss := results(workers)
			if loss != loss1 {
				t.Errorf("%s, %d workers: loss %v, one gives %v", name, workers, loss, loss1)
			}
			for i := range grads {
				if !slices.Equal(grads[i], grads1[i]) || !slices.Equal(hz[i], hz1[i]) {
					t.Errorf("%s, %d workers: tensor %d differs", name, workers, i)
				}
			}
		}
	}
}

// With one worker, and products too small for gonum to start goroutines, nothing is
// allocated.
func TestStepDoesNotAllocate(t *testing.T) {
	for name, m := range tinyModels[float32](t) {
		z := randomDirection(m, 1)
		hz := zerosLike(z)
		text := make([]uint8, 200)
		batches := NewSampler(len(text), m.Span(), m.Batch, 1)
		if n := testing.AllocsPerRun(20, func() {
			m.Load(text, batches.Next())
			m.gradient()
			m.product(hz, z, 1)
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
