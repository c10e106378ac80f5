package main

import (
	"bytes"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/adahessian-go/adahessian"
	"github.com/nlpodyssey/safetensors"
)

func TestRun(t *testing.T) {
	if err := run(filepath.Join(t.TempDir(), "optimizer.safetensors")); err != nil {
		t.Fatal(err)
	}
}

// TestExport reads the file with the library alone.
func TestExport(t *testing.T) {
	m := trained(t)
	data, err := Export(m.opt, m.tensors)
	if err != nil {
		t.Fatal(err)
	}
	file, err := safetensors.Deserialize(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"conv.weight.exp_avg", "conv.weight.exp_hessian_diag_sq", "conv.bias.exp_avg", "conv.bias.exp_hessian_diag_sq"} {
		if _, ok := file.Tensor(name); !ok {
			t.Errorf("no %s among %v", name, file.Names())
		}
	}
	first, v := m.opt.State(0)
	moment, err := readTensor[float32](file, "conv.weight.exp_avg", []int{4, 3, 3, 3})
	if err != nil {
		t.Fatal(err)
	}
	expanded, err := readTensor[float32](file, "conv.weight.exp_hessian_diag_sq", []int{4, 3, 3, 3})
	if err != nil {
		t.Fatal(err)
	}
	for e := range expanded {
		if moment[e] != first[e] || expanded[e] != v[e/9] {
			t.Fatalf("element %d is %v and %v, want %v and %v", e, moment[e], expanded[e], first[e], v[e/9])
		}
	}
	if n, err := stepsOf(data); n != 3 || err != nil {
		t.Errorf("%d steps, %v", n, err)
	}
}

// TestExportWithoutLayout uses the zero Layout, which stands for Elementwise.
func TestExportWithoutLayout(t *testing.T) {
	m := trained(t)
	want, err := Export(m.opt, m.tensors)
	if err != nil {
		t.Fatal(err)
	}
	m.tensors[1].Layout = adahessian.Layout{}
	got, err := Export(m.opt, m.tensors)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("without a Layout the file differs")
	}
	other, err := newModel()
	if err != nil {
		t.Fatal(err)
	}
	if err := Import(other.opt, m.tensors, got); err != nil {
		t.Fatal(err)
	}
	before, err := m.opt.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if after, err := other.opt.MarshalBinary(); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the state has changed (%v)", err)
	}
}

// set returns a function that edits the tensors.
func set(edit func(x []Tensor)) func(x []Tensor) []Tensor {
	return func(x []Tensor) []Tensor {
		edit(x)
		return x
	}
}

// TestRefusesOptimizer passes unusable optimizers to Export and Import.
func TestRefusesOptimizer(t *testing.T) {
	m := trained(t)
	good, err := Export(m.opt, m.tensors)
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(opt *adahessian.Optimizer[float32], tensors []Tensor, want string) {
		t.Helper()
		if _, err := Export(opt, tensors); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Export: %v, want %q", err, want)
		}
		if err := Import(opt, tensors, good); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Import: %v, want %q", err, want)
		}
	}
	for _, tensors := range [][]Tensor{nil, m.tensors} {
		refuse(nil, tensors, "the optimizer is nil")
		refuse(new(adahessian.Optimizer[float32]), tensors, "an Optimizer that was not made by New")
	}
	none, err := adahessian.New[float32](adahessian.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	refuse(none, m.tensors, `tensor 0 "conv.weight": the optimizer has 0 parameters`)
}

