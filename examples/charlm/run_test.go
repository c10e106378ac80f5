package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/adahessian-go/adahessian/examples/charlm/lm"
	"github.com/adahessian-go/adahessian/examples/internal/chart"
	"github.com/adahessian-go/adahessian/examples/internal/testfile"
)

// smallRun returns the flags of a model that trains in a moment.
func smallRun(t *testing.T, text string, more ...string) []string {
	t.Helper()
	// run sets the number of processors of the whole program.
	procs := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(procs) })
	return append([]string{
		"-text", text, "-steps", "150", "-batch", "8", "-positions", "16",
		"-embed", "8", "-width", "24", "-heads", "2", "-kernel", "4", "-workers", "2",
	}, more...)
}

var (
	unigramLine = regexp.MustCompile(`how frequent each character is: ([0-9.]+)`)
	resultLine  = regexp.MustCompile(`(?m)^ *(AdaHessian|AdamW|SGD, momentum) +[0-9.]+ +([0-9.]+) +([0-9.]+) +[0-9.]+ s +[0-9.]+ ms +([0-9.]+) %$`)
)

// A run on a small text. Every optimizer must learn more than how frequent each
// character is, two runs must agree to the last digit, and the plot must not be empty.
func TestRun(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) { testRun(t, "-model", kind) })
	}
}

func testRun(t *testing.T, flags ...string) {
	text := testfile.Sentences(t, 40_000)
	path := filepath.Join(t.TempDir(), "loss.png")
	results := func() string {
		var stdout, stderr bytes.Buffer
		if err := run(smallRun(t, text, append(flags, "-out", path)...), &stdout, &stderr); err != nil {
			t.Fatal(err)
		}
		unigram := parse(t, unigramLine.FindStringSubmatch(stdout.String())[1])
		rows := resultLine.FindAllStringSubmatch(stdout.String(), -1)
		if len(rows) != len(methods) {
			t.Fatalf("%d results, want %d:\n%s", len(rows), len(methods), stdout.String())
		}
		losses := ""
		for _, row := range rows {
			final, best, share := parse(t, row[2]), parse(t, row[3]), parse(t, row[4])
			if !(final < 0.75*unigram) {
				t.Errorf("%s: %v bits/char, want less than three quarters of %v", row[1], final, unigram)
			}
			if best > final || share <= 0 || share >= 100 {
				t.Errorf("%s: final %v, best %v, %v %% in the optimizer", row[1], final, best, share)
			}
			if !strings.Contains(stderr.String(), fmt.Sprintf("%s: %s after 150 steps", row[1], row[2])) {
				t.Errorf("no line for %s in %q", row[1], stderr.String())
			}
			losses += row[1] + row[2] + row[3]
		}
		if strings.ContainsAny(stderr.String(), "\r\x1b") {
			t.Errorf("control characters without a terminal: %q", stderr.String())
		}
		return losses
	}
	if first, second := results(), results(); first != second {
		t.Errorf("two runs differ: %s, %s", first, second)
	}

	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	for i, me := range methods {
		c, found := color.RGBAModel.Convert(chart.Colors[i]), 0
		for y := range img.Bounds().Dy() {
			for x := range img.Bounds().Dx() {
				if img.At(x, y) == c {
					found++
				}
			}
		}
		if found < 200 {
			t.Errorf("%d pixels of the plot have the colour of %s", found, me.name)
		}
	}
}

