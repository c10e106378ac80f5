package adahessian_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"

	. "github.com/adahessian-go/adahessian"
)

// hvpWeight is a caller's own type, whose underlying type is float32.
type hvpWeight float32

// hvpLoss is a function whose Hessian-vector product is known exactly.
type hvpLoss[T Float] struct {
	name   string
	params []Param[T]
	grad   func(grads [][]T) error
	hvp    HVP[T]
}

// hvpZeros returns zeros for every element of the parameters.
func hvpZeros[T Float](params []Param[T]) [][]T {
	x := make([][]T, len(params))
	for i, p := range params {
		x[i] = make([]T, len(p.Value))
	}
	return x
}

// hvpValues returns the parameters' values without copying them.
func hvpValues[T Float](params []Param[T]) [][]T {
	x := make([][]T, len(params))
	for i, p := range params {
		x[i] = p.Value
	}
	return x
}

// hvpParams returns parameters of the given sizes with the given values.
func hvpParams[T Float](value []T, sizes ...int) []Param[T] {
	var params []Param[T]
	for i, n := range sizes {
		params = append(params, Param[T]{Name: fmt.Sprintf("p%d", i), Value: value[:n:n]})
		value = value[n:]
	}
	return params
}

// hvpSigns returns a probe for the parameters.
func hvpSigns[T Float](params []Param[T], seed uint64) [][]T {
	z := hvpZeros(params)
	for i := range z {
		Rademacher(z[i], seed, 0, uint64(i)<<32)
	}
	return z
}

// hvpTimes sets y to A x, with the sums in float64. A is row-major and square.
func hvpTimes[T Float](y [][]T, a []float64, x [][]T) {
	flat := slices.Concat(x...)
	row := 0
	for i := range y {
		for j := range y[i] {
			sum := 0.0
			for k, e := range flat {
				sum += float64(a[row*len(flat)+k] * float64(e))
			}
			y[i][j] = T(sum)
			row++
		}
	}
}

// quadratic is ½θᵀAθ + bᵀθ, so H = A.
func quadratic[T Float](name string, params []Param[T], a, b []float64) hvpLoss[T] {
	return hvpLoss[T]{
		name:   name,
		params: params,
		grad: func(grads [][]T) error {
			hvpTimes(grads, a, hvpValues(params))
			row := 0
			for i := range grads {
				for j := range grads[i] {
					grads[i][j] += T(b[row])
					row++
				}
			}
			return nil
		},
		hvp: func(hz, z [][]T) error {
			hvpTimes(hz, a, z)
			return nil
		},
	}
}

// symmetricMatrix returns a full symmetric n×n matrix.
func symmetricMatrix(n int, r *rand.Rand) []float64 {
	a := make([]float64, n*n)
	for i := range n {
		for j := range i + 1 {
			a[i*n+j] = r.NormFloat64()
			a[j*n+i] = a[i*n+j]
		}
	}
	return a
}

func hvpNormals[T Float](n int, scale float64, r *rand.Rand) []T {
	x := make([]T, n)
	for i := range x {
		x[i] = T(scale * r.NormFloat64())
	}
	return x
}

// someQuadratic has three parameters, one of them a single element, with cross terms
// between all of them. The values have the given scale.
func someQuadratic[T Float](scale float64) hvpLoss[T] {
	r := rand.New(rand.NewPCG(1, 2))
	params := hvpParams(hvpNormals[T](12, scale, r), 7, 1, 4)
	return quadratic(fmt.Sprintf("quadratic, θ of %v", scale), params, symmetricMatrix(12, r), hvpNormals[float64](12, 1, r))
}

// softmaxRegression is the mean over samples of −log softmax(W x + b)[class], with the
// parameters W and b.
func softmaxRegression[T Float](samples, inputs, classes int) hvpLoss[T] {
	r := rand.New(rand.NewPCG(3, 4))
	x := hvpNormals[float64](samples*inputs, 1, r)
	params := []Param[T]{
		{Name: "W", Value: hvpNormals[T](classes*inputs, 1/math.Sqrt(float64(inputs)), r)},
		{Name: "b", Value: hvpNormals[T](classes, 0.1, r)},
	}
	// linear returns W x + b of a sample.
	linear := func(wb [][]T, x []float64) []float64 {
		y := make([]float64, classes)
		for c := range y {
			y[c] = float64(wb[1][c])
			for j, e := range x {
				y[c] += float64(float64(wb[0][c*inputs+j]) * e)
			}
		}
		return y
	}
	softmax := func(y []float64) []float64 {
		p, sum := make([]float64, classes), 0.0
		for c := range y {
			p[c] = math.Exp(y[c])
			sum += p[c]
		}
		for c := range p {
			p[c] /= sum
		}
		return p
	}
	// accumulate sets out to the mean over the samples of dy·(x, 1).
	accumulate := func(out [][]T, dy func(n int, x []float64) []float64) {
		sum := [][]float64{make([]float64, classes*inputs), make([]float64, classes)}
		for n := range samples {
			x := x[n*inputs : (n+1)*inputs]
			for c, d := range dy(n, x) {
				for j, e := range x {
					sum[0][c*inputs+j] += float64(d * e)
				}
				sum[1][c] += d
			}
		}
		for i := range out {
			for j := range out[i] {
				out[i][j] = T(sum[i][j] / float64(samples))
			}
		}
	}
	return hvpLoss[T]{
		name:   "softmax regression",
		params: params,
		grad: func(grads [][]T) error {
			accumulate(grads, func(n int, x []float64) []float64 {
				p := softmax(linear(hvpValues(params), x))
				p[n%classes]--
				return p
			})
			return nil
		},
		hvp: func(hz, z [][]T) error {
			accumulate(hz, func(_ int, x []float64) []float64 {
				p, dy := softmax(linear(hvpValues(params), x)), linear(z, x)
				mean := 0.0
				for c := range p {
					mean += float64(p[c] * dy[c])
				}
				for c := range p {
					p[c] *= dy[c] - mean
				}
				return p
			})
			return nil
		},
	}
}

