package adahessian_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	. "github.com/adahessian-go/adahessian"
)

// wantUndecided reports an error other than the one that CheckHVP returns if nothing
// can be decided.
func wantUndecided(t *testing.T, err error, words ...string) {
	t.Helper()
	wantError(t, err, ErrHVP, append(words, "cannot be decided in float32 (a check in float64 decides more)")...)
}

func nothing[T Float](hz, _ [][]T) error {
	for _, v := range hz {
		clear(v)
	}
	return nil
}

// In float32, a large constant in the gradient hides the curvature at fine steps. A
// product of zeros must still not pass.
func TestCheckHVPZeroProduct(t *testing.T) {
	b := make([]float32, 4)
	params := hvpParams(b, 4)
	for seed := range uint64(10) {
		for _, constant := range []float32{-100, -1e4, -1e6} {
			grad := func(grads [][]float32) error {
				for i, x := range b {
					grads[0][i] = x + constant
				}
				return nil
			}
			if err := CheckHVP(params, grad, nothing, seed); !errors.Is(err, ErrHVP) {
				t.Errorf("gradient b%+g, seed %d: error %v, want ErrHVP", constant, seed, err)
			}
			right := func(hz, z [][]float32) error { copy(hz[0], z[0]); return nil }
			if err := CheckHVP(params, grad, right, seed); err != nil && !strings.Contains(err.Error(), "cannot be decided in float32") {
				t.Errorf("gradient b%+g, seed %d: the right product: %v", constant, seed, err)
			} else if constant == -100 && err != nil {
				t.Errorf("gradient b%+g, seed %d: the right product: %v", constant, seed, err)
			}
		}
	}
}

// Linear regression from w = 0 with targets of about 300.
func TestCheckHVPZeroProductRegression(t *testing.T) {
	const samples, inputs = 30, 5
	for seed := range uint64(5) {
		r := rand.New(rand.NewPCG(seed, 1))
		x := hvpNormals[float32](samples*inputs, 0.1, r)
		params := hvpParams(make([]float32, inputs), inputs)
		row := func(n int) []float32 { return x[n*inputs : (n+1)*inputs] }
		along := func(x, w []float32) (sum float32) {
			for j, e := range x {
				sum += e * w[j]
			}
			return sum
		}
		mean := func(out []float32, f func(n int) float32) error {
			clear(out)
			for n := range samples {
				for j, e := range row(n) {
					out[j] += f(n) * e / samples
				}
			}
			return nil
		}
		grad := func(grads [][]float32) error {
			return mean(grads[0], func(n int) float32 { return along(row(n), params[0].Value) - 300 })
		}
		wantError(t, CheckHVP(params, grad, nothing, seed), ErrHVP, "disagrees with finite differences")
		if err := CheckHVP(params, grad, func(hz, z [][]float32) error {
			return mean(hz[0], func(n int) float32 { return along(row(n), z[0]) })
		}, seed); err != nil {
			t.Error(err)
		}
	}
}

// The loss Σ w⁴/4 has H = 3w². The product uses the w of its first call.
func TestCheckHVPKeptParameters(t *testing.T) {
	forEachHVPType(t, testCheckKept[float32], testCheckKept[float64], testCheckKept[hvpWeight])
}

func testCheckKept[T Float](t *testing.T) {
	params := hvpParams([]T{0.5, -1, 2}, 3)
	grad := func(grads [][]T) error {
		for j, x := range params[0].Value {
			grads[0][j] = x * x * x
		}
		return nil
	}
	product := func(w []T) HVP[T] {
		return func(hz, z [][]T) error {
			for j, x := range w {
				hz[0][j] = 3 * x * x * z[0][j]
			}
			return nil
		}
	}
	for seed := range uint64(10) {
		if err := CheckHVP(params, grad, product(params[0].Value), seed); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		err := CheckHVP(params, grad, product(slices.Clone(params[0].Value)), seed)
		wantError(t, err, ErrHVP, "where the parameters have moved", "kept from another call", "disagrees")
	}
}

// If the coarsest steps leave the domain of the loss Σ θ ln θ, where the gradient is
// NaN or grad returns an error, finer ones decide.
func TestCheckHVPDomain(t *testing.T) {
	forEachHVPType(t, testCheckDomain[float32], testCheckDomain[float64], testCheckDomain[hvpWeight])
}

