package adahessian

import (
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// panics returns what f panics with, or nil.
func panics(f func()) (value any) {
	defer func() { value = recover() }()
	f()
	return nil
}

func wantPanic(t *testing.T, what string, want any, f func()) {
	t.Helper()
	if got := panics(f); got != want {
		t.Errorf("%s: panic %v, want %v", what, got, want)
	}
}

// badLayouts are invalid layouts.
var badLayouts = []Layout{{}, {1, 0, 1}, {-1, 1, 1}, {1, -1, 1}, {1, 1, -1}, {-1, 1, -1}, {math.MaxInt, 2, 1}, {math.MaxInt/2 + 1, 1, 2}, {math.MaxInt, math.MaxInt, math.MaxInt}}

func TestUpdatePanics(t *testing.T) {
	c, err := NewCoefficients[float32](DefaultHyper(), 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float32, 100)
	for _, l := range badLayouts {
		wantPanic(t, "bad layout", "adahessian: Update: invalid layout", func() { Update(x, x, x, x, x, l, &c) })
	}
	lengths := func(theta, m, v, g, hz int) func() {
		return func() { Update(x[:theta], x[:m], x[:v], x[:g], x[:hz], Layout{2, 9, 1}, &c) }
	}
	const text = "adahessian: Update: lengths do not fit the layout"
	for _, by := range []int{-1, 1} {
		wantPanic(t, "theta", text, lengths(18+by, 18, 2, 18, 18))
		wantPanic(t, "m", text, lengths(18, 18+by, 2, 18, 18))
		wantPanic(t, "v", text, lengths(18, 18, 2+by, 18, 18))
		wantPanic(t, "g", text, lengths(18, 18, 2, 18+by, 18))
		wantPanic(t, "hz", text, lengths(18, 18, 2, 18, 18+by))
	}
	wantPanic(t, "v with one value for each element", text, lengths(18, 18, 18, 18, 18))
	wantPanic(t, "zero Coefficients", "adahessian: Update: Coefficients not made by NewCoefficients", func() {
		Update(x[:18], x[:18], x[:2], x[:18], x[:18], Layout{2, 9, 1}, new(Coefficients[float32]))
	})
	for i, f := range x {
		if f != 0 {
			t.Fatalf("a call that panics wrote x[%d]", i)
		}
	}
}

func TestBlockMeanAbsPanics(t *testing.T) {
	x := make([]float64, 100)
	for _, l := range badLayouts {
		wantPanic(t, "bad layout", "adahessian: BlockMeanAbs: invalid layout", func() { BlockMeanAbs(x, x, l) })
	}
	const text = "adahessian: BlockMeanAbs: lengths do not fit the layout"
	for _, c := range []struct{ d, x int }{{1, 18}, {3, 18}, {2, 17}, {2, 19}, {0, 0}, {18, 18}} {
		wantPanic(t, "lengths", text, func() { BlockMeanAbs(x[:c.d], x[50:][:c.x], Layout{2, 9, 1}) })
	}
	wantPanic(t, "nothing wrong", nil, func() { BlockMeanAbs(x[:2], x[50:][:18], Layout{2, 9, 1}) })
}

// TestEmpty gives the exported functions nothing to do, in every possible way. A loop
// over the longest axis here would never end.
func TestEmpty(t *testing.T) {
	eachISAAndType(t, testEmpty[float32], testEmpty[float64])
}

func testEmpty[T Float](t *testing.T) {
	for _, k := range []float64{1, 0.75} {
		h := DefaultHyper()
		h.HessianPower = k
		c, err := NewCoefficients[T](h, 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range []Layout{{0, 1, 1}, {0, 9, 1}, {0, 9, 9}, {9, 1, 0}, {9, 9, 0}, {0, 1, 0}, {0, 9, math.MaxInt}, {0, math.MaxInt, math.MaxInt},
			{math.MaxInt, 1, 0}, {math.MaxInt, 9, 0}, {math.MaxInt, math.MaxInt, 0}} {
			Update(nil, nil, nil, nil, nil, l, &c)
			BlockMeanAbs(nil, []T{}, l)
		}
	}
	Rademacher([]T(nil), 1, 2, 3)
	Rademacher([]T{}, 1, 2, math.MaxUint64)
}

// TestKernelsDoNotAllocate passes slices on the caller's stack. A kernel that the
// compiler cannot see through would move them to the heap.
func TestKernelsDoNotAllocate(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		t.Run("float32", testNoAllocations[float32])
		t.Run("float64", testNoAllocations[float64])
		t.Run("named", testNoAllocations[weight])
	})
}

