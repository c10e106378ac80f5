package tutorial_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDocs makes sure that every block of code in docs/tutorial.md is in an example
// that is compiled and run.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/tutorial.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("tutorial_test.go")
	if err != nil {
		t.Fatal(err)
	}
	examples := dedent(string(source))
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) < 10 || len(blocks) != strings.Count(string(page), "```")/2 {
		t.Fatalf("%d blocks of Go, of %d", len(blocks), strings.Count(string(page), "```")/2)
	}
	for _, block := range blocks {
		if !strings.Contains(examples, "\n"+dedent(block[1])) {
			t.Errorf("no example has\n%s", block[1])
		}
	}
}

// dedent removes the indentation of lines.
func dedent(text string) string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	return regexp.MustCompile(`(?m)^[\t ]+`).ReplaceAllString(text, "")
}
