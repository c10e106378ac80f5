package emulate

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// An archive is a cpio archive in the format "newc", which the kernel unpacks into its
// first file system.
type archive struct {
	out     bytes.Buffer
	entries int
	err     error
}

const (
	modeDirectory = 0o40755
	modeFile      = 0o100755
	modeDevice    = 0o20600
)

// add adds an entry; major and minor are a device's numbers.
func (a *archive) add(name string, mode, major, minor int, data []byte) {
	a.entries++
	const links, noUser, noTime, noDevice, noSum = 1, 0, 0, 0, 0
	fmt.Fprintf(&a.out, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", a.entries, mode, noUser, noUser, links, noTime,
		len(data), noDevice, noDevice, major, minor, len(name)+1, noSum)
	a.out.WriteString(name)
	a.out.WriteByte(0)
	a.align()
	a.out.Write(data)
	a.align()
}

func (a *archive) align() {
	for a.out.Len()%4 != 0 {
		a.out.WriteByte(0)
	}
}

func (a *archive) directory(name string)          { a.add(name, modeDirectory, 0, 0, nil) }
func (a *archive) bytes(name string, data []byte) { a.add(name, modeFile, 0, 0, data) }
func (a *archive) console(name string)            { a.add(name, modeDevice, 5, 1, nil) }

// file adds a file of this machine.
func (a *archive) file(name, file string) {
	data, err := os.ReadFile(file)
	if err != nil && a.err == nil {
		a.err = err
	}
	a.bytes(name, data)
}

// tree adds a directory of this machine, with what a package's tests may read, but
// without names that begin with a dot.
func (a *archive) tree(name, dir string) {
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		to := path.Join(name, filepath.ToSlash(rel))
		switch {
		case rel != "." && d.Name()[0] == '.' && d.IsDir():
			return filepath.SkipDir
		case d.IsDir():
			a.directory(to)
		case d.Type().IsRegular():
			a.file(to, file)
		}
		return nil
	})
	if err != nil && a.err == nil {
		a.err = err
	}
}

// finish returns the archive.
func (a *archive) finish() ([]byte, error) {
	a.add("TRAILER!!!", 0, 0, 0, nil)
	return a.out.Bytes(), a.err
}
