package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/adahessian-go/adahessian"
	"github.com/adahessian-go/adahessian/examples/digits"
)

// program is the binary of this command, built once.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "mpi")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "mpi")
	out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput()
	if err != nil {
		panic(string(out))
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// job runs the command with some ranks on this machine.
func job(t *testing.T, ranks int, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	args = append([]string{"--allow-run-as-root", "--oversubscribe", "--mca", "plm", "isolated",
		"-np", fmt.Sprint(ranks), program}, args...)
	out, err := exec.CommandContext(ctx, "mpirun", args...).CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("the job hangs:\n%s", out)
	}
	return string(out), err
}

// train runs a job to its end and returns the weights.
func train(t *testing.T, ranks int, args ...string) []float64 {
	t.Helper()
	file := filepath.Join(t.TempDir(), "weights")
	if out, err := job(t, ranks, append(args, "-out", file)...); err != nil {
		t.Fatalf("%d ranks: %v\n%s", ranks, err, out)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	weights := make([]float64, length)
	if _, err := binary.Decode(data, binary.LittleEndian, weights); err != nil {
		t.Fatal(err)
	}
	return weights
}

// alone trains without MPI and shards: one optimizer, one process.
func alone(t *testing.T, steps int) []float64 {
	t.Helper()
	set, _ := digits.Load[float64]()
	w, err := newWorker(&comm{size: 1}, false, set, 64)
	if err != nil {
		t.Fatal(err)
	}
	for range steps {
		at := int(w.opt.Steps()) % (set.Len() / 64) * 64
		err := w.opt.Step([][]float64{w.result[:length]}, func(hz, z [][]float64) error {
			clear(w.result)
			for p := range parts { // the sums of the parts, in their order
				part := make([]float64, resultLen)
				sums(w.theta, z[0], part[:length], part[length:2*length], set.Slice(at+16*p, at+16*(p+1)))
				for i, x := range part {
					w.result[i] += x
				}
			}
			for i := range w.result {
				w.result[i] /= 64
			}
			copy(hz[0], w.result[length:2*length])
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return w.theta
}

// equal reports whether all bits agree.
func equal(a, b []float64) bool {
	for i := range a {
		if math.Float64bits(a[i]) != math.Float64bits(b[i]) {
			return false
		}
	}
	return len(a) == len(b)
}

// TestRanks proves that with sums in a fixed order, any number of ranks gives the bits
// of one process. With MPI's own sums the order depends on the number of ranks, and the
// weights drift apart by rounding.
func TestRanks(t *testing.T) {
	want := alone(t, 50)
	largest := 0.0
	for _, x := range want {
		largest = max(largest, math.Abs(x))
	}
	for _, ranks := range []int{1, 2, 3, 4} {
		if !equal(train(t, ranks), want) {
			t.Errorf("%d ranks, fixed order: not the bits of one process", ranks)
		}
		off := 0.0
		for i, x := range train(t, ranks, "-fixed=false") {
			off = max(off, math.Abs(x-want[i]))
		}
		t.Logf("%d ranks, MPI's order: off by %.1e of the largest weight", ranks, off/largest)
		if !(off <= 1e-12*largest) {
			t.Errorf("%d ranks, MPI's order: off by %g, want 1e-12 of the largest weight, %g", ranks, off, largest)
		}
	}
}

// TestDeath proves that a rank that dies ends the job with an error that names it, and
// that a new job continues from the last saved state to the same bits.
func TestDeath(t *testing.T) {
	want := alone(t, 50)
	for _, how := range []struct{ flag, says string }{
		{"-die", ",1],3]"},                   // mpirun names the process
		{"-fail", "rank 3 of 4: step fails"}, // the rank ends the job itself
	} {
		dir := t.TempDir()
		out, err := job(t, 4, "-dir", dir, how.flag, "27")
		if err == nil || !strings.Contains(out, how.says) {
			t.Errorf("%s: error %v, want one that says %q:\n%s", how.flag, err, how.says, out)
		}
		latest, err := os.ReadFile(filepath.Join(dir, "latest"))
		if err != nil || string(bytes.TrimSpace(latest)) != "20 4" {
			t.Fatalf("%s: latest saved step %q (%v), want 20 of 4 ranks", how.flag, latest, err)
		}
		// What remains of a save that one rank has finished and another has not.
		for _, name := range []string{"step30-rank0of4", "step30-rank1of4.new"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		for _, ranks := range []int{4, 3, 1} {
			// Each continues from step 20, which 4 ranks have saved.
			copied := t.TempDir()
			if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			if !equal(train(t, ranks, "-dir", copied), want) {
				t.Errorf("%s, then %d ranks: the resumed job has other bits than one without interruption", how.flag, ranks)
			}
		}
	}
}

// TestResharding goes from 4 ranks to 3, 1, 2 and back to 4, and each job continues
// from what the one before has saved. A missing or damaged file of a rank ends the job
// with an error.
func TestResharding(t *testing.T) {
	want := alone(t, 50)
	dir := t.TempDir()
	for i, ranks := range []int{4, 3, 1, 2} {
		if out, err := job(t, ranks, "-dir", dir, "-steps", fmt.Sprint(10*(i+1))); err != nil || !strings.Contains(out, fmt.Sprintf("from step %d to %d", 10*i, 10*i+10)) {
			t.Fatalf("%d ranks: %v\n%s", ranks, err, out)
		}
	}
	damaged := t.TempDir()
	if err := os.CopyFS(damaged, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if !equal(train(t, 4, "-dir", dir), want) {
		t.Error("after 4, 3, 1, 2 and 4 ranks the weights have other bits than those of one process")
	}

	name := filepath.Join(damaged, "step40-rank1of2")
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	good[len(good)-1] ^= 1
	if err := os.WriteFile(name, good, 0o666); err != nil {
		t.Fatal(err)
	}
	if out, err := job(t, 3, "-dir", damaged); err == nil || !strings.Contains(out, "states[1]") || !strings.Contains(out, "the state is damaged") {
		t.Errorf("a damaged file (%v):\n%s", err, out)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if out, err := job(t, 3, "-dir", damaged); err == nil || !strings.Contains(out, "no such file") {
		t.Errorf("a missing file (%v):\n%s", err, out)
	}
}

func TestCheckHVP(t *testing.T) {
	set, _ := digits.Load[float64]()
	part := set.Slice(0, 40)
	theta := make([]float64, length)
	adahessian.Rademacher(theta[:used], 3, 0, 0)
	for i := range theta {
		theta[i] /= 8
	}
	none, unused := make([]float64, length), make([]float64, length)
	err := adahessian.CheckHVP([]adahessian.Param[float64]{{Name: "weights", Value: theta}},
		func(grads [][]float64) error { sums(theta, none, grads[0], unused, part); return nil },
		func(hz, z [][]float64) error { clear(hz[0]); sums(theta, z[0], unused, hz[0], part); return nil }, 1)
	if err != nil {
		t.Error(err)
	}
}

// TestBytes compares the table in README.md with what the job counts.
func TestBytes(t *testing.T) {
	for _, c := range []struct {
		ranks int
		fixed bool
		want  int
	}{
		{4, true, 8 * (resultLen + length/4)},
		{2, true, 8 * (2*resultLen + length/2)},
		{4, false, 8 * (resultLen + length/4)},
		{2, false, 8 * (resultLen + length/2)},
	} {
		out, err := job(t, c.ranks, fmt.Sprintf("-fixed=%v", c.fixed))
		if want := fmt.Sprintf(" %d bytes for each step", c.want); err != nil || !strings.Contains(out, want) {
			t.Errorf("%d ranks, fixed %v: want%s: %v\n%s", c.ranks, c.fixed, want, err, out)
		}
	}
}
