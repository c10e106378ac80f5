package outsider

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestOutsider does what a user does who has only a folder, the go command and the
// proxy. It gets the package and each adapter by its import path, builds the program in
// testdata that has the adapter's name, and trains. No workspace and no replace helps.
// The package's tests run in its folder of the module cache, which holds only what the
// zip contains.
func TestOutsider(t *testing.T) {
	proxy := t.TempDir()
	all, err := publish("..", proxy)
	if err != nil {
		t.Fatal(err)
	}
	o := newOutsider(t, proxy)
	var names []string
	for _, m := range all {
		names = append(names, m.name)
		t.Run(m.name, func(t *testing.T) {
			t.Logf("%s: a zip of %d bytes", m, m.size)
			dir := o.project(t, m)
			t.Run("trains", func(t *testing.T) { requireTraining(t, o.run(t, dir, filepath.Join(dir, "project"))) })
			if m.name == "adahessian" {
				t.Run("tests", func(t *testing.T) {
					unpacked := strings.TrimSpace(o.run(t, dir, "go", "list", "-m", "-f", "{{.Dir}}", m.Path))
					reader := outsider{append(o.env, "GOWORK=auto", "GOFLAGS=")}
					reader.run(t, unpacked, "go", "vet", "./...")
					t.Log(reader.run(t, unpacked, "go", "test", "-short", "./..."))
				})
			}
		})
	}
	programs, err := filepath.Glob("testdata/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range programs {
		if !slices.Contains(names, filepath.Base(p)) {
			t.Errorf("%s is a program for no module", p)
		}
	}
}

// requireTraining fails the test unless the losses, one per line, fall to less than
// half.
func requireTraining(t *testing.T, printed string) {
	t.Helper()
	var losses []float64
	for _, line := range strings.Fields(printed) {
		x, err := strconv.ParseFloat(line, 64)
		if err != nil {
			t.Fatalf("want one loss per line: %v", err)
		}
		losses = append(losses, x)
	}
	if len(losses) < 10 {
		t.Fatalf("%d steps, want 10 or more", len(losses))
	}
	first, last := losses[0], losses[len(losses)-1]
	t.Logf("loss %.3g, after %d steps %.3g", first, len(losses)-1, last)
	if !(last >= 0 && last < first/2) {
		t.Errorf("the loss did not fall to less than half")
	}
}

// An outsider runs the go command with a proxy and with a new module cache at a new path.
// It must not find what an earlier run published under the same version, and the go
// command's build cache remembers which files a folder of the module cache had.
type outsider struct{ env []string }

func newOutsider(t *testing.T, proxy string) *outsider {
	t.Helper()
	env := map[string]string{}
	for _, name := range []string{"GOMODCACHE", "GOPROXY", "GONOSUMDB"} {
		out, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		env[name] = strings.TrimSpace(string(out))
	}
	// Other modules come from the user's module cache, if it has them.
	downloaded := filepath.Join(env["GOMODCACHE"], "cache", "download")
	return &outsider{append(os.Environ(),
		"GOWORK=off",
		"GOFLAGS=-mod=mod -modcacherw -trimpath", // -trimpath: otherwise the build cache is useless with another module cache
		"GOMODCACHE="+t.TempDir(),
		"GOPROXY="+strings.Join([]string{fileURL(proxy), fileURL(downloaded), env["GOPROXY"]}, ","),
		"GONOSUMDB="+strings.Trim(env["GONOSUMDB"]+",github.com/adahessian-go", ","), // not published yet
		"GOPRIVATE=", "GONOPROXY=", "GOTOOLCHAIN=local")}
}

func fileURL(dir string) string {
	return "file://" + filepath.ToSlash(dir)
}

// project makes a module with the program for m, and builds it.
func (o *outsider) project(t *testing.T, m published) string {
	t.Helper()
	program := filepath.Join("testdata", m.name)
	if _, err := os.Stat(filepath.Join(program, "main.go")); err != nil {
		t.Fatalf("%s has no program: %v", m.Path, err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(program)); err != nil {
		t.Fatal(err)
	}
	o.run(t, dir, "go", "mod", "init", "example.com/project")
	o.run(t, dir, "go", "get", m.Path)
	if got := strings.TrimSpace(o.run(t, dir, "go", "list", "-m", "-f", "{{.Version}}{{.Replace}}", m.Path)); got != m.Version.Version+"<nil>" {
		t.Fatalf("go get %s got %s, want %s", m.Path, got, m.Version.Version)
	}
	o.run(t, dir, "go", "vet", ".")
	o.run(t, dir, "go", "build", "-o", "project", ".")
	return dir
}

// run runs a command in a folder and returns what it prints.
func (o *outsider) run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, o.env
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}
