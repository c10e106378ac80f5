// Command _asm writes the generated files of the repository:
//
//	go generate .        in the repository's root
//	go -C _asm run .     the same
//
// A test compares the files, and with -update writes them: go -C _asm test -count=1 .
// Without -count=1, Go may reuse an old result, since it does not notice when files
// outside this module change.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/adahessian-go/adahessian/_asm/amd64"
	"github.com/adahessian-go/adahessian/_asm/arm64"
	"github.com/adahessian-go/adahessian/_asm/table"
)

// root is the repository, seen from here.
const root = ".."

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "_asm:", err)
		os.Exit(1)
	}
}

func run() error {
	files, err := generate()
	if err != nil {
		return err
	}
	return write(files)
}

// generate returns the generated files by their names.
func generate() (map[string][]byte, error) {
	files := map[string][]byte{}
	var err error
	add := func(name string, content []byte, problem error) {
		files[name] = content
		if err == nil && problem != nil {
			err = fmt.Errorf("%s: %w", name, problem)
		}
	}
	for _, a := range []table.Arch{table.AMD64, table.ARM64, table.NoAsm} {
		content, problem := table.Dispatch(a)
		add("dispatch_"+a.Name+".go", content, problem)
		if a.Sets != nil {
			content, problem = table.Declarations(a)
			add("kernels_"+a.Name+".go", content, problem)
		}
	}
	content, problem := amd64.Kernels()
	add("kernels_amd64.s", content, problem)
	content, problem = arm64.Kernels()
	add("kernels_arm64.s", content, problem)

	text, stubs, problem := amd64.Roofline()
	add("internal/roofline/stream_amd64.s", text, problem)
	add("internal/roofline/stream_amd64.go", stubs, nil)
	text, stubs, problem = arm64.Roofline()
	add("internal/roofline/stream_arm64.s", text, problem)
	add("internal/roofline/stream_arm64.go", stubs, nil)
	return files, err
}

func write(files map[string][]byte) error {
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(root, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
