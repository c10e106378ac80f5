package ahautograd

import (
	"bytes"
	"encoding/gob"
	"math/rand/v2"
	"strings"
	"testing"

	F "github.com/itsubaki/autograd/function"
	"github.com/itsubaki/autograd/layer"
	"github.com/itsubaki/autograd/tensor"
	"github.com/itsubaki/autograd/variable"
)

// TestResume proves that training resumed between two estimates of the curvature gives
// the bits of uninterrupted training, even if a layer's weights were added late, so
// that the optimizer's order is not that of the names.
func TestResume(t *testing.T) {
	config := AdaHessian{Alpha: 0.05, UpdateEach: 3, Seed: 2, Average: perUnit}
	train := func(o *AdaHessian, n *network, first, steps int) {
		for i := range steps {
			n.see(rand.New(rand.NewPCG(1, uint64(first+i))), 20)
			update(t, o, n)
		}
	}
	n, o := small(), config
	last := layer.Parameters{"w1": n.Parameters["w1"]}
	n.Cleargrads()
	o.Backward(n.loss())
	if err := o.Update(last); err != nil { // only w1: the others are added after it
		t.Fatal(err)
	}
	train(&o, n, 0, 4)

	var saved bytes.Buffer
	if err := o.Save(&saved); err != nil {
		t.Fatal(err)
	}
	again, p := small(), config
	for name, x := range values(n.Parameters) {
		again.Parameters[name].Data = tensor.New(again.Parameters[name].Shape(), x)
	}
	if err := p.Load(again, &saved); err != nil {
		t.Fatal(err)
	}
	train(&o, n, 4, 7)
	train(&p, again, 4, 7)
	same(t, "resumed", values(again.Parameters), values(n.Parameters))
}

// TestLoadFaults proves that an error names what does not fit, and changes nothing.
func TestLoadFaults(t *testing.T) {
	m, o := lstm(), &AdaHessian{}
	if err := o.Save(&bytes.Buffer{}); err == nil {
		t.Error("Save before the first Update is not an error")
	}
	step := func(o *AdaHessian) {
		m.ResetState()
		loss := window(m, variable.New(0), 0)
		m.Cleargrads()
		o.Backward(loss)
		if err := o.Update(m); err != nil {
			t.Fatal(err)
		}
	}
	step(o)
	var saved bytes.Buffer
	if err := o.Save(&saved); err != nil {
		t.Fatal(err)
	}
	junk := new(bytes.Buffer)
	if err := gob.NewEncoder(junk).Encode(checkpoint{Names: []string{"b0"}, State: []byte("junk")}); err != nil {
		t.Fatal(err)
	}
	for want, load := range map[string]func(o *AdaHessian) error{
		`no parameter "linear.w"`: func(o *AdaHessian) error { return o.Load(lstm(), bytes.NewReader(saved.Bytes())) },
		"EOF":                     func(o *AdaHessian) error { return o.Load(m, bytes.NewReader(nil)) },
		"invalid state":           func(o *AdaHessian) error { return o.Load(newNetwork(1, F.Tanh, 2, 3), junk) },
	} {
		state, err := o.bound.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if err := load(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
		if now, err := o.bound.MarshalBinary(); err != nil || !bytes.Equal(now, state) {
			t.Errorf("%s: the state has changed", want)
		}
	}
	step(o)
}
