package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/adahessian-go/adahessian"
)

// readme returns README.md, whose quick start is this program.
func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

// TestReadme makes sure that README.md shows this program, and what it prints.
func TestReadme(t *testing.T) {
	program, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	defer func() { os.Stdout = stdout }()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	os.Stdout = w
	main()
	w.Close()
	printed, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	page := readme(t)
	code := strings.ReplaceAll(string(program), "\r\n", "\n")
	if !strings.Contains(page, "```go\n"+code+"```\n") {
		t.Error("README.md does not have internal/quickstart/main.go")
	}
	if !strings.Contains(page, "`"+strings.TrimSpace(string(printed))+"`") {
		t.Errorf("README.md does not have what the program prints: %s", printed)
	}
}

// TestExact makes sure that the second block of README.md is in the first example of
// the package, which is run.
func TestExact(t *testing.T) {
	source, err := os.ReadFile("../../example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(readme(t), "```go\n")
	if len(blocks) != 3 {
		t.Fatalf("README.md has %d blocks of Go, want 2", len(blocks)-1)
	}
	block, _, _ := strings.Cut(blocks[2], "```\n")
	example := strings.ReplaceAll(strings.ReplaceAll(string(source), "\r\n", "\n"), "\n\t", "\n")
	if !strings.Contains(example, block) {
		t.Errorf("example_test.go does not have\n%s", block)
	}
}

// limit is the loss that TestSteps waits for. It begins at 36.
const limit = 1e-6

// TestSteps makes sure that README.md has the right numbers of steps for the problem of
// the quick start, for AdaHessian with its defaults and for SGD and Adam at the best
// learning rate of a sweep.
func TestSteps(t *testing.T) {
	best := func(rates []float64, steps int, train func(lr float64) func(w []float64)) (int, float64) {
		least, rate := math.MaxInt, 0.0
		for _, lr := range rates {
			if n := reach(train(lr), min(least, steps)); n < least {
				least, rate = n, lr
			}
		}
		return least, rate
	}
	ada := reach(adaHessian(t), 1000)
	adamDefault := reach(adam(0.001), 100_000)
	adamBest, adamRate := best(sweep(0.01, 10, 60), 10_000, adam)
	sgdBest, sgdRate := best(sweep(1e-5, 1e-3, 60), 100_000, sgd)
	row := fmt.Sprintf("| steps | %d | %s | %d | %s |", ada, thousands(adamDefault), adamBest, thousands(sgdBest))
	t.Logf("%s, Adam at %.3g, SGD at %.3g", row, adamRate, sgdRate)
	if !strings.Contains(readme(t), row+"\n") {
		t.Errorf("README.md does not have the row %s", row)
	}
}

// sweep returns n learning rates from low to high, in equal ratios.
func sweep(low, high float64, n int) []float64 {
	rates := make([]float64, n)
	for i := range rates {
		rates[i] = low * math.Pow(high/low, float64(i)/float64(n-1))
	}
	return rates
}

// thousands formats n with a comma.
func thousands(n int) string { return fmt.Sprintf("%d,%03d", n/1000, n%1000) }

// reach returns the number of steps after which the loss is first below limit,
// or math.MaxInt if it is not within the given number.
func reach(step func(w []float64), steps int) int {
	w := make([]float64, 3)
	g := make([]float64, 3)
	for n := 1; n <= steps; n++ {
		step(w)
		if lossGradient(g, w) < limit {
			return n
		}
	}
	return math.MaxInt
}

// lossGradient returns ½ mean (x·w − y)² and sets g to its gradient. It rounds every
// product, so that the number of steps is the same on every machine.
func lossGradient(g, w []float64) float64 {
	clear(g)
	loss := 0.0
	for i, x := range xs {
		residual := -ys[i]
		for j := range w {
			residual += float64(x[j] * w[j])
		}
		loss += residual * residual / 8
		for j := range g {
			g[j] += float64(x[j]*residual) / 4
		}
	}
	return loss
}

// adaHessian returns a step of AdaHessian at its defaults.
func adaHessian(t *testing.T) func(w []float64) {
	var opt *adahessian.Optimizer[float64]
	return func(w []float64) {
		if opt == nil {
			var err error
			opt, err = adahessian.New(adahessian.DefaultOptions(), adahessian.Param[float64]{Name: "w", Value: w})
			if err != nil {
				t.Fatal(err)
			}
		}
		err := opt.StepGradient(func(grads [][]float64) error {
			lossGradient(grads[0], w)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// sgd returns a step of gradient descent.
func sgd(lr float64) func(w []float64) {
	g := make([]float64, 3)
	return func(w []float64) {
		lossGradient(g, w)
		for j := range w {
			w[j] -= float64(lr * g[j])
		}
	}
}

// adam returns a step of Adam with β 0.9 and 0.999.
func adam(lr float64) func(w []float64) {
	g, m, v := make([]float64, 3), make([]float64, 3), make([]float64, 3)
	b1, b2 := 1.0, 1.0
	return func(w []float64) {
		lossGradient(g, w)
		b1, b2 = 0.9*b1, 0.999*b2
		for j := range w {
			m[j] = float64(0.9*m[j]) + float64(0.1*g[j])
			v[j] = float64(0.999*v[j]) + float64(0.001*g[j]*g[j])
			w[j] -= lr * (m[j] / (1 - b1)) / (math.Sqrt(v[j]/(1-b2)) + 1e-8)
		}
	}
}
