package adahessian

import (
	"fmt"
	"math"
	"slices"
	"unsafe"
)

// HVP computes a Hessian-vector product: it sets hz[i] to (H z)[i] for every
// parameter i, at the present values of the parameters.
//
// H is the full Hessian of the loss, across all parameters:
// hz[i] = Σ_j ∂²L/∂θi∂θj · z[j], cross terms between tensors included. A
// framework computes it without ever forming H, as the derivative of gᵀz with
// g the gradient and z held constant:
//
//	∂(gᵀz)/∂θ = (∂g/∂θ)ᵀ z = H z
//
// by differentiating the backward pass again (reverse over reverse), or in one
// pass with tangents (forward over reverse). That is the Hessian matvec with
// which Yao et al., AAAI 2021, arXiv 2006.00719, estimate the diagonal by
// Hutchinson's method. It is linear in z. The product with another curvature
// matrix serves too, a Gauss-Newton matrix, say: D is then an estimate of its
// diagonal, and CheckHVP, which is for the Hessian, refuses it. Who has a diagonal
// D already sets hz[i] to z[i]⊙D. (hz[i] = D is not linear: with one probe it
// gives the same, but with several their signs cancel it.) The loss is the one whose gradients the optimizer is given,
// on the same batch: if those are averaged over the batch, so is H. A random
// part of the loss, such as dropout, must be the same at every call between
// two steps, or off.
//
// Shapes: hz and z each hold one slice for every parameter, in the order in
// which the parameters were given, and hz[i] and z[i] are as long as
// parameter i, row-major like it. The elements of z are +1 or −1 when Step
// calls; CheckHVP also passes other finite values, to test linearity.
//
// Aliasing: an HVP writes every element of hz[i], whose contents on entry mean
// nothing (Step puts NaN there, to see what stays unwritten), or puts a slice of its own of the same length into hz[i]. That is
// only read, and not after the next call of the HVP or the end of the Step. The
// HVP does not keep hz or z, and leaves z and the parameters as they are. (Step
// tolerates one that writes into z; CheckHVP reports it.)
//
// Errors: one that it returns ends the Step, which changes nothing and returns
// it, reachable by errors.Is and errors.As. What hz holds is then ignored.
//
// CheckHVP tests an HVP; FiniteDifference makes one from gradients alone.
type HVP[T Float] func(hz, z [][]T) error

// precision holds what finite differences need to know about a type.
type precision struct {
	epsilon float64 // distance from 1 to the next number

	// step is the displacement of a parameter near 0. The error of a central
	// difference is rounding, which falls as epsilon/step, plus truncation,
	// which rises as step²; their sum is least near the cube root of epsilon
	// (5e-3 and 6e-6). float32 stays below that, because a z of n signs moves
	// the parameters by √n steps, and truncation counts that distance.
	step float64

	// tolerance is the relative error that CheckHVP accepts.
	tolerance float64
}

func precisionOf[T Float]() precision {
	if unsafe.Sizeof(T(0)) == 4 {
		return precision{epsilon: 0x1p-23, step: 2e-3, tolerance: 3e-2}
	}
	return precision{epsilon: 0x1p-52, step: 1e-5, tolerance: 1e-5}
}

