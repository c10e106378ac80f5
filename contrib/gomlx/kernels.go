package ahgomlx

import (
	"fmt"

	"github.com/adahessian-go/adahessian"
	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train"
	"github.com/gomlx/gomlx/ml/train/optimizer"
	. "github.com/gomlx/gomlx/support/exceptions"
)

// Kernels is the optimizer that Config.Kernels returns: AdaHessian with its step
// outside the graph. The graph computes gradients and Hessian-vector products;
// the kernels of the package adahessian then change the variables and their
// moments in place.
//
// GoMLX does not run an optimizer's code outside the graph. Kernels uses the logger of
// logged nodes, which every executor calls after an execution. So it must be attached to
// the loop or, without a loop, to the trainer.
//
//	opt := ahgomlx.New().Kernels()
//	trainer := train.NewTrainer(backend, store, modelFn, lossFn, opt, nil, nil)
//	loop := train.NewLoop(trainer)
//	opt.AttachToLoop(loop)
//
// State and checkpoints are those of Config.Done, and each can resume from the other's.
// Kernels adds the probes to the store: for each sample, a tensor as large as each
// variable. They are drawn by adahessian.Rademacher with the seed of Config.Seed, and are
// the same as those of adahessian.Optimizer.
//
// Variables must be float32 or float64, and the model must not change them itself. If a
// gradient or product is not finite, the loop ends with an error, and neither a variable
// nor the optimizer's state has changed. With the hyperparameter "clip_nan" it counts as
// zero instead.
type Kernels struct {
	config   Config
	plans    map[GraphId]*plan
	probed   map[string]*probed // by path of the variable
	attached bool
	err      error // of the last step
}

// A plan says what to do after a graph has been executed.
type plan struct {
	store  *model.Store
	params []*param
	g, h   []NodeId
	rate   NodeId
	clip   float64 // bound on each step; 0: none

	left, refreshed *model.Variable // counters
}

// probed is a variable with its probes, one for each sample.
type probed struct {
	probes []*model.Variable
	offset uint64 // of the variable's first element, for the signs
}

// logged marks nodes for the hook. Loggers attached later pass them on.
const logged = "#ahgomlx"

// AttachToLoop makes the loop's trainer call the optimizer, and ends the loop with an
// error if a step is refused. Call it before the first step, and after attaching other
// loggers of nodes, such as a NanLogger.
func (k *Kernels) AttachToLoop(loop *train.Loop) {
	k.AttachToTrainer(loop.Trainer)
	loop.OnStep("adahessian", -1000, func(*train.Loop, []*tensors.Tensor) error { return k.Err() })
}

// AttachToTrainer makes the trainer call the optimizer after each step. Use it if you
// call TrainStep yourself, and check Err after each call. See AttachToLoop.
func (k *Kernels) AttachToTrainer(trainer *train.Trainer) {
	k.attached = true
	trainer.OnExecCreation(func(exec *model.Exec, graphType train.GraphType) {
		if graphType == train.TrainType {
			exec.SetNodeLogger(k.hook(trainer.Backend(), exec.GetNodeLogger()))
		}
	})
}

// Err returns why the last step changed nothing, or nil if the step was made. The error
// wraps adahessian.ErrNonFinite if a gradient or product is not finite.
func (k *Kernels) Err() error { return k.err }

