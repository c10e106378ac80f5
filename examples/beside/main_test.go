package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMeasure measures every contender, PyTorch's only if it is installed.
func TestMeasure(t *testing.T) {
	contenders := []contender{ours("step"), ours("update"), gomlx(), gorgonia(), spago()}
	if torch, err := startTorch("/usr/bin/python3"); err != nil {
		t.Log(err)
	} else {
		defer torch.stop()
		contenders = append(contenders, torch.contenders()...)
	}
	for threads := 1; threads <= 2; threads++ {
		r, err := measure(contenders, 1000, threads, 1, time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range contenders {
			if want := !c.single || threads == 1; (r.ns[i] > 0) != want {
				t.Errorf("%s on %d threads: %g ns per element", c.name, threads, r.ns[i])
			}
		}
	}
}

func TestWithoutTorch(t *testing.T) {
	if _, err := startTorch(filepath.Join(t.TempDir(), "python")); err == nil {
		t.Error("a Python that does not exist has started")
	}
	fake := filepath.Join(t.TempDir(), "python")
	if err := os.WriteFile(fake, []byte("#!/bin/sh\necho no module >&2\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := startTorch(fake); err == nil || !strings.Contains(err.Error(), "no module") {
		t.Errorf("error %v, want Python's own", err)
	}
}

func TestNumbers(t *testing.T) {
	if n, err := numbers("1, 20"); err != nil || len(n) != 2 || n[1] != 20 {
		t.Errorf("%v, %v", n, err)
	}
	for _, list := range []string{"", "0", "1,x"} {
		if _, err := numbers(list); err == nil {
			t.Errorf("%q is accepted", list)
		}
	}
}