// tanhRegression is ½ mean (tanh(wᵀx + b) − y)² with the parameters w and b. The
// elements of x have the given scale. The targets y are such that at these parameters H
// is 0.9 times the Gauss-Newton matrix, by which the second result multiplies.
func tanhRegression[T Float](inputScale float64) (l hvpLoss[T], gaussNewton HVP[T]) {
	const samples, inputs = 20, 6
	r := rand.New(rand.NewPCG(5, 6))
	x := hvpNormals[float64](samples*inputs, inputScale, r)
	params := hvpParams(hvpNormals[T](inputs+1, 0.5, r), inputs, 1)
	linear := func(wb [][]T, x []float64) float64 {
		y := float64(wb[1][0])
		for j, e := range x {
			y += float64(float64(wb[0][j]) * e)
		}
		return y
	}
	each := func(out [][]T, f func(n int, x []float64) float64) error {
		sum := make([]float64, inputs+1)
		for n := range samples {
			x := x[n*inputs : (n+1)*inputs]
			d := f(n, x) / samples
			for j, e := range x {
				sum[j] += float64(d * e)
			}
			sum[inputs] += d
		}
		for j, s := range sum[:inputs] {
			out[0][j] = T(s)
		}
		out[1][0] = T(sum[inputs])
		return nil
	}
	y := make([]float64, samples)
	for n := range y {
		a := math.Tanh(linear(hvpValues(params), x[n*inputs:(n+1)*inputs]))
		y[n] = a - 0.05*(1-a*a)/a
	}
	l = hvpLoss[T]{
		name:   "tanh regression",
		params: params,
		grad: func(grads [][]T) error {
			return each(grads, func(n int, x []float64) float64 {
				a := math.Tanh(linear(hvpValues(params), x))
				return (a - y[n]) * (1 - a*a)
			})
		},
		hvp: func(hz, z [][]T) error {
			return each(hz, func(n int, x []float64) float64 {
				a := math.Tanh(linear(hvpValues(params), x))
				s := 1 - a*a
				return (s*s - 2*(a-y[n])*a*s) * linear(z, x)
			})
		},
	}
	return l, func(hz, z [][]T) error {
		return each(hz, func(n int, x []float64) float64 {
			a := math.Tanh(linear(hvpValues(params), x))
			return (1 - a*a) * (1 - a*a) * linear(z, x)
		})
	}
}

// noCurvature has the gradient b everywhere, and a parameter without elements.
func noCurvature[T Float]() hvpLoss[T] {
	params := hvpParams([]T{1, -2, 3, 4, 5}, 3, 0, 2)
	return quadratic("linear", params, make([]float64, 25), []float64{1e3, 1, -5, 0, 0.25})
}

func hvpLosses[T Float]() []hvpLoss[T] {
	tanh, _ := tanhRegression[T](1)
	return []hvpLoss[T]{
		someQuadratic[T](0),
		someQuadratic[T](1),
		someQuadratic[T](1e3),
		softmaxRegression[T](40, 20, 5),
		softmaxRegression[T](20, 400, 3),
		tanh,
		noCurvature[T](),
		quadratic("no parameters", []Param[T]{}, nil, nil),
		quadratic("no elements", hvpParams([]T{}, 0, 0), nil, nil),
	}
}

// hvpIs32 reports whether the underlying type of T is float32.
func hvpIs32[T Float]() bool { return unsafe.Sizeof(T(0)) == 4 }

func hvpMax[T Float](x [][]T) float64 {
	m := 0.0
	for _, e := range slices.Concat(x...) {
		m = max(m, math.Abs(float64(e)))
	}
	return m
}

// hvpDistance returns max|x − y| / max|y|, 0 when x = y.
func hvpDistance[T Float](x, y [][]T) float64 {
	d := 0.0
	for i := range x {
		for j := range x[i] {
			d = max(d, math.Abs(float64(x[i][j])-float64(y[i][j])))
		}
	}
	if d == 0 {
		return 0
	}
	return d / hvpMax(y)
}

// hvpBits returns the values of the parameters as bits.
func hvpBits[T Float](params []Param[T]) []uint64 {
	var b []uint64
	for _, p := range params {
		for _, v := range p.Value {
			b = append(b, math.Float64bits(float64(v)))
		}
	}
	return b
}

// forEachHVPType runs a test for each element type.
func forEachHVPType(t *testing.T, f32, f64, weight func(t *testing.T)) {
	t.Run("float32", f32)
	t.Run("float64", f64)
	t.Run("Weight", weight)
}

func TestFiniteDifferenceAccuracy(t *testing.T) {
	forEachHVPType(t, testFDAccuracy[float32], testFDAccuracy[float64], testFDAccuracy[hvpWeight])
}

func testFDAccuracy[T Float](t *testing.T) {
	limit, given := 1e-7, 0x1p-16
	if hvpIs32[T]() {
		limit, given = 5e-3, 0x1p-8
	}
	for _, l := range hvpLosses[T]() {
		t.Run(l.name, func(t *testing.T) {
			for seed := range uint64(5) {
				z, want, got := hvpSigns(l.params, seed), hvpZeros(l.params), hvpZeros(l.params)
				if err := l.hvp(want, z); err != nil {
					t.Fatal(err)
				}
				for _, h := range []float64{0, given} {
					if h > 0 && l.name == someQuadratic[T](1e3).name {
						continue // too small a step for such values
					}
					if err := FiniteDifference(l.params, l.grad, h)(got, z); err != nil {
						t.Fatal(err)
					}
					if d := hvpDistance(got, want); !(d <= limit) {
						t.Errorf("seed %d, h = %v: relative error %.2g, want at most %.2g", seed, h, d, limit)
					}
				}
			}
		})
	}
}

