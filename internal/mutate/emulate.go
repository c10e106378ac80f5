package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/adahessian-go/adahessian/internal/emulate"
)

// emulatedEnv makes the tests short, and makes them fail if AVX-512 was not used.
var emulatedEnv = []string{"ADAHESSIAN_ONLY=avx512", "ADAHESSIAN_REQUIRE=avx512", "ADAHESSIAN_THIN=7", "ADAHESSIAN_F16_TIES=away"}

// emulateAll tests all mutants on one emulated machine. First it runs some of their
// tests on the unchanged code.
func emulateAll(t *tree, lines []string, mutants []mutant) (survivors int, err error) {
	start := time.Now()
	const none = -1 // no mutation
	jobs := []emulate.Job{}
	add := func(i int, lines []string, run string, env []string) error {
		program, err := t.build(lines, fmt.Sprintf("mutant%d.program", i))
		if err != nil {
			return err
		}
		jobs = append(jobs, emulate.Job{
			Name: fmt.Sprint(i), Program: program, Env: env, Limit: 2 * time.Minute,
			Args: []string{"-test.short", "-test.failfast", "-test.run=" + run},
		})
		return nil
	}
	if err := add(none, lines, *tests, append(emulatedEnv, "ADAHESSIAN_THIN=31")); err != nil {
		return 0, err
	}
	for i, m := range mutants {
		changed := append([]string(nil), lines...)
		changed[m.line] = m.new
		if err := add(i, changed, *tests+subtests(m.function), emulatedEnv); err != nil {
			fmt.Printf("BROKEN    %v: %v\n", m, err)
			survivors++
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	results, err := emulate.Machine{Files: t.dir}.Run(ctx, jobs...)
	if err != nil {
		return survivors, err
	}
	for _, r := range results {
		i, err := strconv.Atoi(r.Name)
		if err != nil {
			return survivors, err
		}
		switch {
		case i == none && r.Exit != 0:
			return survivors, fmt.Errorf("the tests fail without a mutation: %s", failure(r.Output))
		case i == none:
			fmt.Printf("without a mutation the tests pass: %s\n", lastLine(r.Output))
		case r.Exit == 0:
			survivors++
			fmt.Printf("SURVIVED  %v\n", mutants[i])
		default:
			fmt.Printf("caught    %v: %s\n", mutants[i], failure(r.Output))
		}
	}
	fmt.Printf("%d mutants, %d not caught, %.0f s\n", len(mutants), survivors, time.Since(start).Seconds())
	return survivors, nil
}

// build builds the tests with the given assembly, statically, outside the module's
// files.
func (t *tree) build(lines []string, name string) (program string, err error) {
	if err := os.WriteFile(filepath.Join(t.dir, *file), []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		return "", err
	}
	program = filepath.Join(t.programs, name)
	build := exec.Command("go", "test", "-c", "-ldflags=-s -w", "-o", program, ".")
	build.Dir = t.dir
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("does not build: %s", out)
	}
	return program, nil
}

func lastLine(out []byte) string {
	text := strings.TrimSpace(string(out))
	return text[strings.LastIndexByte(text, '\n')+1:]
}
