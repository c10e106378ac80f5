package adahessian

import (
	"fmt"
	"slices"
)

// group is a set of hyperparameters that some tensors share.
type group[T Float] struct {
	hyper *Hyper
	where string // what errors put before the name of a hyperparameter
}

// A cohort is a set of tensors that use the same coefficients: they belong to one
// group, have made the same number of steps, and either all take part in the present
// step or none does. Empty cohorts are not kept.
type cohort[T Float] struct {
	group   int
	steps   uint64 // that each of its tensors has made
	skipped bool   // in the present step
	coef    Coefficients[T]
}

// mixed stands for the cohort of tensors that belong to several cohorts.
const mixed = -1

// groupOf returns the index of the group with these hyperparameters, and appends a
// group if there is none. i and name are those of the parameter, for errors.
func (o *Optimizer[T]) groupOf(h *Hyper, i int, name string) int {
	if h == nil {
		return 0
	}
	at := slices.IndexFunc(o.groups, func(g group[T]) bool { return g.hyper == h })
	if at < 0 {
		at = len(o.groups)
		o.groups = append(o.groups, group[T]{hyper: h, where: fmt.Sprintf("parameter %d %q: Hyper.", i, name)})
	}
	return at
}

// at returns the group's coefficients of a step, or what is wrong with its
// hyperparameters.
func (g *group[T]) at(step uint64, samples int) (Coefficients[T], error) {
	if err := g.hyper.check(g.where); err != nil {
		return Coefficients[T]{}, err
	}
	return newCoefficients[T](g.hyper, g.where, step, samples)
}

// coefficients computes the coefficients of each cohort's next step.
func (o *Optimizer[T]) coefficients() error {
	for i := range o.groups {
		if err := o.groups[i].hyper.check(o.groups[i].where); err != nil {
			return err
		}
	}
	for i := range o.cohorts {
		c := &o.cohorts[i]
		g := &o.groups[c.group]
		var err error
		if c.coef, err = newCoefficients[T](g.hyper, g.where, c.steps+1, o.options.Samples); err != nil {
			return err
		}
	}
	return nil
}

// stepsOf returns the number of steps that a tensor has made.
func (o *Optimizer[T]) stepsOf(i int) uint64 { return o.cohorts[o.tensors[i].cohort].steps }

// setCohorts puts the tensors, which have made the given numbers of steps, into cohorts.
func (o *Optimizer[T]) setCohorts(steps []uint64) {
	o.cohorts = o.cohorts[:0]
	at := 0 // most tensors belong to the same cohort as the one before
	for i := range o.tensors {
		t := &o.tensors[i]
		is := func(c *cohort[T]) bool {
			return c.group == t.group && c.steps == steps[i] && c.skipped == o.call.skipped[i]
		}
		if at == len(o.cohorts) || !is(&o.cohorts[at]) {
			for at = 0; at < len(o.cohorts) && !is(&o.cohorts[at]); at++ {
			}
		}
		if at == len(o.cohorts) {
			o.cohorts = append(o.cohorts, cohort[T]{group: t.group, steps: steps[i], skipped: o.call.skipped[i]})
		}
		t.cohort = at
	}
	for k := range o.plan.tasks {
		if l := &o.plan.tasks[k].tensorList; o.plan.tasks[k].tiles == nil {
			o.call.lists[k] = o.cohortOf(l.first, l.last)
		}
	}
}

// cohortOf returns the cohort of a range of tensors, or mixed.
func (o *Optimizer[T]) cohortOf(first, last int) int {
	c := o.tensors[first].cohort
	for i := first + 1; i <= last; i++ {
		if o.tensors[i].cohort != c {
			return mixed
		}
	}
	return c
}

// regroup is setCohorts after the set of tensors in the present step has changed.
func (o *Optimizer[T]) regroup() {
	for i := range o.tensors {
		o.call.steps[i] = o.stepsOf(i)
	}
	o.setCohorts(o.call.steps)
}

// present notes which tensors take part in the present step: those that have a
// gradient and, between refreshes, a kept curvature. It reports whether the set has
// changed.
func (o *Optimizer[T]) present() (changed bool, err error) {
	found := o.plan.elements == 0
	for i, g := range o.call.grads {
		skipped := false
		if g == nil {
			skipped = len(o.memory.values[i]) > 0
		} else {
			found = true
			skipped = !o.call.due && !o.tensors[i].curved
		}
		if skipped != o.call.skipped[i] {
			o.call.skipped[i] = skipped
			changed = true
		}
	}
	if !found {
		err = fmt.Errorf("%w: every gradient is nil, which skips every parameter: set at least one, or do not call Step", ErrShape)
	}
	if !changed {
		return false, err
	}
	o.regroup()
	if err == nil {
		err = o.coefficients()
	}
	return true, err
}

// advance counts the step that has been made.
func (o *Optimizer[T]) advance() {
	for i := range o.cohorts {
		if c := &o.cohorts[i]; !c.skipped {
			c.steps++
		}
	}
	o.steps++
	o.age++
	if !o.call.due {
		return
	}
	o.refreshes++
	o.age = 1
	if o.options.UpdateEach > 1 {
		for i := range o.tensors {
			t := &o.tensors[i]
			t.curved = t.curved || !o.call.skipped[i]
		}
	}
}