// If every product and sum of the loss is exact, so is the difference, since h·z and
// the division do not round.
func TestFiniteDifferenceExact(t *testing.T) {
	forEachHVPType(t, testFDExact[float32], testFDExact[float64], testFDExact[hvpWeight])
}

func testFDExact[T Float](t *testing.T) {
	params := hvpParams([]T{1, -2, 0.5, 3}, 1, 3)
	l := quadratic("", params, []float64{3, 1, 0, -2, 1, -5, 7, 1, 0, 7, 2, 0, -2, 1, 0, 4}, make([]float64, 4))
	fd := FiniteDifference(params, l.grad, 0)
	for _, z := range [][][]T{{{1}, {-1, 1, 1}}, {{3}, {-1, 0, 2}}, {{0}, {0, 0, 0}}, {{0}, {0x1p-40, 0, 0}}} {
		got, want := hvpZeros(params), hvpZeros(params)
		if err := fd(got, z); err != nil {
			t.Fatal(err)
		}
		if err := l.hvp(want, z); err != nil {
			t.Fatal(err)
		}
		if hvpDistance(got, want) != 0 {
			t.Errorf("z = %v: got %v, want %v", z, got, want)
		}
	}
}

// grad sees the step as the distance of the parameters from θ.
func TestFiniteDifferenceStep(t *testing.T) {
	forEachHVPType(t, testFDStep[float32], testFDStep[float64], testFDStep[hvpWeight])
}

func testFDStep[T Float](t *testing.T) {
	base := 1e-5
	if hvpIs32[T]() {
		base = 2e-3
	}
	for _, c := range []struct {
		theta, z []T
		h, want  float64
	}{
		{[]T{0, 0}, []T{1, -1}, 0, base},
		{[]T{0, 1}, []T{1, -1}, 0, 2 * base},
		{[]T{0, -1000}, []T{1, -1}, 0, 1001 * base},
		{[]T{0, 0.5}, []T{1, -1}, 0, 1.5 * base},
		{[]T{0, 0.8}, []T{1, -1}, 0, 1.8 * base},
		{[]T{0, 1}, []T{-8, 1}, 0, base / 4},
		{[]T{0, 0}, []T{0.25, 0}, 0, 4 * base},
		{[]T{0, 5}, []T{-8, 1}, 0x1p-7, 0x1p-7},
		{[]T{0, 5}, []T{-8, 1}, 3 * 0x1p-7, 3 * 0x1p-7},
	} {
		params := hvpParams(slices.Clone(c.theta), 2) // one parameter, so one step
		var steps []float64
		fd := FiniteDifference(params, func([][]T) error {
			steps = append(steps, float64(params[0].Value[0])/float64(c.z[0]))
			return nil
		}, c.h)
		if err := fd(hvpZeros(params), [][]T{c.z}); err != nil {
			t.Fatal(err)
		}
		if len(steps) != 2 || steps[0] != -steps[1] {
			t.Fatalf("θ %v, z %v: steps %v, want h and −h", c.theta, c.z, steps)
		}
		h := steps[0]
		if fraction, _ := math.Frexp(h); c.h == 0 && fraction != 0.5 {
			t.Errorf("θ %v, z %v: h = %v is not a power of two", c.theta, c.z, h)
		}
		if ratio := h / c.want; c.h != 0 && ratio != 1 || ratio > 1.4143 || ratio < 0.707 {
			t.Errorf("θ %v, z %v: h = %v, want about %v", c.theta, c.z, h, c.want)
		}
	}
}

func TestFiniteDifferenceRestores(t *testing.T) {
	forEachHVPType(t, testFDRestores[float32], testFDRestores[float64], testFDRestores[hvpWeight])
}

func testFDRestores[T Float](t *testing.T) {
	negativeZero := T(math.Copysign(0, -1))
	smallest := T(math.SmallestNonzeroFloat32)
	theta := []T{1. / 3, negativeZero, smallest, -1e3, 7e-8}
	failure := errors.New("no gradient")
	nan := T(math.NaN())
	for _, c := range []struct {
		name string
		grad func(call int, grads [][]T) error
		want error
	}{
		{"success", func(int, [][]T) error { return nil }, nil},
		{"error in the first call", func(call int, _ [][]T) error { return map[int]error{1: failure}[call] }, failure},
		{"error in the second call", func(call int, _ [][]T) error { return map[int]error{2: failure}[call] }, failure},
		{"NaN", func(_ int, g [][]T) error { g[1][0] = nan; return nil }, ErrNonFinite},
		{"wrong length", func(_ int, g [][]T) error { g[1] = g[1][:1]; return nil }, ErrShape},
		{"panic in the first call", func(int, [][]T) error { panic(failure) }, failure},
		{"panic in the second call", func(call int, _ [][]T) error {
			if call == 2 {
				panic(failure)
			}
			return nil
		}, failure},
	} {
		t.Run(c.name, func(t *testing.T) {
			params := hvpParams(slices.Clone(theta), 2, 3)
			before := hvpBits(params)
			call := 0
			fd := FiniteDifference(params, func(grads [][]T) error {
				call++
				if slices.Equal(hvpBits(params), before) {
					t.Error("grad was called at θ")
				}
				return c.grad(call, grads)
			}, 0)
			if err := hvpRecovered(func() error { return fd(hvpZeros(params), hvpSigns(params, 1)) }); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if after := hvpBits(params); !slices.Equal(after, before) {
				t.Errorf("parameters are %x, were %x", after, before)
			}
		})
	}
}

// hvpRecovered calls f and returns its error, or the one it panics with.
func hvpRecovered(f func() error) (err error) {
	defer func() {
		if e, ok := recover().(error); ok {
			err = e
		}
	}()
	return f()
}

