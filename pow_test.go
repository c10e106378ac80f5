package adahessian

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/adahessian-go/adahessian/internal/bigpow"
	"github.com/adahessian-go/adahessian/internal/fitpow/fit"
)

// The largest errors, in ulps, that the tests accept. The worst ones seen for pow32,
// over all positive finite values, are 0.500012. For pow64, over 3.1 million values,
// they are 0.5397 if the result is normal, and 0.7502 if it is subnormal.
const (
	pow32Bound          = 0.50002
	pow64Bound          = 0.58
	pow64SubnormalBound = 0.76
)

// powExhaustive makes the tests of the error try all positive finite values of float32,
// and millions of float64, which takes minutes. The tests of the means of long blocks
// then go up to 2³¹ elements.
//
//	ADAHESSIAN_EXHAUSTIVE=1 go test -run 'TestPow(32|64)Error|TestMeans' -v .
var powExhaustive = os.Getenv("ADAHESSIAN_EXHAUSTIVE") != ""

var powExponents = []float64{0.375, 0.05, 0.95}

// TestPowConstants derives the polynomials again and compares.
func TestPowConstants(t *testing.T) {
	want, err := fit.Source()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("pow.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(got, []byte(want)) {
		t.Errorf("the constants in pow.go are not what go run ./internal/fitpow prints:\n%s", want)
	}
}

// Results that every machine must give, to the bit. The last ones of each table lie so
// close to the midpoint between two neighbours that one rounding more or less on the
// way, such as by a fused multiply-add, may give the other neighbour.
var pow32Bits = []struct {
	x    float32
	a    float64
	want float32
}{
	{0x1p-149, 0x1.8p-02, 0x1.172b84p-56},
	{0x1.8p-140, 0x1.999999999999ap-05, 0x1.053e3p-07},
	{0x1.fffffcp-127, 0x1.e666666666666p-01, 0x1.3b2c46p-120},
	{0x1p-126, 0x1.5555555555555p-02, 0x1p-42},
	{0x1.fffffep+127, 0x1.4p-01, 0x1.fffffep+79},
	{0x1.fffffep-01, 0x1.5798ee2308c3ap-27, 0x1p+00},
	{0x1.000002p+00, 0x1.ffffde7210be9p-01, 0x1.000002p+00},
	{0x1.6a09e4p-01, 0x1.cp-01, 0x1.7a1146p-01},
	{0x1.6a09e6p-01, 0x1.8p-02, 0x1.c199bep-01},
	{0x1.6a09e8p-01, 0x1.999999999999ap-05, 0x1.f73444p-01},
	{0x1.6a09e4p+00, 0x1.e666666666666p-01, 0x1.63d1acp+00},
	{0x1.6a09e6p+00, 0x1.5555555555555p-02, 0x1.1f59acp+00},
	{0x1.6a09e8p+00, 0x1.4p-01, 0x1.3dea66p+00},
	{0x1p-01, 0x1.5798ee2308c3ap-27, 0x1p+00},
	{0x1p+01, 0x1.ffffde7210be9p-01, 0x1.ffffe8p+00},
	{0x1.8p+01, 0x1.cp-01, 0x1.4eba2cp+01},
	{0x1.4p+03, 0x1.8p-02, 0x1.2f892cp+01},
	{0x1.0624dep-10, 0x1.999999999999ap-05, 0x1.6a77dep-01},
	{0x1.b7cdfep-34, 0x1.e666666666666p-01, 0x1.5bb234p-32},
	{0x1.fffffep-01, 0x1.5555555555555p-02, 0x1p+00},
	{0x1.8700bcp+42, 0x1.4p-01, 0x1.8cb2acp+26},
	{0x1.4cbff8p-42, 0x1.5798ee2308c3ap-27, 0x1.fffff6p-01},
	{0x1.bff4cp+91, 0x1.ffffde7210be9p-01, 0x1.bfed74p+91},
	{0x1.8f1b64p-25, 0x1.cp-01, 0x1.9bbabcp-22},
	{0x1.2158ccp-127, 0x1.ffffde7210be9p-01, 0x1.215f5p-127},
	{0x1.cb7c3p-129, 0x1.ffffde7210be9p-01, 0x1.cb86ap-129},
	{0x1.856408p-128, 0x1.ffffde7210be9p-01, 0x1.856cd8p-128},
	{0x1.2edb6p-127, 0x1.ffffde7210be9p-01, 0x1.2ee23p-127},
	// Close to the midpoint.
	{0x1.362486p-42, 0x1.8p-02, 0x1.4725a8p-16},
	{0x1.362486p-26, 0x1.8p-02, 0x1.4725a8p-10},
	{0x1.362486p+22, 0x1.8p-02, 0x1.4725a8p+08},
	{0x1.1648c2p+72, 0x1.e666666666666p-01, 0x1.6dab42p+68},
	{0x1.d6892ap+37, 0x1.e666666666666p-01, 0x1.fa7118p+35},
	{0x1.cfce62p-05, 0x1.e666666666666p-01, 0x1.0bb4eap-04},
	{0x1.3b5148p+02, 0x1.e666666666666p-01, 0x1.2326e4p+02},
	{0x1.daf6fp+80, 0x1.999999999999ap-05, 0x1.0808e2p+04},
	{0x1.daf6fp+20, 0x1.999999999999ap-05, 0x1.0808e4p+01},
	{0x1.f459cp-20, 0x1.999999999999ap-05, 0x1.08b918p-01},
	{0x1.077792p-10, 0x1.999999999999ap-05, 0x1.6a8f3cp-01},
	{0x1.077792p-70, 0x1.999999999999ap-05, 0x1.6a8f3ap-04},
	// These three are wrong where e + s·l, or C0 + C1·r, is fused.
	{0x1.42ff1cp-04, 0x1.4p-01, 0x1.a2a706p-03},
	{0x1.061f86p-125, 0x1.6a09e667f3bcdp-01, 0x1.8dc356p-89},
	{0x1.c11f7p+18, 0x1.6a09e667f3bcdp-01, 0x1.3b787ap+13},
}

