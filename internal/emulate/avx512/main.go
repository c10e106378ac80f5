// Command avx512 runs the tests of the module's root package on an emulated
// processor with AVX-512:
//
//	go run ./internal/emulate/avx512 -test.short -test.v
//
// The arguments are passed to the test program, as are the environment variables that
// begin with ADAHESSIAN_. The command exits with the status of the tests, or with 99 if
// the machine returned none. EMULATE_LIMIT is the longest time that it may take; the
// default is 170s.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/adahessian-go/adahessian/internal/emulate"
)

const noResult = 99

func main() {
	status, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "avx512:", err)
	}
	os.Exit(status)
}

func run(args []string) (status int, err error) {
	limit := 170 * time.Second
	if s := os.Getenv("EMULATE_LIMIT"); s != "" {
		if limit, err = time.ParseDuration(s); err != nil {
			return noResult, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	gomod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return noResult, err
	}
	root := filepath.Dir(strings.TrimSpace(string(gomod)))
	dir, err := os.MkdirTemp("", "avx512")
	if err != nil {
		return noResult, err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "root.test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-ldflags=-s -w", "-o", program, ".")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := build.CombinedOutput(); err != nil {
		return noResult, fmt.Errorf("building the tests: %w\n%s", err, out)
	}
	job := emulate.Job{Name: "tests", Program: program, Args: args}
	for _, v := range os.Environ() {
		if strings.HasPrefix(v, "ADAHESSIAN_") {
			job.Env = append(job.Env, v)
		}
	}
	results, err := emulate.Machine{Files: root, Out: os.Stdout}.Run(ctx, job)
	if err != nil {
		return noResult, err
	}
	if results[0].Exit < 0 {
		return noResult, nil
	}
	return results[0].Exit, nil
}
