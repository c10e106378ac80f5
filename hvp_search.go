package adahessian

import (
	"fmt"
	"math"
	"unsafe"
)

// CheckHVP tries finite differences at several levels: the step of level l is 2^l
// times that of FiniteDifference. The finest moves a parameter by a few units in its
// last place, the coarsest by several times its size.
func levelsOf[T Float]() (finest, coarsest int) {
	if unsafe.Sizeof(T(0)) == 4 {
		return -14, 12
	}
	return -20, 18
}

const mostLevels = 40

// stepFactor returns 2^level.
func stepFactor(level int) float64 { return math.Ldexp(1, level) }

// levelOf returns the level with the largest step that, for parameters near 0, does
// not exceed a displacement.
func levelOf[T Float](displacement float64) int {
	_, exponent := math.Frexp(displacement / precisionOf[T]().step) // of a fraction in [½, 1)
	return exponent - 1
}

// roundings is the smallest error that a gradient is assumed to have, in units in
// the last place.
const roundings = 2

// goodSteps is the largest error of a good step, as a share of the tolerance.
const goodSteps = 1. / 2

// oneRounding is how far apart two gradients across a step may be that should be the
// same: half a unit in the last place, with some room.
const oneRounding = 0.6

// negligible is the curvature that counts as none, as a share of the gradient over
// the size of the parameters.
const negligible = 0x1p-22

// outcome is what finite differences say about a product.
type outcome int

const (
	open   outcome = iota // no step was good
	right                 // they agree at a good step
	wrong                 // they do not
	failed                // a callback broke a rule
)

// search compares a product along one vector with finite differences, level by level
// until one decides. It keeps two differences, those of the coarsest and the finest
// level known.
type search[T Float] struct {
	*hvpCheck[T]
	hz                  [][]T
	top, bottom         int   // the coarsest and the finest level known
	coarse, fine, spare [][]T // their differences, and room for one more
	finest              int   // the finest level there is
	levels              [mostLevels]levelResult
	best                float64 // the smallest error of a level, as a share of the scale
	bestLevel           int
	last                error // why the last skipped level was skipped
}

// levelResult is what is known about the finite differences at a level.
type levelResult struct {
	against   discrepancy // from the product
	largest   float64     // max |H z|
	rounding  float64     // the H z that the rounding of gradients alone produces
	displaced float64     // the relative error of the displacements
	gap       float64     // the distance from the next finer level; NaN if not known
}

// search compares hz with finite differences along c.z. The error says why the
// outcome is not right.
func (c *hvpCheck[T]) search(hz [][]T) (outcome, error) {
	s := &search[T]{hvpCheck: c, hz: hz, coarse: c.out, fine: c.y, spare: c.next, best: math.Inf(1)}
	var coarsest int
	s.finest, coarsest = levelsOf[T]()
	level, err := s.begin()
	if err != nil {
		return failed, err
	}
	if level < s.finest {
		return s.undecided()
	}
	for l := level; ; l-- {
		if known, err := s.finerTo(l - 2); err != nil {
			return failed, err
		} else if !known {
			break
		}
		if result, err := s.judge(l); result != open {
			return result, err
		}
		if s.hopeless(l - 1) {
			break
		}
	}
	for l := level; l <= coarsest; l++ {
		if known, err := s.coarser(l); err != nil {
			return failed, err
		} else if !known {
			break
		}
		if s.vanishes(l) {
			return right, nil
		}
		if result, err := s.judge(l); result != open {
			return result, err
		}
	}
	return s.undecided()
}

// begin finds the coarsest level that has gradients, searching from the start down.
// If there is none, it returns a level below the finest.
func (s *search[T]) begin() (int, error) {
	for l := s.start; l >= s.finest; l-- {
		known, err := s.evaluate(l)
		if err != nil {
			return 0, err
		}
		if known {
			s.top, s.bottom = l, l
			s.coarse, s.spare = s.spare, s.coarse
			copyVectors(s.fine, s.coarse)
			return l, nil
		}
	}
	return s.finest - 1, nil
}

