package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/adahessian-go/adahessian/examples/internal/testfile"
)

func TestRunReportsBadText(t *testing.T) {
	dir := t.TempDir()
	testfile.Write(t, filepath.Join(dir, "empty"), "")
	testfile.Write(t, filepath.Join(dir, "short"), strings.Repeat("too short ", 10))
	for name, want := range map[string]string{
		"missing": "no such file",
		"empty":   "is empty",
		"short":   "too short: 100 bytes, want at least",
		".":       "is a directory",
	} {
		path := filepath.Join(dir, name)
		err := run([]string{"-text", path}, new(bytes.Buffer), new(bytes.Buffer))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q and the path", name, err, want)
		}
	}
}
