package adahessian

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"unsafe"

	"github.com/adahessian-go/adahessian/internal/guard"
)

// All other kernels are compared with the generic ones, so these are compared here with
// the formulas, computed in math/big: every operation of a model is exact and then
// rounded once to T.

// A model does arithmetic with the precision of T, for numbers that are normal in T.
type model[T Float] struct{}

func (model[T]) of(x T) *big.Float { return big.NewFloat(float64(x)) }

// round rounds to T's precision, ties to even.
func (model[T]) round(x *big.Float) T {
	y := new(big.Float).SetPrec(uint(formatOf[T]().mantissa + 1)).Set(x)
	f, _ := y.Float64()
	return T(f)
}

// exactly is a precision that holds any sum of a few products here.
const exactly = 4000

func (m model[T]) add(x, y T) T {
	return m.round(new(big.Float).SetPrec(exactly).Add(m.of(x), m.of(y)))
}
func (m model[T]) sub(x, y T) T { return m.add(x, -y) }
func (m model[T]) mul(x, y T) T {
	return m.round(new(big.Float).SetPrec(exactly).Mul(m.of(x), m.of(y)))
}
func (m model[T]) div(x, y T) T {
	return m.round(new(big.Float).SetPrec(exactly).Quo(m.of(x), m.of(y)))
}
func (m model[T]) sqrt(x T) T {
	return m.round(new(big.Float).SetPrec(exactly).Sqrt(m.of(x)))
}

// fma is x·y + z rounded once, which is what nothing here may do.
func (m model[T]) fma(x, y, z T) T {
	p := new(big.Float).SetPrec(exactly).Mul(m.of(x), m.of(y))
	return m.round(p.Add(p, m.of(z)))
}

// sum adds the absolute values of a block. It adds the runs of a long block in float64.
func (m model[T]) sum(x []T, contiguous bool) T {
	const run = 16384
	if len(x) <= run {
		return m.runSum(x, contiguous)
	}
	wide, total := model[float64]{}, 0.0
	for ; len(x) > run; x = x[run:] {
		total = wide.add(total, float64(m.runSum(x[:run], contiguous)))
	}
	return m.round(big.NewFloat(wide.add(total, float64(m.runSum(x, contiguous)))))
}

// runSum adds the absolute values of a run.
func (m model[T]) runSum(x []T, contiguous bool) T {
	if !contiguous {
		var a T
		for _, h := range x {
			a = m.add(a, T(math.Abs(float64(h))))
		}
		return a
	}
	p := make([]T, map[int]int{23: 16, 52: 8}[formatOf[T]().mantissa])
	for i, h := range x {
		p[i%len(p)] = m.add(p[i%len(p)], T(math.Abs(float64(h))))
	}
	for ; len(p) > 1; p = p[:len(p)/2] {
		for j := range len(p) / 2 {
			p[j] = m.add(p[j], p[j+len(p)/2])
		}
	}
	return p[0]
}

// step is a step of one block, and returns the new second moment.
func (m model[T]) step(theta, mom []T, v T, g, hz []T, contiguous bool, s *scalars[T], k float64) T {
	d := m.div(m.sum(hz, contiguous), s.div)
	v = m.add(m.mul(s.b2, v), m.mul(m.mul(s.c2, d), d))
	q := map[float64]T{0: 1, 0.5: m.sqrt(m.sqrt(v)), 1: m.sqrt(v), 2: v}[k]
	den := m.add(m.mul(q, s.r), s.e)
	for i := range theta {
		mom[i] = m.add(m.mul(s.b1, mom[i]), m.mul(s.c1, g[i]))
		u := m.div(m.mul(s.s, mom[i]), den)
		u = max(min(u, s.limit), -s.limit)
		theta[i] = m.sub(m.mul(s.w, theta[i]), u)
	}
	return v
}