func testNoAllocations[T Float](t *testing.T) {
	for _, k := range []float64{1, 0.75} {
		for _, l := range []Layout{{90, 1, 1}, {10, 9, 1}, {2, 9, 5}} {
			allocs := allocsPerRun(20, func() {
				var theta, m, v, g, hz [90]T
				h := DefaultHyper()
				h.HessianPower = k
				c, err := NewCoefficients[T](h, 3, 1)
				if err != nil {
					panic(err)
				}
				Rademacher(hz[:], 1, 2, 3)
				BlockMeanAbs(v[:l.Blocks()], hz[:], l)
				Update(theta[:], m[:], v[:l.Blocks()], g[:], hz[:], l, &c)
			})
			if allocs != 0 {
				t.Errorf("k=%v %+v: %v allocations", k, l, allocs)
			}
		}
	}
}

// TestLongBlocksDoNotAllocate is the same for sums of several runs.
func TestLongBlocksDoNotAllocate(t *testing.T) {
	x := make([]float32, 4*runLen)
	eachISA(t, func(t *testing.T) {
		for _, l := range []Layout{{1, 4 * runLen, 1}, {1, 2 * runLen, 2}} {
			if allocs := allocsPerRun(3, func() {
				var d [2]float32
				BlockMeanAbs(d[:l.Blocks()], x, l)
			}); allocs != 0 {
				t.Errorf("%+v: %v allocations", l, allocs)
			}
		}
	})
}

// An isaChoice is an instruction set that this build and this CPU have. use makes the
// kernels use it.
type isaChoice struct {
	name string
	use  func()
	slow bool // not used unless a test asks for it
}

// The instruction sets that this build and this CPU have, the best one last, and a
// function that restores the present choice. An architecture with assembly has its own,
// in its file.
var (
	isaChoices = func() []isaChoice { return []isaChoice{{name: "generic", use: func() {}}} }
	saveISA    = func() func() { return func() {} }
)

// testedISAs returns isaChoices, or only the one that the environment variable
// ADAHESSIAN_ONLY names, which saves time in an emulator.
func testedISAs() []isaChoice {
	only := os.Getenv("ADAHESSIAN_ONLY")
	return slices.DeleteFunc(isaChoices(), func(c isaChoice) bool { return only != "" && c.name != only })
}

// defaultISA returns what this CPU uses without the given instruction sets.
func defaultISA(without ...string) string {
	best := "generic"
	for _, c := range isaChoices() {
		if !c.slow && !slices.Contains(without, c.name) {
			best = c.name
		}
	}
	return best
}

// isaTested holds the instruction sets with which a test has run.
var isaTested = map[string]bool{}

// run selects the instruction set until the test ends.
func (c isaChoice) run(t testing.TB) {
	t.Helper()
	t.Cleanup(saveISA())
	c.use()
	if isa() != c.name {
		t.Fatalf("the kernels use %s instead of %s", isa(), c.name)
	}
	isaTested[c.name] = true
}

// eachISA runs f as a subtest with each instruction set.
func eachISA(t *testing.T, f func(t *testing.T)) {
	for _, c := range testedISAs() {
		t.Run(c.name, func(t *testing.T) {
			c.run(t)
			f(t)
		})
	}
}

// eachISAAndType is eachISA for tests with a type parameter.
func eachISAAndType(t *testing.T, f32, f64 func(t *testing.T)) {
	eachISA(t, func(t *testing.T) {
		t.Run("float32", f32)
		t.Run("float64", f64)
	})
}

// TestMain prints which instruction sets the run has tested, and what its tests have
// left to longer ones. With the environment variable ADAHESSIAN_REQUIRE, a list such as
// "avx2", it fails if one of these was not tested, so that a green run proves what it
// claims.
func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() == "" {
		workerLen = 32 << 10 // so that several goroutines share tensors that take little time
	}
	code := m.Run()
	if worker := flag.Lookup("test.fuzzworker"); worker != nil && worker.Value.String() == "true" {
		os.Exit(code)
	}
	tested := slices.Sorted(maps.Keys(isaTested))
	if len(tested) > 0 {
		fmt.Fprintln(os.Stderr, "instruction sets tested:", strings.Join(tested, ", "))
	}
	for _, what := range slices.Sorted(maps.Keys(leftOut)) {
		fmt.Fprintf(os.Stderr, "left out: %s (%s)\n", what, leftOut[what])
	}
	if missing := untested(os.Getenv("ADAHESSIAN_REQUIRE"), isaTested); len(missing) > 0 {
		fmt.Fprintln(os.Stderr, "FAIL: ADAHESSIAN_REQUIRE names instruction sets that were not tested:", strings.Join(missing, ", "))
		code = max(code, 1)
	}
	os.Exit(code)
}

