package arm64

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestEncodeRejects(t *testing.T) {
	for _, insn := range []string{
		"fmla v0.4s, v1.4s, v2.4s", "fadd", "fadd v0.4s, v1.4s", "fadd v0.4s, v1.4s, v2.2d", "fadd v0.2d, v1.4s, v2.4s", "fadd v0.8h, v1.8h, v2.8h",
		"fabs v0.4s, v1.4s, v2.4s", "fadd v0.4s, v1.4s, v2.4s, v3.4s", "fadd v0.4s, v1.4s, v32.4s", "mul v0.2d, v1.2d, v2.2d", "umull v0.2d, v1.4s, v2.4s",
	} {
		if word, err := encodeOne(insn); err == nil {
			t.Errorf("%s: %#08x", insn, word)
		}
	}
	if _, err := encode("\t" + unencoded + " // fadd v0.4s, v1.4s, v2.4s\n\t" + unencoded + " // fmla v0.4s, v1.4s, v2.4s\n"); err == nil {
		t.Error("a word without encoding is not noticed")
	}
}

// TestAssembler lets a GNU assembler encode every word in the repository, and compares. Without an assembler it is skipped, unless
// the environment variable ADAHESSIAN_REQUIRE names asm2plan9s.
func TestAssembler(t *testing.T) {
	words := map[string]string{} // lines by their instructions
	for _, file := range assemblyFiles {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range wordLine.FindAllStringSubmatch(string(source), -1) {
			words[m[2]] = m[0]
		}
	}
	if len(words) < 100 {
		t.Fatalf("only %d words", len(words))
	}
	var blank strings.Builder
	for insn := range words {
		blank.WriteString("\t" + unencoded + " // " + insn + "\n")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "words.s")
	if err := os.WriteFile(file, []byte(blank.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := asm2plan9s(dir, file); errors.Is(err, exec.ErrNotFound) && !strings.Contains(os.Getenv("ADAHESSIAN_REQUIRE"), "asm2plan9s") {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	encoded, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	found := wordLine.FindAllStringSubmatch(string(encoded), -1)
	if len(found) != len(words) {
		t.Fatalf("%d of %d words encoded", len(found), len(words))
	}
	for _, m := range found {
		if m[0] != words[m[2]] {
			t.Errorf("%s: the assembler says $0x%s, here%s", m[2], m[1], words[m[2]])
		}
	}
	t.Logf("%d words", len(words))
}

// asm2plan9s runs that tool on a file. The tool encodes for the architecture for which
// it was built, with the assembler "as" in PATH. On machines other than arm64 it runs
// under emulation, with a cross assembler of that name.
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
			return err
		}
		if err := os.Symlink(as, filepath.Join(dir, "as")); err != nil {
			return err
		}
		run = exec.Command(emulator, run.Args...)
		run.Env = append(os.Environ(), "PATH="+dir) // without yasm, which it would prefer
	}
	if out, err := run.CombinedOutput(); err != nil {
		return errors.Join(err, errors.New(string(out)))
	}
	return nil
}