// coefficientsModel is the scalars of a step, in float64 and then rounded to T.
func coefficientsModel[T Float](h Hyper, step uint64) (s scalars[T]) {
	m, to := model[float64]{}, model[T]{}
	narrow := func(x float64) T {
		if math.IsInf(x, 0) {
			return T(x)
		}
		return to.round(big.NewFloat(x))
	}
	correction := func(beta float64) float64 { // 1 − β^t
		p, b := 1.0, beta
		for n := step; n > 0; n /= 2 {
			if n%2 == 1 {
				p = m.mul(p, b)
			}
			b = m.mul(b, b)
		}
		return m.sub(1, p)
	}
	bc2 := correction(h.Beta2)
	q := map[float64]float64{0: 1, 0.5: m.sqrt(m.sqrt(bc2)), 1: m.sqrt(bc2), 2: bc2}[h.HessianPower]
	limit := math.Inf(1)
	if h.MaxUpdate > 0 {
		limit = m.mul(h.LR, h.MaxUpdate)
	}
	return scalars[T]{
		b1: narrow(h.Beta1), c1: narrow(m.sub(1, h.Beta1)), b2: narrow(h.Beta2), c2: narrow(m.sub(1, h.Beta2)),
		s: narrow(m.div(h.LR, correction(h.Beta1))), w: narrow(m.sub(1, m.mul(h.LR, h.WeightDecay))),
		r: narrow(m.div(1, q)), e: narrow(h.Eps), limit: narrow(limit),
	}
}

func TestDefinition(t *testing.T) {
	t.Run("float32", testDefinition[float32])
	t.Run("float64", testDefinition[float64])
}

func testDefinition[T Float](t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	m := model[T]{}
	for _, k := range kernelPowers {
		for _, h := range stepHypers {
			h.h.HessianPower = k
			c, err := NewCoefficients[T](h.h, h.step, h.samples)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range []Layout{{5, 1, 1}, {3, 9, 1}, {2, 35, 1}, {1, 70, 1}, {1, 4, 3}, {2, 9, 2}, {2, 1, 3}} {
				n := l.Len()
				theta, mom, g, hz := values[T](plain, n, r), values[T](plain, n, r), values[T](plain, n, r), values[T](plain, n, r)
				v := values[T](plain, l.Blocks(), r)
				for i := range v {
					v[i] = abs(v[i])
				}
				s := coefficientsModel[T](h.h, h.step)
				s.div = T(l.Block * h.samples)
				wantTheta, wantM, wantV := slices.Clone(theta), slices.Clone(mom), slices.Clone(v)
				for o := range l.Outer {
					for i := range l.Inner {
						var x [4][]T
						for b := range l.Block {
							e := (o*l.Block+b)*l.Inner + i
							for a, all := range [][]T{theta, mom, g, hz} {
								x[a] = append(x[a], all[e])
							}
						}
						j := o*l.Inner + i
						wantV[j] = m.step(x[0], x[1], v[j], x[2], x[3], l.Inner == 1, &s, k)
						for b := range l.Block {
							e := (o*l.Block+b)*l.Inner + i
							wantTheta[e], wantM[e] = x[0][b], x[1][b]
						}
					}
				}
				own := c.scalarsFor(l.Block)
				updateGeneric(theta, mom, v, g, hz, l.panel(), &own, c.power, c.exponent)
				for _, x := range []struct {
					name      string
					got, want []T
				}{{"theta", theta, wantTheta}, {"m", mom, wantM}, {"v", v, wantV}} {
					if at := firstDifference(x.got, x.want); at >= 0 {
						t.Fatalf("%s k=%v %+v: %s[%d] = %s, want %s", h.name, k, l, x.name, at, showBits(x.got[at]), showBits(x.want[at]))
					}
				}
			}
		}
	}
}

// TestDefinitionSumOrder sums blocks in which one order of the additions keeps the
// small values and other orders lose them. Values that are not given are 0. big is the
// first power of 2 that absorbs 1.
func TestDefinitionSumOrder(t *testing.T) {
	t.Run("float32", func(t *testing.T) { testSumOrder[float32](t, 0x1p24, 16) })
	t.Run("float64", func(t *testing.T) { testSumOrder[float64](t, 0x1p53, 8) })
}