var pow64Bits = []struct{ x, a, want float64 }{
	{0x1p-1074, 0x1.8p-02, 0x1.306fe0a31b715p-403},
	{0x1.8p-1060, 0x1.999999999999ap-05, 0x1.053e2ff62435cp-53},
	{0x1.ffffffffffffep-1023, 0x1.e666666666666p-01, 0x1.125fbee2506fbp-971},
	{0x1p-1022, 0x1.5555555555555p-02, 0x1.428a2f98d72d5p-341},
	{0x1.fffffffffffffp+1023, 0x1.4p-01, 0x1.fffffffffffffp+639},
	{0x1.fffffffffffffp-01, 0x1.5798ee2308c3ap-27, 0x1p+00},
	{0x1.0000000000001p+00, 0x1.ffffde7210be9p-01, 0x1.0000000000001p+00},
	{0x1.6a09e667f3bccp-01, 0x1.cp-01, 0x1.7a11473eb0186p-01},
	{0x1.6a09e667f3bcdp-01, 0x1.8p-02, 0x1.c199bdd85529cp-01},
	{0x1.6a09e667f3bcep-01, 0x1.999999999999ap-05, 0x1.f73442f12c8b1p-01},
	{0x1.6a09e667f3bccp+00, 0x1.e666666666666p-01, 0x1.63d1ae32565e4p+00},
	{0x1.6a09e667f3bcdp+00, 0x1.5555555555555p-02, 0x1.1f59ac3c7d6cp+00},
	{0x1.6a09e667f3bcep+00, 0x1.4p-01, 0x1.3dea64c123423p+00},
	{0x1p-01, 0x1.5798ee2308c3ap-27, 0x1.ffffffc475885p-01},
	{0x1p+01, 0x1.ffffde7210be9p-01, 0x1.ffffe8bde9c23p+00},
	{0x1.8p+01, 0x1.cp-01, 0x1.4eba2cf48b9p+01},
	{0x1.4p+03, 0x1.8p-02, 0x1.2f892c7034a03p+01},
	{0x1.0624dd2f1a9fcp-10, 0x1.999999999999ap-05, 0x1.6a77deae8ab8ap-01},
	{0x1.b7cdfd9d7bdbbp-34, 0x1.e666666666666p-01, 0x1.5bb233fcb6a96p-32},
	{0x1.1ef3deb9a4e82p-1023, 0x1.5555555555555p-02, 0x1.09ed75920e861p-341},
	{0x1.97145f83703a4p+813, 0x1.4p-01, 0x1.750d1424d8df6p+508},
	{0x1.9236bddc5d422p-08, 0x1.5798ee2308c3ap-27, 0x1.fffffe4a7b97p-01},
	{0x1.450673a5a7059p+561, 0x1.ffffde7210be9p-01, 0x1.44e615382e956p+561},
	{0x1.878097b27fdd6p-51, 0x1.cp-01, 0x1.e1755b057e11fp-45},
	{0x1.087543e32b639p-523, 0x1.8p-02, 0x1.db439d9aa1a9dp-197},
	{0x1.404264daf0ae9p-48, 0x1.999999999999ap-05, 0x1.8864900d14a7p-03},
	{0x1.a2e259db2986p-1026, 0x1.ffffde7210be9p-01, 0x1.a32e9647940cp-1026},
	{0x1.6c0f6c47d5a5cp-1024, 0x1.ffffde7210be9p-01, 0x1.6c5190a08c268p-1024},
	{0x1.9d78270211c7cp-1023, 0x1.ffffde7210be9p-01, 0x1.9dc32f1cc03ccp-1023},
	{0x1.4123aa72d7ebcp-1024, 0x1.ffffde7210be9p-01, 0x1.415e0532347e4p-1024},
	// Close to the midpoint.
	{0x1.90b77a622f98ap+442, 0x1.8p-02, 0x1.fd50a7f3f22p+165},
	{0x1.3eeb92fa0599cp-59, 0x1.8p-02, 0x1.fdd676ee843cep-23},
	{0x1.7f48f5febc22ap-37, 0x1.8p-02, 0x1.44c99ed48c52ep-14},
	{0x1.4e8927587ec98p-31, 0x1.8p-02, 0x1.6f07d03fa9088p-12},
	{0x1.579660fee5a3cp-05, 0x1.8p-02, 0x1.37bd7871ebf8cp-02},
	{0x1.719df364312bcp-07, 0x1.e666666666666p-01, 0x1.ce86d77e465fep-07},
	{0x1.a762332b93994p-359, 0x1.e666666666666p-01, 0x1.8ecd6d9b8ca7ep-341},
	{0x1.e82e62383a03ap-55, 0x1.e666666666666p-01, 0x1.8d78d1bb99b5ap-52},
	{0x1.bcdade57d0d74p-74, 0x1.e666666666666p-01, 0x1.5f7cedfc61fd8p-70},
	{0x1.5c1e66113c0efp-18, 0x1.e666666666666p-01, 0x1.3fda4b5470e86p-17},
	{0x1.cd16cd9931584p-29, 0x1.999999999999ap-05, 0x1.81ff2e6644b14p-02},
	{0x1.a0be3c14190cfp+608, 0x1.999999999999ap-05, 0x1.5a2015d0d09cp+30},
	{0x1.bc36dd389e98cp-17, 0x1.999999999999ap-05, 0x1.23fc6d5e2c002p-01},
	{0x1.bee9e09720828p-28, 0x1.999999999999ap-05, 0x1.8efc4b7f92d28p-02},
	{0x1.ca79392862262p+824, 0x1.999999999999ap-05, 0x1.2ec2c566f7ab6p+41},
	{0x1.f0e2c6cc9d8c5p-995, 0x1.5555555555555p-02, 0x1.925601798541ep-332},
	{0x1.69f95db994c1dp-530, 0x1.5555555555555p-02, 0x1.6a04636dae82ap-177},
	{0x1.b0756b1dbe515p-168, 0x1.5555555555555p-02, 0x1.30e38a4373886p-56},
	{0x1.beb7d65d0fb93p+568, 0x1.5555555555555p-02, 0x1.844ff3d580bbp+189},
	{0x1.7f3ec678a81d6p-52, 0x1.5555555555555p-02, 0x1.d0e0bd2cfbac2p-18},
}

