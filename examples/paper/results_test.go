package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var oneRun = runResult{Key: "a/lr=1/seed=1", Steps: 3, Tuning: 2.5, Validation: 2.75, Curve: [][2]float64{{0, 5}, {3, 2.75}}}

func mustOpen(t *testing.T, path string, s settings) *results {
	t.Helper()
	r, err := openResults(path, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.close() })
	return r
}

// A process that is killed while it writes leaves a part of a line.
func TestResultsDropATornTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.jsonl")
	s := reducedSettings()
	r := mustOpen(t, path, s)
	timing := stepTime{"a", []float64{1, 2}, "here"}
	if err := r.addRun(oneRun); err != nil {
		t.Fatal(err)
	}
	if err := r.addTime(timing); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other := oneRun
	other.Key = "b"
	if err := r.addRun(other); err != nil {
		t.Fatal(err)
	}
	full, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := len(whole); n < len(full); n++ {
		if err := os.WriteFile(path, full[:n], 0o644); err != nil {
			t.Fatal(err)
		}
		r := mustOpen(t, path, s)
		if len(r.runs) != 1 || !reflect.DeepEqual(r.runs[oneRun.Key], oneRun) || !reflect.DeepEqual(r.times["a"], timing) {
			t.Fatalf("%d of %d bytes: %+v, %+v", n, len(full), r.runs, r.times)
		}
		if err := r.addRun(other); err != nil {
			t.Fatal(err)
		}
		if again, _ := os.ReadFile(path); string(again) != string(full) {
			t.Fatalf("%d of %d bytes: the file goes on with %q", n, len(full), again[len(whole):])
		}
	}
}

func TestResultsOfOtherSettingsAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.jsonl")
	mustOpen(t, path, reducedSettings())
	for name, change := range map[string]func(*settings){
		"steps": func(s *settings) { s.Steps++ },
		"text":  func(s *settings) { s.Text = "x" },
		"size":  func(s *settings) { s.Sizes[0].Shape.Width++ },
	} {
		s := reducedSettings()
		change(&s)
		if _, err := openResults(path, s); err == nil || !strings.Contains(err.Error(), "other settings") || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want an error about other settings that names the file", name, err)
		}
	}
	s := reducedSettings()
	s.timingRounds++
	mustOpen(t, path, s) // times are measured again at will
}

func TestDamagedResultsAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.jsonl")
	r := mustOpen(t, path, reducedSettings())
	if err := r.addRun(oneRun); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, run, _ := strings.Cut(string(good), "\n")
	for name, content := range map[string]string{
		"no settings":    run,
		"settings twice": head + "\n" + head + "\n" + run,
		"not JSON":       head + "\nrubbish\n" + run,
		"something else": head + "\n{}\n",
	} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := openResults(path, reducedSettings()); err == nil || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%s: %v, want an error that names the line", name, err)
		}
		if now, _ := os.ReadFile(path); string(now) != content {
			t.Errorf("%s: the file was changed", name)
		}
	}
}
