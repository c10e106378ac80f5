// Package outsider publishes the modules of this repository, as they are in the work
// tree, in a folder that the go command can use as a proxy. Its test imports them as a
// user would.
package outsider

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
	"golang.org/x/mod/zip"
)

// maxZip is the largest size of a module's zip in bytes. Everyone who imports the module
// downloads all of it, tests and documents included.
const maxZip = 1_000_000

// A published module is in the proxy.
type published struct {
	module.Version
	name string // the name of its program
	size int64  // the size of its zip, in bytes
}

// publish puts the root module of a repository and those in contrib into the folder
// proxy, the root first. All get the version of the root that contrib requires.
func publish(repo, proxy string) ([]published, error) {
	dirs, err := filepath.Glob(filepath.Join(repo, "contrib", "*", "go.mod"))
	if err != nil {
		return nil, err
	}
	if len(dirs) == 0 {
		return nil, errors.New("no modules in contrib")
	}
	root, err := parse(filepath.Join(repo, "go.mod"))
	if err != nil {
		return nil, err
	}
	path := root.Module.Mod.Path
	all := []source{{published{module.Version{Path: path}, "adahessian", 0}, "."}}
	for _, file := range dirs {
		f, err := parse(file)
		if err != nil {
			return nil, err
		}
		dir := filepath.Dir(file)
		s := source{published{module.Version{Path: f.Module.Mod.Path}, filepath.Base(dir), 0}, "contrib/" + filepath.Base(dir)}
		if want := path + "/" + s.dir; s.Path != want {
			return nil, fmt.Errorf("%s: module %s, want %s", file, s.Path, want)
		}
		if s.Version.Version, err = required(f, path); err != nil {
			return nil, err
		}
		if first := all[len(all)-1]; len(all) > 1 && s.Version.Version != first.Version.Version {
			return nil, fmt.Errorf("%s requires %s of %s, %s requires %s", s.dir, s.Version.Version, path, first.dir, first.Version.Version)
		}
		all = append(all, s)
	}
	all[0].Version.Version = all[1].Version.Version

	var done []published
	for _, s := range all {
		if err := s.publish(repo, proxy); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Path, err)
		}
		done = append(done, s.published)
	}
	return done, nil
}

// parse reads a go.mod. It must mean the same to those who import the module as it does
// here.
func parse(file string) (*modfile.File, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	f, err := modfile.Parse(file, content, nil)
	if err != nil {
		return nil, err
	}
	for _, r := range f.Replace {
		return nil, fmt.Errorf("%s:%d: a replace of %s, which has no effect for those who import the module", file, r.Syntax.Start.Line, r.Old.Path)
	}
	for _, x := range f.Exclude {
		return nil, fmt.Errorf("%s:%d: an exclude of %s, which has no effect for those who import the module", file, x.Syntax.Start.Line, x.Mod.Path)
	}
	return f, nil
}

// required returns the version of a module that a go.mod requires. It must be a
// release, since only releases can be tagged.
func required(f *modfile.File, path string) (string, error) {
	for _, r := range f.Require {
		if r.Mod.Path != path {
			continue
		}
		v := r.Mod.Version
		if module.IsPseudoVersion(v) || semver.Compare(v, "v0.1.0") < 0 {
			return "", fmt.Errorf("%s requires %s of %s, which is no release", f.Syntax.Name, v, path)
		}
		return v, nil
	}
	return "", fmt.Errorf("%s does not require %s", f.Syntax.Name, path)
}

// A source is a module to be published, and its folder in the repository, with slashes.
type source struct {
	published
	dir string
}

// publish writes what a proxy serves for a module. go help goproxy describes the
// protocol.
func (s *source) publish(repo, proxy string) error {
	escaped, err := module.EscapePath(s.Path)
	if err != nil {
		return err
	}
	folder := filepath.Join(proxy, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	version := filepath.Join(folder, s.Version.Version)
	if s.size, err = s.zip(repo, version+".zip"); err != nil {
		return err
	}
	mod, err := os.ReadFile(filepath.Join(repo, s.dir, "go.mod"))
	if err != nil {
		return err
	}
	info, err := json.Marshal(struct {
		Version string
		Time    time.Time
	}{s.Version.Version, time.Now().UTC()})
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(version+".mod", mod, 0o644),
		os.WriteFile(version+".info", info, 0o644),
		os.WriteFile(filepath.Join(folder, "list"), []byte(s.Version.Version+"\n"), 0o644))
}

// zip writes the module's zip and returns its size.
func (s *source) zip(repo, name string) (int64, error) {
	files, err := s.files(repo)
	if err != nil {
		return 0, err
	}
	out, err := os.Create(name)
	if err != nil {
		return 0, err
	}
	defer out.Close()
	// This leaves out what belongs to other modules.
	if err := zip.Create(out, s.Version, files); err != nil {
		return 0, err
	}
	size, err := out.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	if size > maxZip {
		return size, fmt.Errorf("a zip of %d bytes, more than %d", size, maxZip)
	}
	return size, nil
}

// files lists the files that git tracks in the module's folder, as they are in the work
// tree, and the license. For a module without a license, the go command takes that of
// the root.
func (s *source) files(repo string) ([]zip.File, error) {
	cmd := exec.Command("git", "ls-files", "-z", "--", ".")
	cmd.Dir = filepath.Join(repo, s.dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	var files []zip.File
	licensed := false
	for _, name := range strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		f := file{name, filepath.Join(repo, s.dir, name)}
		if _, err := f.Lstat(); errors.Is(err, fs.ErrNotExist) {
			continue // removed from the work tree, but still tracked
		}
		licensed = licensed || name == "LICENSE"
		files = append(files, f)
	}
	if !licensed {
		files = append(files, file{"LICENSE", filepath.Join(repo, "LICENSE")})
	}
	return files, nil
}

// A file is a file of a module: its path in the module, and its name on disk.
type file struct{ path, name string }

func (f file) Path() string                 { return path.Clean(f.path) }
func (f file) Lstat() (fs.FileInfo, error)  { return os.Lstat(f.name) }
func (f file) Open() (io.ReadCloser, error) { return os.Open(f.name) }