// finerTo adds levels below the finest known one, down to l. It reports whether all of
// them are known.
func (s *search[T]) finerTo(l int) (bool, error) {
	for s.bottom > l {
		if s.bottom == s.finest {
			return false, nil
		}
		known, err := s.evaluate(s.bottom - 1)
		if !known {
			return false, err
		}
		s.known(s.bottom).gap = farthest(s.spare, s.fine).diff
		s.fine, s.spare = s.spare, s.fine
		s.bottom--
	}
	return true, nil
}

// coarser adds level l above the coarsest known one, if it is not known yet. It reports
// whether it is known now.
func (s *search[T]) coarser(l int) (bool, error) {
	if l <= s.top {
		return true, nil
	}
	known, err := s.evaluate(l)
	if known {
		s.known(l).gap = farthest(s.spare, s.coarse).diff
		s.coarse, s.spare = s.spare, s.coarse
		s.top = l
	}
	return known, err
}

// known returns the result of a level.
func (s *search[T]) known(level int) *levelResult { return &s.levels[level-s.finest] }

// evaluate sets spare to the finite differences of a level, and records its
// result. It reports whether there are any.
func (s *search[T]) evaluate(level int) (bool, error) {
	factor := stepFactor(level)
	for _, g := range s.fd.groups {
		if h := g.step * factor; T(h) == 0 || math.IsInf(float64(T(2*h)), 0) {
			return false, nil
		}
	}
	s.met = 0
	if err := s.fd.difference(s.spare, s.z, factor); err != nil {
		s.last = err
		return false, s.fatal(err)
	}
	*s.known(level) = levelResult{
		against:   farthest(s.hz, s.spare),
		largest:   maxAbs(s.spare),
		rounding:  s.roundingAt(level, s.met),
		displaced: s.displacedAt(level),
		gap:       math.NaN(),
	}
	return true, nil
}

// roundingAt returns the H z that rounding alone produces at a level, for gradients as
// large as g.
func (c *hvpCheck[T]) roundingAt(level int, g float64) float64 {
	p := precisionOf[T]()
	return c.roundingOf(max(float64(roundings*p.epsilon*max(g, p.normal)), c.rounding), level)
}

// roundingOf returns the H z that a given rounding of gradients alone produces at a
// level.
func (c *hvpCheck[T]) roundingOf(rounding float64, level int) float64 {
	sum := 0.0
	for _, group := range c.fd.groups {
		sum += rounding / (group.step * stepFactor(level))
	}
	return sum
}

// displacedAt returns the relative error of the displacements of a level, as a root
// mean square over the elements: a moved parameter is rounded.
func (s *search[T]) displacedAt(level int) float64 {
	sum := 0.0
	for i, theta := range s.fd.theta {
		h := T(s.fd.groups[s.fd.group[i]].step * stepFactor(level))
		for _, x := range theta {
			e := (float64(x+h)-float64(x-h))/float64(2*h) - 1
			sum += float64(e * e)
		}
	}
	return math.Sqrt(sum / float64(max(1, elements(s.params))))
}

// errorOf returns the error of a level's differences and the scale it is relative to.
// Two finer levels must be close to this one: if rounding is larger than estimated, a
// single one could be close by chance, and rounding keeps finer levels twice as far
// apart. At steps coarser than the default one the product is not part of the scale,
// since one that is too large would make every step look good.
func (s *search[T]) errorOf(level int) (e, scale float64) {
	r := s.known(level)
	scale = max(r.largest, s.shown)
	if level <= 0 {
		scale = max(scale, s.largest)
	}
	next := math.NaN()
	if level > s.bottom {
		next = s.known(level - 1).gap
	}
	return max(2*r.gap, next) + r.rounding + float64(r.displaced*scale), scale
}

