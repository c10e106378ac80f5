package outsider

import (
	"archive/zip"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// repository makes a git repository of these files: a root module and an adapter.
func repository(t *testing.T, changed map[string]string) string {
	t.Helper()
	files := map[string]string{
		"go.mod":             "module example.com/root\n",
		"root.go":            "package root\n",
		"LICENSE":            "free\n",
		"docs/a.md":          "a\n",
		"contrib/a/go.mod":   "module example.com/root/contrib/a\n\nrequire example.com/root v0.1.0\n",
		"contrib/a/a.go":     "package a\n",
		"_tool/go.mod":       "module example.com/root/_tool\n",
		"_tool/tool.go":      "package main\n",
		"testdata/go.mod":    "module example.com/root/testdata\n",
		"testdata/data.json": "{}\n",
	}
	for name, content := range changed {
		files[name] = content
	}
	dir := t.TempDir()
	for name, content := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}} {
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v: %s", args[0], err, out)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "unknown.go"), []byte("package root\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A module's zip has the files of the module that git tracks, no other module, and a
// license.
func TestPublish(t *testing.T) {
	proxy := t.TempDir()
	all, err := publish(repository(t, nil), proxy)
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{
		{"LICENSE", "docs/a.md", "go.mod", "root.go"},
		{"LICENSE", "a.go", "go.mod"},
	}
	if len(all) != len(want) {
		t.Fatalf("published %v, want a root and an adapter", all)
	}
	for i, m := range all {
		r, err := zip.OpenReader(filepath.Join(proxy, m.Path, "@v", "v0.1.0.zip"))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		var names []string
		for _, f := range r.File {
			names = append(names, strings.TrimPrefix(f.Name, m.Path+"@v0.1.0/"))
		}
		slices.Sort(names)
		if !slices.Equal(names, want[i]) {
			t.Errorf("the zip of %s has %q, want %q", m.Path, names, want[i])
		}
	}
}

// Modules that cannot be released are not published.
func TestPublishNot(t *testing.T) {
	noise := make([]byte, maxZip+1)
	random := rand.NewChaCha8([32]byte{})
	random.Read(noise)
	const mod = "module example.com/root/contrib/a\n\nrequire example.com/root v0.1.0\n"
	for _, c := range []struct{ file, content, want string }{
		{"contrib/a/go.mod", mod + "replace example.com/root => ../..\n", "a replace of example.com/root"},
		{"contrib/a/go.mod", mod + "exclude example.com/other v1.0.0\n", "an exclude of example.com/other"},
		{"go.mod", "module example.com/root\n\nreplace example.com/other => ./other\n", "a replace of example.com/other"},
		{"contrib/a/go.mod", "module example.com/a\n\nrequire example.com/root v0.1.0\n", "module example.com/a, want example.com/root/contrib/a"},
		{"contrib/a/go.mod", "module example.com/root/contrib/a\n", "does not require example.com/root"},
		{"contrib/a/go.mod", strings.Replace(mod, "v0.1.0", "v0.0.0", 1), "v0.0.0 of example.com/root, which is no release"},
		{"contrib/a/go.mod", strings.Replace(mod, "v0.1.0", "v0.1.1-0.20260101000000-0123456789ab", 1), "which is no release"},
		{"contrib/b/go.mod", "module example.com/root/contrib/b\n\nrequire example.com/root v0.2.0\n", "contrib/b requires v0.2.0 of example.com/root, contrib/a requires v0.1.0"},
		{"noise", string(noise), "more than 1000000"},
		{"contrib/a/noise", string(noise), "more than 1000000"},
	} {
		_, err := publish(repository(t, map[string]string{c.file: c.content}), t.TempDir())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.file, err, c.want)
		}
	}
}