func testCheckDomain[T Float](t *testing.T) {
	outside := errors.New("sigma must be positive")
	for _, scale := range []T{1, 0.1} {
		params := hvpParams([]T{1e-3 * scale, 2e-3 * scale}, 2)
		for _, fails := range []bool{false, true} {
			grad := func(grads [][]T) error {
				for j, x := range params[0].Value {
					if fails && !(x > 0) {
						return outside
					}
					grads[0][j] = T(math.Log(float64(x))) + 1
				}
				return nil
			}
			product := func(by T) HVP[T] {
				return func(hz, z [][]T) error {
					for j, x := range params[0].Value {
						hz[0][j] = by * z[0][j] / x
					}
					return nil
				}
			}
			for seed := range uint64(5) {
				if err := CheckHVP(params, grad, product(1), seed); err != nil {
					t.Errorf("θ %v, seed %d: %v", params[0].Value, seed, err)
				}
				wantError(t, CheckHVP(params, grad, product(1.1), seed), ErrHVP, "disagrees")
			}
		}
	}
}

// A domain without room, so no step has gradients on both sides.
func TestCheckHVPNoStep(t *testing.T) {
	failure := errors.New("not there")
	theta := []float32{1}
	params := hvpParams(theta, 1)
	err := CheckHVP(params, func(grads [][]float32) error {
		if theta[0] != 1 {
			return failure
		}
		return nil
	}, nothing, 1)
	wantUndecided(t, err, "no step has finite gradients on both sides", "not there")
	wantError(t, err, failure)
}

// roundedMean has the gradient θ + 14.7 as the mean of 20,000 numbers, summed
// in a plain loop.
func roundedMean(theta []float32) func(grads [][]float32) error {
	return func(grads [][]float32) error {
		for i, x := range theta {
			var sum float32
			for k := range 20000 {
				sum += 10*(1+float32(k%17)/17) + x
			}
			grads[0][i] = sum / 20000
		}
		return nil
	}
}

// If the rounding of gradients spoils the default step, coarser ones decide.
func TestCheckHVPNoisyGradient(t *testing.T) {
	for _, theta := range [][]float32{{0.5, -0.25, 0.125, 1}, {0, 0, 0, 0}, {0.3}} {
		params := hvpParams(theta, len(theta))
		for seed := range uint64(5) {
			right := func(hz, z [][]float32) error { copy(hz[0], z[0]); return nil }
			if err := CheckHVP(params, roundedMean(theta), right, seed); err != nil {
				t.Errorf("θ %v, seed %d: %v", theta, seed, err)
			}
			more := hvpEdited(right, hvpEverywhere(func(x float32) float32 { return 1.1 * x }))
			wantError(t, CheckHVP(params, roundedMean(theta), more, seed), ErrHVP)
			wantError(t, CheckHVP(params, roundedMean(theta), nothing, seed), ErrHVP)
		}
	}
}

// hvp must not be blamed for what grad changes.
func TestCheckHVPGradChangesParameters(t *testing.T) {
	for call := range 5 {
		l := someQuadratic[float64](1)
		before, calls := hvpBits(l.params), 0
		err := CheckHVP(l.params, func(grads [][]float64) error {
			if calls++; calls > 3*call {
				l.params[1].Value[0] += 3
			}
			return l.grad(grads)
		}, l.hvp, 1)
		wantError(t, err, ErrHVP, "grad changed the parameters", `parameter 1 "p1": Value[0] is`)
		if err != nil && strings.Contains(err.Error(), "hvp changed") {
			t.Errorf("%v blames hvp", err)
		}
		if !slices.Equal(hvpBits(l.params), before) {
			t.Error("the parameters have changed")
		}
	}
}

// With a constant so large that float32 cannot show the curvature, CheckHVP cannot tell
// whether a product is right. In float64 it can.
func TestCheckHVPUndecided(t *testing.T) {
	wantUndecided(t, hvpHidden[float32](1, 1e6), "estimated error of", "of the largest |H z|", "default step")
	wantUndecided(t, hvpHidden[float32](1.5, 1e6))
	if err := hvpHidden[float64](1, 1e6); err != nil {
		t.Error(err)
	}
	wantError(t, hvpHidden[float64](1.5, 1e6), ErrHVP, "disagrees with finite differences")
}

// hvpHidden checks a multiple of the product of Σ exp(θ) with a constant added
// to the gradient.
func hvpHidden[T Float](multiple, constant T) error {
	params := hvpParams([]T{0.5, -0.25, 0.125}, 3)
	return CheckHVP(params, func(grads [][]T) error {
		for j, x := range params[0].Value {
			grads[0][j] = T(math.Exp(float64(x))) + constant
		}
		return nil
	}, func(hz, z [][]T) error {
		for j, x := range params[0].Value {
			hz[0][j] = multiple * T(math.Exp(float64(x))) * z[0][j]
		}
		return nil
	}, 1)
}

