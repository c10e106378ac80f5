// Command static estimates how long the kernels take on processors that are not at
// hand, compared with the same arithmetic in C.
//
// It executes a call of each kernel, and of the C function with the same name, and
// records the address of every instruction: for arm64 with qemu, for amd64 by stepping
// through the program on this machine. It gives the instructions in that order,
// branches included, to llvm-mca, which models how many cycles they take with all data
// in the L1 cache and every branch predicted. llvm-mca knows about a processor only
// what its makers have published, so these are estimates, useful for comparisons.
//
//	go -C _asm run ./static arm64
//	go -C _asm run ./static amd64
//
// takes the package llvm-19, and for arm64 qemu-user, gcc-aarch64-linux-gnu and
// libc6-dev-arm64-cross; for amd64 gcc and a processor that has the instruction sets.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const elements = 1008 // of each call; the programs use the same number

var kernels = []string{"updateElements", "updateBlocks", "updateRows", "curvature", "curvaturePow", "descendRows", "descendBlocks",
	"blockMeans", "stridedMeans", "addProbe", "allFinite", "rademacher"}

// ofHalves are the kernels that are also estimated with inputs of halves.
var ofHalves = []string{"updateElements", "updateBlocks", "updateRows"}

// A target is an architecture whose kernels are estimated.
type target struct {
	goarch string
	tools  string   // the prefix of gcc's and objdump's names
	flags  []string // of gcc
	triple string   // of llvm-mca
	cpus   []string
	sets   []set
	trace  func(c call) ([]uint64, error)
}

// A set is an instruction set: the end of its kernels' names, and the variable that
// chooses it.
type set struct{ name, env string }

var targets = map[string]target{
	"arm64": {
		goarch: "arm64", tools: "aarch64-linux-gnu-", triple: "aarch64", trace: emulated,
		cpus: []string{"neoverse-n1", "neoverse-v2"},
		sets: []set{{"NEON", ""}},
	},
	"amd64": {
		goarch: "amd64", flags: []string{"-march=icelake-server", "-no-pie"}, triple: "x86_64", trace: stepped,
		cpus: []string{"icelake-server", "znver4", "sapphirerapids"},
		sets: []set{{"AVX2", "ADAHESSIAN_DISABLE=avx512"}, {"AVX512", ""}},
	},
}

func main() {
	err := errors.New("want one argument, arm64 or amd64")
	if len(os.Args) == 2 {
		if t, ok := targets[os.Args[1]]; ok {
			err = run(t)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "static:", err)
		os.Exit(1)
	}
}

func run(t target) error {
	dir, err := os.MkdirTemp("", "static")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ours, theirs := newProgram(t, filepath.Join(dir, "calls")), newProgram(t, filepath.Join(dir, "loops"))
	build := exec.Command("go", "build", "-o", ours.file, "./static/calls")
	build.Env = append(os.Environ(), "GOARCH="+t.goarch, "GOOS=linux", "CGO_ENABLED=0")
	if err := output(build, nil); err != nil {
		return err
	}
	// The last two math options let gcc vectorize roots and choices.
	flags := append(t.flags, "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-static", "-o", theirs.file, "static/c/loops.c", "-lm")
	if err := output(exec.Command(t.tools+"gcc", flags...), nil); err != nil {
		return err
	}
	for _, p := range []*program{ours, theirs} {
		if err := p.disassemble(); err != nil {
			return err
		}
	}
	var names []string
	for _, s := range t.sets {
		names = append(names, s.name)
	}
	fmt.Printf("| cycles per element: %s (C) |", strings.Join(names, ", "))
	for _, cpu := range t.cpus {
		fmt.Printf(" %s, float32 | %[1]s, float64 |", cpu)
	}
	fmt.Printf("\n|---|%s\n", strings.Repeat("---|", 2*len(t.cpus)))
	for _, kernel := range kernels {
		if err := row(t, ours, theirs, kernel); err != nil {
			return err
		}
	}
	fmt.Printf("\n| cycles per element: %s |", strings.Join(names, ", "))
	for _, cpu := range t.cpus {
		fmt.Printf(" %s, float32 | %[1]s, bfloat16 | %[1]s, float16 |", cpu)
	}
	fmt.Printf("\n|---|%s\n", strings.Repeat("---|", 3*len(t.cpus)))
	for _, kernel := range ofHalves {
		if err := rowOfHalves(t, ours, kernel); err != nil {
			return err
		}
	}
	return nil
}

// row prints a kernel's estimates.
func row(t target, ours, theirs *program, kernel string) error {
	fmt.Printf("| `%s` |", kernel)
	for _, cpu := range t.cpus {
		for _, typ := range []string{"f32", "f64"} {
			ours, err := cell(t, ours, kernel, kernel, cpu, typ)
			if err != nil {
				return err
			}
			c, err := theirs.cycles(cpu, typ+"_"+kernel, kernel, typ, "")
			if err != nil {
				return fmt.Errorf("%s in C: %w", kernel, err)
			}
			fmt.Printf(" %s (%.2f) |", ours, c/elements)
		}
	}
	fmt.Println()
	return nil
}

// rowOfHalves prints a kernel's estimates with inputs of halves, beside those with floats.
func rowOfHalves(t target, ours *program, kernel string) error {
	fmt.Printf("| `%s` |", kernel)
	for _, cpu := range t.cpus {
		for _, typ := range []string{"f32", "bf16", "f16"} {
			name := kernel
			if typ != "f32" {
				name += "Half"
			}
			c, err := cell(t, ours, name, kernel, cpu, typ)
			if err != nil {
				return err
			}
			fmt.Printf(" %s |", c)
		}
	}
	fmt.Println()
	return nil
}

// cell returns the estimates of the kernel with that name for each instruction set. argument
// is what the program calls the kernel.
func cell(t target, ours *program, name, argument, cpu, typ string) (string, error) {
	var cells []string
	for _, s := range t.sets {
		function := "github.com/adahessian-go/adahessian." + name + strings.ToUpper(typ) + s.name + ".abi0"
		if _, ok := ours.functions[function]; !ok {
			cells = append(cells, "–")
			continue
		}
		cycles, err := ours.cycles(cpu, function, argument, typ, s.env)
		if err != nil {
			return "", fmt.Errorf("%s: %w", function, err)
		}
		cells = append(cells, fmt.Sprintf("%.2f", cycles/elements))
	}
	return strings.Join(cells, ", "), nil
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
