package adahessian

import (
	"fmt"
	"io"
)

// ReadNamed restores the parts that fit from a state that WriteTo wrote. It is for a
// model that has since gained or lost parameters, or has them in another order. A
// parameter takes the moments, the curvature and the number of steps of the saved
// parameter with the same name, if their Layouts are the same too. If several
// parameters share a name, the first takes the first, the second the second, and so on.
// All others stay as they are; a new one starts with its own first step.
//
// ReadNamed returns, in order, the names of the optimizer's parameters that have taken
// nothing (missing) and those of the saved parameters that were not taken (unused). A
// parameter whose Layout has changed is in both. If everything fits, both are empty.
// It is not an error if nothing fits.
//
// The counts of the optimizer, which are Steps and the position in the sequence of
// probes, become those of the state. The state must have the same Seed and Samples;
// for UpdateEach see ReadFrom. Between refreshes, new parameters wait for the next
// refresh, as they do after Add. Offsets are not compared. A parameter draws the signs
// of its present Offset, so the next steps have the bits of an uninterrupted run if the
// Offsets are the same, as they are when new parameters come after the others.
//
// Like ReadFrom, it stops at the end of the state, and allocates a second set of
// moments. In addition it needs 100 bytes for each parameter in the state, which may
// have up to 2²⁰ more than the optimizer, and memory for the unused names, up to 16
// MiB. The error wraps ErrState and r's own error; the names are then nil, and the
// optimizer is as it was. It is also an error if a missing parameter has made more
// steps than the state as a whole.
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

// unusedNames is how many bytes all unused names together may have. It bounds the memory
// that a stream, however long, can make the optimizer use.
const unusedNames = 16 << 20

// loadNamed loads the parameters that fit.
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
