package ahspago

import (
	"context"
	"errors"
	"fmt"

	"github.com/nlpodyssey/spago/nn"
)

// AdaHessian implements the AdaHessian method. It is like Adam, but its second moment
// averages the squared diagonal of the Hessian, estimated by Rademacher probes, instead
// of the squared gradient. Like an optimizers.Optimizer, it has a method Optimize.
//
// The Config may change between steps, except for Samples and Seed, which only the
// first step reads, and Average, which is called once for each parameter.
type AdaHessian struct {
	Config
	parameters nn.ParamChannelFunc
	compute    func() error
	bound      bound // nil before the first step
}

// bound is an optimizer of the model's element type, with its parameters.
type bound interface {
	bind(c *Config, params []*nn.Param) error
	step(compute func() error) error
}

// New returns a new AdaHessian optimizer of the parameters. compute runs forward and
// ag.Backward for the batch of the present step, which adds the gradients at the
// present values to the parameters. It must not rely on what ran before Optimize.
func New(parameters nn.ParamChannelFunc, c Config, compute func() error) *AdaHessian {
	return &AdaHessian{Config: c, parameters: parameters, compute: compute}
}

// Optimize makes one step of the parameters that have a gradient, and sets the
// gradients to zero. On an error no parameter has changed.
func (a *AdaHessian) Optimize() error {
	var params []*nn.Param
	for p := range a.parameters(context.Background()) {
		params = append(params, p)
	}
	err := a.bind(params)
	if err == nil {
		err = a.bound.step(a.compute)
	}
	if err != nil {
		return fmt.Errorf("ahspago: %w", err)
	}
	return nil
}

// bind makes the optimizer, if there is none, and adds new parameters.
func (a *AdaHessian) bind(params []*nn.Param) error {
	if a.bound != nil {
		return a.bound.bind(&a.Config, params)
	}
	if len(params) == 0 {
		return errors.New("there are no parameters")
	}
	var b bound
	var err error
	if params[0].Value().Data().BitSize() == 32 {
		b, err = newBound[float32](&a.Config)
	} else {
		b, err = newBound[float64](&a.Config)
	}
	if err == nil {
		err = b.bind(&a.Config, params)
	}
	if err == nil {
		a.bound = b
	}
	return err
}
