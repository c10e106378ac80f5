// Command mpi trains a reader of handwritten digits on the ranks of an MPI job:
//
//	mpirun -np 4 mpi -steps 50
package main

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"

	"github.com/adahessian-go/adahessian/examples/digits"
)

func main() {
	steps := flag.Uint64("steps", 50, "make this many `steps`")
	fixed := flag.Bool("fixed", true, "add in a fixed order, which gives the same bits for 1 to 4 ranks")
	dir := flag.String("dir", "", "save in this `directory` every 10 steps, and continue from what is there")
	out := flag.String("out", "", "write the weights to this `file`")
	die := flag.Uint64("die", 0, "let the last rank die silently at this `step`")
	fail := flag.Uint64("fail", 0, "let the last rank fail at this `step`")
	flag.Parse()
	c, err := start()
	if err != nil {
		log.Fatal(err)
	}
	if err := run(c, *steps, *fixed, *dir, *out, *die, *fail); err != nil {
		c.abort(err)
	}
	if err := c.stop(); err != nil {
		log.Fatal(err)
	}
}

func run(c *comm, steps uint64, fixed bool, dir, out string, die, fail uint64) error {
	train, _ := digits.Load[float64]()
	w, err := newWorker(c, fixed, train, 64)
	if err != nil {
		return err
	}
	if dir != "" {
		if err := w.resume(dir); err != nil {
			return err
		}
	}
	from, loss := w.opt.Steps(), 0.0
	for w.opt.Steps() < steps {
		if last := c.rank == c.size-1; last && w.opt.Steps()+1 == die {
			os.Exit(3)
		} else if last && w.opt.Steps()+1 == fail {
			return errors.New("step fails, as -fail asks")
		}
		if loss, err = w.step(); err != nil {
			return err
		}
		if dir != "" && w.opt.Steps()%10 == 0 {
			if err := w.save(dir); err != nil {
				return err
			}
		}
	}
	if c.rank != 0 {
		return nil
	}
	made := int64(max(w.opt.Steps()-from, 1))
	fmt.Printf("from step %d to %d: loss %.4f, %d bytes for each step and rank\n", from, w.opt.Steps(), loss, c.sent/made)
	if out == "" {
		return nil
	}
	return replace(out, func(f *os.File) error { return binary.Write(f, binary.LittleEndian, w.theta) })
}
