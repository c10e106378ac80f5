package ahautograd

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"

	"github.com/itsubaki/autograd/layer"
	"github.com/itsubaki/autograd/optimizer"
)

// checkpoint is what Save writes, with encoding/gob.
type checkpoint struct {
	Names []string // of the parameters, in the optimizer's order
	State []byte   // as adahessian.Optimizer writes it
}

// Save writes the moments of all parameters, their numbers of steps and the position in
// the sequence of probes. It does not write the parameters or the fields of o, which
// the caller saves as well. It is an error to call it before the first Update.
func (o *AdaHessian) Save(w io.Writer) error {
	if o.bound == nil {
		return errors.New("ahautograd: Save: no Update has been made")
	}
	state, err := o.bound.MarshalBinary()
	if err == nil {
		err = gob.NewEncoder(w).Encode(checkpoint{o.bound.names, state})
	}
	if err != nil {
		return fmt.Errorf("ahautograd: Save: %w", err)
	}
	return nil
}

// Load reads what Save wrote for a model whose parameters had the same names and shapes.
// If the fields are the same, the next updates give the same bits as without the
// interruption.
//
// Weights that a layer makes at its first Forward must exist: call Forward once, and
// then set their values. On an error nothing has changed.
func (o *AdaHessian) Load(model optimizer.Model, r io.Reader) error {
	before := o.bound
	o.bound = nil
	if err := o.load(model.Params(), r); err != nil {
		o.bound = before
		return fmt.Errorf("ahautograd: Load: %w", err)
	}
	return nil
}

func (o *AdaHessian) load(params layer.Parameters, r io.Reader) error {
	var saved checkpoint
	if err := gob.NewDecoder(r).Decode(&saved); err != nil {
		return err
	}
	if err := o.bind(nil); err != nil {
		return err
	}
	for _, name := range saved.Names {
		p, ok := params[name]
		if !ok {
			return fmt.Errorf("the model has no parameter %q; does a layer make it at its first Forward?", name)
		}
		if err := o.add(name, p); err != nil {
			return err
		}
	}
	return o.bound.UnmarshalBinary(saved.State)
}
