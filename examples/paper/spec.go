package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/adahessian-go/adahessian/examples/charlm/lm"
)

// The optimizers that are compared.
const (
	adaHessian = "AdaHessian"
	adamW      = "AdamW"
	sgd        = "SGD"
)

var optimizers = []string{adaHessian, adamW, sgd}

// variant is an optimizer with all its settings except the learning rate, on a model of
// one size.
type variant struct {
	Size, Optimizer string
	Warmup          int     // steps
	Batch           float64 // times the batch of the size
	Length          float64 // times the steps of the settings
	Price           float64 // the steps are divided by it, to take as much time as another optimizer; 0: they are not

	Beta1, Beta2 float64 // of AdaHessian and AdamW
	Between      bool    // its rungs are the rates between each rung of the ladder and the next; not part of keys, which have the rate

	// For AdaHessian only.
	Part        float64 // the part of the batch over which products are taken
	Block       string  // one of the keys of blocks
	Each        int     // steps for each Hessian refresh
	Power       float64
	Probes      int
	MaxUpdate   float64
	Eps         float64
	Differences bool // Hessian-vector products by finite differences
}

// defaultVariant returns an optimizer with the defaults of the package and of
// examples/charlm.
func (s settings) defaultVariant(size, optimizer string) variant {
	v := variant{Size: size, Optimizer: optimizer, Warmup: s.Warmup, Batch: 1, Length: 1}
	if optimizer != sgd {
		v.Beta1, v.Beta2 = 0.9, 0.999
	}
	if optimizer == adaHessian {
		v.Part, v.Block, v.Each, v.Power, v.Probes, v.Eps = 1, blockKernel, 1, 1, 1, 1e-4
	}
	if t, ok := s.transformer(size); ok {
		v.Warmup = lm.DefaultWarmup(t.Steps)
		if optimizer == adaHessian {
			v.Block = blockOne
		}
	}
	return v
}

// spec is one run: a variant at a learning rate, with a seed.
type spec struct {
	variant
	Rung int // of the ladder of learning rates
	Seed uint64
}

// rate returns the learning rate of a rung of the ladder … 0.1, 0.3, 1, 3, 10 …,
// on which rung 0 is 1. All learning rates are rungs, so that the runs of a search also
// serve the robustness sweep.
func rate(rung int) float64 {
	decade, digit := rung/2, "1"
	if rung%2 != 0 {
		digit = "3"
		if rung < 0 {
			decade-- // 0.3 is 3e-1
		}
	}
	lr, err := strconv.ParseFloat(fmt.Sprintf("%se%d", digit, decade), 64)
	if err != nil {
		panic(err) // it is a number
	}
	return lr
}

// rate returns the learning rate of a rung of a variant.
func (v variant) rate(rung int) float64 {
	if !v.Between {
		return rate(rung)
	}
	digit := 2.0 // between 1 and 3
	if rung%2 != 0 {
		digit = 5 // between 3 and 10
	}
	lr, err := strconv.ParseFloat(fmt.Sprintf("%ge%d", digit, (rung-rung&1)/2), 64)
	if err != nil {
		panic(err) // it is a number
	}
	return lr
}

// rungOf returns the rung of a learning rate.
func rungOf(lr float64) int {
	for rung := -20; rung < 20; rung++ {
		if rate(rung) == lr {
			return rung
		}
	}
	panic(fmt.Sprintf("%g is no rung", lr))
}

// variantKey identifies a variant in a results file. Default values are left out.
func (s settings) variantKey(v variant) string {
	d := s.defaultVariant(v.Size, v.Optimizer)
	parts := []string{v.Size, v.Optimizer}
	add := func(differs bool, format string, value any) {
		if differs {
			parts = append(parts, fmt.Sprintf(format, value))
		}
	}
	add(v.Warmup != d.Warmup, "warmup=%d", v.Warmup)
	add(v.Batch != d.Batch, "batch=%g", v.Batch)
	add(v.Length != d.Length, "length=%g", v.Length)
	add(v.Price != d.Price, "price=%g", v.Price)
	add(v.Beta1 != d.Beta1, "beta1=%g", v.Beta1)
	add(v.Beta2 != d.Beta2, "beta2=%g", v.Beta2)
	add(v.Part != d.Part, "part=%g", v.Part)
	add(v.Block != d.Block, "block=%s", v.Block)
	add(v.Each != d.Each, "each=%d", v.Each)
	add(v.Power != d.Power, "power=%g", v.Power)
	add(v.Probes != d.Probes, "probes=%d", v.Probes)
	add(v.MaxUpdate != d.MaxUpdate, "maxupdate=%g", v.MaxUpdate)
	add(v.Eps != d.Eps, "eps=%g", v.Eps)
	add(v.Differences != d.Differences, "differences=%v", v.Differences)
	return strings.Join(parts, "/")
}

// key identifies a run in a results file.
func (s settings) key(sp spec) string {
	return fmt.Sprintf("%s/lr=%g/seed=%d", s.variantKey(sp.variant), sp.rate(sp.Rung), sp.Seed)
}