// UpdateGraph adds gradients and Hessian-vector products to the graph. It
// implements optimizer.Interface.
func (k *Kernels) UpdateGraph(scope *model.Scope, g *Graph, loss *Node) {
	c := &k.config
	_, lr := c.begin(scope, loss)
	switch {
	case !k.attached:
		Panicf("ahgomlx: Kernels is not attached: call AttachToLoop or AttachToTrainer before the first step")
	case !g.Backend().HasSharedBuffers():
		Panicf("ahgomlx: Kernels needs a backend with shared buffers, which %s does not have: use Done", g.Backend().Name())
	case c.dtype != dtypes.InvalidDType:
		Panicf("ahgomlx: Kernels works in the type of each variable: use Done for DType")
	}
	store := scope.Store()
	learningRate := optimizer.LearningRateVar(scope, loss.DType(), lr).NodeValue(g)
	optimizer.IncrementGlobalStep(g, dtypes.Int64)
	p := &plan{
		store:     store,
		params:    c.params(scope, g, loss, dtypes.InvalidDType),
		clip:      model.GetParamOr(scope, optimizer.ParamClipStepByValue, 0.0),
		left:      c.counter(store, countdown),
		refreshed: c.counter(store, refreshes),
	}
	for _, param := range p.params {
		v := param.variable
		if dtype := v.DType(); dtype != dtypes.Float32 && dtype != dtypes.Float64 {
			Panicf("ahgomlx: variable %q is %s, but Kernels needs float32 or float64: use Done", v.Path(), dtype)
		}
		if v.ChangedInGraph(g) {
			Panicf("ahgomlx: variable %q is changed in the graph, which Kernels does not allow: use Done", v.Path())
		}
		k.probe(store, v)
	}
	k.draw(p)

	draw := func(_ *Node, params []*param, sample int) (*Node, []*Node) {
		z := make([]*Node, len(params))
		for i, p := range params {
			z[i] = k.probed[p.variable.Path()].probes[sample].NodeValue(g)
		}
		return nil, z
	}
	products := func() []*Node {
		_, h := c.products(draw, nil, loss, p.params, dtypes.InvalidDType)
		return h
	}
	var h []*Node
	if c.updateEach == 1 {
		h = products()
	} else {
		_, nothing := draw(nil, p.params, 0) // not used
		h = either(isDue(p.left.NodeValue(g), p.params), products, nothing)
	}
	log := func(x *Node) NodeId {
		x.SetLogged(logged)
		return x.Id()
	}
	for i, param := range p.params {
		optimizer.TraceNaNInGradients(scope, param.variable, param.grad)
		p.g = append(p.g, log(optimizer.ClipNaNsInGradients(scope, param.grad)))
		p.h = append(p.h, log(optimizer.ClipNaNsInGradients(scope, h[i])))
	}
	p.rate = log(Identity(learningRate))
	k.plans[g.GraphId()] = p
}

// Clear deletes the variables of the optimizer. It implements
// optimizer.Interface.
func (k *Kernels) Clear(scope *model.Scope) error {
	clear(k.probed)
	return k.config.clear(scope.Store())
}

// probe makes the probes of a variable, if it has none yet. The indices of its signs
// follow those of all earlier variables.
func (k *Kernels) probe(store *model.Store, v *model.Variable) {
	if k.probed[v.Path()] != nil {
		return
	}
	size := int64(v.Shape().Size())
	next := k.config.counter(store, elements)
	offset := k.config.variable(store, v, "offset", next.Shape())
	if !offset.HasValue() {
		first := int64(0)
		if next.HasValue() {
			first = tensors.ToScalar[int64](next.MustValue())
		}
		must(offset.SetValue(tensors.FromScalar(first)))
		must(next.SetValue(tensors.FromScalar(first + size)))
	}
	p := &probed{offset: uint64(tensors.ToScalar[int64](offset.MustValue()))}
	for s := range k.config.samples {
		probe := k.config.variable(store, v, fmt.Sprintf("probe_%d", s), v.Shape())
		if !probe.HasValue() {
			must(probe.SetValue(tensors.FromShape(v.Shape())))
		}
		p.probes = append(p.probes, probe)
	}
	k.probed[v.Path()] = p
}

// draw draws the probes of the next refresh.
func (k *Kernels) draw(p *plan) {
	number := uint64(0)
	if p.refreshed.HasValue() {
		number = uint64(tensors.ToScalar[int64](p.refreshed.MustValue())) * uint64(k.config.samples)
	}
	for _, probed := range k.probed {
		for s, v := range probed.probes {
			draw := number + uint64(s)
			must(v.MustValue().MutableFlatData(func(flat any) {
				switch z := flat.(type) {
				case []float32:
					adahessian.Rademacher(z, k.config.seed, draw, probed.offset)
				case []float64:
					adahessian.Rademacher(z, k.config.seed, draw, probed.offset)
				}
			}))
		}
	}
}

// hook returns the logger that makes a step, and passes other nodes on.
func (k *Kernels) hook(backend compute.Backend, previous LoggerFn) LoggerFn {
	return func(g *Graph, messages []string, values []*tensors.Tensor, nodes []NodeId) {
		mine := map[NodeId]*tensors.Tensor{}
		var otherMessages []string // the executor keeps the slices, so they are not changed
		var otherValues []*tensors.Tensor
		var otherNodes []NodeId
		for i, message := range messages {
			if message == logged {
				mine[nodes[i]] = values[i]
				continue
			}
			otherMessages = append(otherMessages, message)
			otherValues = append(otherValues, values[i])
			otherNodes = append(otherNodes, nodes[i])
		}
		if previous != nil {
			previous(g, otherMessages, otherValues, otherNodes)
		}
		p := k.plans[g.GraphId()]
		if p == nil {
			return
		}
		if len(messages) != len(g.LoggedNodes()) {
			// From the second step on, GoMLX's NanLogger passes values of other nodes
			// if it is called before this one.
			Panicf("ahgomlx: a logger of nodes was attached after Kernels: attach Kernels last")
		}
		k.err = k.step(backend, p, mine)
		for _, t := range mine {
			must(t.FinalizeAll())
		}
	}
}