func testSumOrder[T Float](t *testing.T, big T, l int) {
	for _, c := range []struct {
		name string
		at   map[int]T
		want T // of a contiguous block
		rows T // of a column
	}{
		{"1 and 3 meet before they meet 0", map[int]T{0: big, 1: 1, 3: 1}, big + 2, big},
		{"1 and 2 each meet it alone", map[int]T{0: big, 1: 1, 2: 1}, big, big},
		{"a register apart: the same sum, lost", map[int]T{0: big, l: 1, 2 * l: 1}, big, big},
		{"a register apart: the same sum, first", map[int]T{0: 1, l: 1, 2 * l: big}, big + 2, big + 2},
		{"the fold's first half", map[int]T{0: big, l / 2: 1, l/2 + 1: 1, 1: 1}, big + 2, big},
		{"the fold's second", map[int]T{0: big, l / 4: 1, l/4 + l/2: 1}, big + 2, big},
		{"the signs do not count", map[int]T{0: -big, 1: -1, 3: 1}, big + 2, big},
	} {
		x := make([]T, 2*l+1)
		for i, f := range c.at {
			x[i] = f
		}
		var d [1]T
		blockMeansGeneric(d[:], x, len(x), 1)
		if d[0] != c.want {
			t.Errorf("%s: contiguous sum = %v, want %v", c.name, d[0], c.want)
		}
		stridedMeansGeneric(d[:], x, panel{1, len(x), 1, 1}, 1, false)
		if d[0] != c.rows {
			t.Errorf("%s: sum down a column = %v, want %v", c.name, d[0], c.rows)
		}
	}
}

// TestDefinitionLongBlocks sums blocks whose lengths are near multiples of a run's.
func TestDefinitionLongBlocks(t *testing.T) {
	t.Run("float32", testDefinitionLongBlocks[float32])
	t.Run("float64", testDefinitionLongBlocks[float64])
}

func testDefinitionLongBlocks[T Float](t *testing.T) {
	r := rand.New(rand.NewPCG(14, 2))
	m := model[T]{}
	for _, n := range []int{16383, 16384, 16385, 16384 + 40, 2*16384 - 1, 2 * 16384, 4*16384 + 17, 7*16384 - 1} {
		x := values[T](plain, n, r)
		column := make([]T, 3*n)
		for i, f := range x {
			column[3*i] = f
		}
		if got, want := blockSum(x, n, 1), m.sum(x, true); got != want {
			t.Errorf("contiguous sum of %d = %s, want %s", n, showBits(got), showBits(want))
		}
		if got, want := blockSum(column, n, 3), m.sum(x, false); got != want {
			t.Errorf("sum down a column of %d = %s, want %s", n, showBits(got), showBits(want))
		}
	}
}

func TestDefinitionScalarFunctions(t *testing.T) {
	t.Run("float32", testScalarFunctions[float32])
	t.Run("float64", testScalarFunctions[float64])
}

func testScalarFunctions[T Float](t *testing.T) {
	f := formatOf[T]()
	least, largest := fromBits[T](f.minNormal), fromBits[T](f.infinity-1)
	ulp, infinity := fromBits[T](1), fromBits[T](f.infinity)
	nan := infinity - infinity
	negativeZero := -abs(T(0) * -1)
	for _, c := range []struct{ x, want T }{
		{0, 0}, {negativeZero, 0}, {ulp, 0}, {-ulp, 0}, {least - ulp, 0}, {-(least - ulp), 0},
		{least, least}, {-least, -least}, {1, 1}, {largest, largest}, {infinity, infinity}, {-infinity, -infinity}, {nan, nan},
	} {
		if got := flush(c.x); !equalBits(got, c.want) {
			t.Errorf("flush(%s) = %s, want %s", showBits(c.x), showBits(got), showBits(c.want))
		}
	}
	// parameter with w = 1 and den = 2, bounded by 3.
	bounded := &scalars[T]{s: 1, w: 1, limit: 3}
	for _, c := range []struct{ m, want T }{
		{4, 8}, {6, 7}, {8, 7}, {infinity, 7}, {-4, 12}, {-6, 13}, {-8, 13}, {-infinity, 13}, {nan, nan},
	} {
		if got := parameter(10, c.m, 2, bounded); !equalBits(got, c.want) {
			t.Errorf("parameter(10, %v, 2) with a bound of 3 = %v, want %v", c.m, got, c.want)
		}
	}
	free := &scalars[T]{s: 1, w: 1, limit: infinity}
	for _, c := range []struct{ m, den, want T }{{1, 0, -infinity}, {0, 0, nan}, {1e30, 1, 10 - 1e30}} {
		if got := parameter(10, c.m, c.den, free); !equalBits(got, c.want) {
			t.Errorf("parameter(10, %v, %v) without a bound = %v, want %v", c.m, c.den, got, c.want)
		}
	}
	standing := &scalars[T]{s: 0, w: 1, limit: 0}
	if got := parameter(10, 1, 2, standing); got != 10 {
		t.Errorf("parameter(10, 1, 2) with a bound of 0 = %v, want 10", got)
	}
	for _, c := range []struct {
		x    T
		want bool
	}{{0, true}, {ulp, true}, {-largest, true}, {infinity, false}, {-infinity, false}, {nan, false}} {
		if got := allFiniteGeneric([]T{1, c.x, 2}); got != c.want {
			t.Errorf("allFinite with %v = %v", c.x, got)
		}
	}
}

