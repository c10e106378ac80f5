package adahessian

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// CheckHVP tests whether hvp is the Hessian-vector product of the loss whose gradient
// grad computes. It is for the tests of a framework, or for the first step of a
// training run. The usual mistakes are: missing cross terms, a Gauss-Newton matrix
// instead of the Hessian, a sum instead of a mean, dropout left on, and parameters or
// vectors kept from another call.
//
// With four vectors z of random signs, CheckHVP tests, in this order:
//
//   - that grad does not change the parameters, in this call or any later one;
//   - that hvp writes every element of hz, with finite values, and changes neither z
//     nor a parameter;
//   - that hvp gives the same answer when it is asked again;
//   - that hvp is linear: H(2z+y) = 2·H z + H y;
//   - that hvp is symmetric: zᵀ(H y) = yᵀ(H z);
//   - that hvp agrees with finite differences of grad;
//   - that one of the products agrees with them after the parameters have moved too,
//     by an eighth of 1+‖θ‖∞. If nothing can be decided there they move less far, and
//     then the product must also have changed: otherwise it could be one that was
//     kept.
//
// params, grad and its grads are as for FiniteDifference. The loss must be the same at
// every call of grad and of hvp. seed chooses the vectors: Rademacher(z, seed, draw,
// offset) with draws from 0, and with the parameters one after the other from offset
// 0.
//
// # How it decides
//
// A finite difference depends on its step. If the step is too coarse, the loss bends
// within it; if it is too fine, the difference is lost in the rounding of the
// gradients. Which steps are good is not known in advance. So each step is judged by
// an estimate of its error, the sum of
//
//   - truncation and kinks: twice the distance from the result of half the step or, if
//     it is larger, the distance from that result to the result of a quarter;
//   - rounding: two units in the last place of the largest gradient there or, if it is
//     larger, the rounding that gradients of neighbouring points show, divided by the
//     step;
//   - the effect of rounding on the displacement of the parameters.
//
// Steps at which grad fails or is not finite are skipped. A step is good if its error
// is at most half the tolerance. The first step tried is that of FiniteDifference.
// Then come finer ones, until rounding spoils them, and then coarser ones, as long as
// their results approach each other. The first good step decides: the product passes if
// it is within the tolerance minus the error. Otherwise it is refused, unless the next
// coarser step agrees with it, in which case neither step counts. If no step is good
// for a vector, the vector is tried again where the parameters have moved. If no step
// is good there either, CheckHVP cannot tell right from wrong, and returns an error
// that says "cannot be decided in float32", or float64. In float64 far more can be
// decided.
//
// All of this is relative to the largest |H z|, of hvp and of the differences (of the
// differences alone at coarser steps), over all parameters and, where the parameters
// have not moved, over all vectors. The tolerance is 3e-2 in float32 and 1e-5 in
// float64. Exact products repeat, add up and commute to 1e-5 and 1e-13. The rest of the
// tolerance is for the finite differences, which may also be the hvp under test (see
// FiniteDifference for their error). The tests for linearity and symmetry also allow
// for the rounding of the default step. So, as far as the estimates hold, a product
// that passes is within the tolerance, and one that is refused is off by more than half
// of it. Smaller mistakes are not seen, including those in a parameter whose share of
// the curvature is that small. Since the vectors are random, a mistake can also escape
// in a model of one or two elements.
//
// If a loss has no curvature, there is no |H z| to compare with. Then a product of zeros
// passes, and so does one that equals the differences of the default step. Two things
// show that there is no curvature. At some step, one rounding of the gradients hides at
// most 2⁻²² of the largest gradient over 1+‖θ‖∞; and across this step and all finer ones,
// gradients differ by one rounding at most. They must not differ at all if those of
// neighbouring points are the same.
//
// If a loss has many kinks near the parameters, an exact product may be refused: the
// finite differences can agree with each other and still count the kinks as curvature.
//
// docs/reliability.md in the repository shows the results of CheckHVP for thirty
// thousand right and wrong products.
//
// # Errors and cost
//
// The error wraps ErrHVP and says which test failed, by how much, and where: the
// parameter, the index and both values of the worst element. It also wraps
// ErrNonFinite, ErrShape or ErrOption where they apply, and errors that hvp or grad
// return. The parameters are restored to the bit when CheckHVP returns, whatever hvp
// and grad do. If there are no elements there is nothing to check, and hvp passes.
//
// CheckHVP calls hvp 13 times and grad 38 times if the first steps are good, as they
// are for most losses. If no step is good, it calls hvp some 18 times and grad some
// 600 times. It never calls hvp more than 44 times or grad more than 2900 times. If
// the scales of the parameters differ widely, each difference takes more calls of grad
// (see FiniteDifference). CheckHVP keeps 14 vectors, each as large as all the
// parameters together.
func CheckHVP[T Float](params []Param[T], grad func(grads [][]T) error, hvp HVP[T], seed uint64) error {
	c := newHVPCheck(params, grad, hvp, seed)
	defer c.leave()
	for _, test := range []func() error{c.complete, c.measure, c.multiply, c.repeats, c.linear, c.symmetric, c.agrees, c.agreesElsewhere} {
		if err := test(); err != nil {
			return fmt.Errorf("%w: CheckHVP: %w", ErrHVP, err)
		}
	}
	return nil
}

