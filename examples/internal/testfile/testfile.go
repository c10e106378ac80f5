// Package testfile writes the files that tests read.
package testfile

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Write writes a file, and makes its folder.
func Write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Sentences writes a text of at least size bytes into a temporary file, and returns the
// file's name. The characters depend on those before them.
func Sentences(t *testing.T, size int) string {
	t.Helper()
	words := strings.Fields("the curvature of each block is averaged over its axis before any step")
	rng := rand.New(rand.NewPCG(1, 1))
	var b strings.Builder
	for b.Len() < size {
		b.WriteString(words[rng.IntN(len(words))])
		b.WriteByte(" \n.,"[min(rng.IntN(12), 3)])
	}
	path := filepath.Join(t.TempDir(), "sentences")
	Write(t, path, b.String())
	return path
}