// FiniteDifference returns an HVP that needs gradients only, for models whose
// framework cannot differentiate twice, and for tests. It takes the central
// difference along z of the gradient g:
//
//	H z ≈ (g(θ + h·z) − g(θ − h·z)) / 2h
//
// One product costs two calls of grad, and two vectors as large as all the
// parameters together are kept between the calls.
//
// params are the parameters of the loss; only Value, and Name for errors, is
// used. The list is copied, the values are not: products are taken at the
// present values. No element may belong to two parameters.
//
// grad fills grads[i] with the gradient of the loss with respect to
// parameter i at the present values, and has the same loss at each call: same
// batch, same dropout. grads has one slice for every parameter, as long as its
// Value. The slices are zeroed before each call, so grad may add to them;
// elements it leaves alone are taken for 0. It may also put a slice of its own
// of the same length into grads[i], which is copied. It must not keep the ones
// it is given. An error it returns ends the product.
//
// h > 0 is the step: element j of parameter i is moved by h·z[i][j] both ways,
// so h has the units of the parameters over those of z. h = 0 picks a step
// anew at each call: 2e-3·(1+‖θ‖∞)/‖z‖∞ in float32, 1e-5·(1+‖θ‖∞)/‖z‖∞ in
// float64, rounded to the nearest power of two so that h·z and the division
// are exact. ‖·‖∞ is the largest magnitude over all parameters together, since
// H z needs one step for all. Where one parameter is far larger than the
// others, that step is too coarse for them: give an h of your own.
//
// The error, relative to the largest |H z|, was 1e-4 to 2e-2 in float32 and
// 1e-9 to 1e-6 in float64 for networks of one tanh layer with 2 to 1000 inputs
// of unit variance. It grows as the square of what the step moves the input of
// a unit by, so with many or large inputs. A loss with kinks, as of ReLU, has a
// gradient that jumps when a step crosses one: there it can be as large as H z.
//
// A grad that also leaves its gradients in memory of the framework leaves those
// of θ − h·z there. Step reads its grads after the product, so give it a copy that
// was made before, or compute them again.
//
// While the product is computed the parameters hold θ ± h·z. When it returns
// they are restored to the bit, also after an error and when grad panics. After
// an error hz holds nothing of use.
//
// Bad arguments are reported by the HVP, at each call, before grad is called.
// Its errors name the parameter, the index and the value at fault, and wrap
//
//   - ErrOption: grad is nil; h is negative, NaN, infinite, 0 or infinite when
//     rounded to T, or too small to move any parameter;
//   - ErrShape: hz or z has the wrong number of slices, one of their slices or
//     of those that grad returns has the wrong length, or hz and z are the same
//     memory;
//   - ErrNonFinite: a parameter, an element of z, a gradient, or the quotient is
//     NaN or infinite;
//   - ErrHVP, and the error itself: grad returned one.
//
// The HVP makes its buffers here, and allocates nothing when called. It is not
// safe for concurrent use, neither with itself nor with anything that reads or
// writes the parameters. The same gradients give the same bits everywhere.
func FiniteDifference[T Float](params []Param[T], grad func(grads [][]T) error, h float64) HVP[T] {
	return newFiniteDifference(params, grad, h).product
}

// finiteDifference holds the arguments and the buffers of a FiniteDifference.
type finiteDifference[T Float] struct {
	params []Param[T]
	grad   func(grads [][]T) error
	h      float64
	theta  [][]T // the parameters as they were found
	minus  [][]T // the gradient at θ − h·z; the one at θ + h·z goes to hz
	arg    [][]T // what grad is given: it may replace the slices
}

func newFiniteDifference[T Float](params []Param[T], grad func(grads [][]T) error, h float64) *finiteDifference[T] {
	return &finiteDifference[T]{
		params: slices.Clone(params),
		grad:   grad,
		h:      h,
		theta:  vectorsLike(params),
		minus:  vectorsLike(params),
		arg:    make([][]T, len(params)),
	}
}

// product is the HVP.
func (f *finiteDifference[T]) product(hz, z [][]T) error {
	if err := f.check(hz, z); err != nil {
		return err
	}
	f.save()
	defer f.restore()
	h, err := f.stepFor(z)
	if err != nil {
		return err
	}
	if err := f.gradientAt(hz, z, h); err != nil {
		return err
	}
	if err := f.gradientAt(f.minus, z, -h); err != nil {
		return err
	}
	return f.divide(hz, h)
}

// save keeps the parameters for restore.
func (f *finiteDifference[T]) save() {
	for i, p := range f.params {
		copy(f.theta[i], p.Value)
	}
}

// restore sets the parameters to what save has kept.
func (f *finiteDifference[T]) restore() {
	for i, p := range f.params {
		copy(p.Value, f.theta[i])
	}
}

// check reports arguments with which no product can be computed.
func (f *finiteDifference[T]) check(hz, z [][]T) error {
	if f.grad == nil {
		return fmt.Errorf("%w: FiniteDifference: grad is nil", ErrOption)
	}
	if !(f.h >= 0) {
		return fmt.Errorf("%w: FiniteDifference: h = %v, want at least 0", ErrOption, f.h)
	}
	if err := checkVectors(f.params, "hz", hz); err != nil {
		return err
	}
	if err := checkVectors(f.params, "z", z); err != nil {
		return err
	}
	for i, p := range f.params {
		if len(z[i]) > 0 && &hz[i][0] == &z[i][0] {
			return fmt.Errorf("%w: parameter %d %q: hz and z are the same memory", ErrShape, i, p.Name)
		}
	}
	return nil
}

// stepFor returns the step along z: h itself, or one picked for θ and z.
func (f *finiteDifference[T]) stepFor(z [][]T) (float64, error) {
	theta, err := largest(f.params, "Value", f.theta)
	if err != nil {
		return 0, err
	}
	zmax, err := largest(f.params, "z", z)
	if err != nil {
		return 0, err
	}
	h := f.h
	if h == 0 {
		if zmax == 0 {
			zmax = 1 // nothing moves, whatever the step
		}
		h = nearestPowerOfTwo(precisionOf[T]().step * (1 + theta) / zmax)
	}
	if T(h) == 0 || math.IsInf(float64(T(2*h)), 0) {
		return 0, fmt.Errorf("%w: FiniteDifference: the step h = %v has no reciprocal in %T", ErrOption, h, T(0))
	}
	return h, nil
}