// checkedVectors is how many vectors CheckHVP tries. In the worst case, two
// dimensions, each more halves the chance that all of them miss a mistake.
const checkedVectors = 4

// hvpCheck holds the arguments and the buffers of a CheckHVP. Its methods are
// the tests, in their order.
type hvpCheck[T Float] struct {
	params []Param[T]
	grad   func(grads [][]T) error
	hvp    HVP[T]
	fd     *finiteDifference[T] // of watched
	seed   uint64
	home   [][]T // the parameters before the check

	z, y, out, next [][]T
	sent            [][]T // what a callback must leave unchanged
	argHZ, argZ     [][]T // passed to hvp, which may replace the slices

	products [checkedVectors][][]T // H z of each vector
	moved    [][]T                 // H z of one vector where the parameters have moved
	largest  float64               // max |H z| over the products
	norm     float64               // max ‖H z‖₂ over the products

	gradient float64 // max |g| at the parameters
	met      float64 // max |g| over the calls of grad since it was set to 0
	rounding float64 // of the gradient, estimated from neighbouring points
	jitter   float64 // the largest such estimate
	lenient  error   // what a test has accepted as rounding of gradients
	left     error   // the last error of grad
	spoiled  error   // says that grad has changed the parameters

	open  [checkedVectors]error // of the vectors for which no step was good
	start int                   // the level at which to begin
	shown float64               // max |H z| over the differences of good steps
}

func newHVPCheck[T Float](params []Param[T], grad func(grads [][]T) error, hvp HVP[T], seed uint64) *hvpCheck[T] {
	c := &hvpCheck[T]{
		params: params,
		grad:   grad,
		hvp:    hvp,
		seed:   seed,
		home:   vectorsLike(params),
		z:      vectorsLike(params),
		y:      vectorsLike(params),
		out:    vectorsLike(params),
		next:   vectorsLike(params),
		sent:   vectorsLike(params),
		moved:  vectorsLike(params),
		argHZ:  make([][]T, len(params)),
		argZ:   make([][]T, len(params)),
	}
	for k := range c.products {
		c.products[k] = vectorsLike(params)
	}
	c.fd = newFiniteDifference(params, c.watched, 0)
	c.fd.save()
	copyVectors(c.home, c.fd.theta)
	return c
}

// leave restores the parameters.
func (c *hvpCheck[T]) leave() {
	copyVectors(c.fd.theta, c.home)
	c.fd.restore()
}

// complete tests that there is something to call.
func (c *hvpCheck[T]) complete() error {
	if c.hvp == nil {
		return errors.New("hvp is nil: pass the product to test")
	}
	if c.grad == nil {
		return fmt.Errorf("%w: grad is nil: pass a function that fills grads with the gradient", ErrOption)
	}
	return c.fd.check(c.out, c.z)
}

// watched calls grad, and watches the parameters and the size of the gradients.
func (c *hvpCheck[T]) watched(grads [][]T) error {
	for i, p := range c.params {
		copy(c.sent[i], p.Value)
	}
	c.left = nil
	if err := c.grad(grads); err != nil {
		c.left = err
		return err
	}
	for i, p := range c.params {
		if j := changed(p.Value, c.sent[i]); j >= 0 {
			c.spoiled = fmt.Errorf("grad changed the parameters: parameter %d %q: Value[%d] is %v, was %v", i, p.Name, j, p.Value[j], c.sent[i][j])
			return c.spoiled
		}
	}
	c.met = max(c.met, maxAbs(grads))
	return nil
}

