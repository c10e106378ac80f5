// Command safetensors trains a small model, exports the optimizer's state to a
// safetensors file, imports it into a new optimizer, and continues with the same bits.
//
// A tensor's name is that of its parameter, followed by the name in the state of the
// published optimizer in PyTorch: "conv.exp_avg" and "conv.exp_hessian_diag_sq". Both
// have the parameter's shape, since PyTorch's second moment repeats the value of a
// block for all its elements.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"

	"github.com/adahessian-go/adahessian"
)

func main() {
	log.SetFlags(0)
	dir, err := os.MkdirTemp("", "safetensors")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	out := flag.String("out", filepath.Join(dir, "optimizer.safetensors"), "the `file` to write")
	flag.Parse()
	if err := run(*out); err != nil {
		log.Fatal(err)
	}
}

func run(path string) error {
	first, err := newModel()
	if err != nil {
		return err
	}
	if err := first.train(5); err != nil {
		return err
	}
	data, err := Export(first.opt, first.tensors)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, data, 0o666); err != nil {
		return err
	}
	fmt.Printf("exported %d tensors of step %d: %d bytes\n", 2*len(first.tensors), first.opt.Steps(), len(data))

	second, err := newModel()
	if err != nil {
		return err
	}
	for i := range second.params {
		copy(second.params[i].Value, first.params[i].Value)
	}
	if data, err = os.ReadFile(path); err != nil {
		return err
	}
	if err := Import(second.opt, second.tensors, data); err != nil {
		return err
	}
	if err := first.train(5); err != nil {
		return err
	}
	if err := second.train(5); err != nil {
		return err
	}
	for i := range first.params {
		if !slices.Equal(first.params[i].Value, second.params[i].Value) {
			return fmt.Errorf("%s differs after the import", first.params[i].Name)
		}
	}
	fmt.Printf("imported, and trained on to step %d: the same bits\n", second.opt.Steps())
	return nil
}

// model is a convolution's kernel, averaged over its axes, and a bias.
type model struct {
	params  []adahessian.Param[float32]
	tensors []Tensor
	opt     *adahessian.Optimizer[float32]
}

func newModel() (*model, error) {
	shape := []int{4, 3, 3, 3} // OIHW
	layout, err := adahessian.AverageAxes(shape, 2, 3)
	if err != nil {
		return nil, err
	}
	m := &model{}
	m.params = []adahessian.Param[float32]{
		{Name: "conv.weight", Value: make([]float32, layout.Len()), Layout: layout},
		{Name: "conv.bias", Value: make([]float32, 4), Layout: adahessian.Elementwise(4)},
	}
	for i, p := range m.params {
		for e := range p.Value {
			p.Value[e] = float32(e%7-3+i) / 4
		}
	}
	m.tensors = []Tensor{{Param: "conv.weight", Shape: shape, Layout: layout}, {Param: "conv.bias", Shape: []int{4}, Layout: adahessian.Elementwise(4)}}
	m.opt, err = adahessian.New(adahessian.DefaultOptions(), m.params...)
	return m, err
}

// train makes steps on the loss Σ (1+e%5)/2·x², whose curvature is 1+e%5.
func (m *model) train(steps int) error {
	for range steps {
		var grads [][]float32
		for _, p := range m.params {
			g := make([]float32, len(p.Value))
			for e, x := range p.Value {
				g[e] = float32(1+e%5) * x
			}
			grads = append(grads, g)
		}
		err := m.opt.Step(grads, func(hz, z [][]float32) error {
			for i := range z {
				for e, s := range z[i] {
					hz[i][e] = float32(1+e%5) * s
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
