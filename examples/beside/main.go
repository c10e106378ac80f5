// Command beside compares the time of a step of this package with what people use now:
// PyTorch's AdamW, AdaHessian in PyTorch's tensor operations, and the Adam of GoMLX,
// Gorgonia and spaGO. Each has one float32 tensor, whose gradient and Hessian-vector
// product are given. They are measured in turns. PyTorch is Debian's package
// python3-torch. If it is missing, its rows are left out.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/adahessian-go/adahessian"
)

// A contender is an optimizer whose step is timed.
type contender struct {
	name   string
	single bool // it uses one thread, whatever the number of threads
	// prepare returns a function that makes steps of n elements, and one that releases
	// its memory.
	prepare func(n, threads int) (turn turn, release func(), err error)
}

// A turn makes steps for at least the given time, and at least one step. It returns the
// time of one step.
type turn func(least time.Duration) (step time.Duration, err error)

// turnOf returns a turn of steps that are made in this process.
func turnOf(step func() error) turn {
	return func(least time.Duration) (time.Duration, error) {
		count, begin := 0, time.Now()
		for count == 0 || time.Since(begin) < least {
			if err := step(); err != nil {
				return 0, err
			}
			count++
		}
		return time.Since(begin) / time.Duration(count), nil
	}
}

// A result holds the medians of the contenders, in nanoseconds per element.
type result struct {
	n, threads int
	ns         []float64 // 0: not measured
}

func main() {
	log.SetFlags(0)
	sizes := flag.String("n", "100000,10000000", "list of numbers of elements")
	threads := flag.String("threads", "1,2", "list of numbers of threads")
	rounds := flag.Int("rounds", 9, "turns of each, whose median is printed")
	least := flag.Duration("turn", 30*time.Millisecond, "the shortest length of a turn")
	python := flag.String("python", "/usr/bin/python3", "the Python that has PyTorch")
	out := flag.String("out", "", "write a plot to this PNG file")
	flag.Parse()
	lengths, err := numbers(*sizes)
	if err != nil {
		log.Fatal(err)
	}
	counts, err := numbers(*threads)
	if err != nil {
		log.Fatal(err)
	}
	contenders := []contender{ours("step"), ours("update"), gomlx(), gorgonia(), spago()}
	torch, err := startTorch(*python)
	if err != nil {
		fmt.Println("PyTorch is left out:", err)
	} else {
		defer torch.stop()
		contenders = slices.Insert(contenders, 2, torch.contenders()...)
	}
	var results []result
	for _, n := range lengths {
		for _, t := range counts {
			r, err := measure(contenders, n, t, *rounds, *least)
			if err != nil {
				log.Fatal(err)
			}
			results = append(results, r)
		}
	}
	fmt.Printf("%s, AdaHessian with %s, PyTorch %s\n\n", runtime.Version(), adahessian.ISA(), torch.version())
	table(os.Stdout, contenders, results)
	if *out != "" {
		if err := draw(*out, contenders, results); err != nil {
			log.Fatal(err)
		}
	}
}

func numbers(list string) (n []int, err error) {
	for _, word := range strings.Split(list, ",") {
		i, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil || i < 1 {
			return nil, fmt.Errorf("%q is not a positive number", word)
		}
		n = append(n, i)
	}
	return n, nil
}

// measure times the contenders in turns.
func measure(contenders []contender, n, threads, rounds int, least time.Duration) (result, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads))
	r := result{n, threads, make([]float64, len(contenders))}
	turns := make([]turn, len(contenders))
	times := make([][]float64, len(contenders))
	for i, c := range contenders {
		if c.single && threads > 1 {
			continue
		}
		turn, release, err := c.prepare(n, threads)
		if err != nil {
			return r, fmt.Errorf("%s: %w", c.name, err)
		}
		defer release()
		turns[i] = turn
	}
	for round := range rounds + 1 {
		for i, turn := range turns {
			if turn == nil {
				continue
			}
			step, err := turn(least)
			if err != nil {
				return r, fmt.Errorf("%s: %w", contenders[i].name, err)
			}
			if round > 0 { // the first round does what is done only once, and touches all memory
				times[i] = append(times[i], float64(step.Nanoseconds())/float64(n))
			}
		}
	}
	for i, t := range times {
		if len(t) > 0 {
			slices.Sort(t)
			r.ns[i] = t[len(t)/2]
		}
	}
	return r, nil
}

// table writes nanoseconds per element and, in brackets, the ratio to the first row.
func table(w *os.File, contenders []contender, results []result) {
	fmt.Fprint(w, "| ns per element (ratio) |")
	for _, r := range results {
		s := "s"
		if r.threads == 1 {
			s = ""
		}
		fmt.Fprintf(w, " n = %.0e, %d thread%s |", float64(r.n), r.threads, s)
	}
	fmt.Fprintf(w, "\n|---|%s\n", strings.Repeat("---|", len(results)))
	for i, c := range contenders {
		fmt.Fprintf(w, "| %s |", c.name)
		for _, r := range results {
			if r.ns[i] == 0 {
				fmt.Fprint(w, " |")
			} else {
				fmt.Fprintf(w, " %.2f (%.2g) |", r.ns[i], r.ns[i]/r.ns[0])
			}
		}
		fmt.Fprintln(w)
	}
}
