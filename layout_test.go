package adahessian

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestAverageAxes(t *testing.T) {
	for _, c := range []struct {
		what  string
		shape []int
		axes  []int
		want  Layout
	}{
		{"OIHW, over the kernel", []int{8, 4, 3, 5}, []int{2, 3}, Layout{32, 15, 1}},
		{"HWIO, over the kernel", []int{3, 5, 4, 8}, []int{0, 1}, Layout{1, 15, 32}},
		{"rows", []int{6, 7}, []int{1}, Layout{6, 7, 1}},
		{"columns", []int{6, 7}, []int{0}, Layout{1, 6, 7}},
		{"1-D convolution", []int{6, 7, 3}, []int{2}, Layout{42, 3, 1}},
		{"any order", []int{2, 3, 5, 7}, []int{2, 1}, Layout{2, 15, 7}},
		{"the middle", []int{2, 3, 5}, []int{1}, Layout{2, 3, 5}},
		{"all", []int{2, 3, 5}, []int{0, 1, 2}, Layout{1, 30, 1}},
		{"none", []int{2, 3, 5}, nil, Layout{30, 1, 1}},
		{"rank 1", []int{9}, []int{0}, Layout{1, 9, 1}},
		{"rank 7", []int{2, 2, 2, 3, 2, 2, 2}, []int{3, 4}, Layout{8, 6, 4}},
		{"axes of 1", []int{1, 4, 1}, []int{0}, Layout{1, 1, 4}},
		{"a scalar", nil, nil, Layout{1, 1, 1}},
		{"no elements, in the block", []int{4, 0}, []int{1}, Layout{0, 1, 1}},
		{"no elements, outside", []int{0, 4}, []int{1}, Layout{0, 1, 1}},
		{"no elements, inside", []int{4, 4, 0}, []int{1}, Layout{0, 1, 1}},
		{"no elements, whatever the rest", []int{math.MaxInt, math.MaxInt, 0}, []int{0}, Layout{0, 1, 1}},
		{"as large as can be", []int{math.MaxInt, 1}, []int{0}, Layout{1, math.MaxInt, 1}},
	} {
		shape, axes := slices.Clone(c.shape), slices.Clone(c.axes)
		got, err := AverageAxes(c.shape, c.axes...)
		if err != nil || got != c.want {
			t.Errorf("%s: AverageAxes(%v, %v) = %+v, %v, want %+v", c.what, c.shape, c.axes, got, err, c.want)
		}
		if !slices.Equal(shape, c.shape) || !slices.Equal(axes, c.axes) {
			t.Errorf("%s: AverageAxes changed its arguments", c.what)
		}
	}
}

// wantLayoutError checks that the error wraps ErrLayout and contains these words.
func wantLayoutError(t *testing.T, what string, l Layout, err error, words ...string) {
	t.Helper()
	if !errors.Is(err, ErrLayout) {
		t.Errorf("%s: error %v does not wrap ErrLayout", what, err)
		return
	}
	if l != (Layout{}) {
		t.Errorf("%s: returned %+v together with an error", what, l)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: error %q does not say %q", what, err, w)
		}
	}
}

func TestAverageAxesErrors(t *testing.T) {
	for _, c := range []struct {
		shape, axes []int
		words       []string
	}{
		{[]int{2, 3, 5}, []int{0, 2}, []string{"0 and 2", "not adjacent"}},
		{[]int{2, 3, 5, 7}, []int{3, 1, 0}, []string{"1 and 3", "not adjacent"}},
		{[]int{2, 3}, []int{2}, []string{"axis 2", "out of range", "2 axes"}},
		{[]int{2, 3}, []int{-1}, []string{"axis -1", "out of range"}},
		{[]int{2, 3}, []int{0, 5}, []string{"axis 5", "out of range"}},
		{nil, []int{0}, []string{"axis 0", "out of range", "0 axes"}},
		{[]int{2, 3}, []int{1, 1}, []string{"axis 1", "repeated"}},
		{[]int{2, 3, 5}, []int{1, 0, 1}, []string{"axis 1", "repeated"}},
		{[]int{2, -3}, []int{0}, []string{"shape[1]", "-3", "negative"}},
		{[]int{0, -3}, nil, []string{"shape[1]", "negative"}},
		{[]int{0, 3, 5}, []int{0, 2}, []string{"not adjacent"}}, // an error even without elements
		{[]int{math.MaxInt, 2}, []int{0}, []string{"more elements"}},
		{[]int{math.MaxInt/3 + 1, 3}, []int{1}, []string{"more elements"}},
		{[]int{1 << 15, 1 << 16, math.MaxInt}, nil, []string{"more elements"}},
	} {
		l, err := AverageAxes(c.shape, c.axes...)
		wantLayoutError(t, fmt.Sprintf("AverageAxes(%v, %v)", c.shape, c.axes), l, err, c.words...)
	}
}