func TestPow32Bits(t *testing.T) {
	for _, c := range pow32Bits {
		if got := pow32(c.x, c.a); math.Float32bits(got) != math.Float32bits(c.want) {
			t.Errorf("pow32(%x, %x) = %x, want %x", c.x, c.a, got, c.want)
		}
		want, _ := bigpow.Pow(float64(c.x), c.a, 120).Float64()
		if ulps := math.Abs(float64(c.want)-want) * ulpInverse32(want); !(ulps <= pow32Bound) {
			t.Errorf("%x ^ %x is not %x: that is off by %g ulp", c.x, c.a, c.want, ulps)
		}
	}
}

func TestPow64Bits(t *testing.T) {
	for _, c := range pow64Bits {
		if got := pow64(c.x, c.a); math.Float64bits(got) != math.Float64bits(c.want) {
			t.Errorf("pow64(%x, %x) = %x, want %x", c.x, c.a, got, c.want)
		}
		if ulps, sub := pow64Error(c.want, c.x, c.a); !(ulps <= pow64Bound || sub && ulps <= pow64SubnormalBound) {
			t.Errorf("%x ^ %x is not %x: that is off by %g ulp", c.x, c.a, c.want, ulps)
		}
	}
}

func TestPowSpecial(t *testing.T) {
	nan, inf, negZero := math.NaN(), math.Inf(1), math.Copysign(0, -1)
	for _, a := range []float64{0, 1e-300, 1e-8, 0.05, 0.375, 0.95, 1} {
		for _, c := range []struct{ x, want float64 }{
			{0, 0}, {negZero, 0}, {inf, inf}, {nan, nan}, {-inf, nan}, {-1, nan},
			{-math.SmallestNonzeroFloat32, nan}, {-math.MaxFloat32, nan}, {1, 1},
		} {
			if got := pow64(c.x, a); !powSame(got, c.want) {
				t.Errorf("pow64(%g, %g) = %g, want %g", c.x, a, got, c.want)
			}
			if got := float64(pow32(float32(c.x), a)); !powSame(got, c.want) {
				t.Errorf("pow32(%g, %g) = %g, want %g", c.x, a, got, c.want)
			}
		}
	}
	for _, x := range []float64{-math.SmallestNonzeroFloat64, -math.MaxFloat64} {
		if got := pow64(x, 0.375); got == got {
			t.Errorf("pow64(%g, 0.375) = %g, want NaN", x, got)
		}
	}
}