// TestRefusesTensors passes descriptions that do not fit the optimizer to Export and
// Import.
func TestRefusesTensors(t *testing.T) {
	m := trained(t)
	good, err := Export(m.opt, m.tensors)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		edit func(x []Tensor) []Tensor
		want string
	}{
		{"one more", func(x []Tensor) []Tensor { return append(x, Tensor{Param: "fc.weight", Shape: []int{4}}) }, `tensor 2 "fc.weight": the optimizer has 2 parameters`},
		{"one less", func(x []Tensor) []Tensor { return x[:1] }, "1 tensors, and the optimizer has 2 parameters"},
		{"none", func(x []Tensor) []Tensor { return nil }, "0 tensors, and the optimizer has 2 parameters"},
		{"another length", set(func(x []Tensor) { x[1].Shape, x[1].Layout = []int{5}, adahessian.Layout{} }), `tensor 1 "conv.bias" has Layout {Outer:5 Block:1 Inner:1}, and the optimizer's parameter has 4 elements in 4 blocks`},
		{"another order", set(slices.Reverse[[]Tensor]), `tensor 0 "conv.bias" has Layout`},
		{"invalid shape", set(func(x []Tensor) { x[1].Shape = []int{-2, -2} }), `tensor 1 "conv.bias": adahessian: invalid layout: shape[0] = -2 is negative`},
		{"shape that overflows", set(func(x []Tensor) { x[1].Shape = []int{math.MaxInt, math.MaxInt} }), `tensor 1 "conv.bias": adahessian: invalid layout`},
		{"negative layout", set(func(x []Tensor) { x[1].Layout = adahessian.Layout{Outer: -2, Block: 1, Inner: -2} }), "does not describe the shape [4]"},
		{"one name twice", set(func(x []Tensor) { x[1].Param = "conv.weight" }), `tensors 0 and 1 are both named "conv.weight"`},
		{"layout of another shape", set(func(x []Tensor) { x[0].Layout = adahessian.Layout{Outer: 4, Block: 9, Inner: 1} }), "does not describe the shape [4 3 3 3]"},
		{"invalid layout", set(func(x []Tensor) { x[0].Layout = adahessian.Layout{Outer: 108} }), "does not describe the shape"},
		{"no layout where there was one", set(func(x []Tensor) { x[0].Layout = adahessian.Layout{} }), "Layout"},
	} {
		tensors := c.edit(slices.Clone(m.tensors))
		if _, err := Export(m.opt, tensors); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Export: %v", c.name, err)
		}
		if err := Import(m.opt, tensors, good); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Import: %v", c.name, err)
		}
	}
}

// TestImport makes sure that the whole state comes back to the bit, in layouts of every
// kind and with offsets, if a refresh is due.
func TestImport(t *testing.T) {
	t.Run("float32", testImport[float32])
	t.Run("float64", testImport[float64])
}

