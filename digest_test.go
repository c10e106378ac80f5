package adahessian

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"testing"
	"unsafe"
)

// The package promises the same bits everywhere. This file makes one fixed run of
// everything that computes, and compares the hash of all its bits with a constant. The
// hash must be the same on every architecture, with every instruction set and any
// number of workers.
//
// That would prove little if the inputs differed, or if the constant could be reached
// without computing. So:
//
//   - The inputs are made from integers, whose bits become those of floating-point
//     numbers. They use nothing from package math.
//   - Every product that is added to something is converted to its type first,
//     which stops the compiler from fusing the two.
//   - Everything a kernel may write goes into the hash, in one byte order. All NaNs
//     count as the same, since the contract leaves their payload and sign open.
//   - The test counts what it hashes, and how much of that is not trivial.

// digest is the SHA-256 of the run.
const digest = "e24e576451dd781eb78d26e2df96361a0a4daa0a0f17fecdc3894153395dc5d0"

// digestOrder is the order of the run's parts. -v prints the hash of each, which shows
// where two machines begin to differ.
var digestOrder = []string{"kernels float32", "kernels float64", "steps float32", "steps float64"}

func TestDigest(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		kernels := map[string]*digestSum{
			"kernels float32": digestKernels[float32](),
			"kernels float64": digestKernels[float64](),
		}
		for _, workers := range []int{1, 3} {
			parts := map[string]*digestSum{
				"steps float32": digestSteps[float32](t, workers),
				"steps float64": digestSteps[float64](t, workers),
			}
			all := sha256.New()
			for _, name := range digestOrder {
				d := parts[name]
				if d == nil {
					d = kernels[name]
				}
				d.requireVariety(t, name)
				all.Write(d.hash.Sum(nil))
				t.Logf("%s, %d workers: %d numbers, of which %d differ from 0 and %d are NaN: %x",
					name, workers, d.numbers, d.nonzero, d.nan, d.hash.Sum(nil)[:8])
			}
			if got := hex.EncodeToString(all.Sum(nil)); got != digest {
				t.Errorf("%d workers: the digest is %s, want %s", workers, got, digest)
			}
		}
	})
}

// ---- the hash ------------------------------------------------------------

type digestSum struct {
	hash                  hash.Hash
	buffer                []byte
	numbers, nonzero, nan int
	subnormal             int
}

func newDigestSum() *digestSum { return &digestSum{hash: sha256.New()} }

// digestAdd adds the numbers to the hash, the low byte first.
func digestAdd[T Float](d *digestSum, x []T) {
	d.buffer = binary.LittleEndian.AppendUint64(d.buffer[:0], uint64(len(x)))
	for _, f := range x {
		b := bitsOf(f)
		d.numbers++
		switch {
		case f != f:
			d.nan++
			b = 1 << 63 // no float32 has these bits; a float64 could be −0
			if unsafe.Sizeof(f) == 8 {
				b = 0x7ff8 << 48
			}
		case f != 0:
			d.nonzero++
			if abs(f) < smallestNormal[T]() {
				d.subnormal++
			}
		}
		d.buffer = binary.LittleEndian.AppendUint64(d.buffer, b)
	}
	d.hash.Write(d.buffer)
}

// requireVariety fails a test whose run had nothing but zeros, or whose kernels saw no
// special values.
func (d *digestSum) requireVariety(t *testing.T, name string) {
	t.Helper()
	special := name[0] != 'k' || d.nan > 1000 && d.subnormal > 100
	if d.numbers < 500_000 || d.nonzero < d.numbers/2 || !special {
		t.Errorf("%s: %d numbers, %d of them not 0, %d subnormal, %d NaN: too few to prove anything",
			name, d.numbers, d.nonzero, d.subnormal, d.nan)
	}
}

// ---- the inputs ----------------------------------------------------------

// digestBits is the generator SplitMix64, which makes integers of 64 random bits.
type digestBits uint64