// gradientAt sets dst to the gradient at θ + h·z.
func (f *finiteDifference[T]) gradientAt(dst, z [][]T, h float64) error {
	if !f.move(z, T(h)) {
		return fmt.Errorf("%w: FiniteDifference: h = %v is too small to move any parameter", ErrOption, math.Abs(h))
	}
	return f.gradient(dst)
}

// gradient sets dst to the gradient at the present values.
func (f *finiteDifference[T]) gradient(dst [][]T) error {
	for _, d := range dst {
		clear(d)
	}
	copy(f.arg, dst)
	if err := f.grad(f.arg); err != nil {
		return fmt.Errorf("%w: FiniteDifference: gradient: %w", ErrHVP, err)
	}
	return take(f.params, "grads", dst, f.arg)
}

// move sets the parameters to θ + h·z. It reports whether one has moved, or
// none was to.
func (f *finiteDifference[T]) move(z [][]T, h T) bool {
	still, moved := true, false
	for i, p := range f.params {
		theta, z := f.theta[i], z[i]
		for j := range p.Value {
			p.Value[j] = T(h*z[j]) + theta[j]
			still = still && z[j] == 0
			moved = moved || p.Value[j] != theta[j]
		}
	}
	return still || moved
}

// divide turns hz from the gradient at θ + h·z into the product.
func (f *finiteDifference[T]) divide(hz [][]T, h float64) error {
	width := T(2 * h)
	for i, p := range f.params {
		hz, minus := hz[i], f.minus[i]
		for j, plus := range hz {
			hz[j] = (plus - minus[j]) / width
			if !isFinite(hz[j]) {
				return fmt.Errorf("%w: parameter %d %q: gradient[%d] is %v at θ+h·z and %v at θ−h·z, h = %v",
					ErrNonFinite, i, p.Name, j, plus, minus[j], h)
			}
		}
	}
	return nil
}

// CheckHVP tests whether hvp is the Hessian-vector product of the loss whose
// gradient grad computes, at the present values of the parameters. It is for
// the tests of a framework, or for the first step of a training run; the usual
// mistakes are cross terms left out, a Gauss-Newton matrix in the place of the
// Hessian, a sum in the place of a mean, dropout left on, and parameters or
// vectors that were kept from another call.
//
// With four vectors z of random signs, CheckHVP tests, in this order:
//
//   - that hvp writes every element of hz, with finite values, and changes
//     neither z nor a parameter;
//   - that it gives the same answer when it is asked again;
//   - that it is linear: H(2z+y) = 2·H z + H y;
//   - that it is symmetric: zᵀ(H y) = yᵀ(H z);
//   - that it agrees with FiniteDifference(params, grad, 0). If it does not,
//     the same is tried with other steps, since the step that suits most
//     losses is too coarse for some and too fine for others.
//
// params, grad and its grads are as for FiniteDifference; the loss must be the
// same at every call of grad and of hvp. seed chooses the vectors,
// Rademacher(z, seed, draw, offset) with draws from 0 and the parameters one
// after the other from offset 0.
//
// Differences of elements are measured relative to the largest |H z| over all
// parameters and vectors, those of zᵀ(H y) relative to the largest ‖H z‖₂. The
// tolerance is 3e-2 in float32 and 1e-5 in float64: exact products repeat, add
// up and commute to 1e-5 and 1e-13, and the rest is for the finite differences,
// which may also be the hvp under test (see FiniteDifference for their error).
// The rounding of the gradients, 16 units in the last place over the step,
// is granted besides, so that a loss without curvature passes.
//
// Mistakes below that are not seen: not those in a parameter whose share of
// the curvature is as small, and in float32 hardly any where the gradients are
// a thousand times larger than H z. A check in float64 sees far more. Since
// the vectors are random, a mistake can also escape in a model of one or two
// elements. A loss with kinks near the parameters may fail with an exact
// product, as its finite differences are then wrong at every step.
//
// The error wraps ErrHVP and says which test failed, by how much, and where:
// the parameter, the index and both values of the worst element. It wraps
// ErrNonFinite, ErrShape or ErrOption too where they apply, and errors that
// hvp or grad return. The parameters are restored to the bit when CheckHVP
// returns, whatever hvp and grad do. Without any elements there is nothing to
// check, and hvp passes.
//
// CheckHVP costs 12 calls of hvp and 9 of grad, at most 33 of grad if it has to
// try other steps, and the memory of ten vectors as large as all the
// parameters together.
func CheckHVP[T Float](params []Param[T], grad func(grads [][]T) error, hvp HVP[T], seed uint64) error {
	if hvp == nil {
		return fmt.Errorf("%w: CheckHVP: hvp is nil", ErrHVP)
	}
	fd := newFiniteDifference(params, grad, 0)
	fd.save()
	defer fd.restore()
	c := hvpCheck[T]{
		params: params,
		hvp:    hvp,
		fd:     fd,
		seed:   seed,
		z:      vectorsLike(params),
		y:      vectorsLike(params),
		out:    vectorsLike(params),
		sent:   vectorsLike(params),
		argHZ:  make([][]T, len(params)),
		argZ:   make([][]T, len(params)),
	}
	for k := range c.products {
		c.products[k] = vectorsLike(params)
	}
	for _, test := range []func() error{c.measure, c.multiply, c.repeats, c.linear, c.symmetric, c.agrees} {
		if err := test(); err != nil {
			return fmt.Errorf("%w: CheckHVP: %w", ErrHVP, err)
		}
	}
	return nil
}