// wantError reports an error that does not wrap want or lacks one of the words.
func wantError(t *testing.T, err, want error, words ...string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want one that wraps %v", err, want)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

func TestFiniteDifferenceErrors(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	none := func([][]float32) error { return nil }
	for _, c := range []struct {
		name  string
		grad  func([][]float32) error
		h     float64
		spoil func(params []Param[float32], hz, z *[][]float32)
		want  error
		words []string
	}{
		{name: "nil grad", want: ErrOption, words: []string{"grad is nil: pass a function"}},
		{name: "negative h", grad: none, h: -1e-3, want: ErrOption, words: []string{"h = -0.001, want at least 0 (0 picks a step)"}},
		{name: "NaN h", grad: none, h: nan, want: ErrOption, words: []string{"h = NaN"}},
		{name: "infinite h", grad: none, h: inf, want: ErrOption, words: []string{"h = +Inf"}},
		{name: "h below float32", grad: none, h: 1e-60, want: ErrOption, words: []string{"1e-60", "too small or too large for float32: pass h = 0"}},
		{name: "2h above float32", grad: none, h: 2e38, want: ErrOption, words: []string{"2e+38", "too small or too large for float32: pass h = 0"}},
		{name: "h below ulp", grad: none, h: 1e-9, want: ErrOption, words: []string{"1e-09", "too small to move any parameter: pass a larger one, or 0"}},
		{name: "few hz", grad: none, spoil: func(_ []Param[float32], hz, _ *[][]float32) { *hz = (*hz)[:1] },
			want: ErrShape, words: []string{"hz has 1 slices, want 2"}},
		{name: "many z", grad: none, spoil: func(_ []Param[float32], _, z *[][]float32) { *z = append(*z, nil) },
			want: ErrShape, words: []string{"z has 3 slices, want 2"}},
		{name: "short hz", grad: none, spoil: func(_ []Param[float32], hz, _ *[][]float32) { (*hz)[1] = nil },
			want: ErrShape, words: []string{`parameter 1 "p1": hz has 0 elements, want 3`}},
		{name: "long z", grad: none, spoil: func(_ []Param[float32], _, z *[][]float32) { (*z)[0] = make([]float32, 9) },
			want: ErrShape, words: []string{`parameter 0 "p0": z has 9 elements, want 2`}},
		{name: "in place", grad: none, spoil: func(_ []Param[float32], hz, z *[][]float32) { (*hz)[1] = (*z)[1] },
			want: ErrShape, words: []string{`parameter 1 "p1": hz shares memory with z of parameter 1 "p1"`}},
		{name: "grads of another length", grad: func(g [][]float32) error { g[1] = make([]float32, 4); return nil },
			want: ErrShape, words: []string{`parameter 1 "p1": grads has 4 elements, want 3`}},
		{name: "NaN parameter", grad: none, spoil: func(p []Param[float32], _, _ *[][]float32) { p[1].Value[2] = float32(nan) },
			want: ErrNonFinite, words: []string{`parameter 1 "p1": Value[2] = NaN`}},
		{name: "infinite z", grad: none, spoil: func(_ []Param[float32], _, z *[][]float32) { (*z)[0][1] = float32(-inf) },
			want: ErrNonFinite, words: []string{`parameter 0 "p0": z[1] = -Inf`}},
		{name: "infinite gradient", grad: func(g [][]float32) error { g[1][1] = float32(inf); return nil },
			want: ErrNonFinite, words: []string{`parameter 1 "p1": gradient[1] is +Inf at`}},
		{name: "overflow of the difference", grad: hvpAlternate(3e38),
			want: ErrNonFinite, words: []string{`parameter 0 "p0": gradient[0] is 3e+38 at`, "-3e+38"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			params := hvpParams([]float32{1, 2, 3, 4, 5}, 2, 3)
			hz, z := hvpZeros(params), hvpSigns(params, 1)
			if c.spoil != nil {
				c.spoil(params, &hz, &z)
			}
			wantError(t, FiniteDifference(params, c.grad, c.h)(hz, z), c.want, c.words...)
		})
	}
}

// hvpAlternate returns a grad that sets the first element to x, −x, x, …
func hvpAlternate(x float32) func([][]float32) error {
	return func(g [][]float32) error {
		g[0][0] = x
		x = -x
		return nil
	}
}

type hvpTooHot struct{ degrees int }

func (e hvpTooHot) Error() string { return fmt.Sprint(e.degrees, " degrees") }

func TestFiniteDifferenceKeepsError(t *testing.T) {
	params := hvpParams([]float64{1}, 1)
	fd := FiniteDifference(params, func([][]float64) error { return hvpTooHot{90} }, 0)
	err := fd(hvpZeros(params), hvpSigns(params, 1))
	wantError(t, err, ErrHVP, "90 degrees")
	var e hvpTooHot
	if !errors.As(err, &e) || e.degrees != 90 {
		t.Errorf("error %v lost the one of grad", err)
	}
}

// grad may add to the slices it is given, and may replace them with its own.
func TestFiniteDifferenceGradSlices(t *testing.T) {
	l := someQuadratic[float64](1)
	z, want, got := hvpSigns(l.params, 1), hvpZeros(l.params), hvpZeros(l.params)
	if err := FiniteDifference(l.params, l.grad, 0)(want, z); err != nil {
		t.Fatal(err)
	}
	own := hvpZeros(l.params)
	params := slices.Clone(l.params) // the product has a copy of the list
	for name, grad := range map[string]func(grads [][]float64) error{
		"adds": func(grads [][]float64) error {
			if err := l.grad(own); err != nil {
				return err
			}
			for i := range grads {
				for j := range grads[i] {
					grads[i][j] += own[i][j]
				}
			}
			return nil
		},
		"own": func(grads [][]float64) error {
			copy(grads, own)
			return l.grad(own)
		},
	} {
		fd := FiniteDifference(params, grad, 0)
		clear(params)
		for range 2 {
			if err := fd(got, z); err != nil {
				t.Fatal(err)
			}
			if hvpDistance(got, want) != 0 {
				t.Errorf("%s: got %v, want %v", name, got, want)
			}
		}
		copy(params, l.params)
	}
}

// hvpTwoScales is ½ mean (tanh(wᵀx + b) − y)² + ½(c/1e5)², where the additional
// parameter c is 1e5.
func hvpTwoScales[T Float]() hvpLoss[T] {
	l, _ := tanhRegression[T](1)
	params := append(slices.Clip(l.params), Param[T]{Name: "large", Value: []T{1e5}})
	return hvpLoss[T]{
		name:   "two scales",
		params: params,
		grad: func(grads [][]T) error {
			grads[2][0] = params[2].Value[0] / 1e5 / 1e5
			return l.grad(grads[:2])
		},
		hvp: func(hz, z [][]T) error {
			hz[2][0] = z[2][0] / 1e5 / 1e5
			return l.hvp(hz[:2], z[:2])
		},
	}
}

// A parameter that is far larger than the others does not spoil their product.
func TestFiniteDifferenceScales(t *testing.T) {
	forEachHVPType(t, testFDScales[float32], testFDScales[float64], testFDScales[hvpWeight])
}

func testFDScales[T Float](t *testing.T) {
	l := hvpTwoScales[T]()
	z, want, got := hvpSigns(l.params, 3), hvpZeros(l.params), hvpZeros(l.params)
	calls := 0
	fd := FiniteDifference(l.params, func(grads [][]T) error { calls++; return l.grad(grads) }, 0)
	if err := errors.Join(l.hvp(want, z), fd(got, z)); err != nil {
		t.Fatal(err)
	}
	limit := 1e-7
	if hvpIs32[T]() {
		limit = 5e-3
	}
	if d := hvpDistance(got, want); d > limit {
		t.Errorf("relative error %.2g, want at most %.2g: %v, want %v", d, limit, got, want)
	}
	if calls != 4 {
		t.Errorf("%d calls of grad, want 4 for two scales", calls)
	}
}

// Parameters form groups by the power of two below 1 + max |θ|, in factors of 16.
func TestFiniteDifferenceGroups(t *testing.T) {
	step := 0x1p-17 // of float64 near 0
	for _, c := range []struct {
		theta []float64
		want  []float64 // the step of each; 0: it has no elements
		calls int
	}{
		{[]float64{0, 0}, []float64{step, step}, 2},
		{[]float64{0, 14}, []float64{16 * step, 16 * step}, 2},                // powers 1 and 8
		{[]float64{0, 15}, []float64{step, 16 * step}, 4},                     // powers 1 and 16
		{[]float64{15, 0, 14}, []float64{16 * step, 16 * step, 16 * step}, 4}, // 14 is in the group of 0
		{[]float64{3, 62}, []float64{64 * step, 64 * step}, 2},                // powers 4 and 32
		{[]float64{3, 63}, []float64{4 * step, 64 * step}, 4},                 // powers 4 and 64
		{[]float64{1e5, 0, 300}, []float64{0x1p17 * step, step, 0x1p8 * step}, 6},
		{[]float64{math.NaN(), 0, 1e5}, []float64{0, step, 0x1p17 * step}, 4}, // the first without elements
	} {
		var params []Param[float64]
		for _, x := range c.theta {
			p := Param[float64]{Value: []float64{x}}
			if x != x {
				p.Value = nil
			}
			params = append(params, p)
		}
		got, calls := make([]float64, len(params)), 0
		fd := FiniteDifference(params, func([][]float64) error {
			calls++
			for i, p := range params {
				if len(p.Value) > 0 {
					got[i] = max(got[i], p.Value[0]-c.theta[i])
				}
			}
			return nil
		}, 0)
		z := hvpZeros(params)
		for i := range z {
			for j := range z[i] {
				z[i][j] = 1
			}
		}
		if err := fd(hvpZeros(params), z); err != nil {
			t.Fatal(err)
		}
		if calls != c.calls {
			t.Errorf("θ %v: %d calls of grad, want %d", c.theta, calls, c.calls)
		}
		for i, want := range c.want {
			if r := got[i] / want; want > 0 && (r < 0.4 || r > 2.1) {
				t.Errorf("θ %v: steps %v, want about %v", c.theta, got, c.want)
				break
			}
		}
	}
}

// Memory that is written through one argument must not belong to another.
func TestFiniteDifferenceAliases(t *testing.T) {
	all := make([]float64, 40)
	for i := range all {
		all[i] = float64(i%5) - 2
	}
	// hz, z and Value of two parameters of four elements, none shared.
	hz := func() [][]float64 { return [][]float64{all[0:4], all[4:8]} }
	z := func() [][]float64 { return [][]float64{all[8:12], all[12:16]} }
	value := func() [][]float64 { return [][]float64{all[16:20], all[20:24]} }
	for _, c := range []struct {
		name  string
		edit  func(hz, z, value [][]float64)
		words []string // none: no error
	}{
		{"apart", func(_, _, _ [][]float64) {}, nil},
		{"one z twice", func(_, z, _ [][]float64) { z[1] = z[0] }, nil},
		{"overlapping z", func(_, z, _ [][]float64) { z[1] = all[10:14] }, nil},
		{"hz is z", func(hz, z, _ [][]float64) { hz[1] = z[1] }, []string{`parameter 1 "p1": hz shares memory with z of parameter 1`}},
		{"hz is another z", func(hz, z, _ [][]float64) { hz[0] = z[1] }, []string{`parameter 0 "p0": hz shares memory with z of parameter 1`}},
		{"hz one after z", func(hz, _, _ [][]float64) { hz[0] = all[9:13] }, []string{`parameter 0 "p0": hz shares memory with z of parameter`}},
		{"hz one before z", func(hz, _, _ [][]float64) { hz[0] = all[5:9]; hz[1] = all[30:34] }, []string{`parameter 0 "p0": hz shares memory with z of parameter 0`}},
		{"hz is the Value", func(hz, _, value [][]float64) { hz[0] = value[0] }, []string{`parameter 0 "p0": hz shares memory with Value of parameter 0`}},
		{"hz in another Value", func(hz, _, _ [][]float64) { hz[1] = all[19:23] }, []string{`parameter 1 "p1": hz shares memory with Value of parameter`}},
		{"hz twice", func(hz, _, _ [][]float64) { hz[1] = hz[0] }, []string{"hz shares memory with hz of parameter"}},
		{"hz overlapping", func(hz, _, _ [][]float64) { hz[1] = all[3:7] }, []string{"hz shares memory with hz of parameter"}},
		{"z is the Value", func(_, z, value [][]float64) { z[1] = value[0] }, []string{"z shares memory with Value of parameter 0"}},
		{"z far into a Value, after a shorter z", func(_, z, _ [][]float64) { z[0], z[1] = all[17:21], all[30:34] }, []string{"z shares memory with Value of parameter"}},
		{"Values", func(_, _, value [][]float64) { value[1] = value[0] }, []string{"Value shares memory with Value of parameter"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			hz, z, value := hz(), z(), value()
			c.edit(hz, z, value)
			params := []Param[float64]{{Name: "p0", Value: value[0]}, {Name: "p1", Value: value[1]}}
			before := slices.Clone(all)
			err := FiniteDifference(params, func([][]float64) error {
				if c.words != nil {
					t.Error("grad was called")
				}
				return nil
			}, 0)(hz, z)
			if c.words == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, ErrShape, c.words...)
			if !slices.Equal(all, before) {
				t.Error("the arguments have changed")
			}
		})
	}
}

