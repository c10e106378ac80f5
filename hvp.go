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
// pass with tangents (forward over reverse). Yao et al., AAAI 2021, arXiv
// 2006.00719, estimate the diagonal from this product by Hutchinson's method.
//
// You can use another matrix instead of H, as long as the product is linear in z. D is
// then the estimate of that matrix's diagonal. The product with a Gauss-Newton matrix
// is an example. If you have an estimate d of the diagonal itself, return hz = z ⊙ d,
// which is right for any number of samples, since Step multiplies by z again. (hz = d
// gives the same for one sample, where only |hz| counts, but 0 for two samples with
// different signs.) CheckHVP accepts only the Hessian.
//
// The loss is the one whose gradients the optimizer gets. If they are averaged over
// the batch, H must be too: a sum instead of the mean makes D too large by the size
// of the batch. The product may be averaged over a part of the batch. If the part is
// chosen without regard to the data, this is an unbiased estimate of the product over
// the whole batch, cheaper and noisier. A random part of the loss, such as dropout,
// must be the same at every call between two steps, or off.
//
// Shapes: hz and z each hold one slice for every parameter, in the order in
// which the parameters were given. hz[i] and z[i] are as long as parameter i,
// and row-major like it. When Step calls, the elements of z are +1 or −1;
// CheckHVP also passes other finite values, to test linearity.
//
// Aliasing: an HVP writes every element of hz[i], zeros included, or replaces hz[i]
// with a slice of its own of the same length. On entry the contents of hz[i] have no
// meaning: an element can hold the product of an earlier call, or NaN, from which Step
// can tell what was not written. A slice of the HVP's own is only read, and only until
// the next call of the HVP or the end of the Step. The HVP does not keep hz or z, and
// does not change z or the parameters. (Step tolerates an HVP that writes into z;
// CheckHVP reports it.)
//
// Errors: if the HVP returns an error, the Step ends, changes nothing, ignores hz,
// and returns an error that wraps it.
//
// CheckHVP tests an HVP; FiniteDifference makes one from gradients alone.
type HVP[T Float] func(hz, z [][]T) error

// precision holds what finite differences need to know about a type.
type precision struct {
	epsilon float64 // distance from 1 to the next number
	normal  float64 // the smallest normal number

	// step is the displacement of a parameter near 0. The error of a central
	// difference is rounding, which falls as epsilon/step, plus truncation,
	// which rises as step²; their sum is least near the cube root of epsilon
	// (5e-3 and 6e-6). float32 stays below that, because a z of n signs moves
	// the parameters by √n steps, and truncation depends on that distance.
	step float64

	// tolerance is the relative error that CheckHVP accepts; half of it is left for
	// the error of the finite differences.
	tolerance float64
}

func precisionOf[T Float]() precision {
	if unsafe.Sizeof(T(0)) == 4 {
		return precision{epsilon: 0x1p-23, normal: 0x1p-126, step: 2e-3, tolerance: 3e-2}
	}
	return precision{epsilon: 0x1p-52, normal: 0x1p-1022, step: 1e-5, tolerance: 1e-5}
}