// TestDefinitionDivisor checks the mean over blocks and probes, with numbers for which
// everything is exact.
func TestDefinitionDivisor(t *testing.T) {
	h := Hyper{LR: 1, HessianPower: 2} // β = 0: m' = g, v' = d²; the denominator is d²
	for _, c := range []struct {
		layout  Layout
		samples int
		v       []float64
	}{
		{Layout{4, 1, 1}, 1, []float64{64, 64, 1024, 1024}},
		{Layout{4, 1, 1}, 2, []float64{16, 16, 256, 256}},
		{Layout{2, 2, 1}, 1, []float64{64, 1024}},
		{Layout{2, 2, 1}, 2, []float64{16, 256}},
		{Layout{1, 2, 2}, 1, []float64{400, 400}},
		{Layout{1, 2, 2}, 4, []float64{25, 25}},
		{Layout{1, 4, 1}, 1, []float64{400}},
	} {
		hz, g := []float64{8, -8, -32, 32}, []float64{1, 2, 3, 4}
		theta, m, v := make([]float64, 4), make([]float64, 4), make([]float64, len(c.v))
		k, err := NewCoefficients[float64](h, 1, c.samples)
		if err != nil {
			t.Fatal(err)
		}
		Update(theta, m, v, g, hz, c.layout, &k)
		if !slices.Equal(v, c.v) || !slices.Equal(m, g) {
			t.Errorf("%+v samples=%d: v = %v, want %v; m = %v, want %v", c.layout, c.samples, v, c.v, m, g)
		}
		for i := range theta {
			o, inner := i/(c.layout.Block*c.layout.Inner), i%c.layout.Inner
			if want := -g[i] / c.v[o*c.layout.Inner+inner]; theta[i] != want {
				t.Errorf("%+v samples=%d: theta[%d] = %v, want %v", c.layout, c.samples, i, theta[i], want)
			}
		}
	}
}

// TestDefinitionCurvature proves that the loop over many values gives what each value
// alone gives. For a power without a special case, the loop prepares the exponent once.
func TestDefinitionCurvature(t *testing.T) {
	t.Run("float32", testDefinitionCurvature[float32])
	t.Run("float64", testDefinitionCurvature[float64])
}

func testDefinitionCurvature[T Float](t *testing.T) {
	r := rand.New(rand.NewPCG(6, 0))
	for _, k := range curvaturePowers {
		h := DefaultHyper()
		h.HessianPower = k
		c, err := NewCoefficients[T](h, 3, 1)
		if err != nil {
			t.Fatal(err)
		}
		s := c.scalarsFor(1)
		v, d, den := make([]T, 1000), make([]T, 1000), make([]T, 1000)
		for i := range v {
			v[i], d[i] = T(r.ExpFloat64()), T(math.Ldexp(r.Float64(), -r.IntN(80)))
			if i%7 == 0 {
				v[i] = 0
			}
		}
		wantV, wantDen := make([]T, len(v)), make([]T, len(v))
		for i := range v {
			wantV[i] = secondMoment(v[i], d[i], &s)
			wantDen[i] = denominator(wantV[i], &s, c.power, c.exponent)
		}
		curvatureGeneric(v, den, d, &s, c.power, c.exponent)
		requireSame(t, v, wantV, "k = %v: v", k)
		requireSame(t, den, wantDen, "k = %v: den", k)
	}
}

