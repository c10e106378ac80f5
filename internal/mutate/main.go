// Command mutate proves that the tests of the kernels notice mistakes. It changes one
// instruction of the assembly at a time, in a copy of the module, and runs the
// tests there, which must fail.
//
//	go run ./internal/mutate            a few mutants of every function, minutes
//	go run ./internal/mutate -short     one mutant of some functions
//	go run ./internal/mutate -n 100     every kind of mutant of every function
//	go run ./internal/mutate -emulate   a mutant of every function of AVX-512,
//	                                    on an emulated processor
//	go run ./internal/mutate -file kernels_arm64.s -exec qemu-aarch64
//	                                    another architecture's, under emulation
//
// Functions that need instructions that this processor lacks are left out. It prints
// one line for each mutant, and exits with status 1 if the tests pass with one of them.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/cpu"
)

var (
	short    = flag.Bool("short", false, "one mutant of some functions")
	perFunc  = flag.Int("n", 6, "largest number of mutants of each function")
	seed     = flag.Uint64("seed", 1, "chooses among the instructions")
	file     = flag.String("file", "kernels_"+runtime.GOARCH+".s", "the assembly, in the module's root")
	only     = flag.String("func", "", "only functions whose name matches")
	tests    = flag.String("run", "Kernel", "the tests to run, whose subtests are instruction set/type")
	emulated = flag.Bool("emulate", false, "test AVX-512, one mutant of each function, on an emulated processor")
	emulator = flag.String("exec", "", "the program that runs the tests, such as qemu-aarch64")
	parallel = flag.Int("p", runtime.NumCPU(), "mutants tested at a time")
)

func main() {
	flag.Parse()
	survivors, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
	}
	if err != nil || survivors > 0 {
		os.Exit(1)
	}
}

func run() (survivors int, err error) {
	root, err := moduleRoot()
	if err != nil {
		return 0, err
	}
	source, err := os.ReadFile(filepath.Join(root, *file))
	if err != nil {
		return 0, err
	}
	lines := strings.Split(string(source), "\n")
	if kindsOf[goarch()] == nil {
		return 0, fmt.Errorf("no mutations for %s", *file)
	}
	mutants, err := choose(lines)
	if err != nil {
		return 0, err
	}
	trees := make([]*tree, max(1, *parallel))
	for i := range trees {
		if trees[i], err = newTree(root); err != nil {
			return 0, err
		}
		defer trees[i].remove()
	}
	if *emulated {
		return emulateAll(trees[0], lines, mutants)
	}
	start := time.Now()
	if how, err := trees[0].test(lines, *tests); err != nil || how != "" {
		return 0, fmt.Errorf("the tests fail without a mutation: %s %v", how, err)
	}
	fmt.Printf("without a mutation the tests pass, %.1f s\n", time.Since(start).Seconds())

	var (
		mu   sync.Mutex
		wg   sync.WaitGroup
		todo = make(chan mutant)
	)
	for _, t := range trees {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for m := range todo {
				changed := append([]string(nil), lines...)
				changed[m.line] = m.new
				how, err := t.test(changed, *tests+subtests(m.function))
				mu.Lock()
				switch {
				case err != nil:
					survivors++
					fmt.Printf("BROKEN    %v: %v\n", m, err)
				case how == "":
					survivors++
					fmt.Printf("SURVIVED  %v\n", m)
				default:
					fmt.Printf("caught    %v: %s\n", m, how)
				}
				mu.Unlock()
			}
		}()
	}
	for _, m := range mutants {
		todo <- m
	}
	close(todo)
	wg.Wait()
	fmt.Printf("%d mutants, %d not caught, %.0f s\n", len(mutants), survivors, time.Since(start).Seconds())
	return survivors, nil
}

func moduleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", err
	}
	mod := strings.TrimSpace(string(out))
	if filepath.Base(mod) != "go.mod" {
		return "", errors.New("not in a module")
	}
	return filepath.Dir(mod), nil
}

// goarch returns the architecture of the assembly, taken from the file's name.
func goarch() string {
	_, name, _ := strings.Cut(strings.TrimSuffix(filepath.Base(*file), ".s"), "_")
	return name
}