// fatal returns err if it ends the check, and nil if grad has no finite
// gradient where it was called, which says nothing about hvp.
func (c *hvpCheck[T]) fatal(err error) error {
	switch {
	case c.spoiled != nil:
		return c.spoiled
	case c.left != nil || errors.Is(err, ErrNonFinite) || errors.Is(err, ErrOption):
		return nil
	}
	return err
}

// measure finds the steps of finite differences, the size of the gradient and
// its rounding.
func (c *hvpCheck[T]) measure() error {
	if err := c.fd.chooseSteps(c.z); err != nil {
		return err
	}
	if err := c.measureGradient(c.out); err != nil {
		return err
	}
	return c.measureRounding(c.out)
}

// measureGradient sets g to the gradient where the parameters are.
func (c *hvpCheck[T]) measureGradient(g [][]T) error {
	c.met = 0
	if err := c.fd.gradient(g); err != nil {
		if c.spoiled != nil {
			return c.spoiled
		}
		return err
	}
	_, err := largest(c.params, "gradient", g)
	c.gradient = c.met
	return err
}

// measureRounding estimates the rounding of gradients by second differences
// between points so close to each other that only rounding is left. It takes the
// median for three distances and vectors: at the largest distance there may be more
// than rounding, and at one of them rounding may not show by chance.
func (c *hvpCheck[T]) measureRounding(g [][]T) error {
	var found []float64
	for k, level := range []int{-10, -12, -14} {
		c.draw(c.z, k)
		err := c.gradientAt(c.y, level, 1)
		if err == nil {
			err = c.gradientAt(c.next, level, -1)
		}
		if err != nil {
			if err := c.fatal(err); err != nil {
				return err
			}
			continue
		}
		if s := secondDifference(c.y, g, c.next); isFinite(s) {
			found = append(found, s)
		}
	}
	if slices.Sort(found); len(found) > 0 {
		c.rounding, c.jitter = found[len(found)/2], found[len(found)-1]
	}
	return nil
}

// secondDifference returns max |ahead − 2·at + behind|.
func secondDifference[T Float](ahead, at, behind [][]T) float64 {
	most := 0.0
	for i := range at {
		for j, x := range at[i] {
			most = max(most, math.Abs((float64(ahead[i][j])-float64(x))+(float64(behind[i][j])-float64(x))))
		}
	}
	return most
}

// gradientAt sets dst to the gradient where all parameters have moved along
// c.z, forwards for sign = 1 and backwards for −1, by the step of a level.
func (c *hvpCheck[T]) gradientAt(dst [][]T, level int, sign float64) error {
	c.moveTo(level, sign)
	return c.fd.gradient(dst)
}

// moveTo moves all parameters along c.z by the step of a level.
func (c *hvpCheck[T]) moveTo(level int, sign float64) {
	for i, p := range c.params {
		h := T(sign * c.fd.groups[c.fd.group[i]].step * stepFactor(level))
		for j, theta := range c.fd.theta[i] {
			p.Value[j] = T(h*c.z[i][j]) + theta
		}
	}
}

// multiply fills products.
func (c *hvpCheck[T]) multiply() error {
	c.fd.restore()
	for k, hz := range c.products {
		c.draw(c.z, k)
		if err := c.call(hz, c.z); err != nil {
			return err
		}
		c.largest = max(c.largest, maxAbs(hz))
		c.norm = max(c.norm, math.Sqrt(dot(hz, hz)))
	}
	return nil
}

// repeats tests that hvp gives the same answer when it is asked again.
func (c *hvpCheck[T]) repeats() error {
	for k, hz := range c.products {
		c.draw(c.z, k)
		if err := c.call(c.out, c.z); err != nil {
			return err
		}
		d := c.compare(c.out, hz)
		d.limit -= c.granted() // the same gradients give the same differences
		if !d.accepted() {
			return fmt.Errorf("not repeatable: H z changes when asked again (dropout or another batch?): %s", c.at(d))
		}
	}
	return nil
}

