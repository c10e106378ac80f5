package ahgorgonia

import (
	"errors"
	"fmt"

	"github.com/adahessian-go/adahessian"
	"gorgonia.org/gorgonia"
)

// boundTo is a bound of one type.
type boundTo[T adahessian.Float] struct {
	*adahessian.Optimizer[T]
	hyper  adahessian.Hyper // the values of the options, read in each step
	params []*param[T]      // in the optimizer's order
	index  map[gorgonia.ValueGrad]int
	values [][]T // of the parameters in the present step; nil for the others
	proven bool  // two runs have given the same gradients for the same parameters
}

// param is a parameter, and its gradient when the step began.
type param[T adahessian.Float] struct {
	node  gorgonia.ValueGrad
	name  string
	grad  []T
	has   bool // there is a gradient
	steps bool // there is a gradient, and the parameter is in the model of the present step
}

func newBound[T adahessian.Float](s *AdaHessianSolver) (bound, error) {
	opt, err := adahessian.New[T](s.opts)
	return &boundTo[T]{Optimizer: opt, index: map[gorgonia.ValueGrad]int{}}, err
}

// bind takes over the values of the options, and adds new parameters.
func (b *boundTo[T]) bind(s *AdaHessianSolver, model []gorgonia.ValueGrad) error {
	b.hyper = s.opts.Hyper
	if err := b.SetUpdateEach(s.opts.UpdateEach); err != nil {
		return err
	}
	for i, node := range model {
		if _, ok := b.index[node]; ok {
			continue
		}
		p := &param[T]{node: node, name: fmt.Sprint("parameter ", i)}
		if named, ok := node.(gorgonia.Namer); ok {
			p.name = named.Name()
		}
		if err := b.add(s, p); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// add adds a parameter after the others.
func (b *boundTo[T]) add(s *AdaHessianSolver, p *param[T]) error {
	value, err := elements[T](p.node.Value())
	if err != nil {
		return err
	}
	var axes []int
	shape := p.node.Value().Shape()
	if s.average != nil {
		axes = s.average(p.name, shape)
	}
	layout, err := adahessian.AverageAxes(shape, axes...)
	if err != nil {
		return err
	}
	if err := b.Add(adahessian.Param[T]{Name: p.name, Value: value, Layout: layout, Hyper: &b.hyper}); err != nil {
		return err
	}
	p.grad = make([]T, len(value))
	b.index[p.node] = len(b.params)
	b.params, b.values = append(b.params, p), append(b.values, nil)
	return nil
}

// step makes a step of the parameters of a model.
func (b *boundTo[T]) step(s *AdaHessianSolver, model []gorgonia.ValueGrad) error {
	if err := b.begin(model); err != nil {
		return err
	}
	if !b.proven && b.NeedsHessian() {
		if err := b.prove(s); err != nil {
			return errors.Join(err, b.putBack())
		}
	}
	calls := 0
	err := b.StepGradient(func(grads [][]T) error {
		if calls++; calls == 1 {
			b.first(s, grads)
			return nil
		}
		return b.run(s, grads)
	})
	if err != nil {
		return errors.Join(err, b.putBack())
	}
	return b.end()
}

// begin notes where the values of a model are, and copies the gradients.
func (b *boundTo[T]) begin(model []gorgonia.ValueGrad) error {
	clear(b.values)
	for _, node := range model {
		i := b.index[node]
		value, err := elements[T](node.Value())
		if err != nil {
			return fmt.Errorf("%s: %w", b.params[i].name, err)
		}
		b.values[i] = value
	}
	for i, p := range b.params {
		grad, err := p.node.Grad()
		p.has = err == nil && grad != nil
		p.steps = p.has && b.values[i] != nil
		if err != nil && b.values[i] != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if p.has {
			if err := read(p.grad, grad); err != nil {
				return fmt.Errorf("gradient of %s: %w", p.name, err)
			}
		}
	}
	return b.Rebind(b.values)
}

// first passes on the gradients with which the step began.
func (b *boundTo[T]) first(s *AdaHessianSolver, grads [][]T) {
	for i, p := range b.params {
		if !p.steps {
			grads[i] = nil
			continue
		}
		copy(grads[i], p.grad)
		if s.clip != 0 {
			for j, x := range grads[i] {
				grads[i][j] = min(max(x, T(-s.clip)), T(s.clip))
			}
		}
	}
}

// run computes the gradients at the present values.
func (b *boundTo[T]) run(s *AdaHessianSolver, grads [][]T) error {
	// A machine adds to some of the gradients that it finds.
	if err := b.each(func(_ int, _ *param[T], grad gorgonia.Value) error { return write[T](grad, nil) }); err != nil {
		return err
	}
	if err := s.gradient(); err != nil {
		return err
	}
	return b.each(func(i int, p *param[T], grad gorgonia.Value) error {
		if !p.steps {
			return nil
		}
		return read(grads[i], grad)
	})
}

// end sets the gradients to zero after a step, as Gorgonia's own solvers do, and
// restores those of parameters that were not in the model.
func (b *boundTo[T]) end() error {
	return b.each(func(_ int, p *param[T], grad gorgonia.Value) error {
		if p.steps {
			return write[T](grad, nil)
		}
		return write(grad, p.grad)
	})
}

// putBack restores the gradients with which the step began.
func (b *boundTo[T]) putBack() error {
	return b.each(func(_ int, p *param[T], grad gorgonia.Value) error { return write(grad, p.grad) })
}

// each calls f for the parameters that have a gradient.
func (b *boundTo[T]) each(f func(i int, p *param[T], grad gorgonia.Value) error) error {
	for i, p := range b.params {
		if !p.has {
			continue
		}
		grad, err := p.node.Grad()
		if err == nil {
			err = f(i, p, grad)
		}
		if err != nil {
			return fmt.Errorf("gradient of %s: %w", p.name, err)
		}
	}
	return nil
}

// ErrRandom reports gradients that differ between two runs for the same parameters.
var ErrRandom = errors.New("two runs on the same values give different gradients, so finite differences mean nothing: is there Dropout?")

// prove compares the gradients of two runs.
func (b *boundTo[T]) prove(s *AdaHessianSolver) error {
	var runs [2][][]T
	for i := range runs {
		for _, p := range b.params {
			runs[i] = append(runs[i], make([]T, len(p.grad)))
		}
		if err := b.run(s, runs[i]); err != nil {
			return err
		}
	}
	const most = 1e-5 // the largest difference that another order of sums may make
	for i, p := range b.params {
		difference, largest := T(0), T(0)
		for j, x := range runs[0][i] {
			difference, largest = max(difference, x-runs[1][i][j], runs[1][i][j]-x), max(largest, x, -x)
		}
		if difference > most*largest {
			return fmt.Errorf("gradient of %s: %w", p.name, ErrRandom)
		}
	}
	b.proven = true
	return nil
}