// ---- mutants -------------------------------------------------------------

// A mutant is one changed line.
type mutant struct {
	function, kind string
	line           int
	old, new       string
}

func (m mutant) String() string {
	words := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	return fmt.Sprintf("%s, %s, line %d: %s  ->  %s", m.function, m.kind, m.line+1, words(m.old), words(m.new))
}

var (
	textLine = regexp.MustCompile(`^TEXT ·(\w+)\(SB\)`)
	dataLine = regexp.MustCompile(`^DATA (\w+)<>\+(\d+)\(SB\)/(\d), \$0x([0-9a-f]+)$`)
)

// choose returns the mutants to try: for each function as many kinds as -n allows, each
// at one of the instructions that the kind fits.
func choose(lines []string) ([]mutant, error) {
	wanted, err := regexp.Compile(*only)
	if err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(*seed, 0))
	var names []string
	all := map[string][]mutant{}
	tables := map[string][]mutant{}
	function := ""
	for i, line := range lines {
		if m := textLine.FindStringSubmatch(line); m != nil {
			function = m[1]
			names = append(names, function)
			continue
		}
		if m := dataLine.FindStringSubmatch(line); m != nil {
			if lookTable.MatchString(m[1]) {
				continue
			}
			value, err := strconv.ParseUint(m[4], 16, 64)
			if err != nil {
				return nil, err
			}
			changed := value ^ 1 ^ 1<<(4*len(m[4])-1) // in a mask, only the highest bit counts
			tables[m[1]] = append(tables[m[1]], mutant{m[1], "table entry", i, line,
				strings.TrimSuffix(line, m[4]) + fmt.Sprintf("%0*x", len(m[4]), changed)})
			continue
		}
		fields := strings.Fields(line)
		if function == "" || len(fields) < 2 || !strings.HasPrefix(line, "\t") {
			continue
		}
		if shortcut(lines[i:]) || looks(lines[i:]) {
			continue
		}
		operands := strings.Split(strings.Join(fields[1:], " "), ", ")
		for _, k := range kindsOf[goarch()] {
			if changed := k.change(fields[0], operands); changed != "" {
				all[function] = append(all[function], mutant{function, k.name, i, line, "\t" + changed})
			}
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no functions in %s", *file)
	}
	var chosen []mutant
	for i, name := range names {
		if !wanted.MatchString(name) || !testable(name) || *short && i%5 != 0 {
			continue
		}
		candidates := all[name]
		if len(candidates) == 0 {
			return nil, fmt.Errorf("%s: no instruction that a mutation fits", name)
		}
		r.Shuffle(len(candidates), func(i, j int) { candidates[i], candidates[j] = candidates[j], candidates[i] })
		limit := *perFunc
		if *short || *emulated {
			limit = 1
		}
		seen := map[string]bool{}
		for _, m := range candidates {
			if !seen[m.kind] && len(seen) < limit {
				seen[m.kind] = true
				chosen = append(chosen, m)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		entries := tables[name]
		if wanted.MatchString(name) && !*short && !*emulated {
			chosen = append(chosen, entries[r.IntN(len(entries))])
		}
	}
	return chosen, nil
}

// testable reports whether the function's mutants are to be tested here.
func testable(function string) bool {
	wide := strings.HasSuffix(function, "AVX512")
	if *emulated {
		return wide
	}
	x86 := &cpu.X86
	return !wide || x86.HasAVX512F && x86.HasAVX512DQ && x86.HasAVX512BW && x86.HasAVX512VL
}

// shortcut reports whether the first line helps to make a constant that is then
// compared with a scalar. The comparison only decides whether to leave out work that
// would change nothing, such as a division by 1, so a mutant need not be noticed there.
func shortcut(lines []string) bool {
	register := ""
	for _, line := range lines {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			return false
		}
		last := fields[len(fields)-1]
		if register == "" {
			register = last
		}
		switch {
		case fields[0] == "VPXOR" && last == register && strings.HasSuffix(fields[1], "),"):
			return true
		case fields[0] == "VMOVQ" && strings.HasSuffix(last, "(SP)") && fields[1][1:] == register[1:]+",":
			return true // AVX-512: the result of the comparison
		case fields[0] == "VPXORD" && strings.Contains(line, register+",") && last != register:
			register = last
		case fields[0] == "VPCMPEQD" || !strings.Contains(line, register):
			if line != lines[0] {
				return false
			}
		}
	}
	return false
}

// A loop for inputs that vanish gives the same results as the ordinary loop. A mutant
// may change anything that only decides between the two. It may also change which bits
// show that something does not vanish: with more bits, less is left out.
var (
	lookJump  = regexp.MustCompile(`^\tJ[A-Z]+\s+(look|subnormal|ordinary)\d+$`)
	anyJump   = regexp.MustCompile(`^\tJ|^TEXT`)
	lookTable = regexp.MustCompile(`^(normal|felt)Bits(32|64)$`)
)

// looks reports whether the first line takes part in that decision: it tests or
// combines vectors, and the next jump leads to or from such a loop.
func looks(lines []string) bool {
	if !strings.HasPrefix(lines[0], "\tVPOR") && !strings.HasPrefix(lines[0], "\tVPTEST") {
		return false
	}
	for _, line := range lines {
		if anyJump.MatchString(line) {
			return lookJump.MatchString(line)
		}
	}
	return false
}

// A kind of mutation returns the changed instruction, or nothing if it does
// not fit.
type kind struct {
	name   string
	change func(insn string, ops []string) string
}

// another is a kind of mutation that replaces instructions with others that take the
// same operands.
func another(pairs ...string) kind {
	return kind{"another operation", func(insn string, ops []string) string {
		for i := 0; i < len(pairs); i += 2 {
			if base, ok := strings.CutPrefix(insn, pairs[i]); ok && (base == "" || base == "PS" || base == "PD") {
				return join(pairs[i+1]+base, ops)
			}
		}
		return ""
	}}
}

func join(insn string, ops []string) string { return insn + " " + strings.Join(ops, ", ") }

// named gives a kind of mutation another name.
func named(name string, k kind) kind { k.name = name; return k }

var (
	vector       = regexp.MustCompile(`^[XYZ]\d+$`)
	maskRegister = regexp.MustCompile(`^K[1-7]$`)
	maskTable    = regexp.MustCompile(`^leadingOnes<>\+(\d+)\(SB\)$`)
	field        = regexp.MustCompile(`^(\d*)\(([A-Z0-9]+)\)$`)
)

var kindsOf = map[string][]kind{"amd64": amd64Kinds, "arm64": arm64Kinds}

var amd64Kinds = []kind{
	named("sum", another("VADD", "VMUL", "VSUB", "VADD")),
	named("product", another("VMUL", "VADD", "VDIV", "VMUL")),
	named("bound", another("VMIN", "VMAX", "VMAX", "VMIN", "VPMAXSD", "VPMINSD", "VPMAXSW", "VPMINSW")),
	named("logic", another("VPAND", "VPOR", "VPOR", "VPAND", "VPANDN", "VPAND",
		"VPANDD", "VPORD", "VPANDD.Z", "VPORD.Z", "VPANDQ.Z", "VPORQ.Z", "VPTESTMD", "VPTESTNMD", "VPTESTMQ", "VPTESTNMQ")),
	named("integer sum", another("VPADDD", "VPSUBD", "VPSUBD", "VPADDD", "VPADDQ", "VPSUBQ")),
	named("shuffle", another("VUNPCKLPD", "VUNPCKHPD", "VUNPCKHPD", "VUNPCKLPD", "VPUNPCKLQDQ", "VPUNPCKHQDQ", "VPUNPCKHQDQ", "VPUNPCKLQDQ")),
	named("packing", another("VPACKUSDW", "VPACKSSDW")),
	{"choice turned", func(insn string, ops []string) string {
		if !strings.HasPrefix(insn, "VBLENDV") || !vector.MatchString(ops[1]) {
			return ""
		}
		return join(insn, []string{ops[0], ops[2], ops[1], ops[3]})
	}},
	{"root left out", func(insn string, ops []string) string {
		if base, ok := strings.CutPrefix(insn, "VSQRT"); ok {
			return join("VMOVU"+base, ops)
		}
		return ""
	}},
	{"exclusive or", func(insn string, ops []string) string {
		if insn != "VPXOR" && insn != "VPXORD" || ops[0] == ops[1] { // a register with itself: zero
			return ""
		}
		return join(strings.Replace(insn, "XOR", "AND", 1), ops)
	}},
	{"comparison turned", func(insn string, ops []string) string {
		if !strings.HasPrefix(insn, "VPCMPGT") || !vector.MatchString(ops[0]) {
			return ""
		}
		return join(insn, []string{ops[1], ops[0], ops[2]})
	}},
	{"immediate", func(insn string, ops []string) string {
		other := func(of map[string]string) string {
			if of[ops[0]] == "" {
				return ""
			}
			return join(insn, append([]string{of[ops[0]]}, ops[1:]...))
		}
		switch insn {
		case "VSHUFPS", "VSHUFF64X2":
			return other(map[string]string{"$0x44": "$0xee", "$0xee": "$0x44", "$0x88": "$0xdd", "$0xdd": "$0x88"})
		case "VINSERTF128", "VEXTRACTI128", "VEXTRACTF128", "VINSERTF64X4", "VEXTRACTF64X4":
			return join(insn, append([]string{"$0x00"}, ops[1:]...))
		case "VPTERNLOGD":
			return other(map[string]string{"$0xff": "$0x00", "$0x96": "$0x9e", "$0xec": "$0xee", "$0xf2": "$0xf8"})
		case "VCMPPS": // ordered
			return join(insn, append([]string{"$0x07"}, ops[1:]...))
		case "VCVTPS2PH": // towards zero
			return join(insn, append([]string{"$0x03"}, ops[1:]...))
		case "VPERMQ":
			return join(insn, append([]string{"$0xe4"}, ops[1:]...))
		case "VPBLENDD":
			return join(insn, append([]string{"$0x55"}, ops[1:]...))
		}
		return ""
	}},
	{"shift", func(insn string, ops []string) string {
		switch insn {
		case "VPSRLQ", "VPSLLQ", "VPSRLD", "VPSLLD":
			if ops[0] == "$0x20" {
				return join(insn, append([]string{"$0x1f"}, ops[1:]...))
			}
			if strings.HasPrefix(ops[0], "$") {
				return join(insn, append([]string{ops[0] + " - 1"}, ops[1:]...))
			}
		}
		return ""
	}},
	{"permutation left out", func(insn string, ops []string) string {
		switch insn {
		case "VPERMPS", "VPERMPD", "VPERMW":
			return join("VMOVUPS", []string{ops[0], ops[2]})
		case "VPERMW.Z":
			return join("VMOVDQU16.Z", []string{ops[0], ops[2], ops[3]})
		}
		return ""
	}},
	{"load without its mask", func(insn string, ops []string) string {
		base, ok := strings.CutPrefix(insn, "VMASKMOV")
		if !ok || vector.MatchString(ops[0]) {
			return ""
		}
		return join("VMOVU"+base, []string{ops[0], ops[2]})
	}},
	{"store without its mask", func(insn string, ops []string) string {
		base, ok := strings.CutPrefix(insn, "VMASKMOV")
		if !ok || !vector.MatchString(ops[0]) {
			return ""
		}
		return join("VMOVU"+base, []string{ops[0], ops[2]})
	}},
	{"without its mask", func(insn string, ops []string) string { // AVX-512: of a load, a store or a move
		if len(ops) != 3 || !maskRegister.MatchString(ops[1]) || !strings.HasPrefix(insn, "VMOV") {
			return ""
		}
		return join(strings.TrimSuffix(insn, ".Z"), []string{ops[0], ops[2]})
	}},
	{"mask of all lanes", func(insn string, ops []string) string {
		if insn != "KMOVW" && insn != "KMOVD" || !maskRegister.MatchString(ops[1]) {
			return ""
		}
		return join(strings.Replace(insn, "MOV", "XNOR", 1), []string{ops[1], ops[1], ops[1]})
	}},
	{"mask of one element more", func(insn string, ops []string) string {
		if m := maskTable.FindStringSubmatch(ops[0]); insn == "LEAQ" && m != nil {
			return join(insn, []string{fmt.Sprintf("leadingOnes<>+%s-8(SB)", m[1]), ops[1]})
		}
		return ""
	}},
	{"another scalar", func(insn string, ops []string) string {
		m := field.FindStringSubmatch(ops[0])
		if m == nil || insn != "VBROADCASTSS" && insn != "VBROADCASTSD" || m[1] == "" {
			return ""
		}
		return join(insn, []string{fmt.Sprintf("(%s)", m[2]), ops[1]})
	}},
	{"another multiplier", func(insn string, ops []string) string {
		if m := field.FindStringSubmatch(ops[0]); insn == "VPMULUDQ" && m != nil {
			return join(insn, append([]string{fmt.Sprintf("64(%s)", m[2])}, ops[1:]...))
		}
		return ""
	}},
}

// ---- trees ---------------------------------------------------------------

// A tree is a copy of the module.
type tree struct{ dir, programs string }

func newTree(root string) (*tree, error) {
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return nil, err
	}
	programs, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return nil, err
	}
	t := &tree{dir, programs}
	return t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); rel != "." && (name[0] == '.' || name == "examples" || name == "docs") {
				return filepath.SkipDir
			}
			return os.MkdirAll(filepath.Join(dir, rel), 0o755)
		}
		if !d.Type().IsRegular() || strings.HasPrefix(d.Name(), "go.work") { // names modules that are not copied
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, rel), data, 0o644)
	})
}

