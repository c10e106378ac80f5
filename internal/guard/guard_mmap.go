//go:build linux || darwin

package guard

import (
	"errors"
	"os"
	"unsafe"

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

// Repeat returns read-only memory that holds data the given number of times in a row. The
// length of data must be a whole number of pages. All repetitions share the memory of
// one. Unmap frees it.
func Repeat(data []byte, times int) ([]byte, error) {
	f, err := os.CreateTemp("", "repeat")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return nil, err
	}
	if _, err := f.Write(data); err != nil {
		return nil, err
	}
	all, err := unix.MmapPtr(-1, 0, nil, uintptr(len(data)*times), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, err
	}
	for i := range times {
		at := unsafe.Add(all, i*len(data))
		if _, err := unix.MmapPtr(int(f.Fd()), 0, at, uintptr(len(data)), unix.PROT_READ, unix.MAP_SHARED|unix.MAP_FIXED); err != nil {
			return nil, errors.Join(err, unix.MunmapPtr(all, uintptr(len(data)*times)))
		}
	}
	return unsafe.Slice((*byte)(all), len(data)*times), nil
}

// Unmap frees memory that Repeat returned.
func Unmap(b []byte) error {
	return unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b)))
}
