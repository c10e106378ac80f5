package ahspago

import (
	"errors"
	"fmt"

	"github.com/adahessian-go/adahessian"
	"github.com/nlpodyssey/spago/mat"
	"github.com/nlpodyssey/spago/mat/float"
	"github.com/nlpodyssey/spago/nn"
)

// boundTo is a bound of one type.
type boundTo[T float.DType] struct {
	*adahessian.Optimizer[T]
	hyper  adahessian.Hyper // the values of the Config, read in each step
	params []*nn.Param      // in the optimizer's order
	states []*State
	index  map[*nn.Param]int
	values [][]T
	grads  [][]T // the gradients when the step began; nil where there is none
	proven bool  // two calls of compute have given the same gradients for the same parameters
}

func newBound[T float.DType](c *Config) (bound, error) {
	opt, err := adahessian.New[T](c.options())
	return &boundTo[T]{Optimizer: opt, index: map[*nn.Param]int{}}, err
}

// bind takes over the values of the Config, and adds new parameters.
func (b *boundTo[T]) bind(c *Config, params []*nn.Param) error {
	b.hyper = c.hyper()
	if err := b.SetUpdateEach(c.UpdateEach); err != nil {
		return err
	}
	var saved []byte
	for i, p := range params {
		if _, ok := b.index[p]; ok {
			continue
		}
		state, err := savedState(p)
		if err == nil && len(state) > 0 && len(b.params) > 0 {
			err = errNotFirst
		}
		if err == nil {
			err = b.add(c, i, p)
		}
		if err != nil {
			return fmt.Errorf("parameter %d: %w", i, err)
		}
		if len(state) > 0 {
			saved = state
		}
	}
	if len(saved) > 0 {
		if err := b.UnmarshalBinary(saved); err != nil {
			return err
		}
	}
	for i, p := range b.params {
		p.State = b.states[i]
	}
	return nil
}

// add adds a parameter after the others.
func (b *boundTo[T]) add(c *Config, i int, p *nn.Param) error {
	value, err := elements[T](p.Value())
	if err != nil {
		return err
	}
	var axes []int
	if c.Average != nil {
		axes = c.Average(i, p)
	}
	layout, err := adahessian.AverageAxes(p.Shape(), axes...)
	if err != nil {
		return err
	}
	err = b.Add(adahessian.Param[T]{Name: fmt.Sprint("parameter ", i), Value: value, Layout: layout, Hyper: &b.hyper})
	if err != nil {
		return err
	}
	state := &State{}
	if len(b.params) == 0 {
		state.of = b.Optimizer
	}
	b.index[p] = len(b.params)
	b.params, b.states = append(b.params, p), append(b.states, state)
	b.values, b.grads = append(b.values, nil), append(b.grads, nil)
	return nil
}

// step makes a step of the parameters that have a gradient.
func (b *boundTo[T]) step(compute func() error) error {
	if err := b.begin(); err != nil {
		return err
	}
	if !b.proven && b.NeedsHessian() {
		if err := b.prove(compute); err != nil {
			b.putBack()
			return err
		}
	}
	calls := 0
	err := b.StepGradient(func(grads [][]T) error {
		if calls++; calls == 1 {
			copy(grads, b.grads)
			return nil
		}
		return b.run(compute, grads)
	})
	if err != nil {
		b.putBack()
		return err
	}
	b.zero()
	return nil
}

// begin notes where the values and the gradients are. ZeroGrad then leaves the
// gradients' memory to b.
func (b *boundTo[T]) begin() error {
	for i, p := range b.params {
		value, err := elements[T](p.Value())
		if err != nil {
			return fmt.Errorf("parameter %d: %w", i, err)
		}
		b.values[i], b.grads[i] = value, nil
		if !p.HasGrad() {
			continue
		}
		if b.grads[i], err = elements[T](p.Grad()); err != nil {
			return fmt.Errorf("gradient of parameter %d: %w", i, err)
		}
	}
	return b.Rebind(b.values)
}

// run computes the gradients at the present values.
func (b *boundTo[T]) run(compute func() error, grads [][]T) error {
	b.zero()
	if err := compute(); err != nil {
		return err
	}
	for i, p := range b.params {
		if !p.HasGrad() {
			continue
		}
		grad, err := elements[T](p.Grad())
		if err != nil {
			return fmt.Errorf("gradient of parameter %d: %w", i, err)
		}
		copy(grads[i], grad)
	}
	return nil
}

func (b *boundTo[T]) zero() {
	for _, p := range b.params {
		p.ZeroGrad()
	}
}

// putBack restores the gradients with which the step began.
func (b *boundTo[T]) putBack() {
	b.zero()
	for i, p := range b.params {
		if b.grads[i] != nil {
			p.AccGrad(mat.NewDense[T](mat.WithShape(p.Shape()...), mat.WithBacking(b.grads[i])))
		}
	}
}

// ErrRandom reports gradients that differ between two calls of compute for the same parameters.
var ErrRandom = errors.New("compute gives different gradients for the same parameters, so finite differences mean nothing: is there dropout?")

// prove compares the gradients of two calls.
func (b *boundTo[T]) prove(compute func() error) error {
	var calls [2][][]T
	for i := range calls {
		for _, x := range b.values {
			calls[i] = append(calls[i], make([]T, len(x)))
		}
		if err := b.run(compute, calls[i]); err != nil {
			return err
		}
	}
	const most = 1e-5 // the largest difference that another order of sums may make
	for i := range b.params {
		difference, largest := T(0), T(0)
		for j, x := range calls[0][i] {
			difference, largest = max(difference, x-calls[1][i][j], calls[1][i][j]-x), max(largest, x, -x)
		}
		if difference > most*largest {
			return fmt.Errorf("gradient of parameter %d: %w", i, ErrRandom)
		}
	}
	b.proven = true
	return nil
}

// elements returns the memory of a tensor.
func elements[T float.DType](t mat.Tensor) ([]T, error) {
	dense, ok := t.(*mat.Dense[T])
	if !ok {
		return nil, fmt.Errorf("it is a %T, want a %T", t, dense)
	}
	return float.SliceValueOf[T](dense.Data()), nil
}