// ---- nothing is fused ----------------------------------------------------

// A productSum is x·y + p·q with the products rounded first, which is want. Each way of
// fusing gives another result, as the test makes sure.
type productSum[T Float] struct{ x, y, p, q, want T }

func (c productSum[T]) verify(t *testing.T, m model[T]) {
	t.Helper()
	xy, pq := m.mul(c.x, c.y), m.mul(c.p, c.q)
	if want := m.add(xy, pq); want != c.want {
		t.Fatalf("%v: the exact model gives %s", c, showBits(want))
	}
	if m.fma(c.x, c.y, pq) == c.want || c.q != 1 && m.fma(c.p, c.q, xy) == c.want {
		t.Fatalf("%v does not tell a fused result from the right one", c)
	}
}

var (
	fused32 = []productSum[float32]{
		{0x1.2d7f34p+02, 0x1.f1f45ap-01, 0x1.849adp+01, 0x1.a2ep+00, 0x1.319324p+03},
		{0x1.1449cp+00, 0x1.34dce8p+01, 0x1.efbfcp+00, 0x1.49p+00, 0x1.45f2ecp+02},
		{0x1.0e25f8p+02, 0x1.74925p+00, 0x1.5381p+00, 0x1.4dp+00, 0x1.f79144p+02},
		{0x1.eeec22p+02, 0x1.4bbe42p+01, 0x1.dc6d6p+01, 0x1.dfp+00, 0x1.b01ba8p+04},
		{0x1.02c6cap-02, 0x1.254dfep+02, -0x1.50c212p+01, 0x1.b065fp-02, 0x1.82b2p-05},
		{0x1.74e33ap+01, 0x1.84ce04p-01, -0x1.c6b7c4p+01, 0x1.47ce62p-01, -0x1.fddbp-05},
		{0x1.fca286p-01, 0x1.62abdp+00, -0x1.60570ep+00, 1, 0},
	}
	fused64 = []productSum[float64]{
		{0x1.c93f6488bb2a6p+02, 0x1.6b74be7d2d575p-01, 0x1.990d077ed3234p+01, 0x1.c8380a8p+00, 0x1.58898a5fa962cp+03},
		{0x1.b359197a3acb1p+02, 0x1.100f014350e99p-02, 0x1.7b1aa7bc6522p+00, 0x1.318b44p+00, 0x1.c99096b9e5fdep+01},
		{0x1.fc7f8d66359a9p+01, 0x1.8794a41128f18p-01, 0x1.04457b7dd039ap+01, 0x1.0f40c98p+00, 0x1.4c573a2109a02p+02},
		{0x1.fe7c0e50eb5f9p+01, 0x1.8f18c3324a3b2p-01, 0x1.62bfb48d41fbcp+00, 0x1.18412b8p+00, 0x1.280c2de74a33ep+02},
		{0x1.ef7a9f98c1da3p+00, 0x1.0c3adb0ad6bebp+00, -0x1.3d6bf65135bd6p+01, 0x1.ac52327c999bap-01, -0x1.7e0445e98734p-05},
		{0x1.998c6f46b8e64p+01, 0x1.b9246184febb3p+02, -0x1.7697f9b212797p+02, 0x1.d2b68ac4db5cp+01, 0x1.6d15fd3d064ap-01},
		{0x1.48e101980992ep-02, 0x1.b901dbc04a0f9p+00, -0x1.1b46ff77b72cbp-01, 1, 0},
	}
)

// TestNothingFused fails if the compiler or a kernel fuses a product and a sum into one
// operation. On arm64 the compiler would fuse all of these. On amd64 with GOAMD64=v3 it
// would fuse only sums, and only products without a memory operand.
func TestNothingFused(t *testing.T) {
	eachISAAndType(t,
		func(t *testing.T) { testNothingFused(t, fused32) },
		func(t *testing.T) { testNothingFused(t, fused64) })
}

