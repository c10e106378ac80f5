// Package guard places buffers against memory that faults, so that a kernel
// that reads or writes one byte too far does not go unnoticed.
package guard

import (
	"errors"
	"runtime/debug"
)

// ErrUnsupported is the error of New on a system that it does not know.
var ErrUnsupported = errors.New("guard: no guard pages on this system")

// Pages holds some pages of memory between two that fault when touched.
type Pages struct {
	all    []byte // with the guards
	usable []byte
}

// Start returns the first n bytes. Memory before them faults.
func (p *Pages) Start(n int) []byte { return p.usable[:n:n] }

// End returns the last n bytes. Memory after them faults.
func (p *Pages) End(n int) []byte { return p.usable[len(p.usable)-n:] }

// A Fault is an access to memory that faults.
type Fault struct {
	Addr uintptr
	Err  error
}

// Run calls f, and returns the access that stopped it, or nil.
func Run(f func()) (fault *Fault) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch r := recover().(type) {
		case nil:
		case interface {
			error
			Addr() uintptr
		}:
			fault = &Fault{r.Addr(), r}
		default:
			panic(r)
		}
	}()
	f()
	return nil
}