// linear tests H(2z+y) = 2·H z + H y. The weights must not add up to 1, or a
// constant offset would pass.
func (c *hvpCheck[T]) linear() error {
	for k, hz := range c.products {
		next := (k + 1) % checkedVectors
		c.draw(c.z, k)
		c.draw(c.y, next)
		twicePlus(c.z, c.z, c.y)
		if err := c.call(c.out, c.z); err != nil {
			return err
		}
		twicePlus(c.y, hz, c.products[next])
		d := c.compare(c.out, c.y)
		if d.diff <= float64(precisionOf[T]().tolerance*d.scale) {
			continue
		}
		c.lenient = fmt.Errorf("not linear: H(2z+y) is not 2·H z + H y: %s", c.at(d))
		if !d.accepted() {
			return c.lenient
		}
	}
	return nil
}

// symmetric tests zᵀ(H y) = yᵀ(H z), for every pair of the vectors. With
// random signs each side is about as large as the 2-norm of the product, and
// so is their difference if H is not symmetric.
func (c *hvpCheck[T]) symmetric() error {
	noise := float64(c.granted() * math.Sqrt(float64(elements(c.params))))
	for k, hz := range c.products {
		for l, hy := range c.products[:k] {
			c.draw(c.z, k)
			c.draw(c.y, l)
			zhy, yhz := dot(c.z, hy), dot(c.y, hz)
			d := discrepancy{got: zhy, want: yhz, diff: math.Abs(zhy - yhz), scale: c.norm}
			if d.limit = float64(precisionOf[T]().tolerance*c.norm) + noise; !d.accepted() {
				return fmt.Errorf("not symmetric: zᵀ(H y) = %.9g, yᵀ(H z) = %.9g: %s", zhy, yhz, d.measure())
			}
		}
	}
	return nil
}

// agrees tests that H z agrees with finite differences, for each vector.
func (c *hvpCheck[T]) agrees() error {
	for k, hz := range c.products {
		c.draw(c.z, k)
		result, err := c.search(hz)
		switch result {
		case failed, wrong:
			return err
		case open:
			c.open[k] = err
		}
	}
	if c.shown > 0 {
		return c.lenient // good steps show that rounding is not that large
	}
	return nil
}

// agreesElsewhere tests that H z agrees with finite differences where the parameters
// have moved: for the vector with the most curvature, and for those that could not be
// decided before, since kinks that are too near in one place may not be in another.
func (c *hvpCheck[T]) agreesElsewhere() error {
	most := 0
	for k, hz := range c.products {
		if maxAbs(hz) > maxAbs(c.products[most]) {
			most = k
		}
	}
	if err := c.agreesMoved(most); err != nil {
		return err
	}
	for k, err := range c.open {
		if err != nil && k != most {
			if err := c.agreesMoved(k); err != nil {
				return err
			}
		}
	}
	return nil
}

// agreesMoved is agreesElsewhere for vector k. It moves the parameters less and less
// far until a step is good.
func (c *hvpCheck[T]) agreesMoved(k int) error {
	undecided := c.open[k]
	farther := false // nothing could be decided at a larger distance
	var outside error
	for level := levelOf[T](1. / 8); level >= -8; level -= 3 {
		c.draw(c.z, checkedVectors+k)
		copyVectors(c.fd.theta, c.home)
		c.moveTo(level, 1)
		c.fd.save()
		if err := c.measureGradient(c.out); err != nil {
			if fatal := c.fatal(err); fatal != nil {
				return fatal
			}
			outside = err
			continue
		}
		c.draw(c.z, k)
		if err := c.call(c.moved, c.z); err != nil {
			outside = err
			continue
		}
		c.largest, c.shown, c.start = maxAbs(c.moved), 0, 0
		result, err := c.search(c.moved)
		switch result {
		case right:
			if !farther || c.hasMoved(k) {
				return nil
			}
			err = fmt.Errorf("%s: H z changes too little where a step is good", undecidedIn[T]())
		case failed:
			return err
		case wrong:
			return fmt.Errorf("where the parameters have moved (are some kept from another call?): %w", err)
		}
		undecided, farther = err, true
	}
	if undecided == nil {
		return fmt.Errorf("%s: there is nothing to compare where the parameters have moved: %w", undecidedIn[T](), outside)
	}
	return undecided
}

// hasMoved reports whether the product has changed with the parameters: then it is not
// one that was kept.
func (c *hvpCheck[T]) hasMoved(k int) bool {
	return farthest(c.moved, c.products[k]).diff > float64(2*precisionOf[T]().tolerance*c.largest)
}

// draw sets z to vector k.
func (c *hvpCheck[T]) draw(z [][]T, k int) {
	var offset uint64
	for _, v := range z {
		Rademacher(v, c.seed, uint64(k), offset)
		offset += uint64(len(v))
	}
}

