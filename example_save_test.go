package adahessian_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"runtime"

	"github.com/adahessian-go/adahessian"
)

// replaceFile replaces the file at path with what write writes. Whoever opens path, at
// any time and after any crash, finds a whole file, either the old one or the new one.
func replaceFile(path string, write func(w io.Writer) error) error {
	dir := filepath.Dir(path) // a rename must stay in one file system
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails after the rename, as it should
	defer f.Close()
	if err := write(f); err != nil {
		return err
	}
	if err := f.Sync(); err != nil { // the data, before the name points to it
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a rename in the directory durable.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // Windows has no such call
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Values and state are saved in one file. It is written next to the old one, synced, and
// renamed, so that a crash at any moment leaves a whole file. To load it, make the
// optimizer in the same way as the first one.
func ExampleOptimizer_WriteTo() {
	opts := adahessian.DefaultOptions()
	opts.UpdateEach = 3
	newRun := func() ([]float32, *adahessian.Optimizer[float32]) {
		w := []float32{4, -3}
		opt, err := adahessian.New(opts, adahessian.Param[float32]{Name: "w", Value: w})
		if err != nil {
			log.Fatal(err)
		}
		return w, opt
	}
	train := func(w []float32, opt *adahessian.Optimizer[float32], steps int) {
		for range steps { // of the loss w₀² + 2w₁²
			grads := [][]float32{{2 * w[0], 4 * w[1]}}
			err := opt.Step(grads, func(hz, z [][]float32) error {
				hz[0][0], hz[0][1] = 2*z[0][0], 4*z[0][1]
				return nil
			})
			if err != nil {
				log.Fatal(err)
			}
		}
	}
	dir, err := os.MkdirTemp("", "checkpoint")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "checkpoint")

	w, opt := newRun()
	train(w, opt, 5)
	err = replaceFile(path, func(f io.Writer) error {
		if err := binary.Write(f, binary.LittleEndian, w); err != nil {
			return err
		}
		_, err := opt.WriteTo(f)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	train(w, opt, 5)

	// Elsewhere, later:
	f, err := os.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	w2, opt2 := newRun()
	if err := binary.Read(f, binary.LittleEndian, w2); err != nil {
		log.Fatal(err)
	}
	if _, err := opt2.ReadFrom(f); err != nil {
		log.Fatal(err)
	}
	train(w2, opt2, 5)
	fmt.Println(opt2.Steps(), "steps, the same bits:", w[0] == w2[0] && w[1] == w2[1])
	// Output: 10 steps, the same bits: true
}

// Two processes save their shards of a tensor, and one process continues with the whole
// tensor. Each shard has the name of the tensor, and its Offset in it. Without a name and
// an index for every element, only as many processes as wrote the states could read them.
func ExampleOptimizer_ReadShards() {
	newShard := func(from, to int) *adahessian.Optimizer[float64] {
		opt, err := adahessian.New(adahessian.DefaultOptions(), adahessian.Param[float64]{
			Name: "w", Value: make([]float64, to-from), Offset: uint64(from)})
		if err != nil {
			log.Fatal(err)
		}
		return opt
	}
	var states []io.Reader
	for _, share := range [][2]int{{0, 3}, {3, 8}} {
		opt := newShard(share[0], share[1])
		grad := make([]float64, share[1]-share[0])
		for i := range grad {
			grad[i] = float64(share[0] + i)
		}
		if err := opt.Step([][]float64{grad}, func(hz, z [][]float64) error { copy(hz[0], z[0]); return nil }); err != nil {
			log.Fatal(err)
		}
		var saved bytes.Buffer
		if _, err := opt.WriteTo(&saved); err != nil {
			log.Fatal(err)
		}
		states = append(states, &saved)
	}

	whole := newShard(0, 8)
	if err := whole.ReadShards(states...); err != nil {
		log.Fatal(err)
	}
	m, _ := whole.State(0)
	fmt.Printf("%d step, m = %.1f\n", whole.Steps(), m)
	// Output: 1 step, m = [0.0 0.1 0.2 0.3 0.4 0.5 0.6 0.7]
}

// A model gets a new head. The trained body continues; the head starts with its first
// step.
func ExampleOptimizer_ReadNamed() {
	body := adahessian.Param[float32]{Name: "body", Value: make([]float32, 4)}
	head := adahessian.Param[float32]{Name: "head", Value: make([]float32, 2)}
	before, err := adahessian.New(adahessian.DefaultOptions(), body)
	if err != nil {
		log.Fatal(err)
	}
	if err := before.SetSteps(5000); err != nil {
		log.Fatal(err)
	}
	var saved bytes.Buffer
	if _, err := before.WriteTo(&saved); err != nil {
		log.Fatal(err)
	}

	after, err := adahessian.New(adahessian.DefaultOptions(), body, head)
	if err != nil {
		log.Fatal(err)
	}
	missing, unused, err := after.ReadNamed(&saved)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(after.Steps(), "steps; not in the state:", missing, "not in the model:", unused)
	// Output: 5000 steps; not in the state: [head] not in the model: []
}