func TestFlat(t *testing.T) {
	for _, c := range []struct {
		n, block int
		want     Layout
	}{{12, 1, Layout{12, 1, 1}}, {12, 4, Layout{3, 4, 1}}, {12, 12, Layout{1, 12, 1}}, {0, 5, Layout{0, 5, 1}}} {
		if got, err := Flat(c.n, c.block); err != nil || got != c.want {
			t.Errorf("Flat(%d, %d) = %+v, %v, want %+v", c.n, c.block, got, err, c.want)
		}
	}
	for _, c := range []struct {
		n, block int
		words    []string
	}{
		{12, 5, []string{"12", "5", "multiple"}},
		{12, 13, []string{"12", "13", "multiple"}}, // a block longer than the tensor
		{12, 0, []string{"0", "at least 1"}},
		{12, -1, []string{"-1", "at least 1"}},
		{-12, 3, []string{"-12", "negative"}},
	} {
		l, err := Flat(c.n, c.block)
		wantLayoutError(t, fmt.Sprintf("Flat(%d, %d)", c.n, c.block), l, err, c.words...)
	}
}

func TestLayoutCounts(t *testing.T) {
	for _, c := range []struct {
		l           Layout
		len, blocks int
	}{
		{Layout{}, 0, 0}, {Elementwise(7), 7, 7}, {Elementwise(0), 0, 0}, {Layout{2, 9, 5}, 90, 10}, {Layout{3, 4, 1}, 12, 3},
		{Layout{0, 9, 5}, 0, 0}, {Layout{5, 9, 0}, 0, 0}, {Layout{1, 9, 1}, 9, 1},
	} {
		if c.l.Len() != c.len || c.l.Blocks() != c.blocks {
			t.Errorf("%+v: Len %d, Blocks %d, want %d, %d", c.l, c.l.Len(), c.l.Blocks(), c.len, c.blocks)
		}
	}
}

func TestLayoutCheck(t *testing.T) {
	for _, l := range badLayouts {
		if err := l.check(); !errors.Is(err, ErrLayout) {
			t.Errorf("%+v: %v", l, err)
		}
	}
	for _, l := range []Layout{{0, 1, 1}, {1, 1, 0}, {0, math.MaxInt, math.MaxInt}, {1, math.MaxInt, 1}, {math.MaxInt, 1, 1}, {1, 1, math.MaxInt}, {3, 5, 7}} {
		if err := l.check(); err != nil {
			t.Errorf("%+v: %v", l, err)
		}
	}
}

// blockIndex finds the block of every element of a tensor from its coordinates alone.
// Elements that differ only on the averaged axes share a block, and blocks are numbered
// in the order in which they appear.
func blockIndex(shape, axes []int) (block []int, blocks int) {
	n := 1
	for _, d := range shape {
		n *= d
	}
	numbers := map[string]int{}
	for e := range n {
		at, rest := make([]int, len(shape)), e
		for i := len(shape) - 1; i >= 0; i-- {
			at[i], rest = rest%shape[i], rest/shape[i]
		}
		for _, a := range axes {
			at[a] = 0
		}
		key := fmt.Sprint(at)
		if _, ok := numbers[key]; !ok {
			numbers[key] = len(numbers)
		}
		block = append(block, numbers[key])
	}
	return block, len(numbers)
}

// checkBlocks compares with blockIndex: the documented index of every element's block,
// and the panel that the kernels get.
func checkBlocks(t *testing.T, l Layout, shape, axes []int) {
	t.Helper()
	want, blocks := blockIndex(shape, axes)
	if l.Len() != len(want) || l.Blocks() != blocks {
		t.Fatalf("shape %v, axes %v: %+v has %d elements in %d blocks, want %d in %d", shape, axes, l, l.Len(), l.Blocks(), len(want), blocks)
	}
	p := l.panel()
	if p.len() != len(want) || p.blocks() != blocks {
		t.Fatalf("%+v: panel %v", l, p)
	}
	for e, w := range want {
		o, i := e/(l.Block*l.Inner), e%l.Inner
		if got := o*l.Inner + i; got != w {
			t.Fatalf("shape %v, axes %v: %+v puts element %d in block %d, want %d", shape, axes, l, e, got, w)
		}
		if got := e/(p.block*p.stride)*p.stride + e%p.stride; got != w {
			t.Fatalf("%+v: panel %v puts element %d in block %d, want %d", l, p, e, got, w)
		}
	}
}