func TestFiniteDifferenceAllocs(t *testing.T) {
	params := hvpParams(make([]hvpWeight, 100), 50, 40, 10)
	params[2].Value[0] = 1e5 // a group of its own
	fd := FiniteDifference(params, func(grads [][]hvpWeight) error {
		for i, p := range params {
			copy(grads[i], p.Value)
		}
		return nil
	}, 0)
	hz, z := hvpZeros(params), hvpSigns(params, 1)
	if n := testing.AllocsPerRun(20, func() {
		if err := fd(hz, z); err != nil {
			t.Fatal(err)
		}
	}); n != 0 && Allocations() {
		t.Errorf("%v allocations per call, want 0", n)
	}
}

func TestCheckHVPAccepts(t *testing.T) {
	forEachHVPType(t, testCheckAccepts[float32], testCheckAccepts[float64], testCheckAccepts[hvpWeight])
}

// roundedLinear has no curvature, but its gradient rounds differently at every point.
func roundedLinear[T Float]() hvpLoss[T] {
	params := hvpParams([]T{0.1, 0.7, -0.3}, 3)
	return hvpLoss[T]{
		name:   "linear, rounded",
		params: params,
		grad: func(grads [][]T) error {
			for j, x := range params[0].Value {
				grads[0][j] = x * 0.9 / x
			}
			return nil
		},
		hvp: func(hz, _ [][]T) error {
			clear(hz[0])
			return nil
		},
	}
}

