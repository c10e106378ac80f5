package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/adahessian-go/adahessian"
	"github.com/adahessian-go/adahessian/examples/digits"
)

// A worker is one rank's part of the training: all the weights, and the optimizer's
// state for a range of them.
type worker struct {
	*comm
	fixed bool // a fixed order of additions, the same for every number of ranks
	set   digits.Set[float64]
	batch int

	theta  []float64 // all the weights
	starts []int     // of the ranges that the ranks update, and the end of the last
	lo, hi int       // the range that this rank updates
	opt    *adahessian.Optimizer[float64]
	seed   uint64

	z      []float64 // the whole probe
	result []float64 // of a part or a batch: gradient, product, loss
	all    []float64 // the results of all parts
	now    digits.Set[float64]
}

// resultLen is the length of a result: g, hz and the loss.
const resultLen = 2*length + 1

func newWorker(c *comm, fixed bool, set digits.Set[float64], batch int) (*worker, error) {
	if c.size > parts || batch%parts != 0 {
		return nil, fmt.Errorf("%d ranks and batches of %d images, want at most %d ranks and batches in as many parts", c.size, batch, parts)
	}
	w := &worker{comm: c, fixed: fixed, set: set, batch: batch, seed: 1,
		theta: make([]float64, length), z: make([]float64, length),
		result: make([]float64, resultLen), all: make([]float64, parts*resultLen)}
	for _, b := range c.split(length / block) {
		w.starts = append(w.starts, b*block) // between blocks
	}
	w.lo, w.hi = w.starts[c.rank], w.starts[c.rank+1]
	layout, err := adahessian.Flat(w.hi-w.lo, block)
	if err != nil {
		return nil, err
	}
	opts := adahessian.DefaultOptions()
	opts.Seed, opts.Workers = w.seed, 1
	// Offset: the shard draws the signs that the whole vector would.
	w.opt, err = adahessian.New(opts, adahessian.Param[float64]{
		Name: "weights", Value: w.theta[w.lo:w.hi], Layout: layout, Offset: uint64(w.lo)})
	return w, err
}

// split divides n things among the ranks as evenly as possible. It returns where each
// rank's share begins, and the end of the last.
func (c *comm) split(n int) (starts []int) {
	for r := range c.size + 1 {
		starts = append(starts, r*n/c.size)
	}
	return starts
}

// hvp computes the result of the whole batch on all ranks, and gives the optimizer this
// rank's range of it. The product needs the whole probe, while the optimizer has drawn
// only its own range. With one probe in each step, the number of the draw is that of
// the step. Ranks that drew other signs would add products with different z, so hvp
// compares the signs.
func (w *worker) hvp(hz, z [][]float64) error {
	adahessian.Rademacher(w.z, w.seed, w.opt.Steps(), 0)
	if !slices.Equal(z[0], w.z[w.lo:w.hi]) {
		return errors.New("the shard's signs are not those of the whole vector")
	}
	if err := w.reduce(); err != nil {
		return err
	}
	for i := range w.result {
		w.result[i] /= float64(w.batch)
	}
	copy(hz[0], w.result[length:][w.lo:w.hi])
	return nil
}

// reduce sets result to the sums over the batch. Each rank computes its parts of the
// batch, all with the same z.
func (w *worker) reduce() error {
	shares := w.split(parts)
	first, mine := shares[w.rank], shares[w.rank+1]-shares[w.rank]
	size := w.batch / parts
	own := w.all[:mine*resultLen]
	if w.fixed {
		own = make([]float64, mine*resultLen)
	}
	clear(own)
	for i := range mine {
		r := own[i*resultLen:][:resultLen]
		from := (first + i) * size
		r[2*length] = sums(w.theta, w.z, r[:length], r[length:2*length], w.now.Slice(from, from+size))
	}
	clear(w.result)
	if w.fixed {
		// Every rank adds all parts in their order, whichever rank computed them.
		for r := range shares {
			shares[r] *= resultLen
		}
		if err := w.allgather(w.all, own, shares); err != nil {
			return err
		}
		own = w.all
	}
	for ; len(own) > 0; own = own[resultLen:] {
		for i, x := range own[:resultLen] {
			w.result[i] += x
		}
	}
	if w.fixed {
		return nil
	}
	return w.allreduce(w.result)
}

// step makes a step on the next batch and returns the loss before it.
func (w *worker) step() (float64, error) {
	batches := w.set.Len() / w.batch
	at := int(w.opt.Steps()) % batches * w.batch
	w.now = w.set.Slice(at, at+w.batch)
	// The gradient is read after hvp has filled it.
	if err := w.opt.Step([][]float64{w.result[w.lo:w.hi]}, w.hvp); err != nil {
		return 0, err
	}
	loss := w.result[2*length]
	return loss, w.allgather(w.theta, append([]float64(nil), w.theta[w.lo:w.hi]...), w.starts)
}

// save writes each rank's state and weights. When all ranks have done so, it notes that this
// is the latest step, and the number of ranks. A job that dies in between continues from the
// step before.
func (w *worker) save(dir string) error {
	step := w.opt.Steps()
	if err := w.write(file(dir, step, w.rank, w.size)); err != nil {
		return err
	}
	if err := w.allreduce([]float64{1}); err != nil { // all ranks have written
		return err
	}
	if w.rank != 0 {
		return nil
	}
	return replace(filepath.Join(dir, "latest"), func(f *os.File) error {
		_, err := fmt.Fprintln(f, step, w.size)
		return err
	})
}

// file returns the name of the file that a rank saves.
func file(dir string, step uint64, rank, size int) string {
	return filepath.Join(dir, fmt.Sprintf("step%d-rank%dof%d", step, rank, size))
}

func (w *worker) write(name string) error {
	return replace(name, func(f *os.File) error {
		if err := binary.Write(f, binary.LittleEndian, w.theta); err != nil {
			return err
		}
		_, err := w.opt.WriteTo(f)
		return err
	})
}

// replace writes a temporary file and renames it. The data are synced before the name
// points to them, and the directory afterwards.
func replace(name string, write func(*os.File) error) error {
	f, err := os.Create(name + ".new")
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return dir.Sync()
}

// resume continues from the latest saved state, if there is one, however many ranks
// saved it. Every rank reads the files of all ranks, and takes its own part of the
// state.
func (w *worker) resume(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, "latest"))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	var step uint64
	var size int
	if _, err := fmt.Sscan(string(text), &step, &size); err != nil {
		return fmt.Errorf("latest: %w", err)
	}
	var states []io.Reader
	for rank := range size {
		f, err := os.Open(file(dir, step, rank, size))
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		r := bufio.NewReader(f)
		if err := binary.Read(r, binary.LittleEndian, w.theta); err != nil { // the same in all
			return err
		}
		states = append(states, r)
	}
	return w.opt.ReadShards(states...)
}
