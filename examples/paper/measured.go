package main

import (
	"cmp"
	"maps"
	"math"
	"slices"
)

// measured holds what the runs of a variant at one learning rate gave.
type measured struct {
	variant
	rung     int
	chosen   bool               // the rung is known
	finals   map[uint64]float64 // final validation loss for each seed; diverged runs have none
	diverged int
	runs     []runResult // those that did not diverge, in the order of the seeds
	start    float64     // mean loss of the untrained model
}

// seeds returns the seeds whose runs did not diverge.
func (m measured) seeds() []uint64 { return slices.Sorted(maps.Keys(m.finals)) }

// losses returns the final losses in the order of the seeds.
func (m measured) losses() []float64 {
	var all []float64
	for _, seed := range m.seeds() {
		all = append(all, m.finals[seed])
	}
	return all
}

// seedsOf returns the seeds that a variant is run with.
func (s settings) seedsOf(v variant) []uint64 {
	if _, ok := s.transformer(v.Size); ok || v == s.defaultVariant(v.Size, v.Optimizer) {
		return s.Seeds
	}
	return s.VariantSeeds
}

// searchSeedsOf returns the seeds whose losses on the tuning part decide the choice.
func (s settings) searchSeedsOf(v variant) []uint64 {
	if t, ok := s.transformer(v.Size); ok {
		return t.SearchSeeds
	}
	return s.seedsOf(v)
}

// at returns what is known about a variant at a rung.
func (r *report) at(v variant, rung int) measured {
	m := measured{variant: v, rung: rung, chosen: true, finals: map[uint64]float64{}}
	n := 0.0
	for _, seed := range r.seedsOf(v) {
		res, ok := r.results.run(r.key(spec{v, rung, seed}))
		if !ok {
			continue
		}
		m.start += res.Curve[0][1]
		n++
		if res.Diverged {
			m.diverged++
			continue
		}
		m.finals[seed] = res.Validation
		m.runs = append(m.runs, res)
	}
	m.start /= n
	return m
}

// of returns what is known about a variant at its best learning rate.
func (r *report) of(v variant) measured {
	rung, ok := r.plan.best[v]
	if !ok {
		return measured{variant: v}
	}
	return r.at(v, rung)
}

// ofAll is of for a list of variants.
func (r *report) ofAll(all []variant) []measured {
	var m []measured
	for _, v := range all {
		m = append(m, r.of(v))
	}
	return m
}

// tuned returns the mean loss on the tuning part at the best learning rate, or +Inf if
// a run diverged or the loss is not known.
func (r *report) tuned(v variant) float64 {
	rung, ok := r.plan.best[v]
	if !ok {
		return math.Inf(1)
	}
	seeds := r.VariantSeeds // which all variants have
	if t, ok := r.transformer(v.Size); ok {
		seeds = t.SearchSeeds
	}
	sum := 0.0
	for _, seed := range seeds {
		loss, done := r.tuningOf(r.results)(spec{v, rung, seed})
		if !done {
			return math.Inf(1)
		}
		sum += loss
	}
	return sum / float64(len(seeds))
}

// minus returns the difference of two measurements. If runs of one diverged, there is
// none.
func minus(a, b measured) difference {
	if a.diverged+b.diverged > 0 {
		return difference{math.NaN(), math.NaN(), 0}
	}
	return subtract(a.finals, b.finals)
}

// curvePoint is the loss of several seeds after some number of steps.
type curvePoint struct {
	step            float64
	mean, deviation float64
}

// curve returns the mean and the spread of the losses during training.
func (m measured) curve() []curvePoint {
	at := map[float64][]float64{}
	for _, run := range m.runs {
		for _, p := range run.Curve {
			at[p[0]] = append(at[p[0]], p[1])
		}
	}
	var all []curvePoint
	for step, losses := range at {
		if len(losses) < len(m.runs) {
			continue
		}
		mean, deviation := meanAndDeviation(losses)
		all = append(all, curvePoint{step, mean, deviation})
	}
	slices.SortFunc(all, func(a, b curvePoint) int { return cmp.Compare(a.step, b.step) })
	return all
}

// stepSeconds returns the times of a step in each round, or none if they have not been
// measured.
func (r *report) stepSeconds(v variant) []float64 {
	return r.results.times[r.variantKey(r.timedAs(v))].Seconds
}

// stepMedian returns the median time of a step, or NaN if it has not been measured.
func (r *report) stepMedian(v variant) float64 {
	if s := r.stepSeconds(v); len(s) > 0 {
		return median(s)
	}
	return math.NaN()
}

// runSeconds returns the time of the training steps of a run.
func (r *report) runSeconds(v variant) float64 { return r.stepMedian(v) * float64(r.steps(v)) }

// ratios returns the times of a step relative to those of SGD on the same model, round
// by round, since both were measured within moments of each other.
func (r *report) ratios(v variant) []float64 {
	return r.ratiosTo(v, r.defaultVariant(v.Size, sgd))
}

// ratiosTo returns the times of a step relative to those of another variant.
func (r *report) ratiosTo(v, other variant) []float64 {
	times, base := r.stepSeconds(v), r.stepSeconds(other)
	if len(times) == 0 || len(times) != len(base) {
		return nil
	}
	all := make([]float64, len(times))
	for i := range all {
		all[i] = times[i] / base[i]
	}
	return all
}

// ratioText writes the median of ratios and their extremes.
func ratioText(ratios []float64) string {
	if len(ratios) == 0 {
		return missing
	}
	return number(median(ratios), 2) + " (" + number(slices.Min(ratios), 2) + " … " + number(slices.Max(ratios), 2) + ")"
}
