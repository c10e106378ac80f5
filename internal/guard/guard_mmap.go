//go:build linux || darwin

package guard

import (
	"os"

	"golang.org/x/sys/unix"
)

// New maps pages for at least size bytes. Close frees them.
func New(size int) (*Pages, error) {
	page := os.Getpagesize()
	size = max(1, (size+page-1)/page) * page
	all, err := unix.Mmap(-1, 0, size+2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, err
	}
	for _, guard := range [][]byte{all[:page], all[page+size:]} {
		if err := unix.Mprotect(guard, unix.PROT_NONE); err != nil {
			return nil, err
		}
	}
	return &Pages{all: all, usable: all[page:][:size:size]}, nil
}

// SetReadOnly makes writing to the pages fault, or not.
func (p *Pages) SetReadOnly(on bool) error {
	prot := unix.PROT_READ
	if !on {
		prot |= unix.PROT_WRITE
	}
	return unix.Mprotect(p.usable, prot)
}

// Close frees the pages.
func (p *Pages) Close() error { return unix.Munmap(p.all) }