func testNothingFused[T Float](t *testing.T, cases []productSum[T]) {
	m := model[T]{}
	infinity := T(math.Inf(1))
	report := func(what string, c productSum[T], got T) {
		t.Helper()
		if got != c.want {
			t.Errorf("%s of %v = %s, want %s", what, c, showBits(got), showBits(c.want))
		}
	}
	for _, c := range cases {
		c.verify(t, m)
		// Of two products.
		s := scalars[T]{b1: c.x, c1: c.p, b2: c.x, s: 1, w: 1, r: 1, limit: infinity, div: 1}
		report("firstMoment", c, firstMoment(c.y, c.q, &s))
		theta, mom, den := []T{0}, []T{c.y}, []T{1}
		descend(theta, mom, []T{c.q}, den, nil, panel{1, 1, 1, 1}, &s)
		report("descend's m", c, mom[0])
		report("descend's theta", c, -theta[0])
		if c.q > 0 && c.x > 0 && c.y > 0 && c.p > 0 {
			// (c2·d)·d with c2·d = p: d = q, c2 = p/q where that is exact.
			if s.c2 = c.p / c.q; s.c2*c.q == c.p {
				report("secondMoment", c, secondMoment(c.y, c.q, &s))
				v := []T{c.y}
				denominators(v, den, []T{c.q}, &s, powerOne, 0.5)
				report("curvature's v", c, v[0])
				v[0], mom[0] = c.y, 0
				update(theta, mom, v, []T{0}, []T{c.q}, nil, panel{1, 1, 1, 1}, &s, powerOne)
				report("update's v", c, v[0])
			}
		}
		// Of one: x·y + pq.
		pq := m.mul(c.p, c.q)
		one := productSum[T]{c.x, c.y, pq, 1, c.want}
		acc := []T{pq}
		addProbe(acc, []T{c.x}, []T{c.y})
		report("addProbe", one, acc[0])
		s = scalars[T]{b2: 1, r: c.y, e: pq, s: 1, w: c.x, limit: infinity, div: 1}
		report("denominator", one, denominator(c.x, &s, powerTwo, 1))
		v := []T{c.x}
		denominators(v, den, []T{0}, &s, powerTwo, 1)
		report("curvature's den", one, den[0])
		report("parameter", one, parameter(c.y, -pq, 1, &s))
		theta[0], mom[0], den[0] = c.y, -pq, 1
		s.b1 = 1
		descend(theta, mom, []T{0}, den, nil, panel{1, 1, 1, 1}, &s)
		report("descend's theta", one, theta[0])
	}
}

// TestNothingFusedInCoefficients uses learning rates, decays and steps for which 1 − ηλ
// and 1 − β^t differ if they are fused.
func TestNothingFusedInCoefficients(t *testing.T) {
	m := model[float64]{}
	for _, c := range []struct{ lr, decay, want float64 }{
		{0.712, 0.098, 0x1.dc4651f3e89a8p-01},
		{0.679, 0.086, 0x1.e21a2e7f6f4bep-01},
		{0.562, 0.081, 0x1.e8b1572580c3p-01},
	} {
		if got := m.sub(1, m.mul(c.lr, c.decay)); got != c.want || m.fma(-c.lr, c.decay, 1) == c.want {
			t.Fatalf("1 − %v·%v: want %x, the model gives %x and the fused %x", c.lr, c.decay, c.want, got, m.fma(-c.lr, c.decay, 1))
		}
		k, err := NewCoefficients[float64](Hyper{LR: c.lr, WeightDecay: c.decay}, 1, 1)
		if err != nil || k.scalars.w != c.want {
			t.Errorf("1 − %v·%v = %x (%v), want %x", c.lr, c.decay, k.scalars.w, err, c.want)
		}
	}
	for _, c := range []struct {
		beta float64
		step uint64
		want float64 // 1/(1 − β^t)
	}{
		{0.92, 2, 0x1.a0aaaaaaaaaadp+02},
		{0.972, 4, 0x1.29ff8b0e6eb0fp+03},
		{0.946, 2, 0x1.3084aea975557p+03},
		{0.968, 8, 0x1.175d4a0f02cb5p+02},
	} {
		p := c.beta
		for n := c.step; n > 2; n /= 2 {
			p = m.mul(p, p)
		}
		if got := m.div(1, m.sub(1, m.mul(p, p))); got != c.want || m.div(1, m.fma(-p, p, 1)) == c.want {
			t.Fatalf("1/(1 − %v^%d): want %x, the model gives %x and the fused %x", c.beta, c.step, c.want, got, m.div(1, m.fma(-p, p, 1)))
		}
		k, err := NewCoefficients[float64](Hyper{LR: 1, Beta1: c.beta, Beta2: c.beta, HessianPower: 2}, c.step, 1)
		if err != nil || k.scalars.s != c.want || k.scalars.r != c.want {
			t.Errorf("β = %v, t = %d: 1/bc1 = %x, 1/bc2 = %x (%v), want %x", c.beta, c.step, k.scalars.s, k.scalars.r, err, c.want)
		}
	}
}