func (t *tree) remove() {
	os.RemoveAll(t.dir)
	os.RemoveAll(t.programs)
}

var failLine = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

var nameSuffix = regexp.MustCompile(`(F32|F64|BF16|F16)([A-Z0-9]+)$`)

// subtests selects the subtests of a function's type and instruction set. The others
// would only take time.
func subtests(function string) string {
	m := nameSuffix.FindStringSubmatch(function)
	if m == nil {
		return "" // a table
	}
	return fmt.Sprintf("/^%s$/^%s$", strings.ToLower(m[2]), strings.Replace(strings.ToLower(m[1]), "f", "float", 1))
}

// test runs the tests with the given assembly, first the short ones. It
// returns how they fail, or nothing if they pass.
func (t *tree) test(lines []string, tests string) (how string, err error) {
	if err := os.WriteFile(filepath.Join(t.dir, *file), []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		return "", err
	}
	const binary = "mutant.test"
	build := exec.Command("go", "test", "-c", "-ldflags=-s -w", "-o", binary, ".")
	build.Dir = t.dir
	build.Env = append(os.Environ(), "GOARCH="+goarch(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("does not build: %s", bytes.TrimSpace(out))
	}
	for _, length := range [][]string{{"-test.short=true"}, {"-test.short=false", "-long"}} {
		const limit = 2 * time.Minute
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		command := append(strings.Fields(*emulator), "./"+binary, "-test.run="+tests, "-test.failfast")
		command = append(command, length...)
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.Dir = t.dir
		out, err := cmd.CombinedOutput()
		hangs := ctx.Err() != nil
		cancel()
		switch {
		case hangs:
			return "hangs", nil
		case err != nil:
			return failure(out), nil
		case bytes.Contains(out, []byte("no tests to run")):
			return "", fmt.Errorf("no test matches %s", tests)
		}
		if *short {
			break
		}
	}
	return "", nil
}

// failure is the innermost test that failed, or how the program died.
func failure(out []byte) string {
	if all := failLine.FindAllSubmatch(out, -1); all != nil {
		return string(all[len(all)-1][1])
	}
	first, _, _ := bytes.Cut(bytes.TrimSpace(out), []byte("\n"))
	return "dies: " + string(first)
}
