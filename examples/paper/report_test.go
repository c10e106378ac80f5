package main

import (
	"bytes"
	"fmt"
	"image/png"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/adahessian-go/adahessian/examples/internal/testfile"
)

// synthetic returns results whose losses a function gives, in bits per character. Those
// of different seeds differ by a hundredth. On the tuning part the losses are higher by
// one.
func synthetic(t *testing.T, e *experiment, loss func(spec) float64, seconds func(variant) float64) *results {
	t.Helper()
	r := mustOpen(t, filepath.Join(t.TempDir(), "r.jsonl"), e.settings)
	for _, sp := range e.plan(func(sp spec) (float64, bool) { return loss(sp) + 1, true }).specs {
		final := loss(sp) + 0.01*float64(sp.Seed)
		steps := e.steps(sp.variant)
		if err := r.addRun(runResult{Key: e.key(sp), Steps: steps, Tuning: loss(sp) + 1, Validation: final,
			Curve: [][2]float64{{0, 8}, {float64(steps / 2), final + 1}, {float64(steps), final}}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range e.timedVariants() {
		if err := r.addTime(stepTime{e.variantKey(v), []float64{seconds(v), seconds(v)}, "a machine"}); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func reportText(t *testing.T, e *experiment, r *results) string {
	t.Helper()
	above := t.TempDir()
	folder, pictures := filepath.Join(above, "text"), filepath.Join(above, "elsewhere", "pictures")
	for _, dir := range []string{folder, pictures} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	transformer := testTransformer(t)
	if err := writeReport(&part{experiment: e, results: r}, transformer, folder, pictures); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "evidence.md"))
	if err != nil {
		t.Fatal(err)
	}
	checkPictures(t, folder, string(text))
	return string(text)
}

var picture = regexp.MustCompile(`!\[[^\]]+\]\(([^)]+)\)`)

// checkPictures decodes every picture that a text refers to.
func checkPictures(t *testing.T, folder, text string) {
	t.Helper()
	all := picture.FindAllStringSubmatch(text, -1)
	if len(all) != 9 {
		t.Errorf("%d pictures, want 9", len(all))
	}
	for _, m := range all {
		f, err := os.Open(filepath.Join(folder, m[1]))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := png.Decode(f); err != nil {
			t.Errorf("%s: %v", m[1], err)
		}
		f.Close()
	}
}

// Every conclusion must follow from the numbers, in both directions.
func TestReportFollowsTheNumbers(t *testing.T) {
	e := testExperiment(t)
	gradient := func(v variant) float64 {
		if v.Optimizer == adaHessian {
			return 0.001 * (1 + float64(v.Probes)/float64(v.Each))
		}
		return 0.001
	}
	bowl := func(better string) func(spec) float64 {
		return func(sp spec) float64 {
			loss, _ := bowl(centred)(sp)
			if sp.Optimizer != better {
				loss = loss + 0.2
			}
			return loss
		}
	}
	good := reportText(t, e, synthetic(t, e, bowl(adaHessian), gradient))
	for _, want := range []string{
		"| For equal steps AdaHessian ends lower than AdamW (smaller) | holds here |",
		"| For equal steps AdaHessian ends lower than SGD (larger) | holds here |",
		"| For equal time AdaHessian ends lower than AdamW (larger) | holds here |",
		"| AdaHessian | 0.3 | 3.020 ± 0.010 | – | 2.00 ms | 2.00 (2.00 … 2.00) | 0.0 s |",
		"| AdamW | 0.03 | 3.220 ± 0.010 | +0.200 ± 0.000 | 1.00 ms |",
		"| The loss is no worse with a Hessian in every 2nd, 3rd, 5th or 10th step | holds here |",
		"| A step takes 1 + 1/N times that of SGD, within 10 % | holds here |",
		"| Finite differences do not change the final loss | holds here |",
		"4.200, 4.100, 4.000, 4.100, 4.200 | 0.3 |", // the tuning part, in its own table
	} {
		if !strings.Contains(good, want) {
			t.Errorf("missing: %s", want)
		}
	}
	bad := reportText(t, e, synthetic(t, e, func(sp spec) float64 {
		loss := bowl(adamW)(sp)
		if sp.Differences || sp.Each == 10 || sp.Block == blockWhole {
			loss += 0.3
		}
		return loss
	}, func(v variant) float64 { return 3 * gradient(v) * float64(v.Probes*2-1) }))
	for _, want := range []string{
		"| For equal steps AdaHessian ends lower than AdamW (smaller) | does not hold here |",
		"| The loss is no worse at other block sizes | does not hold here |",
		"| The loss is no worse with a Hessian in every 2nd, 3rd, 5th or 10th step | does not hold here |",
		"| Finite differences do not change the final loss | does not hold here |",
	} {
		if !strings.Contains(bad, want) {
			t.Errorf("missing: %s", want)
		}
	}
	if strings.Contains(good+bad, "NaN") || strings.Contains(good+bad, "Inf") || strings.Contains(good+bad, "%!") {
		t.Error("the text has values that are not numbers")
	}
}

func TestReportCountsDivergedRuns(t *testing.T) {
	e := testExperiment(t)
	r := synthetic(t, e, func(sp spec) float64 { loss, _ := bowl(centred)(sp); return loss }, func(variant) float64 { return 1 })
	v := e.defaultVariant(smaller, sgd)
	for _, seed := range e.Seeds[:2] {
		res, _ := r.run(e.key(spec{v, 2, seed}))
		res.Diverged, res.Tuning, res.Validation, res.Curve = true, 0, 0, res.Curve[:1]
		if err := r.addRun(res); err != nil {
			t.Fatal(err)
		}
	}
	text := reportText(t, e, r)
	for _, want := range []string{"3.230 ± – (2 of 3 diverged) |", "4.200, 4.100, 4.000, 4.100, diverged | 1 |", "2 of " + fmt.Sprint(len(r.runs)) + " runs did"} {
		if !strings.Contains(text, want) {
			t.Errorf("missing: %s", want)
		}
	}
}

// Without any results, the report must say so and conclude nothing.
func TestReportOfNothing(t *testing.T) {
	e := testExperiment(t)
	text := reportText(t, e, mustOpen(t, filepath.Join(t.TempDir(), "r.jsonl"), e.settings))
	if !strings.Contains(text, "Not complete: 0 runs") || strings.Contains(text, "| "+holds) || strings.Contains(text, "| "+doesNotHold) {
		t.Errorf("a report of nothing: %s", text[:1500])
	}
}

// What the command writes without -out must be what is committed, and the links in the
// text must lead to the pictures.
func TestCommittedReport(t *testing.T) {
	t.Chdir("..")
	c, err := parseFlags(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(c.out, "evidence.md"))
	if err != nil {
		t.Fatal(err)
	}
	checkPictures(t, c.out, string(text))
	link, err := relative(c.out, c.pictures)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range picture.FindAllStringSubmatch(string(text), -1) {
		if path.Dir(m[1]) != link {
			t.Errorf("a picture in %s, want %s", m[1], link)
		}
	}
	if _, err := os.Stat(c.results); err != nil {
		t.Error(err)
	}
}

// The whole command. A second run repeats nothing, a run after an interruption makes
// only what is missing, and neither changes a byte of the text.
func TestRunAndResume(t *testing.T) {
	folder := t.TempDir()
	args := []string{"-reduced", "-text", testfile.Sentences(t, 20_000), "-out", folder}
	run := func(made, transformer int, more ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if err := run(append(args, more...), &stdout, &stderr); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(stderr.String(), "\r\x1b") {
			t.Errorf("control characters without a terminal: %q", stderr.String())
		}
		for i, want := range []int{made, transformer} {
			line := strings.Split(stdout.String(), "\n")[i]
			if want >= 0 && !strings.HasPrefix(line, fmt.Sprintf("runs: %d made", want)) {
				t.Errorf("%q, want %d runs made", line, want)
			}
		}
		text, err := os.ReadFile(filepath.Join(folder, "evidence.md"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	text := run(-1, -1, "-workers", "2")
	checkPictures(t, folder, text)
	if again := run(0, 0); again != text {
		t.Error("a second run changes the text")
	}
	removed := loseRuns(t, filepath.Join(folder, "evidence", "results.jsonl"))
	onTransformer := loseRuns(t, filepath.Join(folder, "evidence", "transformer.jsonl"))
	if again := run(removed, onTransformer, "-workers", "1"); again != text {
		t.Error("a run after an interruption writes another text")
	}
}

// loseRuns removes a fifth of the runs of a results file, and returns how many.
func loseRuns(t *testing.T, path string) (removed int) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for i, line := range strings.SplitAfter(string(content), "\n") {
		if i%5 == 3 && strings.HasPrefix(line, `{"run"`) {
			removed++
			continue
		}
		kept = append(kept, line)
	}
	if err := os.WriteFile(path, []byte(strings.Join(kept, "")), 0o644); err != nil {
		t.Fatal(err)
	}
	return removed
}
