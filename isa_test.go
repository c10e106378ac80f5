package adahessian

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// An isaChoice is an instruction set that this build and this CPU have; use
// makes the kernels use it. isaChoices, one for each dispatch file, lists them.
type isaChoice struct {
	name string
	use  func()
	slow bool // not used unless a test asks for it
}

// testedISAs is isaChoices, or the one that the environment variable
// ADAHESSIAN_ONLY names: in an emulator time is short.
func testedISAs() []isaChoice {
	only := os.Getenv("ADAHESSIAN_ONLY")
	return slices.DeleteFunc(isaChoices(), func(c isaChoice) bool { return only != "" && c.name != only })
}

// defaultISA is what this CPU uses with none of the given ones.
func defaultISA(without ...string) string {
	best := "generic"
	for _, c := range isaChoices() {
		if !c.slow && !slices.Contains(without, c.name) {
			best = c.name
		}
	}
	return best
}

// isaTested has the instruction sets that a test has run with.
var isaTested = map[string]bool{}

// run selects the instruction set until the test ends.
func (c isaChoice) run(t testing.TB) {
	t.Helper()
	t.Cleanup(saveISA())
	c.use()
	if isa() != c.name {
		t.Fatalf("the kernels use %s where they should use %s", isa(), c.name)
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

// TestMain prints which instruction sets the run has tested. The environment
// variable ADAHESSIAN_REQUIRE, a list such as "avx2", makes it fail where one
// of them was not, so that a green run proves what it claims.
func TestMain(m *testing.M) {
	code := m.Run()
	if worker := flag.Lookup("test.fuzzworker"); worker != nil && worker.Value.String() == "true" {
		os.Exit(code)
	}
	tested := slices.Sorted(maps.Keys(isaTested))
	if len(tested) > 0 {
		fmt.Fprintln(os.Stderr, "instruction sets tested:", strings.Join(tested, ", "))
	}
	if missing := untested(os.Getenv("ADAHESSIAN_REQUIRE"), isaTested); len(missing) > 0 {
		fmt.Fprintln(os.Stderr, "FAIL: ADAHESSIAN_REQUIRE names instruction sets that were not tested:", strings.Join(missing, ", "))
		code = max(code, 1)
	}
	os.Exit(code)
}

// untested returns the names of the list that tested does not have.
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
	} {
		t.Setenv("ADAHESSIAN_DISABLE", c.list)
		if got := disabled(c.isa); got != c.want {
			t.Errorf("ADAHESSIAN_DISABLE=%q: disabled(%q) = %v", c.list, c.isa, got)
		}
	}
}

// printISA is the environment variable that makes TestISA print ISA().
const printISA = "ADAHESSIAN_TEST_PRINT_ISA"

// TestISA starts this program again with variables that choose the instruction
// set, which are read when it starts. ADAHESSIAN_DEFAULT tells what the CPU
// uses without any, where whoever runs the test knows.
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
	for _, c := range []struct{ variable, want string }{
		{"ADAHESSIAN_DISABLE=", best},
		{"ADAHESSIAN_DISABLE=none", best},
		{"ADAHESSIAN_DISABLE=avx512", defaultISA("avx512")},
		{"ADAHESSIAN_DISABLE=avx2", defaultISA("avx2")},
		{"ADAHESSIAN_DISABLE=avx512,avx2,neon", "generic"},
		{"GODEBUG=cpu.avx512=off", defaultISA("avx512")},
		{"GODEBUG=cpu.avx512bw=off", defaultISA("avx512")},
		{"GODEBUG=cpu.all=off", "generic"},
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
	}
}
