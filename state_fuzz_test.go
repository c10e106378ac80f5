package adahessian

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"
)

// FuzzUnmarshalBinary loads anything. What is not a state is an error and
// changes nothing; what is a state is written again as the same bytes. With
// seal the checksums are made right first, or they would hide all the rest.
func FuzzUnmarshalBinary(f *testing.F) {
	narrow, wide := goldenState[float32](f), goldenState[float64](f)
	for _, o := range []interface{ MarshalBinary() ([]byte, error) }{narrow, wide} {
		saved, err := o.MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(saved, false)
		f.Add(saved, true)
		f.Add(saved[:len(saved)-1], false)
		f.Add(append(bytes.Clone(saved), 0), false)
		for _, at := range []int{0, 8, 12, 16, 24, 32, 40, 48, 56, 64, 68, 76, 84, 92, 100, 102, len(saved) / 2, len(saved) - 1} {
			flipped := bytes.Clone(saved)
			flipped[at] ^= 0x81
			f.Add(flipped, true)
		}
	}
	f.Add([]byte(nil), true)
	f.Fuzz(func(t *testing.T, data []byte, seal bool) {
		fuzzUnmarshal(t, narrow, data, seal)
		fuzzUnmarshal(t, wide, data, seal)
	})
}

func fuzzUnmarshal[T Float](t *testing.T, o *Optimizer[T], data []byte, seal bool) {
	if seal {
		data = sealState(o, data)
	}
	before := stateBits(o)
	if err := o.UnmarshalBinary(data); err != nil {
		if !errors.Is(err, ErrState) {
			t.Errorf("error %v, want ErrState", err)
		}
		if stateBits(o) != before {
			t.Error("a state that is an error has changed the optimizer")
		}
		return
	}
	saved, err := o.MarshalBinary()
	if err != nil || !bytes.Equal(saved, data) {
		t.Errorf("the state is written as %x, %v, and was read as %x", saved, err, data)
	}
}

// sealState returns a copy of data with the checksums that it should have
// where a state of o has its own.
func sealState[T Float](o *Optimizer[T], data []byte) []byte {
	data = bytes.Clone(data)
	sum, at := uint32(0), 0
	part := func(n int) {
		if at+n+sumLen <= len(data) {
			sum = crc32.Update(sum, crcTable, data[at:at+n])
			binary.LittleEndian.PutUint32(data[at+n:], sum)
		}
		at += n + sumLen
	}
	part(headerLen)
	for i := range o.tensors {
		part(recordLen + len(o.tensors[i].name))
	}
	for i := range o.tensors {
		for _, x := range o.tensors[i].saved() {
			part(len(x) * binary.Size(T(0)))
		}
	}
	return data
}