func (s *digestBits) next() uint64 {
	*s += 0x9e3779b97f4a7c15
	z := uint64(*s)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// digestNumber returns a number of either sign with an exponent from 2^lo up to
// 2^(lo+count−1), put together from its bits.
func digestNumber[T Float](s *digestBits, lo, count int) T {
	f := formatOf[T]()
	bits := s.next()
	one := int(f.infinity >> f.mantissa / 2) // the exponent of 1
	exponent := uint64(one + lo + int(bits>>56)%count)
	return digestSigned[T](bits>>55&1 != 0, exponent<<f.mantissa|bits&(1<<f.mantissa-1))
}

func digestSigned[T Float](negative bool, bits uint64) T {
	if negative {
		bits |= 1 << (8*unsafe.Sizeof(T(0)) - 1)
	}
	return fromBits[T](bits)
}

// digestData fills the buffers of the kernels with plain numbers, alone or mixed with
// numbers of every other kind.
type digestData[T Float] struct {
	bits  digestBits
	mixed bool
}

func (d *digestData[T]) String() string { return "digest" }

//lint:ignore U1000 it is a method of filler, which the linter misses for a generic type
func (d *digestData[T]) fill(x []T) {
	f := formatOf[T]()
	for i := range x {
		x[i] = digestNumber[T](&d.bits, -6, 12)
		if !d.mixed {
			continue
		}
		bits := d.bits.next()
		negative, low := bits>>63 != 0, bits&(1<<f.mantissa-1)
		switch bits >> 48 & 63 {
		case 0:
			x[i] = digestSigned[T](negative, 0)
		case 1, 2: // subnormal
			x[i] = digestSigned[T](negative, low)
		case 3, 4: // about the smallest normal number
			x[i] = digestSigned[T](negative, f.minNormal-8+low&15)
		case 5, 6: // whose square is about the smallest normal number
			x[i] = digestNumber[T](&d.bits, 1-int(f.infinity>>f.mantissa)/4, 4)
		case 7: // any finite number
			x[i] = digestSigned[T](negative, bits<<1>>1%f.infinity)
		case 8:
			x[i] = digestSigned[T](negative, f.infinity)
		case 9: // NaN
			x[i] = digestSigned[T](negative, f.infinity|low|1)
		}
	}
}

// ---- the run -------------------------------------------------------------

// digestRun runs a call and adds all that it may write.
func digestRun[T Float](d *digestSum, data filler[T], c call[T]) {
	x := make([][]T, len(c.buffers))
	for i, b := range c.buffers {
		x[i] = make([]T, b.n)
		b.fill(x[i], data)
	}
	c.run(x)
	for i, b := range c.buffers {
		if b.written && !b.scratch {
			digestAdd(d, x[i])
		}
	}
}

// digestKernels calls every kernel in every shape, with every k and every kind of
// hyperparameter, for lengths near those of vectors. Then it calls the exported
// functions on every kind of layout.
func digestKernels[T Float]() *digestSum {
	d := newDigestSum()
	data := &digestData[T]{bits: 20060719}
	run := func(c call[T]) {
		data.mixed = !data.mixed
		digestRun[T](d, data, c)
	}
	for _, n := range []int{1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 67} {
		for _, c := range representatives[T](n, len(stepHypers)) {
			run(c)
		}
	}
	for i, p := range []uint64{0, 1, 31, 127, 128, 1<<39 - 300, 1<<64 - 700} {
		run(exportedRademacherCall[T](1500, 1<<63|p, uint64(i)<<31, p))
	}
	for i, l := range []Layout{
		{3000, 1, 1}, {130, 2, 1}, {111, 3, 1}, {70, 9, 1}, {41, 32, 1}, {19, 100, 1}, {3, 1000, 1}, {1, maxCall + 77, 1},
		{3, 9, 64}, {7, 3, 19}, {40, 2, 5}, {1, 9, 301}, {1, 70, 33}, {2, 3, onePassWidth + 1}, {1, maxCall, 2},
		{2, 2*runLen + 5, 1}, {1, 2*runLen + 5, 2}, {1, runLen + 3, 3},
	} {
		run(exportedBlockMeanAbsCall[T](l))
		for j, k := range []float64{0, 0.25, 0.5, 0.75, 1, 1.3, 2} {
			h := stepHypers[(i+j)%len(stepHypers)]
			h.h.HessianPower = k
			c, err := NewCoefficients[T](h.h, h.step, h.samples)
			if err != nil {
				panic(err)
			}
			if l.Len() > 5000 && j != i%7 && j != (i+3)%7 {
				continue
			}
			run(exportedUpdateCall(l, &c))
			run(keptCall(l, &c, i&1 == 0, onePassWidth))
		}
	}
	return d
}

// digestTraining is an optimizer whose gradients and products depend on its
// parameters and probes.
type digestTraining[T Float] struct {
	params  []Param[T]
	a, b, c [][]T
	grads   [][]T
}

func newDigestTraining[T Float](layouts ...Layout) *digestTraining[T] {
	tr := &digestTraining[T]{}
	bits := digestBits(1)
	numbers := func(n, lo, count int) []T {
		x := make([]T, n)
		for i := range x {
			x[i] = digestNumber[T](&bits, lo, count)
		}
		return x
	}
	for _, l := range layouts {
		n := l.Len()
		tr.params = append(tr.params, Param[T]{Name: fmt.Sprint(l), Value: numbers(n, -4, 4), Layout: l})
		a, b, c := numbers(n, -2, 3), numbers(n, -4, 3), numbers(n, -3, 4)
		for e := range n {
			a[e] = abs(a[e])
			if e%19 == 3 { // no gradient and hardly any curvature: the moments die out
				a[e], b[e], c[e] = 0, fromBits[T](formatOf[T]().minNormal), 0
			}
		}
		tr.a, tr.b, tr.c = append(tr.a, a), append(tr.b, b), append(tr.c, c)
		tr.grads = append(tr.grads, make([]T, n))
	}
	return tr
}

// hvp is H z = a⊙z + b. The signs make every product exact; b, which no Hessian
// gives, makes |H z| depend on them.
func (tr *digestTraining[T]) hvp(hz, z [][]T) error {
	for i := range z {
		for e := range z[i] {
			hz[i][e] = T(tr.a[i][e]*z[i][e]) + tr.b[i][e]
		}
	}
	return nil
}

// gradients are a⊙θ − c.
func (tr *digestTraining[T]) gradients() [][]T {
	for i := range tr.grads {
		for e, x := range tr.params[i].Value {
			tr.grads[i][e] = T(tr.a[i][e]*x) - tr.c[i][e]
		}
	}
	return tr.grads
}

// digestSteps makes some hundred steps of small tensors of every layout with various
// options, and a few of a tensor that several workers share. Halfway through, the state
// is saved, and a new optimizer continues from it.
func digestSteps[T Float](t *testing.T, workers int) *digestSum {
	t.Helper()
	d := newDigestSum()
	small := []Layout{{37, 1, 1}, {13, 2, 1}, {7, 9, 1}, {3, 32, 1}, {1, 100, 1}, {2, 9, 5}, {1, 3, 21}}
	for _, run := range []struct {
		steps, samples, each int
		layouts              []Layout
		h                    Hyper
	}{
		{100, 1, 1, small, DefaultHyper()},
		{60, 2, 3, small, Hyper{LR: 0.1, Beta1: 0.8, Beta2: 0.99, Eps: 1e-3, WeightDecay: 0.01, HessianPower: 0.75, MaxUpdate: 0.5}},
		{60, 1, 2, small, Hyper{LR: 0.1, Beta1: 0.9, Beta2: 0.9, Eps: 1e-2, HessianPower: 0.5}},
		{60, 3, 1, small, Hyper{LR: 0.05, Beta1: 0.9, Beta2: 0.999, Eps: 1e-2, WeightDecay: 0.1, HessianPower: 2, MaxUpdate: 1}},
		{20, 1, 1, small, Hyper{LR: 0.2, Beta1: 0.5, Beta2: 0.5, Eps: 1}}, // power 0
		{4, 1, 2, []Layout{{64<<10 + 1003, 1, 1}, {4000, 9, 1}, {1, 4, 24<<10 + 1}}, DefaultHyper()},
	} {
		opts := Options{Hyper: run.h, Samples: run.samples, UpdateEach: run.each, Seed: 0x243f6a8885a308d3, Workers: workers}
		tr := newDigestTraining[T](run.layouts...)
		opt, err := New(opts, tr.params...)
		if err != nil {
			t.Fatal(err)
		}
		for n := range run.steps {
			if n == run.steps/2 {
				state, err := opt.MarshalBinary()
				if err != nil {
					t.Fatal(err)
				}
				d.hash.Write(modelOfVersion1(opt).encode()) // the digest dates from that version
				if opt, err = New(opts, tr.params...); err != nil {
					t.Fatal(err)
				}
				if err := opt.UnmarshalBinary(state); err != nil {
					t.Fatal(err)
				}
			}
			if err := opt.Step(tr.gradients(), tr.hvp); err != nil {
				t.Fatal(err)
			}
			for i := range tr.params {
				m, v := opt.State(i)
				digestAdd(d, tr.params[i].Value)
				digestAdd(d, m)
				digestAdd(d, v)
			}
		}
	}
	return d
}
