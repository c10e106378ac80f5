package adahessian

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReliabilityDocs makes sure that the tests that docs/reliability.md names
// exist.
func TestReliabilityDocs(t *testing.T) {
	docs, err := os.ReadFile(filepath.FromSlash("docs/reliability.md"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(b)
	}
	names := regexp.MustCompile(`\b(Test|Fuzz|Example)[A-Z]\w*`).FindAllString(string(docs), -1)
	if len(names) < 30 {
		t.Errorf("docs/reliability.md names %d tests", len(names))
	}
	for _, name := range names {
		if !strings.Contains(source.String(), "func "+name+"(") {
			t.Errorf("docs/reliability.md names %s, which is not a test", name)
		}
	}
}
