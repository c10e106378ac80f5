package ahspago

import (
	"encoding"
	"encoding/gob"
	"errors"
	"fmt"
	"slices"

	"github.com/nlpodyssey/spago/nn"
)

// State is what an AdaHessian puts into nn.Param.State. The State of the first
// parameter stands for the state of the optimizer for all parameters. The others are
// empty. encoding/gob, and so nn.Dump, writes the optimizer's state at the time of the
// call.
type State struct {
	of    encoding.BinaryMarshaler // nil: saved
	saved []byte
}

func init() { gob.Register(&State{}) }

// GobEncode returns the state of the optimizer.
func (s *State) GobEncode() ([]byte, error) {
	if s.of == nil {
		return s.saved, nil
	}
	return s.of.MarshalBinary()
}

// GobDecode keeps a state for the optimizer that the parameter will have.
func (s *State) GobDecode(data []byte) error {
	s.of, s.saved = nil, slices.Clone(data)
	return nil
}

var errNotFirst = errors.New("its State is that of the first parameter of another model; set it to nil")

// savedState returns the saved state that a parameter holds, if any.
func savedState(p *nn.Param) ([]byte, error) {
	switch s := p.State.(type) {
	case nil:
		return nil, nil
	case *State:
		return s.GobEncode() // of another optimizer, or saved
	}
	return nil, fmt.Errorf("its State is a %T, want nil or a %T", p.State, &State{})
}
