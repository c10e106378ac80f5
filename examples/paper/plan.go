package main

import "math"

// centres are the rungs around which each optimizer's search begins, the default rates
// of examples/charlm.
var centres = map[string]int{
	adaHessian: -1, // 0.3
	adamW:      -3, // 0.03
	sgd:        0,  // 1
}

// plan holds the runs that are known to be needed, and what they decide.
type plan struct {
	specs []spec
	tried map[variant][]int // rungs, from the lowest
	best  map[variant]int   // the rung with the lowest loss on the tuning part
	// For each family on the Transformer, the variant with the lowest loss on the
	// tuning part.
	chosen map[familyKey]variant
	// complete says that no finished run will add another to the plan.
	complete bool
}

// lookup returns the loss of a run on the tuning part, or +Inf if it diverged, and
// whether the run is finished. A plan asks for nothing else, so no choice can depend on
// the validation part.
type lookup func(spec) (tuning float64, done bool)

// planner builds a plan.
type planner struct {
	settings
	plan
	tuning lookup
	known  map[spec]bool
}

// plan returns the runs that are needed, as far as the finished ones show.
//
// Each optimizer is tried at Tries learning rates around its centre, the same number
// for each. If the best rate of one is at the end of those tried, all optimizers of
// that size get one more rate at both ends. Then the robustness sweep around each best
// rate is completed, and the variants are searched from their optimizer's best rate.
// Variants that may explain a lack of robustness get a sweep too.
func (s settings) plan(tuning lookup) plan {
	b := &planner{settings: s, tuning: tuning, known: map[spec]bool{}}
	b.tried, b.best, b.chosen, b.complete = map[variant][]int{}, map[variant]int{}, map[familyKey]variant{}, true
	if len(s.Transformers) > 0 {
		b.planTransformer()
		return b.plan
	}
	for _, z := range s.Sizes {
		if !b.searchOptimizers(z.Name) {
			b.complete = false
			continue
		}
		for _, o := range optimizers {
			v := s.defaultVariant(z.Name, o)
			b.need(v, sweepRungs(b.best[v]), s.Seeds)
		}
		for _, v := range s.variants(z.Name) {
			if !b.searchVariant(v, b.best[s.defaultVariant(z.Name, v.Optimizer)], s.VariantSeeds) {
				b.complete = false
			} else if s.swept(v) {
				b.need(v, sweepRungs(b.best[v]), s.VariantSeeds)
			}
		}
	}
	return b.plan
}

// around returns n rungs with centre in their middle.
func around(centre, n int) []int {
	rungs := make([]int, n)
	for i := range rungs {
		rungs[i] = centre - n/2 + i
	}
	return rungs
}

// sweepRungs returns the rungs of a tenth to ten times the best rate.
func sweepRungs(best int) []int { return around(best, 5) }

// need adds runs to the plan, once each, and reports whether all are finished.
func (b *planner) need(v variant, rungs []int, seeds []uint64) bool {
	finished := true
	for _, rung := range rungs {
		for _, seed := range seeds {
			sp := spec{v, rung, seed}
			if !b.known[sp] {
				b.known[sp] = true
				b.specs = append(b.specs, sp)
			}
			if _, done := b.tuning(sp); !done {
				finished = false
			}
		}
	}
	return finished
}

// choose notes the best of the rungs, and returns its index.
func (b *planner) choose(v variant, rungs []int, seeds []uint64) int {
	best, loss := 0, math.Inf(1)
	for i, rung := range rungs {
		sum := 0.0
		for _, seed := range seeds {
			l, _ := b.tuning(spec{v, rung, seed})
			sum += l
		}
		if sum < loss {
			best, loss = i, sum
		}
	}
	b.tried[v], b.best[v] = rungs, rungs[best]
	return best
}

// searchOptimizers reports whether the best rates of one size are known.
func (b *planner) searchOptimizers(size string) bool {
	for tries := b.Tries; ; tries += 2 {
		finished, inside := true, true
		for _, o := range optimizers {
			v := b.defaultVariant(size, o)
			if !b.need(v, around(centres[o], tries), b.Seeds) {
				finished = false
			}
		}
		if !finished {
			return false
		}
		for _, o := range optimizers {
			best := b.choose(b.defaultVariant(size, o), around(centres[o], tries), b.Seeds)
			inside = inside && best > 0 && best < tries-1
		}
		if inside || tries+2 > b.MaxTries {
			return true
		}
	}
}

// searchVariant reports whether the best rate of a variant is known. Its rates are
// extended only at the end where the best one is.
func (b *planner) searchVariant(v variant, centre int, seeds []uint64) bool {
	if v.Differences {
		// The question is whether the loss changes if everything else is equal.
		b.tried[v], b.best[v] = []int{centre}, centre
		return b.need(v, []int{centre}, seeds)
	}
	rungs := around(centre, b.VariantTries)
	for {
		if !b.need(v, rungs, seeds) {
			return false
		}
		best := b.choose(v, rungs, seeds)
		if len(rungs) >= b.MaxTries {
			return true
		}
		switch best {
		case 0:
			rungs = append([]int{rungs[0] - 1}, rungs...)
		case len(rungs) - 1:
			rungs = append(rungs[:best+1:best+1], rungs[best]+1)
		default:
			return true
		}
	}
}

// expected replaces the losses of runs that are not finished, to count the runs of a
// whole plan. It guesses that every search ends where it begins.
func expected(tuning lookup) lookup {
	return func(sp spec) (float64, bool) {
		if loss, done := tuning(sp); done {
			return loss, true
		}
		return 100 + 10*math.Abs(float64(sp.Rung-centres[sp.Optimizer])), true
	}
}