// call sets hz to the product that hvp returns for z, and tests that hvp wrote all of
// it and nothing else.
func (c *hvpCheck[T]) call(hz, z [][]T) error {
	for i := range hz {
		// Elements that hvp adds to, or leaves alone, stay NaN.
		for j := range hz[i] {
			hz[i][j] = T(math.NaN())
		}
		copy(c.sent[i], z[i])
	}
	copy(c.argHZ, hz)
	copy(c.argZ, c.sent)
	if err := c.hvp(c.argHZ, c.argZ); err != nil {
		return fmt.Errorf("hvp: %w", err)
	}
	if err := take(c.params, "hz", hz, c.argHZ); err != nil {
		return err
	}
	for i, p := range c.params {
		if j := changed(c.sent[i], z[i]); j >= 0 {
			return fmt.Errorf("hvp changed z: parameter %d %q: z[%d] is %v, was %v", i, p.Name, j, c.sent[i][j], z[i][j])
		}
		theta := c.fd.theta[i]
		if j := changed(p.Value, theta); j >= 0 {
			return fmt.Errorf("hvp changed the parameters: parameter %d %q: Value[%d] is %v, was %v", i, p.Name, j, p.Value[j], theta[j])
		}
	}
	if _, err := largest(c.params, "hz", hz); err != nil {
		return fmt.Errorf("hvp must set every element of hz to a finite value (hz was NaN before the call): %w", err)
	}
	return nil
}

// granted is the H z that the rounding of gradients alone produces at the default
// step. A product that is itself made of differences may be off by as much.
func (c *hvpCheck[T]) granted() float64 { return c.roundingAt(0, c.gradient) }

// compare returns where two products of hvp are farthest apart.
func (c *hvpCheck[T]) compare(got, want [][]T) discrepancy {
	d := farthest(got, want)
	d.scale = max(c.largest, maxAbs(got), maxAbs(want))
	d.limit = float64(precisionOf[T]().tolerance*d.scale) + c.granted()
	return d
}

// at says how large a discrepancy is, and where.
func (c *hvpCheck[T]) at(d discrepancy) string {
	return fmt.Sprintf("%s; worst at parameter %d %q, index %d: %.9g, want %.9g",
		d.measure(), d.param, c.params[d.param].Name, d.index, d.got, d.want)
}

// discrepancy says how far apart two results are that should be equal.
type discrepancy struct {
	param, index int // the element where they are farthest apart
	got, want    float64
	diff         float64 // |got − want|
	limit        float64 // the largest diff accepted
	scale        float64 // what errors are relative to; 0 only if diff is
}

func (d discrepancy) accepted() bool { return d.diff <= d.limit }

// measure says how large the discrepancy is.
func (d discrepancy) measure() string {
	return fmt.Sprintf("relative error %.3g, tolerance %.3g", d.diff/d.scale, d.limit/d.scale)
}

// farthest returns where got is farthest from want.
func farthest[T Float](got, want [][]T) discrepancy {
	var d discrepancy
	for i := range got {
		for j, x := range got[i] {
			y := want[i][j]
			if diff := math.Abs(float64(x) - float64(y)); diff > d.diff {
				d.param, d.index, d.got, d.want, d.diff = i, j, float64(x), float64(y), diff
			}
		}
	}
	return d
}

func copyVectors[T Float](dst, src [][]T) {
	for i := range dst {
		copy(dst[i], src[i])
	}
}

// elements returns the number of elements of all parameters.
func elements[T Float](params []Param[T]) int {
	n := 0
	for _, p := range params {
		n += len(p.Value)
	}
	return n
}

// dot returns xᵀy, summed in float64.
func dot[T Float](x, y [][]T) float64 {
	sum := 0.0
	for i := range x {
		for j, e := range x[i] {
			sum += float64(float64(e) * float64(y[i][j]))
		}
	}
	return sum
}

// twicePlus sets dst to 2x + y.
func twicePlus[T Float](dst, x, y [][]T) {
	for i := range dst {
		for j := range dst[i] {
			dst[i][j] = T(2*x[i][j]) + y[i][j]
		}
	}
}

// changed returns the first index at which the bits of x and y differ, or -1.
func changed[T Float](x, y []T) int {
	for j := range x {
		if math.Float64bits(float64(x[j])) != math.Float64bits(float64(y[j])) {
			return j
		}
	}
	return -1
}
