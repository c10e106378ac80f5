package arm64

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

// unencoded is the instruction that asm2plan9s fills in.
const unencoded = "WORD $0x00000000"

var wordLine = regexp.MustCompile(`(?m)^\tWORD \$0x([0-9a-f]{8}) // (.+)$`)

// encode fills in the words of a text. asm2plan9s starts an assembler for each, so
// it gets every instruction once.
func encode(text string) (string, error) {
	var lines []string
	seen := map[string]bool{}
	for _, m := range wordLine.FindAllStringSubmatch(text, -1) {
		if !seen[m[2]] {
			seen[m[2]] = true
			lines = append(lines, m[0]+"\n")
		}
	}
	dir, err := os.MkdirTemp("", "encode")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "words.s")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "")), 0o644); err != nil {
		return "", err
	}
	if err := asm2plan9s(dir, file); err != nil {
		return "", err
	}
	encoded, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	words := map[string]string{}
	for _, m := range wordLine.FindAllStringSubmatch(string(encoded), -1) {
		words[m[2]] = m[0]
	}
	var missing error
	text = wordLine.ReplaceAllStringFunc(text, func(line string) string {
		insn := wordLine.FindStringSubmatch(line)[2]
		if words[insn] == "" || strings.Contains(words[insn], unencoded) {
			missing = fmt.Errorf("asm2plan9s has not encoded %q", insn)
		}
		return words[insn]
	})
	return text, missing
}

// asm2plan9s runs that tool on a file. It encodes for the architecture that it
// was built for, with the assembler "as" in PATH; elsewhere than on arm64 it runs
// under emulation, beside a cross assembler under that name.
func asm2plan9s(dir, file string) error {
	find := exec.Command("go", "tool", "-n", "asm2plan9s")
	find.Env = append(os.Environ(), "GOARCH=arm64", "GOOS=linux", "CGO_ENABLED=0")
	find.Stderr = os.Stderr
	tool, err := find.Output()
	if err != nil {
		return err
	}
	run := exec.Command(strings.TrimSpace(string(tool)), file)
	if runtime.GOARCH != "arm64" {
		emulator, err := exec.LookPath("qemu-aarch64")
		as, err2 := exec.LookPath("aarch64-linux-gnu-as")
		if err := errors.Join(err, err2); err != nil {
			return fmt.Errorf("encoding for arm64 takes the packages qemu-user and binutils-aarch64-linux-gnu: %w", err)
		}
		if err := os.Symlink(as, filepath.Join(dir, "as")); err != nil {
			return err
		}
		run = exec.Command(emulator, run.Args...)
		run.Env = append(os.Environ(), "PATH="+dir) // with no yasm in it, which it would prefer
	}
	if out, err := run.CombinedOutput(); err != nil {
		return fmt.Errorf("asm2plan9s: %w: %s", err, out)
	}
	return nil
}