// checkedVectors is how many vectors CheckHVP tries. The chance that all of
// them miss a mistake halves with each in the worst case, two dimensions.
const checkedVectors = 4

// fallbackSteps are the steps of the comparison with finite differences, as
// multiples of the one picked by default, in the order of trial.
var fallbackSteps = [...]float64{1, 1. / 8, 1. / 64, 1. / 512}

// roundingErrors is how many roundings of the largest gradient CheckHVP grants
// to the gradient that a finite difference is made of.
const roundingErrors = 16

// hvpCheck holds the arguments and the buffers of a CheckHVP. Its methods are
// the tests, in their order.
type hvpCheck[T Float] struct {
	params []Param[T]
	hvp    HVP[T]
	fd     *finiteDifference[T]
	seed   uint64

	z, y, out   [][]T
	sent        [][]T // the z that hvp gets, to notice that it has changed
	argHZ, argZ [][]T // what hvp is given: it may replace the slices

	products [checkedVectors][][]T // H z of each vector

	step    float64 // the step that FiniteDifference picks
	noise   float64 // the H z that rounding of the gradient makes of none
	largest float64 // max |H z| over the products
	norm    float64 // max ‖H z‖₂ over the products
}

// measure finds the step and the noise of finite differences.
func (c *hvpCheck[T]) measure() error {
	if err := c.fd.check(c.out, c.z); err != nil {
		return err
	}
	step, err := c.fd.stepFor(c.z)
	if err != nil {
		return err
	}
	if err := c.fd.gradient(c.out); err != nil {
		return err
	}
	g, err := largest(c.params, "gradient", c.out)
	if err != nil {
		return err
	}
	c.step = step
	c.noise = roundingErrors * precisionOf[T]().epsilon * g / step
	return nil
}

// multiply fills products.
func (c *hvpCheck[T]) multiply() error {
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

// repeats tests that hvp gives the same answer again.
func (c *hvpCheck[T]) repeats() error {
	for k, hz := range c.products {
		c.draw(c.z, k)
		if err := c.call(c.out, c.z); err != nil {
			return err
		}
		if d := c.compare(c.out, hz); !d.accepted() {
			return fmt.Errorf("not repeatable: H z changes when asked again (dropout or another batch?): %s", c.at(d))
		}
	}
	return nil
}

// linear tests H(2z+y) = 2·H z + H y. The weights do not add up to 1, or a
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
		if d := c.compare(c.out, c.y); !d.accepted() {
			return fmt.Errorf("not linear: H(2z+y) is not 2·H z + H y: %s", c.at(d))
		}
	}
	return nil
}

