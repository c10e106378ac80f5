package ahgomlx

import (
	"fmt"
	"path"

	"github.com/adahessian-go/adahessian"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/model/initializer"
	. "github.com/gomlx/gomlx/support/exceptions"
)

// A param is a trainable variable that a graph uses, with its state.
type param struct {
	variable *model.Variable
	axes     []int // over which the curvature is averaged
	layout   adahessian.Layout

	value, grad *Node

	// Variables of the store, which its checkpoints save.
	m     *model.Variable // first moment, shaped like the variable
	v     *model.Variable // second moment, with dimension 1 in each of axes
	steps *model.Variable // number of steps of the variable; int64
	kept  *model.Variable // curvature, shaped like v; nil if every step estimates it
}

// params returns the trainable variables below scope that g uses, with their gradients.
// dtype is the type of the moments; if it is invalid, each variable's own type.
func (c *Config) params(scope *model.Scope, g *Graph, loss *Node, dtype dtypes.DType) []*param {
	// After a checkpoint is loaded, it is trainable.
	if v := scope.Store().GetVariable("/" + model.RNGStateVariableName); v != nil {
		v.SetTrainable(false)
	}
	// The list is made first, since making state adds variables.
	var trained []*model.Variable
	for v := range scope.IterVariables() {
		if v.Trainable && v.InUseByGraph(g) {
			trained = append(trained, v)
		}
	}
	if len(trained) == 0 {
		Panicf("ahgomlx: the graph uses no trainable variable below scope %q", scope.Scope())
	}
	params := make([]*param, len(trained))
	values := make([]*Node, len(trained))
	for i, v := range trained {
		if !v.DType().IsFloat() {
			Panicf("ahgomlx: variable %q is %s, want a float", v.Path(), v.DType())
		}
		params[i] = c.newParam(scope.Store(), v, dtype)
		values[i] = v.NodeValue(g)
		params[i].value = values[i]
	}
	for i, grad := range Gradient(loss, values...) {
		params[i].grad = grad
	}
	return params
}

func (c *Config) newParam(store *model.Store, v *model.Variable, dtype dtypes.DType) *param {
	p := &param{variable: v}
	if c.average != nil {
		p.axes = c.average(v)
	}
	var err error
	if p.layout, err = adahessian.AverageAxes(v.Shape().Dimensions, p.axes...); err != nil {
		panic(fmt.Errorf("ahgomlx: variable %q: %w", v.Path(), err))
	}
	moment := v.Shape().Clone()
	if dtype != dtypes.InvalidDType {
		moment.DType = dtype
	}
	mean := moment.Clone()
	for _, axis := range p.axes {
		mean.Dimensions[axis] = 1
	}
	p.m = c.variable(store, v, "1st_moment", moment)
	p.v = c.variable(store, v, "2nd_moment", mean)
	p.steps = c.variable(store, v, "steps", shapes.Make(dtypes.Int64))
	if c.updateEach > 1 {
		p.kept = c.variable(store, v, "curvature", mean)
	}
	return p
}

// variable returns a part of the state of v. If it is new, it is 0.
func (c *Config) variable(store *model.Store, v *model.Variable, name string, shape shapes.Shape) *model.Variable {
	return store.Scope(path.Join("/", c.scope, v.Scope())).
		WithInitializer(initializer.Zero).
		VariableWithShape(v.Name()+"_"+name, shape).
		SetTrainable(false)
}

// counter returns a variable of the optimizer that counts, int64, from 0.
func (c *Config) counter(store *model.Store, name string) *model.Variable {
	return store.Scope("/"+c.scope).
		WithInitializer(initializer.Zero).
		VariableWithShape(name, shapes.Make(dtypes.Int64)).
		SetTrainable(false)
}

const (
	countdown = "steps_to_refresh" // of the curvature
	refreshes = "refreshes"        // made by Kernels
	elements  = "elements"         // of all variables that Kernels has seen
)

// rng returns the variable of the store's random number generator.
func rng(store *model.Store) *model.Variable {
	v := store.GetVariable("/" + model.RNGStateVariableName)
	if v == nil || !v.HasValue() {
		if err := store.ResetRNGState(); err != nil {
			panic(fmt.Errorf("ahgomlx: random state: %w", err))
		}
		v = store.GetVariable("/" + model.RNGStateVariableName)
	}
	return v
}

// clear deletes the state.
func (c *Config) clear(store *model.Store) error {
	return store.DeleteVariablesInScope("/" + c.scope)
}