// Kinks are not curvature. The loss Σ |θ − k/100| has none. Its finite differences
// have none either if the step crosses no kink.
func TestCheckHVPKinks(t *testing.T) {
	theta := []float64{0.003, 0.517}
	params := hvpParams(theta, 2)
	grad := func(grads [][]float64) error {
		for j, x := range theta {
			for k := range 100 {
				grads[0][j] += math.Copysign(1, x-float64(k)/100)
			}
		}
		return nil
	}
	if err := CheckHVP(params, grad, nothing, 1); err != nil {
		t.Error(err)
	}
	wantError(t, CheckHVP(params, grad, func(hz, z [][]float64) error {
		copy(hz[0], z[0])
		return nil
	}, 1), ErrHVP, "disagrees with finite differences")
}

// Parameters of very different scale each have their own step.
func TestCheckHVPScales(t *testing.T) {
	forEachHVPType(t, testCheckScales[float32], testCheckScales[float64], testCheckScales[hvpWeight])
}

func testCheckScales[T Float](t *testing.T) {
	l := hvpTwoScales[T]()
	for seed := range uint64(5) {
		if err := CheckHVP(l.params, l.grad, l.hvp, seed); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		wrong := hvpEdited(l.hvp, hvpEverywhere(func(x T) T { return 1.1 * x }))
		wantError(t, CheckHVP(l.params, l.grad, wrong, seed), ErrHVP)
	}
}

// The numbers of calls of hvp and grad are as documented, both if the first steps are
// good and if none is.
func TestCheckHVPCalls(t *testing.T) {
	l := someQuadratic[float64](1)
	var toHVP, toGrad int
	if err := CheckHVP(l.params,
		func(grads [][]float64) error { toGrad++; return l.grad(grads) },
		func(hz, z [][]float64) error { toHVP++; return l.hvp(hz, z) }, 1); err != nil {
		t.Fatal(err)
	}
	if toHVP != 13 || toGrad != 38 {
		t.Errorf("%d calls of hvp and %d of grad, want 13 and 38", toHVP, toGrad)
	}

	// Every call gives another gradient.
	toHVP, toGrad = 0, 0
	r := rand.New(rand.NewPCG(1, 2))
	err := CheckHVP(l.params,
		func(grads [][]float64) error {
			toGrad++
			for i := range grads {
				for j := range grads[i] {
					grads[i][j] = r.NormFloat64()
				}
			}
			return nil
		},
		func(hz, z [][]float64) error { toHVP++; return l.hvp(hz, z) }, 1)
	wantError(t, err, ErrHVP, "cannot be decided in float64: ")
	if toHVP > 20 || toGrad > 600 {
		t.Errorf("%d calls of hvp and %d of grad, want at most 20 and 600", toHVP, toGrad)
	}
}

// An error of any call of hvp is returned, and so is one of grad at the parameters
// themselves.
func TestCheckHVPFailures(t *testing.T) {
	l := someQuadratic[float64](1)
	failure := errors.New("no luck")
	for fail := 1; fail <= 12; fail++ {
		call := 0
		err := CheckHVP(l.params, l.grad, func(hz, z [][]float64) error {
			if call++; call == fail {
				return failure
			}
			return l.hvp(hz, z)
		}, 1)
		wantError(t, err, failure)
		wantError(t, err, ErrHVP, "CheckHVP: hvp: no luck")
	}
	err := CheckHVP(l.params, func([][]float64) error { return failure }, l.hvp, 1)
	wantError(t, err, failure)
	wantError(t, err, ErrHVP, fmt.Sprint("gradient: ", failure))
}

// CheckHVP uses as much memory as its comment says, and no more for a longer search.
func TestCheckHVPMemory(t *testing.T) {
	const n = 1 << 18
	params := hvpParams(make([]float64, n), n/2, n/2)
	got := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			err := CheckHVP(params, func(grads [][]float64) error {
				copy(grads[0], params[0].Value)
				copy(grads[1], params[1].Value)
				return nil
			}, func(hz, z [][]float64) error {
				copy(hz[0], z[0])
				copy(hz[1], z[1])
				return nil
			}, 1)
			if err != nil {
				b.Fatal(err)
			}
		}
	}).AllocedBytesPerOp()
	if vectors := float64(got) / (8 * n); vectors > 14.1 || vectors < 13 && Allocations() {
		t.Errorf("%.1f vectors, want 14", vectors)
	}
}
