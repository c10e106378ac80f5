// Command hvpcampaign measures what adahessian.CheckHVP says about right and wrong
// Hessian-vector products of random losses, and prints tables in Markdown.
//
//	go run ./internal/hvpcampaign
//
// It fails if a wrong product is accepted or a right one is refused. Each product is
// compared with the exact one, computed in float64, in every call that CheckHVP makes.
// It is wrong if the distance ever exceeds CheckHVP's tolerance, right if it never
// exceeds half of that, and near in between, where CheckHVP may say either. So a mistake
// that does not show in a case counts as right there, for example missing cross terms in
// a loss that has none. A product of zeros is right if every gradient had the same bits:
// the constant has then swallowed the rest, and CheckHVP sees a loss without curvature.
package main

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/adahessian-go/adahessian"
)

// tolerance is the tolerance of CheckHVP: a product at most half of it away from the
// exact one is right.
func tolerance[T adahessian.Float]() float64 {
	if unsafe.Sizeof(T(0)) == 4 {
		return 3e-2
	}
	return 1e-5
}

// verdict is what CheckHVP said about a product.
type verdict int

const (
	accepted verdict = iota
	refused
	undecided
	verdicts
)

func (v verdict) String() string { return [...]string{"accepted", "refused", "undecided"}[v] }

// truth says what a product really is.
type truth int

const (
	right truth = iota // off by at most half the tolerance
	wrong              // off by more than the tolerance
	near               // in between, where CheckHVP may say either
	truths
)

func truthOf(difference, tolerance float64) truth {
	switch {
	case difference <= tolerance/2:
		return right
	case difference > tolerance:
		return wrong
	}
	return near
}

// tally counts verdicts for each truth.
type tally [truths][verdicts]int

func (t *tally) add(u *tally) {
	for k := range t {
		for v := range t[k] {
			t[k][v] += u[k][v]
		}
	}
}

// results holds the tallies of a type for each variant, of the ordinary cases and of
// all others.
type results struct {
	names  []string
	counts map[string]*[2]tally
	faults []fault // in the order in which they were found
}

// fault is a verdict that is wrong or at least undesirable.
type fault struct {
	text    string
	mistake bool // a right product refused, or a wrong one accepted
}

// mistakes returns the faults that are wrong verdicts.
func (r *results) mistakes() []string {
	var m []string
	for _, f := range r.faults {
		if f.mistake {
			m = append(m, f.text)
		}
	}
	return m
}

// sum returns the tally of all cases and variants.
func (r *results) sum() tally {
	var t tally
	for _, c := range r.counts {
		t.add(&c[0])
		t.add(&c[1])
	}
	return t
}

// campaign checks every variant of some cases. The same seed gives the same cases.
func campaign[T adahessian.Float](cases int, seed uint64) *results {
	all := &results{counts: map[string]*[2]tally{}}
	for _, v := range variants[T]() {
		all.names = append(all.names, v.name)
		all.counts[v.name] = &[2]tally{}
	}
	var (
		mu   sync.Mutex
		wg   sync.WaitGroup
		next = make(chan uint64)
	)
	for range runtime.GOMAXPROCS(0) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for k := range next {
				one[T](seed, k, all, &mu)
			}
		}()
	}
	for k := range uint64(cases) {
		next <- k
	}
	close(next)
	wg.Wait()
	return all
}

// one checks every variant of case k.
func one[T adahessian.Float](seed, k uint64, all *results, mu *sync.Mutex) {
	p := newProblem[T](rand.New(rand.NewPCG(seed, k)))
	for n, v := range variants[T]() {
		p.first = nil
		w := &witness[T]{p: p, hvp: v.make(p, rand.New(rand.NewPCG(k, uint64(n))))}
		err := adahessian.CheckHVP(p.params, p.gradient, w.call, k)
		verdict := accepted
		if err != nil {
			verdict = refused
			if strings.Contains(err.Error(), "cannot be decided in") {
				verdict = undecided
			}
		}
		truth := truthOf(w.difference(), tolerance[T]())
		if p.flat && v.name == "zero" {
			truth = right
		}
		class := 0
		if !p.ordinary() {
			class = 1
		}
		mu.Lock()
		all.counts[v.name][class][truth][verdict]++
		mistake := truth == right && verdict == refused || truth == wrong && verdict == accepted
		if mistake || n == 0 && verdict == undecided {
			all.faults = append(all.faults, fault{fmt.Sprintf("case %d (%v), %s, off by %.3g: %v: %v", k, p, v.name, w.difference(), verdict, err), mistake})
		}
		mu.Unlock()
	}
}

// print writes the results as a table.
func (r *results) print(w io.Writer, name string) {
	fmt.Fprintf(w, "| %s | right: accepted | refused | undecided | wrong: accepted | refused | undecided | near |\n|---|---|---|---|---|---|---|---|\n", name)
	for class, title := range []string{"ordinary", "all others"} {
		var sum tally
		for _, n := range r.names {
			t := r.counts[n][class]
			sum.add(&t)
			row(w, title+": "+n, &t)
		}
		row(w, title+": sum", &sum)
	}
}

func row(w io.Writer, name string, t *tally) {
	fmt.Fprintf(w, "| %s |", name)
	for _, verdicts := range t[:near] {
		for _, n := range verdicts {
			fmt.Fprintf(w, " %d |", n)
		}
	}
	fmt.Fprintf(w, " %d |", t[near][accepted]+t[near][refused]+t[near][undecided])
	fmt.Fprintln(w)
}

func main() {
	cases := flag.Int("cases", 1000, "random losses for each type")
	seed := flag.Uint64("seed", 1, "seed of the random numbers")
	verbose := flag.Bool("v", false, "print each right product that was not decided, too")
	flag.Parse()
	start := time.Now()
	f32 := campaign[float32](*cases, *seed)
	f64 := campaign[float64](*cases, *seed)
	f32.print(os.Stdout, "float32")
	fmt.Println()
	f64.print(os.Stdout, "float64")
	fmt.Printf("\n%d losses and %d products of each type, seed %d, %s on %s/%s, %.0f s\n",
		*cases, *cases*len(f32.names), *seed, runtime.Version(), runtime.GOOS, runtime.GOARCH, time.Since(start).Seconds())
	mistakes := 0
	for _, f := range append(f32.faults, f64.faults...) {
		if f.mistake {
			mistakes++
		}
		if f.mistake || *verbose {
			fmt.Println(f.text)
		}
	}
	fmt.Printf("%d wrong products accepted or right ones refused\n", mistakes)
	if mistakes > 0 {
		os.Exit(1)
	}
}
