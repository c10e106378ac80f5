//go:build !linux && !darwin

package guard

// New returns ErrUnsupported.
func New(size int) (*Pages, error) { return nil, ErrUnsupported }

// SetReadOnly returns ErrUnsupported.
func (p *Pages) SetReadOnly(on bool) error { return ErrUnsupported }

// Close does nothing.
func (p *Pages) Close() error { return nil }

// Repeat returns ErrUnsupported.
func Repeat(data []byte, times int) ([]byte, error) { return nil, ErrUnsupported }

// Unmap does nothing.
func Unmap(b []byte) error { return nil }