// powSame compares bits, but any NaN equals any other.
func powSame(a, b float64) bool {
	return math.Float64bits(a) == math.Float64bits(b) || a != a && b != b
}

// TestPowExact checks results that need no rounding.
func TestPowExact(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 0))
	for range 10000 {
		x64, x32 := powAny64(r), math.Float32frombits(1+r.Uint32N(0x7F7FFFFF))
		if got := pow64(x64, 1); got != x64 {
			t.Fatalf("pow64(%x, 1) = %x", x64, got)
		}
		if got := pow32(x32, 1); got != x32 {
			t.Fatalf("pow32(%x, 1) = %x", x32, got)
		}
		if got := pow64(x64, 0); got != 1 {
			t.Fatalf("pow64(%x, 0) = %x", x64, got)
		}
		if got := pow32(x32, 0); got != 1 {
			t.Fatalf("pow32(%x, 0) = %x", x32, got)
		}
		if a := r.Float64(); pow64(1, a) != 1 || pow32(1, a) != 1 {
			t.Fatalf("1^%x is %x and %x", a, pow64(1, a), pow32(1, a))
		}
	}
	for e := -1072; e < 1024; e += 8 {
		x, want := math.Ldexp(1, e), math.Ldexp(1, e/8*3)
		if got := pow64(x, 0.375); got != want {
			t.Errorf("pow64(2^%d, 0.375) = %x, want %x", e, got, want)
		}
		if e > -150 && e < 128 {
			if got := pow32(float32(x), 0.375); got != float32(want) {
				t.Errorf("pow32(2^%d, 0.375) = %x, want %x", e, got, want)
			}
		}
	}
}

