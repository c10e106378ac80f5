package adahessian

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/adahessian-go/adahessian/internal/fitpow/fit"
)

// TestNumericsDocs makes sure that docs/numerics.md shows what fitpow prints, and that
// every test it names exists.
func TestNumericsDocs(t *testing.T) {
	page, err := os.ReadFile("docs/numerics.md")
	if err != nil {
		t.Fatal(err)
	}
	docs := strings.ReplaceAll(string(page), "\r\n", "\n")
	constants, err := fit.Source()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(docs, "```go\n"+constants+"```\n") {
		t.Errorf("docs/numerics.md does not have what go run ./internal/fitpow prints:\n%s", constants)
	}
	var tests strings.Builder
	for _, pattern := range []string{"*_test.go", "internal/*/*_test.go", "internal/*/*/*_test.go"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			source, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			tests.Write(source)
		}
	}
	// A name before a parenthesis is a pattern for -run.
	names := regexp.MustCompile(`\b((?:Test|Fuzz|Benchmark)[A-Z]\w+)[^\w(]`).FindAllStringSubmatch(docs, -1)
	if len(names) < 40 {
		t.Errorf("docs/numerics.md names only %d tests", len(names))
	}
	for _, match := range names {
		name := match[1]
		if !strings.Contains(tests.String(), "\nfunc "+name+"(") {
			t.Errorf("docs/numerics.md names %s, which does not exist", name)
		}
	}
}

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