// FiniteDifference returns an HVP that needs only gradients, for models whose framework
// cannot differentiate twice, and for tests. It takes the central difference of the
// gradient g along z:
//
//	H z ≈ (g(θ + h·z) − g(θ − h·z)) / 2h
//
// One product costs two calls of grad or, if the scales of the parameters differ
// widely, two for each scale (see below). Up to three vectors, each as large as all
// the parameters together, are kept between calls.
//
// params are the parameters of the loss. Only Value is used, and Name in errors.
// The list is copied but the values are not: a product is taken at the present
// values. No element may belong to two parameters.
//
// grad fills grads[i] with the gradient of the loss with respect to parameter i at
// the present values. The loss must be the same at each call: same batch, same
// dropout. grads has one slice for every parameter, as long as its Value. The slices
// are zeroed before each call, so grad may add to them, and elements that it does not
// write are 0. grad may also replace grads[i] with a slice of its own of the same
// length, which is copied. It must not keep the slices it is given. If it returns an
// error, the product ends with that error.
//
// If h > 0, it is the step: element j of parameter i is moved by h·z[i][j] in both
// directions, so h has the units of the parameters over those of z. If h = 0, each
// call picks a step: 2e-3·(1+‖θ‖∞)/‖z‖∞ in float32 and 1e-5·(1+‖θ‖∞)/‖z‖∞ in
// float64, rounded to the nearest power of two so that h·z and the division are
// exact. ‖·‖∞ is the largest magnitude over all parameters together.
//
// If one parameter is far larger than another, no single step suits both. With
// h = 0 the parameters are therefore divided into groups, by the power of two below
// 1+‖θi‖∞: those with less than 16 times the smallest power are the first group,
// those within the next factor of 16 the second, and so on. Each group has its own
// step, from the largest magnitude in it. Since H z is linear in z, it is the sum of
// the products with the part of z in each group. That costs two calls of grad for
// each group that is not empty. The groups depend only on the values of whole
// parameters: if a tensor is cut into several parameters, these can fall into
// different groups, which changes the rounding of the result and the cost. The
// elements of one parameter share their step: if a few of them are far larger than
// the rest, make them a parameter of their own, or pass an h, which is then the step
// of all parameters.
//
// The error, relative to the largest |H z|, was 1e-4 to 2e-2 in float32 and
// 1e-9 to 1e-6 in float64 for networks of one tanh layer with 2 to 1000 inputs
// of unit variance. It grows as the square of the distance by which the step moves
// the input of a unit, and so with the number and size of the inputs. If the loss has
// kinks, as with ReLU, its gradient jumps when a step crosses one, and the error can
// be as large as H z.
//
// If grad also leaves its gradients in memory of the framework, those of θ − h·z
// remain there. Step reads its grads after the product, so pass it a copy that was
// made before, or compute them again.
//
// While the product is computed, the parameters hold θ ± h·z. When it returns they
// are restored to the bit, even after an error or a panic of grad. After an error
// the contents of hz have no meaning.
//
// The HVP reports bad arguments at each call, before it calls grad. Its errors name
// the parameter, the index and the value, and wrap
//
//   - ErrOption if grad is nil, or if h is negative, NaN or infinite, is 0 or
//     infinite when rounded to T, or is too small to move any parameter;
//   - ErrShape if hz or z has the wrong number of slices, if one of their slices or
//     one that grad returns has the wrong length, or if a slice of hz or a Value
//     shares memory with another slice of hz or z or with another Value;
//   - ErrNonFinite if a parameter, an element of z, a gradient or the quotient is
//     NaN or infinite;
//   - ErrHVP and grad's own error if grad returns one.
//
// All buffers are made here; the HVP allocates nothing when called. It must not run
// concurrently with itself or with anything that reads or writes the parameters. The
// same gradients give the same bits everywhere.
func FiniteDifference[T Float](params []Param[T], grad func(grads [][]T) error, h float64) HVP[T] {
	return newFiniteDifference(params, grad, h).product
}

// finiteDifference holds the arguments and the buffers of a FiniteDifference.
type finiteDifference[T Float] struct {
	params []Param[T]
	grad   func(grads [][]T) error
	h      float64

	theta [][]T // the parameters before the product
	plus  [][]T // the gradient at θ + h·z for a later group; for the first it goes to hz
	minus [][]T // the gradient at θ − h·z
	arg   [][]T // passed to grad, which may replace the slices

	group   []int       // of each parameter
	groups  []stepGroup // in rising order of their scales
	regions []region    // the memory of the arguments
}

// stepGroup is a set of parameters of similar scale.
type stepGroup struct {
	scale   int     // how many factors of 16 above the smallest parameters
	largest float64 // max |θ|
	step    float64 // the displacement along z
}

func newFiniteDifference[T Float](params []Param[T], grad func(grads [][]T) error, h float64) *finiteDifference[T] {
	f := &finiteDifference[T]{
		params:  slices.Clone(params),
		grad:    grad,
		h:       h,
		theta:   vectorsLike(params),
		minus:   vectorsLike(params),
		arg:     make([][]T, len(params)),
		group:   make([]int, len(params)),
		groups:  make([]stepGroup, 0, max(1, len(params))),
		regions: make([]region, 0, 3*len(params)),
	}
	if h == 0 && len(params) > 1 {
		f.plus = vectorsLike(params)
	}
	return f
}

// product is the HVP.
func (f *finiteDifference[T]) product(hz, z [][]T) error {
	if err := f.check(hz, z); err != nil {
		return err
	}
	f.save()
	defer f.restore()
	if err := f.chooseSteps(z); err != nil {
		return err
	}
	return f.difference(hz, z, 1)
}