// rankOne is ½(Σθ − s)² at its minimum. The gradient is 0, and H z is 0 for three of
// eight vectors z, but the rounding of the finite differences is not.
func rankOne[T Float]() hvpLoss[T] {
	theta := []T{1e-3, 7e-4, -3e-5, 2e-6} // the step is larger, so θ + h rounds
	sum := 0.0
	for _, x := range theta {
		sum += float64(x)
	}
	return quadratic("rank one", hvpParams(theta, 4), slices.Repeat([]float64{1}, 16), slices.Repeat([]float64{-sum}, 4))
}

func testCheckAccepts[T Float](t *testing.T) {
	coarse, _ := tanhRegression[T](3)
	coarse.name = "tanh regression with large inputs"
	for _, l := range append(hvpLosses[T](), coarse, roundedLinear[T](), rankOne[T]()) {
		t.Run(l.name, func(t *testing.T) {
			before := hvpBits(l.params)
			own := hvpZeros(l.params)
			for name, hvp := range map[string]HVP[T]{
				"exact":              l.hvp,
				"finite differences": FiniteDifference(l.params, l.grad, 0),
				"slices of its own": func(hz, z [][]T) error {
					copy(hz, own)
					return l.hvp(own, z)
				},
			} {
				for seed := range uint64(10) {
					if err := CheckHVP(l.params, l.grad, hvp, seed); err != nil {
						t.Errorf("%s, seed %d: %v", name, seed, err)
					}
				}
			}
			if !slices.Equal(hvpBits(l.params), before) {
				t.Error("the parameters have changed")
			}
		})
	}
}

// One large element makes the default step too coarse for the others. Their exact
// product must still pass.
func TestCheckHVPTriesOtherSteps(t *testing.T) {
	forEachHVPType(t, testCheckOtherSteps[float32], testCheckOtherSteps[float64], testCheckOtherSteps[hvpWeight])
}

func testCheckOtherSteps[T Float](t *testing.T) {
	l, gaussNewton := tanhRegression[T](1)
	// As a parameter of its own, the large one would have its own step.
	value := []T{l.params[1].Value[0], 1e3}
	params := []Param[T]{l.params[0], {Name: "b and a large one", Value: value}}
	l.params[1].Value = value[:1]
	small := func(x [][]T) [][]T { return [][]T{x[0], x[1][:1]} }
	with := func(hvp HVP[T]) HVP[T] {
		return func(hz, z [][]T) error {
			hz[1][1] = 0
			return hvp(small(hz), small(z))
		}
	}
	grad := func(grads [][]T) error { return l.grad(small(grads)) }
	z, want, got := hvpSigns(params, 0), hvpZeros(params), hvpZeros(params)
	if err := errors.Join(with(l.hvp)(want, z), FiniteDifference(params, grad, 0)(got, z)); err != nil {
		t.Fatal(err)
	}
	if tolerance := map[bool]float64{true: 3e-2, false: 1e-5}[hvpIs32[T]()]; hvpDistance(got, want) < tolerance {
		t.Fatalf("the default step is good to %.2g: the case is too easy", hvpDistance(got, want))
	}
	for seed := range uint64(10) {
		if err := CheckHVP(params, grad, with(l.hvp), seed); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		err := CheckHVP(params, grad, with(gaussNewton), seed)
		wantError(t, err, ErrHVP, "disagrees with finite differences")
		// The error reports the step that comes nearest.
		var relative float64
		_, after, _ := strings.Cut(err.Error(), "relative error ")
		if _, scanErr := fmt.Sscan(strings.TrimSuffix(strings.Fields(after)[0], ","), &relative); scanErr != nil || relative > 0.15 {
			t.Errorf("seed %d: %v, want a relative error of about 0.1", seed, err)
		}
	}
}

