package adahessian_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/adahessian-go/adahessian"
)

// trainee is a run whose checkpoint holds the values and the state. It uses only the
// public API, with two samples and a refresh at every third step.
type trainee[T adahessian.Float] struct {
	opt    *adahessian.Optimizer[T]
	values [][]T
	grads  [][]T
}

// newTrainee makes one with the given number of elements, and some more.
func newTrainee[T adahessian.Float](t testing.TB, n int) *trainee[T] {
	t.Helper()
	r := &trainee[T]{}
	opts := adahessian.DefaultOptions()
	opts.Samples, opts.UpdateEach, opts.Seed = 2, 3, 11
	params := []adahessian.Param[T]{
		{Name: "large", Layout: adahessian.Elementwise(n)},
		{Name: "rows", Layout: adahessian.Layout{Outer: 5, Block: 9, Inner: 1}},
	}
	for i := range params {
		p := &params[i]
		p.Value = make([]T, p.Layout.Len())
		for e := range p.Value {
			p.Value[e] = T(e%11) - 5
		}
		r.values, r.grads = append(r.values, p.Value), append(r.grads, make([]T, len(p.Value)))
	}
	var err error
	if r.opt, err = adahessian.New(opts, params...); err != nil {
		t.Fatal(err)
	}
	return r
}

// step makes a step on ½Σ(1+e%3)·x², with noise that depends on the step.
func (r *trainee[T]) step(t testing.TB) {
	t.Helper()
	for i, x := range r.values {
		for e := range x {
			r.grads[i][e] = T(T(1+e%3)*x[e]) + T((uint64(e)+r.opt.Steps()*7)%11)/8
		}
	}
	err := r.opt.Step(r.grads, func(hz, z [][]T) error {
		for i := range z {
			for e := range z[i] {
				hz[i][e] = T(1+e%3)*z[i][e] + 0.25
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (r *trainee[T]) save(w io.Writer) error {
	for _, x := range r.values {
		if err := binary.Write(w, binary.LittleEndian, x); err != nil {
			return err
		}
	}
	_, err := r.opt.WriteTo(w)
	return err
}

func (r *trainee[T]) load(f io.Reader) error {
	for _, x := range r.values {
		if err := binary.Read(f, binary.LittleEndian, x); err != nil {
			return err
		}
	}
	_, err := r.opt.ReadFrom(f)
	return err
}

func (r *trainee[T]) loadFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return r.load(f)
}

// bits returns everything that training changes.
func (r *trainee[T]) bits(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := r.save(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var errFull = errors.New("the disk is full")

// fullDisk takes some bytes and then no more.
type fullDisk struct {
	w    io.Writer
	room int
}

func (d *fullDisk) Write(p []byte) (int, error) {
	if len(p) > d.room {
		n, _ := d.w.Write(p[:d.room])
		d.room = 0
		return n, errFull
	}
	d.room -= len(p)
	return d.w.Write(p)
}

// TestReplaceFile saves, fails to save at every byte, and each time loads what is
// there.
func TestReplaceFile(t *testing.T) {
	if runtime.GOOS == "js" || runtime.GOOS == "wasip1" {
		t.Skip("no directory to sync")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "checkpoint")
	r := newTrainee[float64](t, 40)
	for range 2 { // the second replaces the first
		r.step(t)
		if err := replaceFile(path, r.save); err != nil {
			t.Fatal(err)
		}
	}
	want := r.bits(t)
	r.step(t)
	apart := 1
	if testing.Short() {
		apart = 97
	}
	for room := 0; room < len(want); room += apart {
		err := replaceFile(path, func(w io.Writer) error { return r.save(&fullDisk{w, room}) })
		if !errors.Is(err, errFull) {
			t.Fatalf("a disk with room for %d bytes: %v", room, err)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("%d files, %v", len(files), err)
	}
	if err := r.loadFile(path); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(r.bits(t), want) {
		t.Error("the state that was read is not the one that was written")
	}
}

var kills = flag.Int("kills", 10, "how often TestKilledWhileSaving kills a process, for each type")

// killedPath is the environment variable that makes TestKilledWhileSaving train, and
// save to the path in it, until it is killed. killedType is "float32" or "float64".
const killedPath, killedType = "ADAHESSIAN_TEST_KILL", "ADAHESSIAN_TEST_KILL_TYPE"

// TestKilledWhileSaving runs a process that trains and saves its values and state after
// every step, and kills it again and again at random moments. There is always a whole
// checkpoint, from which the next process continues. What has been trained in all those
// pieces has the bits of an uninterrupted run.
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

// killedLen is large enough that most of the time goes into saving.
const killedLen = 100_000

// trainUntilKilled continues where the last process was killed.
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
		child := exec.Command(exe, "-test.run=^TestKilledWhileSaving$", "-test.timeout=60s") // in case nobody kills it
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

		// A save that was under way leaves a temporary file.
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
			t.Fatalf("after kill %d: the checkpoint is of step %d, and was of step %d before", kill, loaded.opt.Steps(), progress)
		}
		progress = loaded.opt.Steps()
		for whole.opt.Steps() < progress {
			whole.step(t)
		}
		if !bytes.Equal(whole.bits(t), loaded.bits(t)) {
			t.Fatalf("after kill %d: step %d differs from that of an uninterrupted run", kill, progress)
		}
	}
	t.Logf("%d kills, %d of them in the middle of a save; %d steps, as in one piece", n, saving, progress)
	if saving == 0 && n >= 10 {
		t.Error("no process was killed while it saved")
	}
}