// save copies the parameters for restore.
func (f *finiteDifference[T]) save() {
	for i, p := range f.params {
		copy(f.theta[i], p.Value)
	}
}

// restore sets the parameters back to the values that save copied.
func (f *finiteDifference[T]) restore() {
	for i, p := range f.params {
		copy(p.Value, f.theta[i])
	}
}

// check reports arguments from which no product can be computed.
func (f *finiteDifference[T]) check(hz, z [][]T) error {
	if f.grad == nil {
		return fmt.Errorf("%w: FiniteDifference: grad is nil: pass a function that fills grads with the gradient", ErrOption)
	}
	if !(f.h >= 0) {
		return fmt.Errorf("%w: FiniteDifference: h = %v, want at least 0 (0 picks a step)", ErrOption, f.h)
	}
	if err := checkVectors(f.params, "hz", hz); err != nil {
		return err
	}
	if err := checkVectors(f.params, "z", z); err != nil {
		return err
	}
	return f.checkMemory(hz, z)
}

// checkMemory reports memory that is written through one argument and also belongs to
// another. Slices of z may share memory, since they are only read.
func (f *finiteDifference[T]) checkMemory(hz, z [][]T) error {
	r := f.regions[:0]
	for i, p := range f.params {
		r = appendRegion(r, hz[i], "hz", i)
		r = appendRegion(r, z[i], "z", i)
		r = appendRegion(r, p.Value, "Value", i)
	}
	sortRegions(r)
	var read, written *region // of the regions seen, the ones that reach farthest
	for k := range r {
		x := &r[k]
		if written != nil && x.start < written.end {
			return f.sharedMemory(written, x)
		}
		if x.what == "z" {
			if read == nil || x.end > read.end {
				read = x
			}
			continue
		}
		if read != nil && x.start < read.end {
			return f.sharedMemory(read, x)
		}
		written = x
	}
	return nil
}

// sharedMemory names the two arguments, hz first.
func (f *finiteDifference[T]) sharedMemory(a, b *region) error {
	if b.what == "hz" || a.what == "Value" {
		a, b = b, a
	}
	return fmt.Errorf("%w: parameter %d %q: %s shares memory with %s of parameter %d %q",
		ErrShape, a.tensor, f.params[a.tensor].Name, a.what, b.what, b.tensor, f.params[b.tensor].Name)
}

// chooseSteps makes the groups and their steps along z: h itself, or steps
// picked for θ and z.
func (f *finiteDifference[T]) chooseSteps(z [][]T) error {
	if _, err := largest(f.params, "Value", f.theta); err != nil {
		return err
	}
	zmax, err := largest(f.params, "z", z)
	if err != nil {
		return err
	}
	if zmax == 0 {
		zmax = 1 // nothing moves, whatever the step
	}
	f.makeGroups()
	for k := range f.groups {
		g := &f.groups[k]
		g.step = f.h
		if f.h == 0 {
			g.step = nearestPowerOfTwo(precisionOf[T]().step * (1 + g.largest) / zmax)
		}
		if h := g.step; T(h) == 0 || math.IsInf(float64(T(2*h)), 0) {
			return fmt.Errorf("%w: FiniteDifference: the step h = %v is too small or too large for %T: pass h = 0, which picks a step",
				ErrOption, h, T(0))
		}
	}
	return nil
}

// makeGroups finds the parameters of similar scale. If h was given, all parameters are
// one group. There is at least one group.
func (f *finiteDifference[T]) makeGroups() {
	smallest := math.MaxInt
	for i, x := range f.theta {
		f.group[i] = 0
		if len(x) > 0 && f.h == 0 {
			f.group[i] = exponentOf(x)
			smallest = min(smallest, f.group[i])
		}
	}
	f.groups = f.groups[:0]
	for i, x := range f.theta {
		if len(x) > 0 && f.h == 0 {
			f.group[i] = (f.group[i] - smallest) / 4
		}
		if k, known := f.groupOf(f.group[i]); !known {
			f.groups = slices.Insert(f.groups, k, stepGroup{scale: f.group[i]})
		}
	}
	for i, x := range f.theta {
		k, _ := f.groupOf(f.group[i])
		f.group[i] = k
		f.groups[k].largest = max(f.groups[k].largest, maxOf(x))
	}
	if len(f.groups) == 0 {
		f.groups = append(f.groups, stepGroup{})
	}
}