func TestCheckHVPRejects(t *testing.T) {
	forEachHVPType(t, testCheckRejects[float32], testCheckRejects[float64], testCheckRejects[hvpWeight])
}

// hvpEdited returns an hvp that edits each result of hvp.
func hvpEdited[T Float](hvp HVP[T], edit func(hz, z [][]T)) HVP[T] {
	return func(hz, z [][]T) error {
		err := hvp(hz, z)
		edit(hz, z)
		return err
	}
}

// hvpEverywhere returns an edit that changes every element.
func hvpEverywhere[T Float](f func(T) T) func(hz, z [][]T) {
	return func(hz, _ [][]T) {
		for _, x := range hz {
			for j := range x {
				x[j] = f(x[j])
			}
		}
	}
}

func testCheckRejects[T Float](t *testing.T) {
	const n = 12
	r := rand.New(rand.NewPCG(7, 8))
	a := symmetricMatrix(n, r)
	quad := quadratic("", hvpParams(hvpNormals[T](n, 1, r), 7, 1, 4), a, make([]float64, n))
	matrix := func(f func(i, j int, x float64) float64) HVP[T] {
		b := make([]float64, n*n)
		for k, x := range a {
			b[k] = f(k/n, k%n, x)
		}
		return func(hz, z [][]T) error {
			hvpTimes(hz, b, z)
			return nil
		}
	}
	block := func(i int) int { return map[bool]int{i == 7: 1, i > 7: 2}[true] }
	tanh, gaussNewton := tanhRegression[T](1)
	calls := 0

	const (
		repeat    = "not repeatable"
		linear    = "not linear"
		symmetric = "not symmetric"
		agree     = "disagrees with finite differences"
	)
	for _, c := range []struct {
		name string
		loss hvpLoss[T]
		hvp  HVP[T]
		want string
	}{
		{"|Hz|", quad, hvpEdited(quad.hvp, hvpEverywhere(func(x T) T { return max(x, -x) })), linear},
		{"|H|z", quad, matrix(func(_, _ int, x float64) float64 { return math.Abs(x) }), agree},
		{"diagonal alone", quad, matrix(func(i, j int, x float64) float64 {
			if i != j {
				return 0
			}
			return x
		}), agree},
		{"diagonal of the wrong sign", quad, matrix(func(i, j int, x float64) float64 {
			if i == j {
				return -x
			}
			return x
		}), agree},
		{"no terms across parameters", quad, matrix(func(i, j int, x float64) float64 {
			if block(i) != block(j) {
				return 0
			}
			return x
		}), agree},
		{"one row doubled", quad, matrix(func(i, _ int, x float64) float64 {
			if i == 7 {
				return 2 * x
			}
			return x
		}), symmetric},
		{"upper triangle", quad, matrix(func(i, j int, x float64) float64 {
			if i > j {
				return 0
			}
			return x
		}), symmetric},
		{"Gauss-Newton", tanh, gaussNewton, agree},
		{"offset", quad, hvpEdited(quad.hvp, hvpEverywhere(func(x T) T { return x + 2 })), linear},
		{"offset alone", noCurvature[T](), hvpEdited(noCurvature[T]().hvp, hvpEverywhere(func(x T) T { return x + 200 })), linear},
		{"square", quad, hvpEdited(quad.hvp, hvpEverywhere(func(x T) T { return x * x })), linear},
		{"twice", quad, hvpEdited(quad.hvp, hvpEverywhere(func(x T) T { return 2 * x })), agree},
		{"half", tanh, hvpEdited(tanh.hvp, hvpEverywhere(func(x T) T { return x / 2 })), agree},
		{"minus", tanh, hvpEdited(tanh.hvp, hvpEverywhere(func(x T) T { return -x })), agree},
		{"nothing", quad, hvpEdited(quad.hvp, hvpEverywhere(func(T) T { return 0 })), agree},
		{"curvature where there is none", noCurvature[T](), func(hz, z [][]T) error {
			for i := range hz {
				for j, s := range z[i] {
					hz[i][j] = 200 * s
				}
			}
			return nil
		}, agree},
		{"stale parameters", tanh, func(hz, z [][]T) error {
			now := slices.Concat(hvpValues(tanh.params)...)
			for _, p := range tanh.params {
				for j := range p.Value {
					p.Value[j] += 0.5
				}
			}
			err := tanh.hvp(hz, z)
			for _, p := range tanh.params {
				copy(p.Value, now)
				now = now[len(p.Value):]
			}
			return err
		}, agree},
		{"dropout", quad, hvpEdited(quad.hvp, func(hz, _ [][]T) {
			calls++
			hz[0][calls%7] = 0
		}), repeat},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := hvpBits(c.loss.params)
			for seed := range uint64(10) {
				err := CheckHVP(c.loss.params, c.loss.grad, c.hvp, seed)
				wantError(t, err, ErrHVP, c.want, "relative error", "tolerance")
				if c.want != symmetric {
					wantError(t, err, ErrHVP, "worst at parameter")
				}
			}
			if !slices.Equal(hvpBits(c.loss.params), before) {
				t.Error("the parameters have changed")
			}
		})
	}
}

