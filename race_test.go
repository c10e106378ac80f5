//go:build race

package adahessian

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// racedRun is the environment variable that makes TestRaceNotes race.
const racedRun = "ADAHESSIAN_TEST_RACE"

// racedCall is a call with what it reads and what it writes.
type racedCall[T Float] struct {
	name  string
	reads map[string][]T
	write map[string][]T
	run   func()
}

// racedCalls returns calls of everything that calls kernels.
func racedCalls[T Float]() []racedCall[T] {
	const n = 36
	of := func() []T { return make([]T, n) }
	type set = map[string][]T
	var calls []racedCall[T]
	add := func(name string, reads, write set, run func()) {
		calls = append(calls, racedCall[T]{name, reads, write, run})
	}
	z, finite := of(), of()
	add("Rademacher", nil, set{"z": z}, func() { Rademacher(z, 1, 2, 3) })
	add("FirstNonFinite", set{"x": finite}, nil, func() { FirstNonFinite(finite) })
	for _, l := range []Layout{{n, 1, 1}, {n / 9, 9, 1}, {2, 3, n / 6}} {
		for samples := 1; samples <= 2; samples++ {
			for _, k := range []float64{1, 0.75} {
				opts := DefaultOptions()
				opts.HessianPower, opts.Samples = k, samples
				theta, g, hz := of(), of(), of()
				opt, err := New(opts, Param[T]{Value: theta, Layout: l})
				if err != nil {
					panic(err)
				}
				m, v := opt.State(0)
				add(fmt.Sprintf("Step %+v %v, %d probes", l, k, samples), set{"g": g, "hz": hz}, set{"theta": theta, "m": m, "v": v}, func() {
					if err := opt.Step([][]T{g}, func(own, z [][]T) error { own[0] = hz; return nil }); err != nil {
						panic(err)
					}
				})
			}
		}
		d, x := make([]T, l.Blocks()), of()
		add(fmt.Sprintf("BlockMeanAbs %+v", l), set{"x": x}, set{"d": d}, func() { BlockMeanAbs(d, x, l) })
		for _, k := range []float64{1, 0.75} {
			h := DefaultHyper()
			h.HessianPower = k
			c, err := NewCoefficients[T](h, 1, 1)
			if err != nil {
				panic(err)
			}
			theta, m, v, g, hz := of(), of(), make([]T, l.Blocks()), of(), of()
			add(fmt.Sprintf("Update %+v %v", l, k), set{"g": g, "hz": hz}, set{"theta": theta, "m": m, "v": v},
				func() { Update(theta, m, v, g, hz, l, &c) })
			for _, fresh := range []bool{true, false} {
				theta, m, v, g, hz, kept := of(), of(), make([]T, l.Blocks()), of(), of(), make([]T, l.Blocks())
				scratch := make([]T, onePassWidth)
				reads, write := set{"g": g, "hz": hz}, set{"theta": theta, "m": m, "v": v, "kept": kept}
				if !fresh {
					hz = nil
					reads, write = set{"g": g, "kept": kept}, set{"theta": theta, "m": m, "v": v}
				}
				add(fmt.Sprintf("updatePanel %+v %v, fresh %v", l, k, fresh), reads, write,
					func() { updatePanel(theta, m, v, g, hz, kept, l.panel(), &c, scratch) })
			}
		}
	}
	// Some columns of a wider tensor: what lies between them is not touched.
	p, scratch := panel{1, 3, 12, 5}, make([]T, onePassWidth)
	c, err := NewCoefficients[T](DefaultHyper(), 1, 1)
	if err != nil {
		panic(err)
	}
	theta, m, v, g, hz := of(), of(), of(), of(), of()
	columns := func(x []T) []T { return x[2*12+4:][:1] }
	add("columns", set{"g": columns(g), "hz": columns(hz)}, set{"theta": columns(theta), "m": columns(m), "v": v[4:5]},
		func() { updatePanel(theta, m, v, g, hz, nil, p, &c, scratch) })
	return calls
}

// race runs every call concurrently with an access to the first and to the last element
// of each of its slices, and says on standard error which. The memory is new each time,
// since the race detector remembers few accesses to the same memory.
func race[T Float]() {
	for i := range racedCalls[T]() {
		for name := range racedCalls[T]()[i].reads {
			for _, last := range []bool{false, true} {
				c := racedCalls[T]()[i]
				x := end(c.reads[name], last)
				c.beside("write "+name, last, func() { x[0] = 1 })
			}
		}
		for name := range racedCalls[T]()[i].write {
			for _, last := range []bool{false, true} {
				c := racedCalls[T]()[i]
				x := end(c.write[name], last)
				c.beside("read "+name, last, func() { fmt.Fprint(io.Discard, x[0]) })
			}
		}
	}
}

// end returns the first or the last element of x.
func end[T Float](x []T, last bool) []T {
	if last {
		return x[len(x)-1:]
	}
	return x[:1]
}

// beside makes the call and the access at the same time.
func (c racedCall[T]) beside(what string, last bool, access func()) {
	fmt.Fprintf(os.Stderr, "@ %T %s: %s, last %v\n", T(0), c.name, what, last)
	done := make(chan bool)
	go func() {
		access()
		close(done)
	}()
	c.run()
	<-done
}

// TestRaceNotes makes sure that the race detector sees what kernels read and write. A
// race makes its program fail, so the races run in another program.
func TestRaceNotes(t *testing.T) {
	if os.Getenv(racedRun) != "" {
		race[float32]()
		race[float64]()
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Skip(err)
	}
	child := exec.Command(exe, "-test.run=^TestRaceNotes$")
	child.Env = append(os.Environ(), racedRun+"=1", "ADAHESSIAN_REQUIRE=",
		"GORACE=halt_on_error=0 suppress_equal_stacks=0 suppress_equal_addresses=0 atexit_sleep_ms=0")
	out, _ := child.CombinedOutput()
	races := strings.Split(string(out), "\n@ ")
	if len(races) < 100 {
		t.Fatalf("%d races tried:\n%s", len(races), out)
	}
	for _, r := range races {
		what, report, _ := strings.Cut(strings.TrimPrefix(r, "@ "), "\n")
		if !strings.Contains(report, "WARNING: DATA RACE") {
			t.Errorf("not seen: %s", what)
		}
	}
	t.Logf("%d races tried", len(races))
}
