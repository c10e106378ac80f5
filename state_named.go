package adahessian

import (
	"fmt"
	"io"
)

// ReadNamed restores what fits of a state that WriteTo wrote, where a model has grown
// or lost parameters since, or has them in another order. A parameter takes the
// moments, the curvature and the number of steps that were saved for a parameter of the
// same name and the same Layout, of which the Outer, Block and Inner are the same. Where
// several have one name, the first takes the first, the second the second, and so on.
// All others stay as they are: a new one starts with its own first step.
//
// It returns the names of the optimizer's parameters that have taken nothing, in their
// order, and those in the state that were not taken, in theirs. A parameter whose Layout
// has changed is in both. Both are empty where all fits. A state of which nothing fits is
// no error.
//
// The counts of the optimizer, Steps and the position in the sequence of probes, are
// those of the state, which must have the same Seed and Samples; for UpdateEach see
// ReadFrom. In the middle of a period new parameters wait for the next refresh, as those
// of Add do. Offsets are not compared. A parameter draws the signs of its present Offset:
// the next steps have the bits of an uninterrupted run where the Offsets are the same, as
// they are where new parameters stand behind the others.
//
// Like ReadFrom, it stops at the end of the state, and takes memory for a second set of
// moments. Beside that it takes 100 bytes for each parameter in the state, which may
// have 2²⁰ more than the optimizer, and the names that are unused, which may have 16 MiB.
// The error wraps ErrState, and r's own error; with it the names are nil and the
// optimizer is as it was. A missing parameter that has made more steps than the whole
// state is an error too.
func (o *Optimizer[T]) ReadNamed(r io.Reader) (missing, unused []string, err error) {
	if err := o.idle("ReadNamed"); err != nil {
		return nil, nil, err
	}
	defer o.usage.enter("the Read of ReadNamed")()
	l := newLoader(o)
	unused, err = l.loadNamed(&countingReader{r: r})
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	for i := range l.tensors {
		if !l.tensors[i].found {
			missing = append(missing, o.tensors[i].name)
		}
	}
	l.takeOver()
	return missing, unused, nil
}

// unusedNames is how many bytes all unused names may have, so that no stream, however
// long, makes the optimizer remember more.
const unusedNames = 16 << 20

// loadNamed loads what fits.
func (l *loader[T]) loadNamed(r *countingReader) (unused []string, err error) {
	o := l.o
	s := &stateReader{r: r, buf: make([]byte, stateChunk)}
	if err := l.loadHeader(s); err != nil {
		return nil, err
	}
	rest := map[string][]int{} // of the tensors with this name, in their order
	for i := range o.tensors {
		rest[o.tensors[i].name] = append(rest[o.tensors[i].name], i)
	}
	bytes := 0
	parts, err := l.loadRecords(s, func(_ int, saved *savedTensor, pieces []piece) ([]piece, error) {
		if same := rest[saved.name]; len(same) > 0 {
			rest[saved.name] = same[1:]
			if own := o.record(same[0]); saved.fits(&own) {
				l.find(same[0], saved)
				return append(pieces, piece{tensor: same[0], n: own.Outer}), nil
			}
		}
		if bytes += len(saved.name); bytes > unusedNames {
			return nil, fmt.Errorf("unused names of more than %d bytes", unusedNames)
		}
		unused = append(unused, saved.name)
		return pieces, nil
	})
	if err == nil {
		err = l.loadArrays(s, parts)
	}
	if err != nil {
		return nil, err
	}
	for i := range o.tensors {
		if n := o.stepsOf(i); !l.tensors[i].found && n > l.header.Steps {
			return nil, fmt.Errorf("parameter %d %.60q, which is not in the state: it has made %d steps, and the state %d",
				i, o.tensors[i].name, n, l.header.Steps)
		}
	}
	return unused, nil
}