// symmetric tests zᵀ(H y) = yᵀ(H z), for every pair of the vectors. With
// random signs each side is about as large as the 2-norm of the product, and
// so is their difference if H is not symmetric.
func (c *hvpCheck[T]) symmetric() error {
	noise := float64(c.noise * math.Sqrt(float64(elements(c.params))))
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

// agrees tests that H z is what finite differences give.
func (c *hvpCheck[T]) agrees() error {
	for k, hz := range c.products {
		c.draw(c.z, k)
		if err := c.agreesWith(hz); err != nil {
			return err
		}
	}
	return nil
}

// agreesWith compares hz with finite differences along c.z, with one step
// after the other until one agrees. A wrong product agrees with none.
func (c *hvpCheck[T]) agreesWith(hz [][]T) error {
	var best discrepancy
	for n, factor := range fallbackSteps {
		c.fd.h = c.step * factor
		if err := c.fd.product(c.out, c.z); err != nil {
			return err
		}
		d := c.compare(hz, c.out)
		if d.accepted() {
			return nil
		}
		if n == 0 || d.relative() < best.relative() {
			best = d
		}
	}
	return fmt.Errorf("disagrees with finite differences: %s", c.at(best))
}

// draw sets z to vector k.
func (c *hvpCheck[T]) draw(z [][]T, k int) {
	var offset uint64
	for _, v := range z {
		Rademacher(v, c.seed, uint64(k), offset)
		offset += uint64(len(v))
	}
}

// call sets hz to hvp's product with z, and tests that hvp wrote that and
// nothing else.
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
		return fmt.Errorf("hvp set no finite product (hz was NaN before the call): %w", err)
	}
	return nil
}

// compare returns where got is farthest from want.
func (c *hvpCheck[T]) compare(got, want [][]T) discrepancy {
	d := discrepancy{scale: max(c.largest, maxAbs(got), maxAbs(want))}
	d.limit = float64(precisionOf[T]().tolerance*d.scale) + c.noise
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

// at says how large a discrepancy is, and where.
func (c *hvpCheck[T]) at(d discrepancy) string {
	return fmt.Sprintf("%s; worst at parameter %d %q, index %d: %.9g, want %.9g",
		d.measure(), d.param, c.params[d.param].Name, d.index, d.got, d.want)
}

// discrepancy is how far two results that should be equal are apart.
type discrepancy struct {
	param, index int // where they are farthest apart
	got, want    float64
	diff         float64 // |got − want|
	limit        float64 // the largest diff accepted
	scale        float64 // what counts as 1 in the report; 0 only if diff is
}

func (d discrepancy) accepted() bool { return d.diff <= d.limit }

func (d discrepancy) relative() float64 { return d.diff / d.scale }

// measure says how large the discrepancy is.
func (d discrepancy) measure() string {
	return fmt.Sprintf("relative error %.3g, tolerance %.3g", d.relative(), d.limit/d.scale)
}

// vectorsLike returns zeros for every element of the parameters.
func vectorsLike[T Float](params []Param[T]) [][]T {
	x := make([][]T, len(params))
	for i, p := range params {
		x[i] = make([]T, len(p.Value))
	}
	return x
}

// elements returns the number of elements of all parameters.
func elements[T Float](params []Param[T]) int {
	n := 0
	for _, p := range params {
		n += len(p.Value)
	}
	return n
}

// checkVectors reports an x that does not have the shapes of the parameters.
func checkVectors[T Float](params []Param[T], name string, x [][]T) error {
	if len(x) != len(params) {
		return fmt.Errorf("%w: %s has %d slices, want %d, one for each parameter", ErrShape, name, len(x), len(params))
	}
	for i, p := range params {
		if len(x[i]) != len(p.Value) {
			return fmt.Errorf("%w: parameter %d %q: %s has %d elements, want %d", ErrShape, i, p.Name, name, len(x[i]), len(p.Value))
		}
	}
	return nil
}

// take copies to x what a callback has returned: x itself, or slices of its
// own in the place of some.
func take[T Float](params []Param[T], name string, x, returned [][]T) error {
	if err := checkVectors(params, name, returned); err != nil {
		return err
	}
	for i := range x {
		copy(x[i], returned[i])
	}
	return nil
}

// largest returns max |x|, and reports the first element that is not finite.
func largest[T Float](params []Param[T], name string, x [][]T) (float64, error) {
	for i := range x {
		for j, v := range x[i] {
			if !isFinite(v) {
				return 0, fmt.Errorf("%w: parameter %d %q: %s[%d] = %v", ErrNonFinite, i, params[i].Name, name, j, v)
			}
		}
	}
	return maxAbs(x), nil
}

// maxAbs returns max |x| of finite elements, 0 if there are none.
func maxAbs[T Float](x [][]T) float64 {
	var m T
	for _, v := range x {
		for _, e := range v {
			m = max(m, e, -e)
		}
	}
	return float64(m)
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

// isFinite reports whether x is neither NaN nor infinite: those minus
// themselves are NaN.
func isFinite[T Float](x T) bool { return x-x == 0 }

// nearestPowerOfTwo returns the power of two nearest to x > 0 in ratio.
func nearestPowerOfTwo(x float64) float64 {
	fraction, exponent := math.Frexp(x)
	if fraction < math.Sqrt2/2 {
		exponent--
	}
	return math.Ldexp(1, exponent)
}