// judge decides at a level, if the level is good. The next finer one must be known.
func (s *search[T]) judge(level int) (outcome, error) {
	r, tolerance := s.known(level), precisionOf[T]().tolerance
	e, scale := s.errorOf(level)
	if e < float64(s.best*scale) {
		s.best, s.bestLevel = e/scale, level
	}
	if !(e <= float64(goodSteps*tolerance*scale)) || !s.settled(level) {
		return open, nil
	}
	d := r.against
	d.scale, d.limit = scale, float64(tolerance*scale)
	if d.diff+e <= d.limit {
		s.decided(level)
		return right, nil
	}
	if contradicted, err := s.contradicted(level, d.limit); err != nil {
		return failed, err
	} else if contradicted {
		return open, nil
	}
	s.decided(level)
	return wrong, fmt.Errorf("disagrees with finite differences: %s", s.at(d))
}

// decided keeps what the next vector can start from.
func (s *search[T]) decided(level int) {
	s.start, s.shown = level, max(s.shown, s.known(level).largest)
}

// settled reports whether the differences of steps coarser than the default one
// approach each other from step to step, as they do if rounding keeps them apart. If
// it is the bending of the loss, they do so only by chance.
func (s *search[T]) settled(level int) bool {
	if level <= 0 {
		return true
	}
	r, finer := s.known(level), s.known(level-1)
	return r.gap < finer.gap || r.gap <= finer.rounding
}

// contradicted reports whether the next coarser level agrees with a product that this
// one refuses. Then neither level counts.
func (s *search[T]) contradicted(level int, limit float64) (bool, error) {
	known, err := s.coarser(level + 1)
	return known && s.known(level+1).against.diff <= limit, err
}

// hopeless reports whether rounding alone spoils a level, and with it all finer ones.
func (s *search[T]) hopeless(level int) bool {
	_, scale := s.errorOf(level)
	return s.known(level).rounding > goodSteps*precisionOf[T]().tolerance*scale
}

// vanishes reports whether steps up to a level show that there is no curvature, and
// whether hz shows none either, or consists of the same rounding as the differences of
// the default step. It allows only one rounding of the gradient, and only if
// neighbouring points show it: more could hide the curvature of a loss that bends.
func (s *search[T]) vanishes(level int) bool {
	p := precisionOf[T]()
	least := math.Inf(1)
	for _, g := range s.fd.groups {
		least = min(least, g.step/p.step)
	}
	gradient := max(s.gradient, p.normal)
	for l := s.bottom; l <= level; l++ {
		one := s.roundingOf(min(oneRounding*p.epsilon*gradient, s.jitter), l)
		if s.known(l).largest > one {
			return false
		}
		if s.roundingOf(oneRounding*p.epsilon*gradient, l) <= negligible*gradient/least {
			same := s.bottom <= 0 && s.top >= 0 && s.known(0).against.diff <= one
			return same || maxAbs(s.hz) <= one
		}
	}
	return false
}

// undecided is the outcome where no step is good.
func (s *search[T]) undecided() (outcome, error) {
	undecided := undecidedIn[T]()
	if math.IsInf(s.best, 1) {
		if s.last != nil {
			return open, fmt.Errorf("%s: no step has finite gradients on both sides: %w", undecided, s.last)
		}
		return open, fmt.Errorf("%s: H z vanishes in the rounding of gradients of %.3g", undecided, s.gradient)
	}
	return open, fmt.Errorf("%s: the finite differences have an estimated error of %.3g of the largest |H z|, at %.3g times the default step; want at most %.3g",
		undecided, s.best, stepFactor(s.bestLevel), goodSteps*precisionOf[T]().tolerance)
}

// undecidedIn begins the errors that say that nothing can be decided.
func undecidedIn[T Float]() string {
	if unsafe.Sizeof(T(0)) == 4 {
		return "cannot be decided in float32 (a check in float64 decides more)"
	}
	return "cannot be decided in float64"
}