// TestExponent checks the pieces of a: that they lie on their grids, and that they add
// up.
func TestExponent(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 0))
	c0 := new(big.Float).SetPrec(300).Add(big.NewFloat(log64C0Head), big.NewFloat(log64C0Tail))
	for range 10000 {
		a := math.Ldexp(r.Float64(), -r.IntN(40))
		p := newExponent(a)
		if p.a != a || p.aHead+p.aTail != a || !powOnGrid(p.aHead, 40) || math.Abs(p.aTail) > 0x1p-41 {
			t.Fatalf("newExponent(%x): a in pieces is %x + %x", a, p.aHead, p.aTail)
		}
		d := new(big.Float).SetPrec(300).Mul(c0, big.NewFloat(a))
		d.Sub(d, big.NewFloat(p.cHead))
		d.Sub(d, big.NewFloat(p.cTail))
		if e, _ := d.Float64(); !powOnGrid(p.cHead, 26) || math.Abs(e) > 0x1p-78 {
			t.Fatalf("newExponent(%x): a·C0 is off by %g", a, e)
		}
	}
	if !powOnGrid(log64C0Head, 24) || !powOnGrid(exp64C1Head, 42) || !powOnGrid(exp64C2Head, 32) {
		t.Error("a leading coefficient is not on its grid")
	}
}

// powOnGrid reports whether v is a multiple of 2^-k.
func powOnGrid(v float64, k int) bool {
	v = math.Ldexp(v, k)
	return v == math.Trunc(v)
}

// A powWorst is the largest error found, in ulps of the exact result, and where.
type powWorst struct{ ulps, x, a float64 }

func (w *powWorst) see(ulps, x, a float64) {
	if !(ulps <= w.ulps) { // a NaN is the worst error
		*w = powWorst{ulps, x, a}
	}
}

func (w powWorst) String() string {
	return fmt.Sprintf("%.6f ulp at %x ^ %x (%[2]g ^ %[3]g)", w.ulps, w.x, w.a)
}

// TestPow32Error compares every stride-th positive finite value with pow64, whose own
// error is 2^-29 ulp of float32.
func TestPow32Error(t *testing.T) {
	stride := uint64(211)
	switch {
	case powExhaustive:
		stride = 1
	case testing.Short():
		stride = 2111
	default:
		leave("most values of the power", "ADAHESSIAN_EXHAUSTIVE=1")
	}
	for i, a := range powExponents {
		w, sum := pow32Worst(a, stride)
		t.Logf("k = %g, %d values: worst %v", 2*a, largestFloat32/stride+1, w)
		if sum != pow32Sums[stride][i] {
			t.Errorf("a = %g, stride %d: the sum is %#x, want %#x", a, stride, sum, pow32Sums[stride][i])
		}
		if !(w.ulps <= pow32Bound) {
			t.Errorf("a = %g: error of %v", a, w)
		}
	}
}

// pow32Sums holds the sums of pow32Worst by stride, one for each of
// powExponents.
var pow32Sums = map[uint64][3]uint64{
	1:    {0x39af60e1e81690b6, 0xa0c0b588dbb38dc5, 0x20437ca88f15c682},
	211:  {0x683021a1dab381b6, 0x74269290840577ca, 0xabb86d6146757521},
	2111: {0x5d016cdd9835fefa, 0x5d76797eea41a5ea, 0x181f2cf97bf61350},
}

const largestFloat32 = 0x7F7FFFFF // its bits, and the number of positive finite values

// pow32Worst looks at every stride-th positive finite float32, and the largest.
// The sum over all of them changes if a single bit of a result does.
func pow32Worst(a float64, stride uint64) (w powWorst, sum uint64) {
	p := newExponent(a)
	see := func(w *powWorst, bits uint64) uint64 {
		x := math.Float32frombits(uint32(bits))
		want := p.pow64(float64(x))
		got := pow32(x, a)
		w.see(math.Abs(float64(got)-want)*ulpInverse32(want), float64(x), a)
		return uint64(math.Float32bits(got)) * (2*bits + 1)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	workers := uint64(runtime.GOMAXPROCS(0))
	for i := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			var mine powWorst
			var part uint64
			for bits := 1 + i*stride; bits <= largestFloat32; bits += workers * stride {
				part += see(&mine, bits)
			}
			mu.Lock()
			w.see(mine.ulps, mine.x, mine.a)
			sum += part
			mu.Unlock()
		}()
	}
	wg.Wait()
	sum += see(&w, largestFloat32)
	return w, sum
}

