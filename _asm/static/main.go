// Command static estimates how long the NEON kernels take, for those who have no
// such processor, beside the same arithmetic in C.
//
// A call of each kernel, and of the C function of that name, is executed under
// qemu, which writes down the address of every instruction. The instructions in
// that order, branches and all, are what llvm-mca is given: it models how many
// cycles they take with all data in the L1 cache and every branch predicted. What
// it knows of a processor is what the processor's makers have published, so these
// are estimates; their use is to compare.
//
//	go -C _asm run ./static
//
// takes the packages qemu-user, gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and llvm-19.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	elements = 1008 // of each call; the programs have the same number
	mca      = "/usr/lib/llvm-19/bin/llvm-mca"
)

var (
	cpus    = []string{"neoverse-n1", "neoverse-v2"}
	kernels = []string{"update", "updateBlocks", "updateRows", "curvature", "curvaturePow", "descendRows", "descendBlocks",
		"blockMeans", "stridedMeans", "addAbs", "addProbe", "allFinite", "rademacher"}
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "static:", err)
		os.Exit(1)
	}
}

func run() error {
	dir, err := os.MkdirTemp("", "static")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ours, theirs := &program{file: filepath.Join(dir, "calls")}, &program{file: filepath.Join(dir, "loops")}
	build := exec.Command("go", "build", "-o", ours.file, "./static/calls")
	build.Env = append(os.Environ(), "GOARCH=arm64", "GOOS=linux", "CGO_ENABLED=0")
	if err := output(build, nil); err != nil {
		return err
	}
	// The last two options let gcc make vectors of what has roots and choices.
	if err := output(exec.Command("aarch64-linux-gnu-gcc", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math",
		"-static", "-o", theirs.file, "static/c/loops.c"), nil); err != nil {
		return err
	}
	for _, p := range []*program{ours, theirs} {
		if err := p.disassemble(); err != nil {
			return err
		}
	}
	fmt.Printf("| cycles an element: assembly (C) |")
	for _, cpu := range cpus {
		fmt.Printf(" %s, float32 | %[1]s, float64 |", cpu)
	}
	fmt.Printf("\n|---|%s\n", strings.Repeat("---|", 2*len(cpus)))
	for _, kernel := range kernels {
		fmt.Printf("| `%s` |", kernel)
		for _, cpu := range cpus {
			for _, typ := range []string{"f32", "f64"} {
				name := kernel + strings.ToUpper(typ) + "NEON"
				a, err := ours.cycles(cpu, "github.com/adahessian-go/adahessian."+name+".abi0", kernel, typ)
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				c, err := theirs.cycles(cpu, typ+"_"+kernel, kernel, typ)
				if err != nil {
					return fmt.Errorf("%s in C: %w", name, err)
				}
				fmt.Printf(" %.2f (%.2f) |", a/elements, c/elements)
			}
		}
		fmt.Println()
	}
	return nil
}

// output runs a command and hands its output to use, unless that is nil.
func output(cmd *exec.Cmd, use func(out []byte) error) error {
	var problem bytes.Buffer
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%v: %w: %s%s", cmd.Args, err, problem.Bytes(), out)
	}
	if use == nil {
		return nil
	}
	return use(out)
}

// A program is an executable file with its disassembly.
type program struct {
	file      string
	functions map[string][2]uint64 // from the first instruction up to the last
	text      map[uint64]string
	traces    map[string][]uint64
}

var (
	symbolLine = regexp.MustCompile(`^([0-9a-f]+) <(.*)>:$`)
	insnLine   = regexp.MustCompile(`^ +([0-9a-f]+):\t(.*)$`)
	comment    = regexp.MustCompile(`\s*//.*$`)
	target     = regexp.MustCompile(`\b[0-9a-f]+ <[^>]*>`)
)

func (p *program) disassemble() error {
	p.functions, p.text, p.traces = map[string][2]uint64{}, map[uint64]string{}, map[string][]uint64{}
	return output(exec.Command("aarch64-linux-gnu-objdump", "-d", "--no-show-raw-insn", p.file), func(out []byte) error {
		function := ""
		for line := range strings.Lines(string(out)) {
			line = strings.TrimRight(line, "\n")
			if m := symbolLine.FindStringSubmatch(line); m != nil {
				function = m[2]
				continue
			}
			m := insnLine.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			at, err := strconv.ParseUint(m[1], 16, 64)
			if err != nil {
				return err
			}
			f, ok := p.functions[function]
			if !ok {
				f[0] = at
			}
			p.functions[function] = [2]uint64{f[0], at}
			p.text[at] = target.ReplaceAllString(comment.ReplaceAllString(m[2], ""), ".Lx")
		}
		return nil
	})
}

// inPieces are the kernels of a step in stages, which takes the elements in several
// calls of each.
var inPieces = []string{"curvature", "curvaturePow", "descendRows", "descendBlocks"}

var traceLine = regexp.MustCompile(`^Trace \d+: \S+ \[[0-9a-f]+/([0-9a-f]+)/`)

// trace returns the addresses of the instructions of the last call of a function,
// or of all, where the elements are divided between them.
func (p *program) trace(function, kernel, typ string) ([]uint64, error) {
	if t, ok := p.traces[function]; ok {
		return t, nil
	}
	f, ok := p.functions[function]
	if !ok {
		return nil, fmt.Errorf("no function %s", function)
	}
	log := p.file + ".log"
	if err := output(exec.Command("qemu-aarch64", "-cpu", "cortex-a72", "-singlestep", "-d", "exec,nochain",
		"-dfilter", fmt.Sprintf("%#x..%#x", f[0], f[1]), "-D", log, p.file, kernel, typ), nil); err != nil {
		return nil, err
	}
	file, err := os.Open(log)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var t []uint64
	for lines := bufio.NewScanner(file); lines.Scan(); {
		m := traceLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		at, err := strconv.ParseUint(m[1], 16, 64)
		if err != nil {
			return nil, err
		}
		if at == f[0] && !slices.Contains(inPieces, kernel) {
			t = t[:0]
		}
		t = append(t, at)
	}
	if len(t) < elements/16 {
		return nil, fmt.Errorf("%d instructions of %s executed only", len(t), function)
	}
	p.traces[function] = t
	return t, nil
}

var totalCycles = regexp.MustCompile(`(?m)^Total Cycles:\s+(\d+)`)

// cycles is what llvm-mca makes of the calls of the function.
func (p *program) cycles(cpu, function, kernel, typ string) (cycles float64, err error) {
	trace, err := p.trace(function, kernel, typ)
	if err != nil {
		return 0, err
	}
	var code strings.Builder
	for _, at := range trace {
		code.WriteString("\t" + p.text[at] + "\n")
	}
	cmd := exec.Command(mca, "-mtriple=aarch64", "-mcpu="+cpu, "-iterations=1", "-instruction-info=0", "-resource-pressure=0")
	cmd.Stdin = strings.NewReader(code.String())
	err = output(cmd, func(out []byte) error {
		m := totalCycles.FindSubmatch(out)
		if m == nil {
			return fmt.Errorf("llvm-mca says %s", out)
		}
		cycles, err = strconv.ParseFloat(string(m[1]), 64)
		return err
	})
	return cycles, err
}
