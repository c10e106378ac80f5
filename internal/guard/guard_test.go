package guard

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"unsafe"
)

var sink byte

// beyond returns the byte at a distance from the first of b.
func beyond(b []byte, distance int) *byte {
	return (*byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), distance))
}

// TestFaults tries every access that must fault, and those that must not.
func TestFaults(t *testing.T) {
	p, err := New(5000)
	if errors.Is(err, ErrUnsupported) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	size := (5000 + os.Getpagesize() - 1) / os.Getpagesize() * os.Getpagesize()
	start, end := p.Start(100), p.End(100)
	for _, c := range []struct {
		name     string
		at       *byte
		readOnly bool
		write    bool
		faults   bool
	}{
		{"first byte", &start[0], false, true, false},
		{"last byte", &end[99], false, true, false},
		{"read in front", beyond(start, -1), false, false, true},
		{"write in front", beyond(start, -1), false, true, true},
		{"read behind", beyond(end, 100), false, false, true},
		{"write behind", beyond(end, 100), false, true, true},
		{"last byte, from the first", beyond(start, size-1), false, true, false},
		{"read what is read-only", &start[50], true, false, false},
		{"write what is read-only", &start[50], true, true, true},
		{"write what was read-only", &start[50], false, true, false},
	} {
		if err := p.SetReadOnly(c.readOnly); err != nil {
			t.Fatal(err)
		}
		fault := Run(func() {
			if c.write {
				*c.at = 1
			} else {
				sink = *c.at
			}
		})
		if (fault != nil) != c.faults {
			t.Errorf("%s: fault %v, want one: %v", c.name, fault, c.faults)
		}
		if fault != nil && fault.Addr != uintptr(unsafe.Pointer(c.at)) {
			t.Errorf("%s: fault at %#x, want %p", c.name, fault.Addr, c.at)
		}
	}
}

func TestRunLeavesPanicsAlone(t *testing.T) {
	defer func() {
		if r := recover(); r != "mine" {
			t.Errorf("recovered %v", r)
		}
	}()
	Run(func() { panic("mine") })
}

// TestRepeat reads every page of a repetition.
func TestRepeat(t *testing.T) {
	page := os.Getpagesize()
	data := make([]byte, 2*page)
	for i := range data {
		data[i] = byte(i / 100)
	}
	b, err := Repeat(data, 3)
	if errors.Is(err, ErrUnsupported) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	if want := bytes.Repeat(data, 3); !bytes.Equal(b, want) {
		t.Error("the memory is not three times the data")
	}
	if fault := Run(func() { b[0] = 1 }); fault == nil {
		t.Error("a write is not noticed")
	}
	if err := Unmap(b); err != nil {
		t.Fatal(err)
	}
	if fault := Run(func() { sink = b[0] }); fault == nil {
		t.Error("the memory is still there")
	}
}