func parse(t *testing.T, s string) float64 {
	t.Helper()
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// -sweep must try every rate of every grid on the tuning part, and name the
// best of each.
func TestSweep(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if err := run(smallRun(t, testfile.Sentences(t, 40_000), "-steps", "20", "-sweep"), &stdout, &stderr); err != nil {
		t.Fatal(err)
	}
	for _, me := range methods {
		best, bestAt, marked := math.Inf(1), 0.0, math.NaN()
		for _, lr := range me.tuned[transformer].grid {
			row := regexp.MustCompile(fmt.Sprintf(`(?m)^ *%s +%g +([0-9.]+|diverged)( +best)?`, me.name, lr)).FindStringSubmatch(stdout.String())
			if row == nil {
				t.Fatalf("no line for %s at %g:\n%s", me.name, lr, stdout.String())
			}
			if row[1] != "diverged" && parse(t, row[1]) < best {
				best, bestAt = parse(t, row[1]), lr
			}
			if row[2] != "" {
				marked = lr
			}
		}
		if marked != bestAt {
			t.Errorf("%s: %g is marked as best, %g has the lowest loss:\n%s", me.name, marked, bestAt, stdout.String())
		}
	}
}

// The sweep must measure on the tuning part alone, and the comparison on the validation
// part alone. Each time the other part is one that cannot be read.
func TestPartsInUse(t *testing.T) {
	c, err := parseFlags(smallRun(t, "", "-steps", "2"), new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	c.vocab = 2
	part := make([]uint8, 100)
	e := &experiment{c, &lm.Corpus{Train: part, Tuning: part}, new(bytes.Buffer)}
	if _, err := e.sweep(); err != nil {
		t.Error(err)
	}
	e.corpus = &lm.Corpus{Train: part, Validation: part}
	if _, err := e.compare(); err != nil {
		t.Error(err)
	}
}

// witness notes the weights from which its model starts and the batches on which it is
// trained.
type witness struct {
	m    *lm.Model[float32]
	seen *[]any
}

func (w witness) Step(float64) (float64, time.Duration, error) {
	*w.seen = append(*w.seen, clone(w.m.Values), w.m.Loss()) // the loss tells batches apart
	return 1, 0, nil
}

func TestMethodsSeeTheSameWeightsAndBatches(t *testing.T) {
	c, err := parseFlags(smallRun(t, "", "-steps", "3"), new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	c.vocab = 200
	part := make([]uint8, 200)
	for i := range part {
		part[i] = uint8(i)
	}
	e := &experiment{c, &lm.Corpus{Train: part, Validation: part}, new(bytes.Buffer)}
	seen := make([][]any, 2)
	for i := range seen {
		start := func(m *lm.Model[float32], c config) (lm.Stepper, error) { return witness{m, &seen[i]}, nil }
		if _, err := e.run(method{name: strings.Repeat("x", i), start: start}, 0.1*float64(i), part, ""); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(seen[0], seen[1]) {
		t.Error("two methods see different weights or batches")
	}
	if reflect.DeepEqual(seen[0][1], seen[0][3]) {
		t.Error("two steps see the same batch")
	}
}

// A learning rate that makes training diverge must give a result, not an error or a
// panic.
func TestDivergenceIsAResult(t *testing.T) {
	var stdout, stderr bytes.Buffer
	args := smallRun(t, testfile.Sentences(t, 40_000), "-steps", "40", "-out", filepath.Join(t.TempDir(), "x.png"),
		"-lr-adahessian", "1e30", "-lr-adamw", "1e30", "-lr-sgd", "1e30")
	if err := run(args, &stdout, &stderr); err != nil {
		t.Fatal(err)
	}
	for _, me := range methods {
		if !strings.Contains(stderr.String(), me.name+": diverged") {
			t.Errorf("%s did not diverge: %s", me.name, stderr.String())
		}
	}
}

func TestBadFlags(t *testing.T) {
	for _, args := range [][]string{
		{"-steps", "0"},
		{"-steps", "many"},
		{"-batch", "-1"},
		{"-positions", "0"},
		{"-embed", "0"},
		{"-width", "1000000"},
		{"-kernel", "0"},
		{"-workers", "0"},
		{"-update-each", "0"},
		{"-model", "rnn"},
		{"-heads", "5"},
		{"-layers", "0"},
		{"-curvature-batch", "33"},
		{"-curvature-batch", "0"},
		{"-max-update", "-1"},
		{"-max-update", "+Inf"},
		{"-decay", "-0.5"},
		{"-decay", "NaN"},
		{"-lr-adamw", "0"},
		{"-lr-sgd", "+Inf"},
		{"-seed", "-1"},
		{"-out", "loss.gif"},
		{"-out", "no/such/folder/loss.png"},
	} {
		_, err := parseFlags(args, new(bytes.Buffer))
		if err == nil || !strings.Contains(err.Error(), args[0]) || !strings.Contains(err.Error(), args[1]) {
			t.Errorf("%v: %v, want an error that names both", args, err)
		}
	}
	if _, err := parseFlags([]string{"extra"}, new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), `"extra"`) {
		t.Errorf("an argument too many: %v", err)
	}
	var help bytes.Buffer
	if _, err := parseFlags([]string{"-h"}, &help); !errors.Is(err, flag.ErrHelp) || !strings.Contains(help.String(), "-update-each") {
		t.Errorf("-h: %v, %q", err, help.String())
	}
}