// step makes a step of a plan, from the values of nodes.
func (k *Kernels) step(backend compute.Backend, p *plan, of map[NodeId]*tensors.Tensor) error {
	c := &k.config
	hyper := c.hyper
	hyper.LR = scalar(of[p.rate])
	if p.clip > 0 && hyper.LR > 0 {
		if clip := p.clip / hyper.LR; hyper.MaxUpdate == 0 || clip < hyper.MaxUpdate {
			hyper.MaxUpdate = clip
		}
	}
	left := tensors.ToScalar[int64](p.left.MustValue())
	due := left == 0
	steps := make([]uint64, len(p.params))
	for i, param := range p.params {
		made := tensors.ToScalar[int64](param.steps.MustValue())
		steps[i] = uint64(made) + 1
		due = due || made == 0
	}

	// Nothing is changed before everything has been checked.
	each := func(f func(i int, g, h any) error) error {
		for i := range p.params {
			g, err := memory(backend, of[p.g[i]])
			if err != nil {
				return err
			}
			h, err := memory(backend, of[p.h[i]])
			if err != nil {
				return err
			}
			if err := f(i, g, h); err != nil {
				return err
			}
		}
		return nil
	}
	err := each(func(i int, g, h any) error {
		name := p.params[i].variable.Path()
		if err := finite(name, "gradient", g); err != nil || !due {
			return err
		}
		return finite(name, "Hessian-vector product", h)
	})
	if err != nil {
		return err
	}
	err = each(func(i int, g, h any) error {
		switch g := g.(type) {
		case []float32:
			return update(backend, c, p.params[i], hyper, steps[i], g, h, due)
		case []float64:
			return update(backend, c, p.params[i], hyper, steps[i], g, h, due)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, param := range p.params {
		set(param.steps, int64(steps[i]))
	}
	if due {
		left = int64(c.updateEach)
		set(p.refreshed, tensors.ToScalar[int64](p.refreshed.MustValue())+1)
		k.draw(p)
	}
	set(p.left, left-1)
	return nil
}

// update makes a step of one variable, in place.
func update[T adahessian.Float](backend compute.Backend, c *Config, p *param, hyper adahessian.Hyper, step uint64, g []T, product any, due bool) error {
	coef, err := adahessian.NewCoefficients[T](hyper, step, c.samples)
	if err != nil {
		return err
	}
	var x [4][]T
	for i, v := range []*model.Variable{p.variable, p.m, p.v, p.kept} {
		if v == nil {
			continue
		}
		flat, err := memory(backend, v.MustValue())
		if err != nil {
			return err
		}
		x[i] = flat.([]T)
	}
	theta, m, v, kept := x[0], x[1], x[2], x[3]
	if kept == nil {
		adahessian.Update(theta, m, v, g, product.([]T), p.layout, &coef)
		return nil
	}
	if due {
		adahessian.BlockMeanAbs(kept, product.([]T), p.layout)
		if c.samples > 1 {
			for i := range kept {
				kept[i] /= T(c.samples)
			}
		}
	}
	adahessian.UpdateCurvature(theta, m, v, g, kept, p.layout, &coef)
	return nil
}

// finite returns an error that names the first element that is not finite.
func finite(name, what string, flat any) error {
	at, value := -1, 0.0
	switch x := flat.(type) {
	case []float32:
		if at = adahessian.FirstNonFinite(x); at >= 0 {
			value = float64(x[at])
		}
	case []float64:
		if at = adahessian.FirstNonFinite(x); at >= 0 {
			value = x[at]
		}
	}
	if at < 0 {
		return nil
	}
	return fmt.Errorf("ahgomlx: %s: %s: element %d is %v: %w", name, what, at, value, adahessian.ErrNonFinite)
}

// memory returns the elements of a tensor in the memory of the backend.
func memory(backend compute.Backend, t *tensors.Tensor) (any, error) {
	buffer, err := t.Buffer(backend, 0)
	if err != nil {
		return nil, fmt.Errorf("ahgomlx: %w", err)
	}
	if t.HasLocal() {
		t.FinalizeLocal() // a copy, which would go out of date
	}
	flat, err := buffer.Data()
	if err != nil {
		return nil, fmt.Errorf("ahgomlx: %w", err)
	}
	return flat, nil
}

// set sets the value of a counter.
func set(v *model.Variable, n int64) {
	must(v.SetValue(tensors.FromScalar(n)))
}

func scalar(t *tensors.Tensor) float64 {
	switch x := t.Value().(type) {
	case float32:
		return float64(x)
	case float64:
		return x
	}
	Panicf("ahgomlx: the learning rate is %s, want float32 or float64", t.Shape())
	return 0
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