// groupOf returns the index of the group of a scale, or where to insert it.
func (f *finiteDifference[T]) groupOf(scale int) (k int, known bool) {
	return slices.BinarySearchFunc(f.groups, scale, func(g stepGroup, scale int) int { return g.scale - scale })
}

// exponentOf returns the exponent of the power of two below 1 + max |x|.
func exponentOf[T Float](x []T) int {
	_, exponent := math.Frexp(1 + maxOf(x))
	return exponent - 1
}

// difference sets hz to the product, with factor times the chosen steps.
func (f *finiteDifference[T]) difference(hz, z [][]T, factor float64) error {
	for k, g := range f.groups {
		part := hz
		if k > 0 {
			part = f.plus
		}
		h := g.step * factor
		if err := f.gradientAt(part, z, k, h); err != nil {
			return err
		}
		if err := f.gradientAt(f.minus, z, k, -h); err != nil {
			return err
		}
		if err := f.divide(part, h); err != nil {
			return err
		}
		if k > 0 {
			if err := f.add(hz, part); err != nil {
				return err
			}
		}
	}
	return nil
}

// gradientAt sets dst to the gradient at θ + h·z, with the z of a group alone.
func (f *finiteDifference[T]) gradientAt(dst, z [][]T, group int, h float64) error {
	if !f.move(z, group, T(h)) {
		return fmt.Errorf("%w: FiniteDifference: h = %v is too small to move any parameter: pass a larger one, or 0, which picks a step",
			ErrOption, math.Abs(h))
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

// move sets the parameters of a group to θ + h·z, and the others to θ. It reports
// whether at least one has moved, or none had to because z is 0.
func (f *finiteDifference[T]) move(z [][]T, group int, h T) bool {
	still, moved := true, false
	for i, p := range f.params {
		theta, z := f.theta[i], z[i]
		if f.group[i] != group {
			copy(p.Value, theta)
			continue
		}
		for j := range p.Value {
			p.Value[j] = T(h*z[j]) + theta[j]
			still = still && z[j] == 0
			moved = moved || p.Value[j] != theta[j]
		}
	}
	return still || moved
}

// divide turns plus from the gradient at θ + h·z into the product.
func (f *finiteDifference[T]) divide(plus [][]T, h float64) error {
	width := T(2 * h)
	for i, p := range f.params {
		hz, minus := plus[i], f.minus[i]
		for j, plus := range hz {
			hz[j] = (plus - minus[j]) / width
			if !isFinite(hz[j]) {
				return fmt.Errorf("%w: parameter %d %q: gradient[%d] is %v at θ+h·z and %v at θ−h·z, h = %v: the loss must be finite at both; FiniteDifference can take a smaller h",
					ErrNonFinite, i, p.Name, j, plus, minus[j], h)
			}
		}
	}
	return nil
}

// add adds to hz the product with the z of another group.
func (f *finiteDifference[T]) add(hz, part [][]T) error {
	for i, p := range f.params {
		for j, x := range part[i] {
			sum := hz[i][j] + x
			if !isFinite(sum) {
				return fmt.Errorf("%w: parameter %d %q: hz[%d] is the sum of %v and %v", ErrNonFinite, i, p.Name, j, hz[i][j], x)
			}
			hz[i][j] = sum
		}
	}
	return nil
}

// vectorsLike returns zeros for every element of the parameters.
func vectorsLike[T Float](params []Param[T]) [][]T {
	x := make([][]T, len(params))
	for i, p := range params {
		x[i] = make([]T, len(p.Value))
	}
	return x
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

// take copies to x what a callback has returned: x itself, or slices with which it
// has replaced some of them.
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

// maxAbs returns max |x| of finite elements, or 0 if there are none.
func maxAbs[T Float](x [][]T) float64 {
	m := 0.0
	for _, v := range x {
		m = max(m, maxOf(v))
	}
	return m
}

// maxOf is maxAbs of one slice.
func maxOf[T Float](x []T) float64 {
	var m T
	for _, e := range x {
		m = max(m, e, -e)
	}
	return float64(m)
}

// isFinite reports whether x is neither NaN nor infinite: a NaN or an infinity minus
// itself is NaN.
func isFinite[T Float](x T) bool { return x-x == 0 }

// nearestPowerOfTwo returns the power of two whose ratio to x > 0 is nearest to 1.
func nearestPowerOfTwo(x float64) float64 {
	fraction, exponent := math.Frexp(x)
	if fraction < math.Sqrt2/2 {
		exponent--
	}
	return math.Ldexp(1, exponent)
}
