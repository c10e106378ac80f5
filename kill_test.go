package adahessian_test

import (
	"bytes"
	"errors"
	"flag"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/adahessian-go/adahessian"
)

var kills = flag.Int("kills", 10, "how often TestKilledWhileSaving kills a process, for each type")

// killedPath is the environment variable that makes TestKilledWhileSaving train
// and save, there, until it is killed; killedType is "float32" or "float64".
const killedPath, killedType = "ADAHESSIAN_TEST_KILL", "ADAHESSIAN_TEST_KILL_TYPE"

// TestKilledWhileSaving kills a process again and again that trains and saves
// its values and state after every step, each time at a random moment. There is
// always a whole checkpoint, from which the next process goes on; and what has
// been trained in all those pieces has the bits of a run in one.
func TestKilledWhileSaving(t *testing.T) {
	if path := os.Getenv(killedPath); path != "" {
		if os.Getenv(killedType) == "float32" {
			trainUntilKilled[float32](t, path)
		}
		trainUntilKilled[float64](t, path)
	}
	t.Run("float32", func(t *testing.T) { testKilledWhileSaving[float32](t, "float32") })
	t.Run("float64", func(t *testing.T) { testKilledWhileSaving[float64](t, "float64") })
}

// killedLen is so many elements that most of the time goes into saving them.
const killedLen = 100_000

// trainUntilKilled goes on where the last process was killed.
func trainUntilKilled[T adahessian.Float](t *testing.T, path string) {
	r := newTrainee[T](t, killedLen)
	if err := r.loadFile(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	os.Stdout.WriteString("@ready\n")
	for {
		r.step(t)
		if err := replaceFile(path, r.save); err != nil {
			t.Fatal(err)
		}
	}
}

func testKilledWhileSaving[T adahessian.Float](t *testing.T, name string) {
	exe, err := os.Executable()
	if err != nil {
		t.Skip(err)
	}
	n := *kills
	if testing.Short() {
		n = min(n, 5)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "checkpoint")
	loaded, whole := newTrainee[T](t, killedLen), newTrainee[T](t, killedLen)
	random := rand.New(rand.NewPCG(1, uint64(len(name))))
	saving, progress := 0, uint64(0)
	for kill := range n {
		child := exec.Command(exe, "-test.run=^TestKilledWhileSaving$", "-test.timeout=60s") // should nobody kill it
		child.Env = append(os.Environ(), killedPath+"="+path, killedType+"="+name, "ADAHESSIAN_REQUIRE=")
		stdout, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Skip("cannot start this program again: ", err) // as under an emulator
		}
		line := make([]byte, len("@ready\n"))
		if _, err := stdout.Read(line); err != nil || string(line) != "@ready\n" {
			child.Process.Kill()
			child.Wait()
			t.Fatalf("the process says %q, %v", line, err)
		}
		time.Sleep(time.Duration(random.IntN(30_000)) * time.Microsecond)
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		child.Wait()

		// A temporary file is what a save leaves that was under way.
		left, err := filepath.Glob(filepath.Join(dir, "*.tmp"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range left {
			saving++
			os.Remove(f)
		}
		if err := loaded.loadFile(path); errors.Is(err, fs.ErrNotExist) && progress == 0 {
			continue // killed before it had saved for the first time
		} else if err != nil {
			t.Fatalf("after kill %d: %v", kill, err)
		}
		if loaded.opt.Steps() < progress {
			t.Fatalf("after kill %d: the checkpoint is of step %d, and had been of step %d", kill, loaded.opt.Steps(), progress)
		}
		progress = loaded.opt.Steps()
		for whole.opt.Steps() < progress {
			whole.step(t)
		}
		if !bytes.Equal(whole.bits(t), loaded.bits(t)) {
			t.Fatalf("after kill %d: step %d differs from that of a run in one piece", kill, progress)
		}
	}
	t.Logf("%d kills, %d of them in the middle of a save; %d steps, as in one piece", n, saving, progress)
	if saving == 0 && n >= 10 {
		t.Error("no process was killed while it saved")
	}
}