// untested returns the names in the list that are not in tested.
func untested(list string, tested map[string]bool) (missing []string) {
	for _, name := range strings.Split(list, ",") {
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" && !tested[name] {
			missing = append(missing, name)
		}
	}
	return missing
}

func TestUntested(t *testing.T) {
	tested := map[string]bool{"generic": true, "avx2": true}
	for _, c := range []struct{ list, want string }{
		{"", ""}, {"avx2", ""}, {" AVX2 , generic", ""}, {"avx512", "avx512"}, {"neon,avx2,avx512", "neon avx512"},
	} {
		if got := strings.Join(untested(c.list, tested), " "); got != c.want {
			t.Errorf("untested(%q) = %q, want %q", c.list, got, c.want)
		}
	}
}

func TestDisabled(t *testing.T) {
	for _, c := range []struct {
		list, isa string
		want      bool
	}{
		{"", "avx2", false}, {"avx2", "avx2", true}, {"avx512", "avx2", false}, {"avx2", "avx512", false},
		{"avx512,avx2", "avx2", true}, {" avx512 , AVX2 ", "avx2", true}, {"avx", "avx2", false}, {"neon", "neon", true},
		{"all", "avx2", true}, {"avx2, ALL", "avx512", true}, {"all,none", "neon", true}, {"al", "avx2", false}, {"generic", "avx2", false},
	} {
		t.Setenv("ADAHESSIAN_DISABLE", c.list)
		if got := disabled(c.isa); got != c.want {
			t.Errorf("ADAHESSIAN_DISABLE=%q: disabled(%q) = %v", c.list, c.isa, got)
		}
	}
}

// endsWithParent makes the system end a program that a test starts when the test's own
// program ends, however that happens. Not every system can.
var endsWithParent = func(*exec.Cmd) {}

// printISA is the environment variable that makes TestISA print ISA().
const printISA = "ADAHESSIAN_TEST_PRINT_ISA"

// TestISA starts this program again with variables that choose the instruction set,
// since they are read at the start. If you know what the CPU uses without any of them,
// say so in ADAHESSIAN_DEFAULT.
func TestISA(t *testing.T) {
	if os.Getenv(printISA) != "" {
		fmt.Printf("ISA=%s\n", ISA())
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Skip(err)
	}
	best := defaultISA()
	if want := os.Getenv("ADAHESSIAN_DEFAULT"); want != "" && best != want {
		t.Errorf("the default is %s, want %s", best, want)
	}
	for _, c := range []struct{ variable, want, unknown string }{
		{"ADAHESSIAN_DISABLE=", best, ""},
		{"ADAHESSIAN_DISABLE=none", best, "none"},
		{"ADAHESSIAN_DISABLE=avx512", defaultISA("avx512"), ""},
		{"ADAHESSIAN_DISABLE=avx2", defaultISA("avx2"), ""},
		{"ADAHESSIAN_DISABLE=avx512,avx2,neon", "generic", ""},
		{"ADAHESSIAN_DISABLE=All", "generic", ""},
		{"ADAHESSIAN_DISABLE=avx,all,sse", "generic", "avx,sse"},
		{"GODEBUG=cpu.avx512=off", defaultISA("avx512"), ""},
		{"GODEBUG=cpu.avx512f=off", defaultISA("avx512"), ""},
		{"GODEBUG=cpu.avx512bw=off", defaultISA("avx512"), ""},
		{"GODEBUG=cpu.all=off", "generic", ""},
	} {
		if best == "neon" && strings.HasPrefix(c.variable, "GODEBUG") {
			continue // every arm64 CPU has it
		}
		child := exec.Command(exe, "-test.run=^TestISA$", "-test.v")
		child.Env = append(os.Environ(), printISA+"=1", "ADAHESSIAN_REQUIRE=", "ADAHESSIAN_DISABLE=", "GODEBUG=", c.variable)
		out, err := child.CombinedOutput()
		if err != nil && len(out) == 0 {
			t.Skip("cannot start this program again: ", err) // as under an emulator
		}
		if err != nil || !strings.Contains(string(out), "ISA="+c.want+"\n") {
			t.Errorf("%s: want ISA() = %q (%v):\n%s", c.variable, c.want, err, out)
		}
		note, notes := fmt.Sprintf("ADAHESSIAN_DISABLE names no instruction set: %q", c.unknown), 0
		if c.unknown != "" {
			notes = 1
		}
		if all := strings.Count(string(out), "names no instruction set"); all != notes || strings.Count(string(out), note) != notes {
			t.Errorf("%s: want %d notes on %q:\n%s", c.variable, notes, c.unknown, out)
		}
	}
}