func (c productSum[T]) String() string {
	return fmt.Sprintf("%x·%x + %x·%x = %x", float64(c.x), float64(c.y), float64(c.p), float64(c.q), float64(c.want))
}

// TestMeansLongBlocks compares the means of blocks whose lengths are near multiples of
// a run's with the model, on every instruction set.
func TestMeansLongBlocks(t *testing.T) {
	eachISAAndType(t, testMeansLongBlocks[float32], testMeansLongBlocks[float64])
}

func testMeansLongBlocks[T Float](t *testing.T) {
	data := sources[T]()[plain]
	for _, block := range []int{1<<14 - 1, 1 << 14, 1<<14 + 1, 1<<14 + 16, 2<<14 - 1, 2 << 14, 2<<14 + 1, 3<<14 + 1000} {
		for _, inner := range []int{1, 2, 5} {
			l := Layout{2, block, inner}
			x, d, h := make([]T, l.Len()), make([]T, l.Blocks()), make([]T, block)
			data.fill(x)
			BlockMeanAbs(d, x, l)
			for j := range d {
				for b := range h {
					h[b] = x[(j/inner*block+b)*inner+j%inner]
				}
				if want := modelSum(h, inner == 1) / T(block); d[j] != want {
					t.Errorf("%+v: d[%d] = %s, want %s", l, j, showBits(d[j]), showBits(want))
				}
			}
		}
	}
}

// TestMeansDoNotStall computes sums of which float32 alone would lose a part. Each run
// is exact, and so is the total. One row that is read again and again, with a stride of
// 0, replaces columns of any height without using their memory.
func TestMeansDoNotStall(t *testing.T) {
	heights := []int{17, 25, 26}
	if powExhaustive && strconv.IntSize == 64 {
		heights = append(heights, 29, 31)
	}
	eachISA(t, func(t *testing.T) {
		heights := heights
		if brief() {
			heights = heights[:1]
		}
		for _, h := range []float32{1, -513. / 512} { // 2¹⁴ times 513 has 24 bits
			want := abs(h)
			for _, e := range heights {
				n := 1 << e
				var d [2]float32
				meanPanel(d[:], []float32{h, h}, panel{1, n, 0, 2}, float32(n), 0)
				if d != [2]float32{want, want} {
					t.Errorf("columns of 2^%d times %v: means %v", e, h, d)
				}
			}
			x := make([]float32, 1<<21)
			for i := range x {
				x[i] = h
			}
			var d [1]float32
			if BlockMeanAbs(d[:], x, Layout{1, len(x), 1}); d[0] != want {
				t.Errorf("a block of %d times %v: mean %v", len(x), h, d[0])
			}
		}
	})
}

