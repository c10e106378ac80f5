//go:build gc && !purego && !asan && !msan

package adahessian

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestAVX512Choice(t *testing.T) {
	all := avx512{os: "linux", saved: true, f: true, dq: true, bw: true, vl: true, popcntdq: true}
	without := func(change func(a *avx512)) avx512 {
		a := all
		change(&a)
		return a
	}
	for _, c := range []struct {
		name         string
		machine      avx512
		has, prefers bool
	}{
		{"Ice Lake, Zen 4 and later", all, true, true},
		{"on windows", without(func(a *avx512) { a.os = "windows" }), true, true},
		{"Skylake-X, Cascade Lake", without(func(a *avx512) { a.popcntdq = false }), true, false},
		{"on darwin", without(func(a *avx512) { a.os = "darwin" }), false, true},
		{"registers not saved", without(func(a *avx512) { a.saved = false }), false, true},
		{"without F", without(func(a *avx512) { a.f = false }), false, true},
		{"Knights Mill, without DQ", without(func(a *avx512) { a.dq = false }), false, true},
		{"without BW", without(func(a *avx512) { a.bw = false }), false, true},
		{"without VL", without(func(a *avx512) { a.vl = false }), false, true},
		{"none", avx512{os: "linux"}, false, false},
	} {
		if has, prefers := c.machine.hasAVX512(), c.machine.prefersAVX512(); has != c.has || prefers != c.prefers {
			t.Errorf("%s: has %v, prefers %v, want %v and %v", c.name, has, prefers, c.has, c.prefers)
		}
	}
}

// TestChoiceOnOtherCPUs runs this program on processors that qemu emulates, asks what
// it uses, and has it convert halves, for which AVX2 alone is not enough. None of them
// has AVX-512, which qemu lacks too.
func TestChoiceOnOtherCPUs(t *testing.T) {
	qemu, err := exec.LookPath("qemu-x86_64")
	if err != nil {
		t.Skip(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Skip(err)
	}
	for _, c := range []struct{ cpu, want string }{
		{"Haswell", "avx2"}, {"Haswell,-f16c", "avx2"}, {"SandyBridge", "generic"}, {"Penryn", "generic"}, {"qemu64", "generic"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		child := exec.CommandContext(ctx, qemu, "-cpu", c.cpu, exe, "-test.run=^(TestISA|TestKernelWidenAll)$", "-test.v")
		endsWithParent(child)
		child.Env = append(os.Environ(), printISA+"=1", "ADAHESSIAN_REQUIRE=", "ADAHESSIAN_DISABLE=")
		out, err := child.CombinedOutput()
		cancel()
		if c.cpu != "Haswell" && strings.Contains(string(out), "can only be run on AMD64 processors with") {
			t.Logf("%s: built for newer processors", c.cpu) // with GOAMD64
			continue
		}
		if err != nil || !strings.Contains(string(out), "ISA="+c.want+"\n") || !strings.Contains(string(out), "--- PASS: TestKernelWidenAll ") {
			t.Errorf("%s: want ISA() = %q (%v):\n%s", c.cpu, c.want, err, out)
		}
	}
}

func init() {
	isaChoices = func() []isaChoice {
		choice := func(name string, avx2, avx512 bool) isaChoice {
			return isaChoice{name: name, use: func() { useAVX2, useAVX512 = avx2, avx512 }}
		}
		choices := []isaChoice{choice("generic", false, false)}
		if hasAVX2 {
			choices = append(choices, choice("avx2", true, false))
		}
		if hasAVX512 {
			c := choice("avx512", true, true)
			c.slow = !machine.prefersAVX512()
			choices = append(choices, c)
		}
		return choices
	}
	saveISA = func() func() {
		avx2, avx512 := useAVX2, useAVX512
		return func() { useAVX2, useAVX512 = avx2, avx512 }
	}
}

func TestStreamFrom(t *testing.T) {
	for cache, want := range map[int]int{-1: 16 << 20, 0: 16 << 20, 4 << 20: 2 << 20, 256 << 20: 128 << 20} {
		if got := streamFrom(cache); got != want {
			t.Errorf("streamFrom(%d) = %d, want %d", cache, got, want)
		}
	}
}