// A field with curl is not a gradient, but products with its Jacobian agree with its
// finite differences. Only the test of symmetry finds it.
func TestCheckHVPFindsBadGradient(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	l := quadratic("", hvpParams(hvpNormals[float64](20, 1, r), 20), hvpNormals[float64](400, 1, r), make([]float64, 20))
	for seed := range uint64(10) {
		wantError(t, CheckHVP(l.params, l.grad, l.hvp, seed), ErrHVP, "not symmetric: zᵀ(H y) =", "relative error")
	}
}

func TestCheckHVPErrors(t *testing.T) {
	failure := hvpTooHot{90}
	for _, c := range []struct {
		name  string
		grad  func(grads [][]float64) error // nil: that of the loss
		edit  func(params []Param[float64], hz, z [][]float64) error
		want  error
		words []string
	}{
		{"hvp fails", nil, func([]Param[float64], [][]float64, [][]float64) error { return failure },
			failure, []string{"CheckHVP: hvp: 90 degrees"}},
		{"grad fails", func([][]float64) error { return failure }, nil,
			failure, []string{"gradient: 90 degrees"}},
		{"NaN gradient", func(g [][]float64) error { g[1][0] = math.NaN(); return nil }, nil,
			ErrNonFinite, []string{`parameter 1 "p1": gradient[0] = NaN`}},
		{"NaN parameter", nil, func(p []Param[float64], _, _ [][]float64) error { panic("hvp was called") },
			ErrNonFinite, []string{`parameter 0 "p0": Value[1] = NaN`}},
		{"infinite product", nil, func(_ []Param[float64], hz, _ [][]float64) error { hz[2][3] = math.Inf(-1); return nil },
			ErrNonFinite, []string{`parameter 2 "p2": hz[3] = -Inf`}},
		{"wrong length", nil, func(_ []Param[float64], hz, _ [][]float64) error { hz[2] = hz[2][:3]; return nil },
			ErrShape, []string{`parameter 2 "p2": hz has 3 elements, want 4`}},
		{"z changed", nil, func(_ []Param[float64], _, z [][]float64) error { z[0][6] = 9; return nil },
			ErrHVP, []string{"hvp changed z", `parameter 0 "p0": z[6] is 9, was`}},
		{"zero negated", nil, func(p []Param[float64], _, _ [][]float64) error { p[1].Value[0] = math.Copysign(0, -1); return nil },
			ErrHVP, []string{"hvp changed the parameters", `parameter 1 "p1": Value[0] is -0, was 0`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := someQuadratic[float64](0)
			if c.name == "NaN parameter" {
				l.params[0].Value[1] = math.NaN()
			}
			before := hvpBits(l.params)
			hvp, grad := l.hvp, l.grad
			if c.edit != nil {
				hvp = func(hz, z [][]float64) error {
					return errors.Join(l.hvp(hz, z), c.edit(l.params, hz, z))
				}
			}
			if c.grad != nil {
				grad = c.grad
			}
			err := CheckHVP(l.params, grad, hvp, 1)
			wantError(t, err, ErrHVP)
			wantError(t, err, c.want, c.words...)
			if !slices.Equal(hvpBits(l.params), before) {
				t.Error("the parameters have changed")
			}
		})
	}
}

// The vectors are the draws from 0 on, with the parameters one after the other.
func TestCheckHVPVectors(t *testing.T) {
	l := someQuadratic[float64](1)
	draw := uint64(0)
	if err := CheckHVP(l.params, l.grad, func(hz, z [][]float64) error {
		if draw < 4 {
			want := make([]float64, 12)
			Rademacher(want, 7, draw, 0)
			if got := slices.Concat(z...); !slices.Equal(got, want) {
				t.Errorf("draw %d: z = %v, want %v", draw, got, want)
			}
		}
		draw++
		return l.hvp(hz, z)
	}, 7); err != nil {
		t.Error(err)
	}
}

// hz must be written, not added to or left alone.
func TestCheckHVPUnwritten(t *testing.T) {
	l := someQuadratic[float64](1)
	fresh := hvpZeros(l.params)
	for name, hvp := range map[string]HVP[float64]{
		"adds": func(hz, z [][]float64) error {
			err := l.hvp(fresh, z)
			for i := range hz {
				for j := range hz[i] {
					hz[i][j] += fresh[i][j]
				}
			}
			return err
		},
		"leaves one": func(hz, z [][]float64) error {
			old := hz[0][0]
			err := l.hvp(hz, z)
			hz[0][0] = old
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, CheckHVP(l.params, l.grad, hvp, 1), ErrHVP, "hvp must set every element of hz", "NaN before", `parameter 0 "p0": hz[0] = NaN`)
		})
	}
}

func TestCheckHVPNil(t *testing.T) {
	l := someQuadratic[float64](1)
	wantError(t, CheckHVP(l.params, l.grad, nil, 1), ErrHVP, "hvp is nil: pass the product to test")
	wantError(t, CheckHVP(l.params, nil, l.hvp, 1), ErrOption, "grad is nil: pass a function")
	wantError(t, CheckHVP(l.params, nil, l.hvp, 1), ErrHVP)
}

// A panic of hvp reaches the caller, and the parameters are as before.
func TestCheckHVPRestoresOnPanic(t *testing.T) {
	l := someQuadratic[float64](1)
	before := hvpBits(l.params)
	failure := errors.New("panic")
	err := hvpRecovered(func() error {
		return CheckHVP(l.params, l.grad, func(hz, z [][]float64) error {
			l.params[0].Value[0]++
			panic(failure)
		}, 1)
	})
	if err != failure {
		t.Errorf("recovered %v, want %v", err, failure)
	}
	if !slices.Equal(hvpBits(l.params), before) {
		t.Error("the parameters have changed")
	}
}