// TestMeansError checks that the relative error of means of random numbers in float32
// is at most 1e-5, for columns and rows of up to 2²² elements. With
// ADAHESSIAN_EXHAUSTIVE=1 it goes up to 2³¹ elements: 2²⁰ numbers, mapped repeatedly
// into the address space.
func TestMeansError(t *testing.T) {
	const most = 1e-5
	kinds := map[string]func(r *rand.Rand) float64{
		"uniform":    func(r *rand.Rand) float64 { return r.Float64() },
		"normal":     func(r *rand.Rand) float64 { return r.NormFloat64() },
		"log-normal": func(r *rand.Rand) float64 { return math.Exp(2 * r.NormFloat64()) },
	}
	for name, random := range kinds {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(3, 14))
			x := make([]float32, 1<<20)
			for i := range x {
				x[i] = float32(random(r))
			}
			times := []int{1, 4}
			if powExhaustive && strconv.IntSize == 64 {
				times = append(times, 1<<5, 1<<11)
			}
			worst := 0.0
			for _, n := range times {
				long, free := repeated(t, x, n)
				for _, inner := range []int{1, 2} {
					l := Layout{1, len(long) / inner, inner}
					d := make([]float32, inner)
					BlockMeanAbs(d, long, l)
					for j := range d {
						exact := 0.0 // within 1e-13
						for i := j; i < len(x); i += inner {
							exact += math.Abs(float64(x[i]))
						}
						exact /= float64(len(x) / inner)
						e := math.Abs(float64(d[j])/exact - 1)
						if worst = max(worst, e); !(e <= most) {
							t.Errorf("%+v: d[%d] = %v, want %v: a relative error of %.1e", l, j, d[j], exact, e)
						}
					}
				}
				free()
			}
			t.Logf("largest relative error %.1e", worst)
		})
	}
}

// TestMeansEqual computes means of equal numbers, whose roundings all go in one
// direction. It compares their relative error with what docs/numerics.md says: the bound
// for any numbers, and the largest error seen.
func TestMeansEqual(t *testing.T) {
	t.Run("float32", func(t *testing.T) {
		testMeansEqual[float32](t, map[int]limits{1: {1030 * 0x1p-24, 1.6e-5}, 2: {16386 * 0x1p-24, 2.4e-4}})
	})
	t.Run("float64", func(t *testing.T) {
		const runs = 17
		testMeansEqual[float64](t, map[int]limits{1: {(2053 + runs) * 0x1p-53, 5.3e-14}, 2: {(16386 + runs) * 0x1p-53, 4.5e-13}})
	})
}

// limits are two limits of a relative error: bound holds for any numbers, seen for
// these.
type limits struct{ bound, seen float64 }

func testMeansEqual[T Float](t *testing.T, limits map[int]limits) {
	r := rand.New(rand.NewPCG(1, 2))
	numbers := []T{0.1, 1. / 3, 1.1}
	for range 60 {
		numbers = append(numbers, T(1+r.Float64()))
	}
	for inner, limit := range limits {
		worst := 0.0
		for _, n := range []int{1 << 14, 1<<14 + 1, 3<<14 + 77, 17 << 14} {
			x, d := make([]T, n*inner), make([]T, inner)
			for _, h := range numbers {
				for i := range x {
					x[i] = h
				}
				l := Layout{1, n, inner}
				BlockMeanAbs(d, x, l)
				e := math.Abs(float64(d[inner-1])/float64(h) - 1)
				if worst = max(worst, e); !(e <= limit.bound) {
					t.Errorf("%+v of %v: %v, a relative error of %.2e, want at most %.2e", l, h, d[inner-1], e, limit.bound)
				}
			}
		}
		t.Logf("inner %d: largest relative error %.2e", inner, worst)
		if !(worst <= limit.seen && worst > limit.seen/2) {
			t.Errorf("inner %d: largest relative error %.2e, and docs/numerics.md has %.2e", inner, worst, limit.seen)
		}
	}
}

// repeated returns x repeated the given number of times, without more memory where the
// system can map it.
func repeated(t *testing.T, x []float32, times int) (long []float32, free func()) {
	t.Helper()
	b, err := guard.Repeat(memory(x), times)
	if errors.Is(err, guard.ErrUnsupported) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(fmt.Errorf("%d times: %w", times, err))
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4), func() {
		if err := guard.Unmap(b); err != nil {
			t.Error(err)
		}
	}
}