// ulpInverse32 returns 1/ulp of the float32 nearest to v.
func ulpInverse32(v float64) float64 {
	e := math.Float64bits(v) >> 52 // biased by 1023
	e = max(e, 1023-126)
	return math.Float64frombits((2*1023 + 23 - e) << 52)
}

// The regions of x where x^a is most likely to go wrong. All draw the same
// values on every architecture.
var powRegions = []struct {
	name string
	draw func(r *rand.Rand, a float64) float64
}{
	{"any", func(r *rand.Rand, _ float64) float64 { return powAny64(r) }},
	{"one octave", func(r *rand.Rand, _ float64) float64 { return 0.5 + float64(1.5*r.Float64()) }},
	{"ulps from 1", func(r *rand.Rand, _ float64) float64 { return powAround(1, 200, r) }},
	{"near 1", func(r *rand.Rand, _ float64) float64 { return 1 + math.Ldexp(r.Float64()-0.5, -r.IntN(50)) }},
	{"near a power of two", func(r *rand.Rand, _ float64) float64 { return powAround(math.Ldexp(1, r.IntN(2046)-1022), 100, r) }},
	{"near an odd power of √2", func(r *rand.Rand, _ float64) float64 {
		return powAround(math.Ldexp(math.Sqrt2, r.IntN(2045)-1022), 100, r)
	}},
	{"close to √½ or √2", func(r *rand.Rand, _ float64) float64 {
		return math.Ldexp(math.Sqrt2*(1+math.Ldexp(r.Float64()-0.5, -r.IntN(50))), -r.IntN(2))
	}},
	{"subnormal", func(r *rand.Rand, _ float64) float64 {
		return math.Float64frombits(1 + r.Uint64N(1<<(1+r.IntN(52))))
	}},
	{"smallest normal", func(r *rand.Rand, _ float64) float64 { return powAround(minNormal64, 1000, r) }},
	{"largest", func(r *rand.Rand, _ float64) float64 {
		return math.Float64frombits(0x7FEFFFFFFFFFFFFF - r.Uint64N(1<<(1+r.IntN(53))))
	}},
	{"curvatures", func(r *rand.Rand, _ float64) float64 { return math.Ldexp(1+r.Float64(), -r.IntN(60)) }},
	// The result lies just below or above a power of two, where ulps are smallest
	// relative to it, and the exponent may be wrong by one.
	{"result near a power of two", func(r *rand.Rand, a float64) float64 { return powInverse(0, a, r) }},
	// y lies close to n + ½, where n changes and r is largest.
	{"result near an odd power of √2", func(r *rand.Rand, a float64) float64 { return powInverse(0.5, a, r) }},
}

// powInverse returns an x for which a·log2(x) is close to n + half for an integer n, as
// closely as the range of x allows.
func powInverse(half, a float64, r *rand.Rand) float64 {
	l := float64(2040*r.Float64()) - 1020 // log2(x)
	l = min(max((math.Floor(float64(a*l))+half)/a, -1020), 1020)
	n := math.Floor(l)
	x := math.Ldexp(pow64(2, l-n), int(n))
	if r.IntN(2) == 0 {
		x *= 1 + math.Ldexp(r.Float64()-0.5, -20-r.IntN(30))
	}
	return powAround(x, 20, r)
}

func powAny64(r *rand.Rand) float64 { return math.Float64frombits(1 + r.Uint64N(0x7FEFFFFFFFFFFFFF)) }

// powAround returns a value at most n ulps from v > 0.
func powAround(v float64, n int64, r *rand.Rand) float64 {
	return math.Float64frombits(math.Float64bits(v) + uint64(r.Int64N(2*n+1)-n))
}

