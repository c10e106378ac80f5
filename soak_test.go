package adahessian

import (
	"encoding/hex"
	"flag"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
)

var (
	soakTime = flag.Duration("soak", 0, "how long TestSoak runs; 0: a moment")
	soakSeed = flag.Uint64("soak-seed", 1, "of the ordeals of TestSoak")
)

// FuzzStep runs an ordeal out of the fuzzer's bytes.
func FuzzStep(f *testing.F) {
	for seed := range uint64(40) {
		f.Add(ordealBytes(seed, 0))
	}
	f.Fuzz(func(t *testing.T, data []byte) { runOrdeal(t, data, &tally{}) })
}

// ordealBytes are random bytes for an ordeal.
func ordealBytes(seed, run uint64) []byte {
	r := rand.New(rand.NewPCG(seed, run))
	data := make([]byte, r.IntN(300))
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return data
}

// TestSoak runs random ordeals for as long as -soak says, up to the first bit
// that is lost. One in which not everything has happened proves nothing, so a
// slow machine takes longer.
func TestSoak(t *testing.T) {
	limit := *soakTime
	if limit == 0 {
		limit = 500 * time.Millisecond
	}
	var n tally
	var data []byte
	defer func() {
		if t.Failed() {
			t.Logf("the ordeal's bytes: %s", hex.EncodeToString(data))
		}
	}()
	start, told := time.Now(), time.Duration(0)
	for run := uint64(0); time.Since(start) < limit || !n.everything() && time.Since(start) < limit+time.Minute; run++ {
		data = ordealBytes(*soakSeed, run)
		runOrdeal(t, data, &n)
		if at := time.Since(start).Truncate(time.Minute); at > told {
			told = at
			t.Logf("%v: %v", at, n)
		}
	}
	t.Logf("%v on %s/%s with %s, seed %d: %v", time.Since(start).Round(time.Second),
		runtime.GOOS, runtime.GOARCH, runtime.Version(), *soakSeed, n)
	if !n.everything() {
		t.Error("not everything has happened")
	}
}
