package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A program is an executable file with its disassembly.
type program struct {
	target
	file      string
	functions map[string][2]uint64 // the first and the last instruction of each
	text      map[uint64]string
	traces    map[string][]uint64
}

func newProgram(t target, file string) *program {
	return &program{t, file, map[string][2]uint64{}, map[uint64]string{}, map[string][]uint64{}}
}

var (
	symbolLine = regexp.MustCompile(`^([0-9a-f]+) <(.*)>:$`)
	insnLine   = regexp.MustCompile(`^ +([0-9a-f]+):\t(.*)$`)
	comment    = regexp.MustCompile(`\s*(//|#\s).*$`)
	jumpTarget = regexp.MustCompile(`\b[0-9a-f]+ <[^>]*>`)
)

func (p *program) disassemble() error {
	return output(exec.Command(p.tools+"objdump", "-d", "--no-show-raw-insn", p.file), func(out []byte) error {
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
			p.text[at] = jumpTarget.ReplaceAllString(comment.ReplaceAllString(m[2], ""), ".Lx")
		}
		return nil
	})
}

// A call is a run of a program that calls a function. The function lies between two
// addresses.
type call struct {
	file        string
	first, last uint64
	args        []string
	env         string // a variable, or empty
}

// inPieces are the kernels of a step in two passes, which divides the elements between
// several calls of each.
var inPieces = []string{"curvature", "curvaturePow", "descendRows", "descendBlocks"}

// executed returns the addresses of the instructions in the last call of a function, or
// in all calls if the elements are divided between them.
func (p *program) executed(function, kernel, typ, env string) ([]uint64, error) {
	if t, ok := p.traces[function]; ok {
		return t, nil
	}
	f, ok := p.functions[function]
	if !ok {
		return nil, fmt.Errorf("no function %s", function)
	}
	t, err := p.trace(call{p.file, f[0], f[1], []string{kernel, typ}, env})
	if err != nil {
		return nil, err
	}
	if !slices.Contains(inPieces, kernel) {
		for i := range slices.Backward(t) {
			if t[i] == f[0] {
				t = t[i:]
				break
			}
		}
	}
	if len(t) < elements/32 {
		return nil, fmt.Errorf("only %d instructions of %s were executed", len(t), function)
	}
	p.traces[function] = t
	return t, nil
}

var totalCycles = regexp.MustCompile(`(?m)^Total Cycles:\s+(\d+)`)

// cycles returns llvm-mca's estimate for the calls of the function.
func (p *program) cycles(cpu, function, kernel, typ, env string) (cycles float64, err error) {
	trace, err := p.executed(function, kernel, typ, env)
	if err != nil {
		return 0, err
	}
	var code strings.Builder
	for _, at := range trace {
		code.WriteString("\t" + p.text[at] + "\n")
	}
	cmd := exec.Command("/usr/lib/llvm-19/bin/llvm-mca", "-mtriple="+p.triple, "-mcpu="+cpu, "-iterations=1", "-instruction-info=0", "-resource-pressure=0")
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
