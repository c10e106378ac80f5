package main

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/adahessian-go/adahessian"
)

// variant is a right or wrong way to compute a product.
type variant[T adahessian.Float] struct {
	name string
	make func(p *problem[T], r *rand.Rand) adahessian.HVP[T]
}

func variants[T adahessian.Float]() []variant[T] {
	return []variant[T]{
		{"right", func(p *problem[T], _ *rand.Rand) adahessian.HVP[T] { return times[T](p, 1) }},
		{"zero", func(p *problem[T], _ *rand.Rand) adahessian.HVP[T] { return times[T](p, 0) }},
		{"half", func(p *problem[T], _ *rand.Rand) adahessian.HVP[T] { return times[T](p, 0.5) }},
		{"twice", func(p *problem[T], _ *rand.Rand) adahessian.HVP[T] { return times[T](p, 2) }},
		{"× 1.1", func(p *problem[T], _ *rand.Rand) adahessian.HVP[T] { return times[T](p, 1.1) }},
		{"sign flipped", func(p *problem[T], _ *rand.Rand) adahessian.HVP[T] { return times[T](p, -1) }},
		{"sum for mean", func(p *problem[T], _ *rand.Rand) adahessian.HVP[T] { return times[T](p, float64(p.batch)) }},
		{"one tensor's block zero", withoutTensor[T]},
		{"cross terms missing", blockDiagonal[T]},
		{"Gauss-Newton", func(p *problem[T], _ *rand.Rand) adahessian.HVP[T] {
			return func(hz, z [][]T) error {
				zero(hz)
				p.loss.GaussNewton(hz, p.theta, z)
				return nil
			}
		}},
		{"parameters of another step", func(p *problem[T], r *rand.Rand) adahessian.HVP[T] {
			return staleParameters(p, perturbed(p.theta, 0.1, r))
		}},
		{"parameters of its first call", func(p *problem[T], _ *rand.Rand) adahessian.HVP[T] { return staleParameters(p, nil) }},
		{"z of the call before", func(p *problem[T], _ *rand.Rand) adahessian.HVP[T] { return staleZ(p, true) }},
		{"z of its first call", func(p *problem[T], _ *rand.Rand) adahessian.HVP[T] { return staleZ(p, false) }},
		{"dropout, new at each call", func(p *problem[T], r *rand.Rand) adahessian.HVP[T] { return dropout(p, r, true) }},
		{"dropout, always the same", func(p *problem[T], r *rand.Rand) adahessian.HVP[T] { return dropout(p, r, false) }},
	}
}

// times is the product times a number.
func times[T adahessian.Float](p *problem[T], by float64) adahessian.HVP[T] {
	return func(hz, z [][]T) error {
		p.hessian(hz, p.theta, z)
		for _, v := range hz {
			for j := range v {
				v[j] *= T(by)
			}
		}
		return nil
	}
}

// withoutTensor leaves the rows and columns of one tensor out.
func withoutTensor[T adahessian.Float](p *problem[T], r *rand.Rand) adahessian.HVP[T] {
	k := r.IntN(len(p.theta))
	return func(hz, z [][]T) error {
		z = convert[T](z)
		clear(z[k])
		p.hessian(hz, p.theta, z)
		clear(hz[k])
		return nil
	}
}

// blockDiagonal multiplies each tensor by its own block of H.
func blockDiagonal[T adahessian.Float](p *problem[T], _ *rand.Rand) adahessian.HVP[T] {
	return func(hz, z [][]T) error {
		for k := range z {
			part, all := like[T](z), like[T](z)
			copy(part[k], z[k])
			p.hessian(all, p.theta, part)
			copy(hz[k], all[k])
		}
		return nil
	}
}

// perturbed returns theta with each element moved by a share of itself.
func perturbed[T adahessian.Float](theta [][]T, share float64, r *rand.Rand) [][]T {
	moved := convert[T](theta)
	for _, v := range moved {
		for j := range v {
			v[j] *= T(1 + share*float64(1-2*r.IntN(2)))
		}
	}
	return moved
}

