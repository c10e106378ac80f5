package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the generated files where they differ")

// TestGenerated compares the generated files with what would be generated now.
func TestGenerated(t *testing.T) {
	files, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Log(err)
		} else if bytes.Equal(got, want) {
			continue
		}
		if *update {
			if err := os.WriteFile(filepath.Join(root, name), want, 0o644); err != nil {
				t.Fatal(err)
			}
			t.Logf("%s: written", name)
			continue
		}
		t.Errorf("%s is stale: run go generate . in the repository's root", name)
	}
	if !*update {
		noOthers(t, files)
	}
}

// noOthers looks for files that claim to be generated but are not.
func noOthers(t *testing.T, files map[string][]byte) {
	for _, pattern := range []string{"*.go", "*.s", "internal/*/*.go", "internal/*/*.s"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			name, err := filepath.Rel(root, path)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := files[filepath.ToSlash(name)]; !ok && bytes.HasPrefix(content, []byte("// Code generated ")) {
				t.Errorf("%s says that it is generated, but nothing generates it", name)
			}
		}
	}
}
