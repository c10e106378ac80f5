package adahessian

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"unsafe"

	"github.com/adahessian-go/adahessian/internal/guard"
)

// TestMeansLongBlocks compares the means of blocks about multiples of the length of
// a run with the model, on every instruction set.
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

// TestMeansDoNotStall has sums that float32 alone would lose a part of: each run is
// exact, and so is the total. A row that is read again and again, stride 0, stands
// for columns of any height without their memory.
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
				meanPanel(d[:], []float32{h, h}, panel{1, n, 0, 2}, float32(n))
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

// TestMeansError holds the relative error of means of random numbers in float32
// against 1e-5, for columns and rows of up to 2²² elements, and of up to 2³¹ with
// ADAHESSIAN_EXHAUSTIVE=1, where 2²⁰ numbers are repeated in the address space.
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
						exact := 0.0 // but for 1e-13
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

// repeated returns x so many times in a row, in no more memory where the system
// can map it.
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