// staleParameters computes the product at old parameters, either those given or those
// of its first call.
func staleParameters[T adahessian.Float](p *problem[T], old [][]T) adahessian.HVP[T] {
	return func(hz, z [][]T) error {
		if old == nil {
			old = convert[T](p.theta)
		}
		p.hessian(hz, old, z)
		return nil
	}
}

// staleZ computes the product with an old z, either that of the call before or that of
// the first call.
func staleZ[T adahessian.Float](p *problem[T], follow bool) adahessian.HVP[T] {
	var old [][]T
	return func(hz, z [][]T) error {
		use := old
		if use == nil {
			use = z
		}
		p.hessian(hz, p.theta, use)
		if old == nil || follow {
			old = convert[T](z)
		}
		return nil
	}
}

// dropout leaves a tenth of the rows and columns of H out, at random.
func dropout[T adahessian.Float](p *problem[T], r *rand.Rand, anew bool) adahessian.HVP[T] {
	var kept [][]bool
	return func(hz, z [][]T) error {
		if kept == nil || anew {
			kept = nil
			for _, v := range p.theta {
				k := make([]bool, len(v))
				for j := range k {
					k[j] = r.IntN(10) > 0
				}
				kept = append(kept, k)
			}
		}
		z = convert[T](z)
		drop := func(x [][]T) {
			for i := range x {
				for j := range x[i] {
					if !kept[i][j] {
						x[i][j] = 0
					}
				}
			}
		}
		drop(z)
		p.hessian(hz, p.theta, z)
		drop(hz)
		return nil
	}
}

// witness passes calls on to a product and measures how far it is from the exact one,
// relative to the largest |H z|. Like CheckHVP, it takes the largest |H z| over all
// calls with signs while the parameters are where they were at first, and in each call
// when they are elsewhere. A call with another z (2z+y of signs) counts by a third.
type witness[T adahessian.Float] struct {
	p               *problem[T]
	hvp             adahessian.HVP[T]
	home            [][]T // the parameters of the first call
	signs, combined distance
	elsewhere       float64 // the largest relative difference
}

// distance says how far some products are from the exact ones.
type distance struct{ most, largest float64 }

func (d *distance) add(got, exact float64) {
	if exact-exact == 0 {
		d.most = max(d.most, math.Abs(got-exact))
		d.largest = max(d.largest, math.Abs(got), math.Abs(exact))
	}
}

func (d distance) relative() float64 {
	if d.most == 0 {
		return 0
	}
	return d.most / d.largest
}

func (w *witness[T]) call(hz, z [][]T) error {
	if w.home == nil {
		w.home = convert[T](w.p.theta)
	}
	if err := w.hvp(hz, z); err != nil {
		return err
	}
	var here distance
	to := &here
	if same(w.home, w.p.theta) {
		to = &w.combined
		if signs(z) {
			to = &w.signs
		}
	}
	exact := w.p.exactly(z)
	for i := range hz {
		for j, e := range hz[i] {
			to.add(float64(e), exact[i][j])
		}
	}
	w.elsewhere = max(w.elsewhere, here.relative())
	return nil
}

// difference returns the largest relative difference.
func (w *witness[T]) difference() float64 {
	combined := distance{w.combined.most / 3, max(w.signs.largest, w.combined.largest/3)}
	return max(w.signs.relative(), combined.relative(), w.elsewhere)
}

func same[T adahessian.Float](x, y [][]T) bool {
	for i := range x {
		if !slices.Equal(x[i], y[i]) {
			return false
		}
	}
	return true
}

// signs reports whether all elements are 1 or -1.
func signs[T adahessian.Float](z [][]T) bool {
	for _, v := range z {
		for _, e := range v {
			if e != 1 && e != -1 {
				return false
			}
		}
	}
	return true
}