func testImport[T adahessian.Float](t *testing.T) {
	tensors := []Tensor{
		{Param: "rows", Shape: []int{3, 5}, Layout: adahessian.Layout{Outer: 3, Block: 5, Inner: 1}},
		{Param: "hwio", Shape: []int{3, 3, 2, 2}, Layout: adahessian.Layout{Outer: 1, Block: 9, Inner: 4}},
		{Param: "each", Shape: []int{7}, Layout: adahessian.Elementwise(7)},
		{Param: "middle", Shape: []int{2, 3, 2}, Layout: adahessian.Layout{Outer: 2, Block: 3, Inner: 2}},
	}
	for _, each := range []int{1, 2} {
		opts := adahessian.DefaultOptions()
		opts.UpdateEach, opts.Samples, opts.Seed = each, 2, 5
		var opt [2]*adahessian.Optimizer[T]
		for k := range opt {
			var params []adahessian.Param[T]
			for _, t := range tensors {
				params = append(params, adahessian.Param[T]{Name: t.Param, Value: make([]T, t.Layout.Len()), Layout: t.Layout, Offset: 99 * uint64(len(params))})
			}
			var err error
			if opt[k], err = adahessian.New(opts, params...); err != nil {
				t.Fatal(err)
			}
		}
		step := func() {
			var grads [][]T
			for _, t := range tensors {
				g := make([]T, t.Layout.Len())
				for e := range g {
					g[e] = T(e%5) - 2
				}
				grads = append(grads, g)
			}
			err := opt[0].Step(grads, func(hz, z [][]T) error {
				for i := range z {
					for e, s := range z[i] {
						hz[i][e] = T(1+e%5)*s + 0.5
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for range 4 {
			step()
		}
		data, err := Export(opt[0], tensors)
		if err != nil {
			t.Fatal(err)
		}
		file, err := safetensors.Deserialize(data)
		if err != nil {
			t.Fatal(err)
		}
		for i, tensor := range tensors {
			requireExpanded(t, file, opt[0], i, tensor)
		}
		if err := Import(opt[1], tensors, data); err != nil {
			t.Fatal(err)
		}
		if opt[1].Steps() != 4 {
			t.Errorf("%d steps, want 4", opt[1].Steps())
		}
		for i := range tensors {
			m0, v0 := opt[0].State(i)
			m1, v1 := opt[1].State(i)
			for e := range m0 {
				if m0[e] != m1[e] {
					t.Fatalf("%s: m[%d] = %v, want %v", tensors[i].Param, e, m1[e], m0[e])
				}
			}
			for b := range v0 {
				if v0[b] != v1[b] || v0[b] == 0 {
					t.Fatalf("%s: v[%d] = %v, want %v", tensors[i].Param, b, v1[b], v0[b])
				}
			}
		}
		if each == 2 {
			step()
			if data, err = Export(opt[0], tensors); err != nil {
				t.Fatal(err)
			}
			if err := Import(opt[1], tensors, data); err == nil || !strings.Contains(err.Error(), "steps = 5, want a multiple of UpdateEach = 2") {
				t.Errorf("between refreshes: %v", err)
			}
		}
	}
}

// requireExpanded makes sure that every element has the value of its block.
func requireExpanded[T adahessian.Float](t *testing.T, file safetensors.SafeTensors, opt *adahessian.Optimizer[T], i int, tensor Tensor) {
	t.Helper()
	expanded, err := readTensor[T](file, tensor.Param+".exp_hessian_diag_sq", tensor.Shape)
	if err != nil {
		t.Fatal(err)
	}
	_, v := opt.State(i)
	l, e := tensor.Layout, 0
	for outer := range l.Outer {
		for range l.Block {
			for inner := range l.Inner {
				if want := v[outer*l.Inner+inner]; expanded[e] != want {
					t.Fatalf("%s: element %d is %v, want %v", tensor.Param, e, expanded[e], want)
				}
				e++
			}
		}
	}
}

// TestImportRefuses imports files that do not fit, which must change nothing.
func TestImportRefuses(t *testing.T) {
	m := trained(t)
	before, err := m.opt.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	good, err := Export(m.opt, m.tensors)
	if err != nil {
		t.Fatal(err)
	}
	flat := append([]Tensor{}, m.tensors...)
	flat[0].Shape = []int{12, 9}
	other := append([]Tensor{}, m.tensors...)
	other[0].Param = "other"
	elementwise := append([]Tensor{}, m.tensors...)
	elementwise[0].Layout = adahessian.Elementwise(108)
	for _, c := range []struct {
		name    string
		data    []byte
		tensors []Tensor
		want    string
	}{
		{"shape", good, flat, "conv.weight.exp_avg is F32 [4 3 3 3], want F32 [12 9]"},
		{"name", good, other, "no tensor other.exp_avg"},
		{"layout", good, elementwise, `tensor 0 "conv.weight" has Layout {Outer:108 Block:1 Inner:1}, and the optimizer's parameter has 108 elements in 12 blocks`},
		{"values within a block", bytes.Replace(good, secondBytes(t, m), []byte{0, 0, 0x80, 0x3f}, 1), m.tensors, "another element of its block"},
		{"cut off", good[:len(good)-1], m.tensors, ""},
		{"no step", bytes.Replace(good, []byte(`"step":"3"`), []byte(`"pets":"3"`), 1), m.tensors, `metadata "step"`},
	} {
		err := Import(m.opt, c.tensors, c.data)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		after, err := m.opt.MarshalBinary()
		if err != nil || !bytes.Equal(before, after) {
			t.Fatalf("%s: the state has changed (%v)", c.name, err)
		}
	}
}

// secondBytes returns the bytes of a second moment, the first of which in the file
// belongs to an element of a block.
func secondBytes(t *testing.T, m *model) []byte {
	t.Helper()
	_, v := m.opt.State(0)
	view, err := newView([]int{1}, v[:1])
	if err != nil {
		t.Fatal(err)
	}
	return view.Data()
}

func trained(t *testing.T) *model {
	t.Helper()
	m, err := newModel()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.train(3); err != nil {
		t.Fatal(err)
	}
	return m
}
