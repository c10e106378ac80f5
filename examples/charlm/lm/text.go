package lm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// textLimit is how much of a text is read, in bytes. A run of the default length would
// not reach more.
const textLimit = 8 << 20

// fileLimit is how much of one file of the Go source is read, since a few files are
// little more than one long table.
const fileLimit = 64 << 10

// ReadText returns the beginning of the file at path or, if path is empty, of the
// source of the Go standard library, and a name for it.
func ReadText(path string) (text []byte, name string, err error) {
	if path != "" {
		text, err = readFile(path)
		return text, path, err
	}
	root, err := goRoot()
	if err != nil {
		return nil, "", fmt.Errorf("cannot find the source of the Go standard library (give another text with -text): %w", err)
	}
	src := filepath.Join(root, "src")
	text, err = readSource(src, textLimit)
	return text, src, err
}

func readFile(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("-text: %w", err)
	}
	if len(text) == 0 {
		return nil, fmt.Errorf("-text: %s is empty", path)
	}
	return text[:min(len(text), textLimit)], nil
}

// goRoot asks the go command, since a binary may outlive the tree that it was built
// with, or run elsewhere.
func goRoot() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOROOT: %w", err)
	}
	root := strings.TrimSpace(string(out))
	if root == "" {
		return "", errors.New("go env GOROOT printed nothing")
	}
	return root, nil
}

// generated matches the line that marks generated files, as `go help generate`
// describes it. These files are mostly tables of numbers.
var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// readSource concatenates the Go files under dir, in lexical order and each up
// to fileLimit, up to limit bytes in all. It leaves out commands, vendored modules, tests, test data and
// generated files.
func readSource(dir string, limit int) ([]byte, error) {
	var text []byte
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			switch entry.Name() {
			case "cmd", "vendor", "testdata":
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if generated.Match(source) {
			return nil
		}
		text = append(text, source[:min(len(source), fileLimit)]...)
		if len(text) >= limit {
			text = text[:limit]
			return fs.SkipAll
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(text) == 0 {
		return nil, fmt.Errorf("no Go source in %s", dir)
	}
	return text, nil
}