// powRegionExponents are the values of a for the tests over powRegions. −1 means that a
// is drawn again for each value.
var powRegionExponents = []float64{0.05, 0.375, 0.95, 1e-8, 0.999999, 1.0 / 3, math.Nextafter(1, 0), -1}

// TestPow64Sum condenses many results into one number, which changes if a single bit of
// them does.
func TestPow64Sum(t *testing.T) {
	const want = 0x69f0038bc4fa8446
	var sum uint64
	for i, region := range powRegions {
		r := rand.New(rand.NewPCG(5, uint64(i)))
		for _, a := range powRegionExponents {
			for range 5000 {
				a := a
				if a < 0 {
					a = r.Float64()
				}
				sum = sum*0x9E3779B97F4A7C15 + math.Float64bits(pow64(region.draw(r, a), a))
			}
		}
	}
	if sum != want {
		t.Errorf("the sum is %#x, want %#x", sum, uint64(want))
	}
}

// TestPow64Error compares with math/big, over 125,000 values, or 3.1
// million if exhaustive.
func TestPow64Error(t *testing.T) {
	each := 1200 // for each region and exponent
	switch {
	case powExhaustive:
		each = 30000
	case testing.Short():
		each = 120
	default:
		leave("most values of the power", "ADAHESSIAN_EXHAUSTIVE=1")
	}
	var mu sync.Mutex
	var normal, subnormal powWorst
	t.Run("regions", func(t *testing.T) {
		for i, region := range powRegions {
			t.Run(region.name, func(t *testing.T) {
				t.Parallel()
				r := rand.New(rand.NewPCG(3, uint64(i)))
				var n, s powWorst
				for _, a := range powRegionExponents {
					for range each {
						a := a
						if a < 0 {
							a = r.Float64()
						}
						x := region.draw(r, a)
						ulps, sub := pow64Error(pow64(x, a), x, a)
						if sub {
							s.see(ulps, x, a)
						} else {
							n.see(ulps, x, a)
						}
					}
				}
				t.Logf("%s, %d values: worst %v", region.name, each*len(powRegionExponents), n)
				if !(n.ulps <= pow64Bound) {
					t.Errorf("error of %v", n)
				}
				if !(s.ulps <= pow64SubnormalBound) {
					t.Errorf("error of %v, a subnormal result", s)
				}
				mu.Lock()
				normal.see(n.ulps, n.x, n.a)
				subnormal.see(s.ulps, s.x, s.a)
				mu.Unlock()
			})
		}
	})
	t.Logf("all, %d values: worst %v", each*len(powRegionExponents)*len(powRegions), normal)
	t.Logf("subnormal results: worst %v", subnormal)
}

// pow64Error returns the error of got = x^a in ulps of the exact result, and
// whether that is subnormal.
func pow64Error(got, x, a float64) (ulps float64, subnormal bool) {
	if got-got != 0 {
		return math.NaN(), false
	}
	want := bigpow.Pow(x, a, 120)
	e := want.MantExp(nil) - 53
	if e < -1074 {
		e, subnormal = -1074, true
	}
	d := new(big.Float).SetPrec(200).Sub(big.NewFloat(got), want)
	ulps, _ = d.SetMantExp(d, -e).Float64()
	return math.Abs(ulps), subnormal
}

func BenchmarkPow32(b *testing.B) {
	x, y := make([]float32, 1024), make([]float32, 1024)
	r := rand.New(rand.NewPCG(4, 0))
	for i := range x {
		x[i] = float32(math.Ldexp(1+r.Float64(), -r.IntN(40)))
	}
	for b.Loop() {
		for i, v := range x {
			y[i] = pow32(v, 0.375)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(x)), "ns/value")
}

func BenchmarkPow64(b *testing.B) {
	x, y := make([]float64, 1024), make([]float64, 1024)
	r := rand.New(rand.NewPCG(4, 0))
	for i := range x {
		x[i] = math.Ldexp(1+r.Float64(), -r.IntN(40))
	}
	p := newExponent(0.375)
	for b.Loop() {
		for i, v := range x {
			y[i] = p.pow64(v)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(x)), "ns/value")
}
