package main

import (
	"math"
	"slices"
)

// familyKey names a family among all of them.
type familyKey struct {
	size   string
	length float64
	name   string
}

// planTransformer plans the runs on the Transformer, as far as the finished ones show:
// first all runs for one size and one length, then the next. So an interrupted command
// leaves whole comparisons.
func (b *planner) planTransformer() {
	for i, t := range b.Transformers {
		for _, length := range lengths {
			if !b.compare(t, length) {
				b.complete = false
				return
			}
		}
		if i == 0 {
			b.sweepBounds(t)
		}
	}
}

// familiesOf returns the families of one size and length, as a plan has them. If
// settings are carried over from short runs, each family has a single member.
func (s settings) familiesOf(t transformer, length float64, p plan) []family {
	all := s.families(t, length)
	if !t.Carry || length == lengths[0] {
		return all
	}
	for i, f := range all {
		if v, ok := p.chosen[familyKey{t.Name, lengths[0], f.name}]; ok {
			v.Between = false
			all[i].all = []variant{t.lasting(v, length, 0)}
		}
	}
	return all
}

// compare plans the families of one size and length: the search for the best variant of
// each, its other seeds, and the same in the time that AdamW takes. It reports whether
// all of that is finished.
func (b *planner) compare(t transformer, length float64) bool {
	families, searched := b.familiesOf(t, length, b.plan), true
	for _, f := range families {
		if !b.searchFamily(f, t.SearchSeeds) {
			searched = false
			continue
		}
		v, known := b.refined(b.bestOf(f, t.SearchSeeds), t.SearchSeeds)
		b.chosen[familyKey{t.Name, length, f.name}] = v
		searched = searched && known
	}
	if !searched {
		return false
	}
	finished := true
	for _, f := range families {
		v := b.chosen[familyKey{t.Name, length, f.name}]
		finished = b.need(v, []int{b.best[v]}, b.Seeds) && finished
		if f.price == 0 {
			continue
		}
		short := t.lasting(v, length, f.price)
		short.Between = false
		if !b.searchMember(f, short, b.best[v], t.SearchSeeds) {
			finished = false
			continue
		}
		finished = b.need(short, []int{b.best[short]}, b.Seeds) && finished
	}
	return finished
}

// refined returns v. If its best rate and a neighbour are so close that the best may
// lie between them, and the rate between them is better, it returns v at that rate
// instead. It reports whether that is known.
func (b *planner) refined(v variant, seeds []uint64) (variant, bool) {
	tried := b.tried[v]
	i := slices.Index(tried, b.best[v])
	neighbour, loss := i, math.Inf(1)
	for _, j := range []int{i - 1, i + 1} {
		if j >= 0 && j < len(tried) && b.mean(v, tried[j], seeds) < loss {
			neighbour, loss = j, b.mean(v, tried[j], seeds)
		}
	}
	best := b.mean(v, b.best[v], seeds)
	if !(loss-best <= margin*best) {
		return v, true
	}
	between := v
	between.Between = true
	rung := min(tried[i], tried[neighbour])
	b.tried[between], b.best[between] = []int{rung}, rung
	if !b.need(between, []int{rung}, seeds) {
		return v, false
	}
	if b.mean(between, rung, seeds) < best {
		return between, true
	}
	return v, true
}

// mean returns the mean loss on the tuning part.
func (b *planner) mean(v variant, rung int, seeds []uint64) float64 {
	sum := 0.0
	for _, seed := range seeds {
		l, _ := b.tuning(spec{v, rung, seed})
		sum += l
	}
	return sum / float64(len(seeds))
}

// searchFamily reports whether the best rates of all variants of a family are known.
func (b *planner) searchFamily(f family, seeds []uint64) bool {
	finished := true
	for _, v := range f.all {
		finished = b.searchMember(f, v, b.transformerCentre(v), seeds) && finished
	}
	return finished
}

// searchMember is searchVariant for a variant of a family, whose rate may be fixed.
func (b *planner) searchMember(f family, v variant, centre int, seeds []uint64) bool {
	if f.rung == nil {
		return b.searchVariant(v, centre, seeds)
	}
	b.tried[v], b.best[v] = []int{*f.rung}, *f.rung
	return b.need(v, b.tried[v], seeds)
}

// transformerCentre returns the rung around which a search begins: that of charlm's
// convolution or, for long runs, the best of the short ones.
func (b *planner) transformerCentre(v variant) int {
	t, _ := b.transformer(v.Size)
	if best, ok := b.best[t.lasting(v, lengths[0], 0)]; ok {
		return best
	}
	return centres[v.Optimizer]
}

// bestOf returns the member of a family with the lowest loss on the tuning part.
func (b *planner) bestOf(f family, seeds []uint64) variant {
	best, loss := f.all[0], math.Inf(1)
	for _, v := range f.all {
		if l := b.mean(v, b.best[v], seeds); l < loss {
			best, loss = v, l
		}
	}
	return best
}

// sweptOf returns the variants whose robustness to the learning rate is measured in
// short runs: the cheap product with every bound, NetworkHyper, and the other
// optimizers as they were chosen.
func (s settings) sweptOf(t transformer, p plan) []variant {
	var all []variant
	for _, f := range s.families(t, lengths[0]) {
		switch f.name {
		case curvatures[2].String(), adaAsIs:
			all = append(all, f.all...)
		case adamW, sgd:
			all = append(all, p.chosen[familyKey{t.Name, lengths[0], f.name}])
		}
	}
	return all
}

// sweepBounds plans the sweeps, and all seeds for the same bounds in long runs.
func (b *planner) sweepBounds(t transformer) {
	for _, v := range b.sweptOf(t, b.plan) {
		b.need(v, sweepRungs(b.best[v]), b.Seeds)
		long := t.lasting(v, lengths[1], 0)
		if rung, ok := b.best[long]; ok {
			b.need(long, []int{rung}, b.Seeds)
		}
	}
}
