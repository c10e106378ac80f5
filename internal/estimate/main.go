// Command estimate prints how many cycles an element of each kernel takes by
// the models of llvm-mca, and beside it the same loops in C, as gcc and clang
// compile them:
//
//	go run ./internal/estimate
//
// It needs the Debian packages binutils, gcc, clang-14, llvm-14 and llvm-19.
//
// These are static estimates: every load is from the L1 cache, every branch is
// predicted, and a model may be wrong. They serve to compare code, on
// processors that are not at hand.
package main

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

var models = []struct{ cpu, mca string }{
	{"icelake-server", "llvm-mca-14"},
	{"icelake-server", "llvm-mca-19"},
	{"znver4", "llvm-mca-19"},
	{"sapphirerapids", "llvm-mca-19"},
}

// columns are whose code is estimated.
var columns = []string{"AVX2", "AVX-512", "gcc", "clang"}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "estimate:", err)
		os.Exit(1)
	}
}

func run() error {
	dir, err := os.MkdirTemp("", "estimate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "test")
	if err := command("go", "test", "-c", "-o", program, "github.com/adahessian-go/adahessian"); err != nil {
		return err
	}
	ours, err := disassemble(program, "github.com/adahessian-go/adahessian.")
	if err != nil {
		return err
	}
	theirs := map[string]map[string]function{}
	for _, elem := range []int{4, 8} {
		for column, compiler := range map[string]string{"gcc": "gcc", "clang": "clang-14"} {
			object := filepath.Join(dir, fmt.Sprintf("%s%d.o", column, elem))
			args := []string{"-O3", "-march=icelake-server", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-c", "-o", object, "internal/estimate/c/loops.c"}
			if elem == 8 {
				args = append(args, "-DWIDE")
			}
			if err := command(compiler, args...); err != nil {
				return err
			}
			if theirs[fmt.Sprint(column, elem)], err = disassemble(object, ""); err != nil {
				return err
			}
		}
	}
	for _, m := range models {
		fmt.Printf("| %s, %s | %s |\n|---|%s\n", m.cpu, m.mca, strings.Join(append(named("float32 "), named("float64 ")...), " | "), strings.Repeat("---|", 2*len(columns)))
		for _, k := range kernels {
			var cells []string
			for _, elem := range []int{4, 8} {
				values := []float64{k.ours(ours, elem, 32, m.cpu, m.mca), k.ours(ours, elem, 64, m.cpu, m.mca)}
				for _, compiler := range columns[2:] {
					values = append(values, k.theirs(theirs[fmt.Sprint(compiler, elem)], elem, m.cpu, m.mca))
				}
				for i, v := range values {
					text := fmt.Sprintf("%.2f", v)
					switch {
					case math.IsNaN(v):
						text = "–"
					case i == 1 && (v > 1.02*values[2] || v > 1.02*values[3]):
						text += " ▲"
					}
					cells = append(cells, text)
				}
			}
			fmt.Printf("| %s | %s |\n", k.title, strings.Join(cells, " | "))
		}
		fmt.Println()
	}
	return nil
}

func named(typ string) (names []string) {
	for _, c := range columns {
		names = append(names, typ+c)
	}
	return names
}

// ---- what is estimated ---------------------------------------------------

// A kernel's estimate is a sum of parts of its code.
type kernel struct {
	title, name string
	parts       []part
	compiled    []compiled
}

// A part is a loop, by its number among the innermost ones in front of the
// first RET, or what an outer loop has in front of that or behind it.
type part struct {
	loop      int
	front     bool
	back      bool
	elements  func(elem, bytes int) float64
	undivided bool // leaves out what "cmp $0; je" jumps over: the division by 1
}

// A compiled part is the best innermost loop of a C function.
type compiled struct {
	name   string
	weight float64 // of its cycles for each element it writes
}

// vectors counts elements in vectors.
func vectors(n int) func(elem, bytes int) float64 {
	return func(elem, bytes int) float64 { return float64(n * bytes / elem) }
}

// summed counts the columns that are summed down the rows at a time.
func summed(elem, _ int) float64 { return float64(256 / elem) }

// quarters counts the elements of a line of each quarter.
func quarters(elem, _ int) float64 { return float64(4 * 64 / elem) }

// short is the length of blocks that are shorter than their partial sums.
func short(elem int) int { return map[int]int{4: 9, 8: 7}[elem] }

// group counts the elements of a group of blocks.
func group(elem, bytes int) float64 { return float64(bytes / elem * short(elem)) }

var kernels = []kernel{
	{"update", "update", []part{{elements: vectors(2), undivided: true}}, []compiled{{"update", 1}}},
	{"updateRows, 9 rows", "updateRows", []part{
		{loop: 0, elements: summed},
		{loop: 3, elements: func(elem, bytes int) float64 { return 9 * vectors(2)(elem, bytes) }},
		{loop: 5, elements: vectors(2)},
	}, []compiled{{"stridedMeans", 1}, {"curvature", 1. / 9}, {"descendRows", 1}}},
	{"updateBlocks of 9 or 7", "updateBlocks", []part{{loop: 0, elements: vectors(1)}, {front: true, elements: group}}, nil},
	{"curvature", "curvature", []part{{elements: vectors(2)}}, []compiled{{"curvature", 1}}},
	{"curvaturePow", "curvaturePow", []part{{elements: func(elem, _ int) float64 { return float64(128 / elem) }}}, []compiled{{"curvaturePow", 1}}},
	{"descendRows", "descendRows", []part{{elements: vectors(2)}}, []compiled{{"descendRows", 1}}},
	{"descendBlocks", "descendBlocks", []part{{elements: vectors(1)}}, []compiled{{"descendBlocks", 1}}},
	{"blockMeans of 9 or 7", "blockMeans", []part{{elements: group}}, nil},
	{"stridedMeans", "stridedMeans", []part{{elements: summed}}, []compiled{{"stridedMeans", 1}}},
	{"addProbe", "addProbe", []part{{elements: vectors(4)}}, []compiled{{"addProbe", 1}}},
	{"allFinite", "allFinite", []part{{elements: quarters}}, []compiled{{"allFinite", 1}}},
	{"rademacher", "rademacher", []part{
		{loop: 0, elements: func(_, bytes int) float64 { return batch(bytes) / 4 }},
		{front: true, elements: func(_, bytes int) float64 { return batch(bytes) }},
		{back: true, elements: func(_, bytes int) float64 { return batch(bytes) }},
	}, []compiled{{"signs", 1}, {"philox", 1. / 32}}}, // a word is 32 signs
}

// batch is the number of signs that the kernel has random bits for at a time.
func batch(bytes int) float64 { return float64(2 * bytes / 8 * 128) }

// ours is the estimate for the assembly of a vector size.
func (k kernel) ours(code map[string]function, elem, bytes int, cpu, mca string) (cycles float64) {
	f := code[fmt.Sprintf("%sF%d%s.abi0", k.name, elem*8, map[int]string{32: "AVX2", 64: "AVX512"}[bytes])]
	for _, p := range k.parts {
		lines := f.part(p)
		if lines == nil {
			return math.NaN()
		}
		cycles += estimate(lines, cpu, mca) / p.elements(elem, bytes)
	}
	return cycles
}

// theirs is the estimate for compiled C.
func (k kernel) theirs(code map[string]function, elem int, cpu, mca string) (cycles float64) {
	if k.compiled == nil {
		return math.NaN()
	}
	for _, c := range k.compiled {
		size := elem
		if c.name == "philox" {
			size = 4
		}
		best := math.NaN()
		f := code[c.name]
		for _, l := range f.innermost(len(f)) {
			body := f[l.first : l.last+1]
			if n := body.advance(); n > 0 {
				if v := estimate(body.text(), cpu, mca) / float64(n/size); !(v >= best) {
					best = v
				}
			}
		}
		cycles += c.weight * best
	}
	return cycles
}

// ---- code ----------------------------------------------------------------

// An instruction as objdump prints it; to is where it jumps.
type instruction struct{ address, text, to string }

type function []instruction

var (
	headLine = regexp.MustCompile(`^[0-9a-f]+ <(.*)>:$`)
	codeLine = regexp.MustCompile(`^ +([0-9a-f]+):\t(.*)$`)
	comment  = regexp.MustCompile(`\s+#.*$`)
	jump     = regexp.MustCompile(`^(j\w+)\s+([0-9a-f]+) <.*>$`)
)

// disassemble returns the functions of a file whose names have the prefix,
// without it.
func disassemble(file, prefix string) (map[string]function, error) {
	out, err := exec.Command("objdump", "-d", "--no-show-raw-insn", file).Output()
	if err != nil {
		return nil, err
	}
	functions := map[string]function{}
	name := ""
	for line := range strings.Lines(string(out)) {
		line = strings.TrimRight(line, "\n")
		if m := headLine.FindStringSubmatch(line); m != nil {
			name, _ = strings.CutPrefix(m[1], prefix)
			if !strings.HasPrefix(m[1], prefix) {
				name = ""
			}
		} else if m := codeLine.FindStringSubmatch(line); m != nil && name != "" {
			i := instruction{address: m[1], text: comment.ReplaceAllString(m[2], "")}
			if j := jump.FindStringSubmatch(i.text); j != nil {
				i.text, i.to = j[1]+" .Lx", j[2]
			}
			functions[name] = append(functions[name], i)
		}
	}
	return functions, nil
}

// A loop is a range of a function's instructions, the last one a jump back.
type loop struct{ first, last int }

// loops returns the loops among the first n instructions, by where they begin.
func (f function) loops(n int) (loops []loop) {
	for first := range n {
		for last := first; last < n; last++ {
			if f[last].to == f[first].address && f[last].to != "" {
				loops = append(loops, loop{first, last})
			}
		}
	}
	return loops
}

func (f function) innermost(n int) (inner []loop) {
	all := f.loops(n)
	for _, l := range all {
		alone := true
		for _, m := range all {
			alone = alone && (m == l || m.first < l.first || m.last > l.last)
		}
		if alone {
			inner = append(inner, l)
		}
	}
	return inner
}

// part returns the instructions of a part, or nothing.
func (f function) part(p part) []string {
	end := 0
	for end < len(f) && !strings.HasPrefix(f[end].text, "ret") {
		end++
	}
	inner := f.innermost(end)
	if p.loop >= len(inner) {
		return nil
	}
	l := inner[p.loop]
	body := f[l.first : l.last+1]
	if p.front || p.back {
		first, last := -1, -1
		for _, m := range f.loops(end) {
			if m.first < l.first && m.last > l.last && m.first > first {
				first, last = m.first, m.last
			}
		}
		switch {
		case first < 0:
			return nil
		case p.front:
			body = f[first:l.first]
		default:
			body = f[l.last+1 : last+1]
		}
	}
	if p.undivided {
		body = body.undivided()
	}
	return body.text()
}

// undivided leaves out what jumps after a comparison with 0 pass over.
func (f function) undivided() (rest function) {
	for i := 0; i < len(f); i++ {
		rest = append(rest, f[i])
		if i == 0 || !strings.HasPrefix(f[i].text, "je ") || !strings.HasPrefix(f[i-1].text, "cmpq   $0x0,") {
			continue
		}
		for to := f[i].to; i+1 < len(f) && f[i+1].address != to; {
			i++
		}
	}
	return rest
}

func (f function) text() (lines []string) {
	for _, i := range f {
		lines = append(lines, i.text)
	}
	return lines
}

var (
	address = regexp.MustCompile(`\((%\w+)?(?:,(%\w+)(?:,(\d))?)?\)`)
	step    = regexp.MustCompile(`^(add|sub)q?\s+\$(-?0x[0-9a-f]+),(%\w+)$`)
	stepOne = regexp.MustCompile(`^(inc|dec)q?\s+(%\w+)$`)
)

// advance returns how many bytes a loop gets on: the most that a register of an
// address moves.
func (f function) advance() (most int) {
	scale := map[string]int{}
	for _, i := range f {
		for _, m := range address.FindAllStringSubmatch(i.text, -1) {
			by := 1
			if m[3] != "" {
				by, _ = strconv.Atoi(m[3])
			}
			scale[m[1]] = max(scale[m[1]], 1)
			scale[m[2]] = max(scale[m[2]], by)
		}
	}
	for _, i := range f {
		if m := step.FindStringSubmatch(i.text); m != nil {
			n, err := strconv.ParseUint(strings.TrimPrefix(m[2], "-"), 0, 64)
			if err == nil {
				signed := int(int64(n))
				most = max(most, scale[m[3]]*signed, -scale[m[3]]*signed)
			}
		} else if m := stepOne.FindStringSubmatch(i.text); m != nil {
			most = max(most, scale[m[2]])
		}
	}
	return most
}

// ---- llvm-mca ------------------------------------------------------------

var totalCycles = regexp.MustCompile(`Total Cycles:\s+(\d+)`)

// estimate returns the cycles of one iteration of a loop with the instructions.
func estimate(lines []string, cpu, mca string) float64 {
	const iterations = 200
	cmd := exec.Command(mca, "-mtriple=x86_64", "-mcpu="+cpu, "-iterations="+strconv.Itoa(iterations), "-instruction-info=0", "-resource-pressure=0")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	m := totalCycles.FindSubmatch(out)
	if err != nil || m == nil {
		fmt.Fprintf(os.Stderr, "%s %s: %v\n%s\n", mca, cpu, err, stderr.String())
		return math.NaN()
	}
	cycles, _ := strconv.ParseFloat(string(m[1]), 64)
	return cycles / iterations
}

func command(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	return cmd.Run()
}
