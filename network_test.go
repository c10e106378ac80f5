package adahessian

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// perceptron is a network of dense layers with ReLU between them that learns the
// colours of a picture. Its loss is the mean of half the squared error over a batch.
// Its Hessian-vector products are exact, forward over reverse.
type perceptron struct {
	sizes  []int
	params []Param[float32] // weights [in, out] and bias of each layer
	grads  [][]float32
	x, y   [][]float32   // of the batch
	act    [][][]float32 // the batch's input, and then the output of each layer
	rAct   [][][]float32
}

func newPerceptron(seed uint64, batch int, sizes ...int) *perceptron {
	p := &perceptron{sizes: sizes}
	rng := rand.New(rand.NewPCG(seed, 0))
	for l := range len(sizes) - 1 {
		w := make([]float32, sizes[l]*sizes[l+1])
		for i := range w {
			w[i] = float32(rng.NormFloat64() * math.Sqrt(2/float64(sizes[l])))
		}
		p.params = append(p.params,
			Param[float32]{Name: fmt.Sprintf("w%d", l), Value: w},
			Param[float32]{Name: fmt.Sprintf("b%d", l), Value: make([]float32, sizes[l+1])})
	}
	for _, q := range p.params {
		p.grads = append(p.grads, make([]float32, len(q.Value)))
	}
	rows := func(n int) [][]float32 {
		m := make([][]float32, batch)
		for i := range m {
			m[i] = make([]float32, n)
		}
		return m
	}
	for _, n := range sizes {
		p.act, p.rAct = append(p.act, rows(n)), append(p.rAct, rows(n))
	}
	p.x, p.y = p.act[0], rows(sizes[len(sizes)-1])
	return p
}

// draw makes the next batch: points of the picture, and their colours.
func (p *perceptron) draw(rng *rand.Rand) {
	for n := range p.x {
		u, v := 2*rng.Float64()-1, 2*rng.Float64()-1
		p.x[n][0], p.x[n][1] = float32(u), float32(v)
		for c := range p.y[n] {
			p.y[n][c] = float32(0.5 + 0.5*math.Sin(3*u*float64(c+1)+4*v-2*u*v))
		}
	}
}

// pass sets grads and, if z is given, hz, and returns the loss.
func (p *perceptron) pass(hz, z [][]float32) (loss float64) {
	layers := len(p.sizes) - 1
	for i := range p.grads {
		clear(p.grads[i])
		if z != nil {
			clear(hz[i])
		}
	}
	delta, rDelta := make([][]float32, layers+1), make([][]float32, layers+1)
	for l, n := range p.sizes {
		delta[l], rDelta[l] = make([]float32, n), make([]float32, n)
	}
	scale := 1 / float32(len(p.x))
	for n := range p.x {
		for l := range layers {
			in, rIn, out, rOut := p.act[l][n], p.rAct[l][n], p.act[l+1][n], p.rAct[l+1][n]
			w := p.params[2*l].Value
			copy(out, p.params[2*l+1].Value)
			if z != nil {
				copy(rOut, z[2*l+1])
			}
			for i, a := range in {
				row := w[i*len(out):][:len(out)]
				for j := range row {
					out[j] += a * row[j]
				}
				if z == nil {
					continue
				}
				zRow := z[2*l][i*len(out):][:len(out)]
				for j := range row {
					rOut[j] += rIn[i]*row[j] + a*zRow[j]
				}
			}
			if l < layers-1 {
				for j := range out {
					if out[j] <= 0 {
						out[j], rOut[j] = 0, 0
					}
				}
			}
		}
		for c := range p.y[n] {
			e := p.act[layers][n][c] - p.y[n][c]
			loss += float64(e*e) / 2
			delta[layers][c], rDelta[layers][c] = e*scale, p.rAct[layers][n][c]*scale
		}
		for l := layers - 1; l >= 0; l-- {
			in, rIn := p.act[l][n], p.rAct[l][n]
			w, d, rd := p.params[2*l].Value, delta[l+1], rDelta[l+1]
			for j := range d {
				p.grads[2*l+1][j] += d[j]
				if z != nil {
					hz[2*l+1][j] += rd[j]
				}
			}
			for i, a := range in {
				row, g := w[i*len(d):][:len(d)], p.grads[2*l][i*len(d):][:len(d)]
				sum, rSum := float32(0), float32(0)
				for j := range d {
					g[j] += a * d[j]
					sum += row[j] * d[j]
				}
				if z != nil {
					zRow, h := z[2*l][i*len(d):][:len(d)], hz[2*l][i*len(d):][:len(d)]
					for j := range d {
						h[j] += a*rd[j] + rIn[i]*d[j]
						rSum += row[j]*rd[j] + zRow[j]*d[j]
					}
				}
				if l > 0 && a <= 0 {
					sum, rSum = 0, 0
				}
				delta[l][i], rDelta[l][i] = sum, rSum
			}
		}
	}
	return loss / float64(len(p.x))
}

// train makes steps and returns the mean loss of the last tenth of them, or +Inf if a
// loss is not finite.
func (p *perceptron) train(t *testing.T, seed uint64, h Hyper, each, steps int) float64 {
	t.Helper()
	opts := DefaultOptions()
	opts.Hyper, opts.UpdateEach, opts.Seed, opts.Workers = h, each, seed, 1
	o, err := New(opts, p.params...)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	sum := 0.0
	for i := range steps {
		p.draw(rng)
		loss := 0.0
		if !o.NeedsHessian() {
			loss = p.pass(nil, nil)
		}
		err := o.Step(p.grads, func(hz, z [][]float32) error {
			loss = p.pass(hz, z)
			return nil
		})
		if err != nil {
			return math.Inf(1)
		}
		if i >= steps-steps/10 {
			sum += loss
		}
	}
	return sum / float64(steps/10)
}

func TestPerceptronHVP(t *testing.T) {
	p := newPerceptron(1, 16, 2, 8, 8, 3)
	p.draw(rand.New(rand.NewPCG(1, 1)))
	err := CheckHVP(p.params, func(grads [][]float32) error {
		p.pass(nil, nil)
		for i := range grads {
			copy(grads[i], p.grads[i])
		}
		return nil
	}, func(hz, z [][]float32) error { p.pass(hz, z); return nil }, 1)
	if err != nil {
		t.Error(err)
	}
}

// TestNetworkHyper trains an ordinary network, with a product in every fifth step, and
// shows that this needs the bound: with the published hyperparameters every run
// diverges.
func TestNetworkHyper(t *testing.T) {
	const untrained = 3 * 0.125 / 2 // the loss of the mean colour, about: sines have a variance of ½
	for seed := uint64(1); seed <= 2; seed++ {
		train := func(h Hyper) float64 {
			return newPerceptron(seed, 128, 2, 32, 32, 32, 3).train(t, seed, h, 5, 300)
		}
		loss := train(NetworkHyper())
		t.Logf("seed %d: a loss of %.4f, untrained %.4f", seed, loss, untrained)
		if !(loss < untrained/3) {
			t.Errorf("seed %d: a loss of %g, want less than a third of %g", seed, loss, untrained)
		}
		if loss := train(DefaultHyper()); loss < untrained {
			t.Errorf("seed %d: DefaultHyper trains too, to %g, which contradicts its comment", seed, loss)
		}
		free := NetworkHyper()
		free.MaxUpdate = 0
		if loss := train(free); loss < untrained {
			t.Errorf("seed %d: NetworkHyper trains without its bound too, to %g", seed, loss)
		}
	}
}