// TestLayoutBlocks tries all shapes of up to four axes of length up to three, with all
// runs of adjacent axes.
func TestLayoutBlocks(t *testing.T) {
	var each func(shape []int)
	tested := 0
	each = func(shape []int) {
		for first := range len(shape) {
			for last := first; last <= len(shape); last++ {
				var axes []int
				for a := first; a < last; a++ {
					axes = append(axes, a)
				}
				l, err := AverageAxes(shape, axes...)
				if err != nil {
					t.Fatalf("AverageAxes(%v, %v): %v", shape, axes, err)
				}
				checkBlocks(t, l, shape, axes)
				tested++
			}
		}
		if len(shape) < 4 {
			for d := 1; d <= 3; d++ {
				each(append(slices.Clone(shape), d))
			}
		}
	}
	each(nil)
	if tested < 1000 {
		t.Errorf("tested only %d layouts", tested)
	}
}

// TestPanelPieces checks that pieces of a panel cover each element and each
// block once, whatever their size.
func TestPanelPieces(t *testing.T) {
	for _, l := range []Layout{{7, 1, 1}, {10, 9, 1}, {3, 40, 1}, {3, 4, 10}, {2, 30, 3}, {1, 5, 100}, {4, 1, 6}} {
		for _, limit := range []int{1, 7, 30, 64, 1000} {
			for _, minWidth := range []int{1, 8, 1000} {
				p := l.panel()
				elements, blocks := make([]int, l.Len()), make([]int, l.Blocks())
				outer, width := p.tileSize(limit, minWidth)
				for o := 0; o < p.outer; o += outer {
					for i := 0; i < p.width; i += width {
						q, e, b := p.tile(o, i, outer, width)
						if q.outer > 1 && q.width != q.stride {
							t.Fatalf("%+v limit=%d minWidth=%d: tile %v has gaps between slices", l, limit, minWidth, q)
						}
						for qo := range q.outer {
							for qi := range q.width {
								blocks[b+qo*q.stride+qi]++
								for qb := range q.block {
									elements[e+(qo*q.block+qb)*q.stride+qi]++
								}
							}
						}
					}
				}
				for _, counts := range [][]int{elements, blocks} {
					for i, n := range counts {
						if n != 1 {
							t.Fatalf("%+v limit=%d minWidth=%d: index %d of %d is in %d pieces", l, limit, minWidth, i, len(counts), n)
						}
					}
				}
			}
		}
	}
}

// TestEachPiece cuts panels, also such as no step cuts, and finds every element once.
func TestEachPiece(t *testing.T) {
	for _, p := range []panel{{1, 1, 1, 1}, {7, 1, 1, 1}, {5, 9, 1, 1}, {1, 100, 1, 1}, {6, 3, 4, 4}, {3, 5, 20, 20}, {1, 5, 20, 7}, {1, 4, 50, 50}} {
		for _, most := range []int{1, 4, 12, 40, 1000} {
			found, calls := make([]int, p.outer*p.block*p.stride), 0
			p.eachPiece(most, func(q panel, e, b int) {
				calls++
				if q.len() > most && (q.outer > 1 || q.block > 1) || q.outer > 1 && q.block < p.block {
					t.Errorf("%v in %d: a piece is %v", p, most, q)
				}
				for o := range q.outer {
					for r := range q.block {
						for i := range q.width {
							at := e + (o*q.block+r)*q.stride + i
							if block := b + o*q.width + i; block != at/(p.block*p.stride)*p.width+at%p.stride {
								t.Errorf("%v in %d: element %d is in block %d", p, most, at, block)
							}
							found[at]++
						}
					}
				}
			})
			for at, n := range found {
				want := 0
				if at%p.stride < p.width {
					want = 1
				}
				if n != want {
					t.Fatalf("%v in %d: element %d is found %d times", p, most, at, n)
				}
			}
			if p.len() <= most && calls != 1 {
				t.Errorf("%v in %d: %d calls", p, most, calls)
			}
		}
	}
}
