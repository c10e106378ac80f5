package main

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// Slice i of the text is filled with byte i, so the bytes of a part say where
// in the text it comes from.
func TestPartsAreDisjoint(t *testing.T) {
	const length = 50
	text := make([]byte, textSlices*length)
	for i := range text {
		text[i] = byte(i / length)
	}
	c, err := newCorpus(text, 20)
	if err != nil {
		t.Fatal(err)
	}
	owner := map[byte]string{}
	for _, part := range []struct {
		name    string
		symbols []uint8
		share   float64
	}{{"train", c.train, 0.8}, {"tuning", c.tuning, 0.1}, {"validation", c.validation, 0.1}} {
		if got := float64(len(part.symbols)) / float64(len(text)); got != part.share {
			t.Errorf("%s: %v of the text, want %v", part.name, got, part.share)
		}
		for _, s := range part.symbols {
			b := c.alphabet[s]
			if other := owner[b]; other != "" && other != part.name {
				t.Fatalf("slice %d is in %s and in %s", b, other, part.name)
			}
			owner[b] = part.name
		}
	}
	if len(owner) != textSlices {
		t.Errorf("%d slices are in a part, want all %d", len(owner), textSlices)
	}
}

func TestPartsOfAnyLength(t *testing.T) {
	const span = 17
	for n := cycle*span + textSlices; n < 1000; n++ {
		c, err := newCorpus([]byte(strings.Repeat("abc", 400)[:n]), span)
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if got := len(c.train) + len(c.tuning) + len(c.validation); got != n {
			t.Fatalf("%d bytes: %d in the parts", n, got)
		}
		if len(c.tuning) < span || len(c.validation) < span {
			t.Fatalf("%d bytes: parts of %d and %d cannot hold a sequence of %d", n, len(c.tuning), len(c.validation), span)
		}
	}
	if _, err := newCorpus(make([]byte, cycle*span+textSlices-1), span); err == nil {
		t.Error("a text that is too short is accepted")
	}
}

func TestAlphabetIsTheBytesOfTheText(t *testing.T) {
	text := []byte(strings.Repeat("\xff\x00hello", 100))
	c, err := newCorpus(text, 5)
	if err != nil {
		t.Fatal(err)
	}
	if want := []byte("\x00ehlo\xff"); !slices.Equal(c.alphabet, want) {
		t.Errorf("alphabet %q, want %q", c.alphabet, want)
	}
	for i, s := range c.train[:len(text)/textSlices] {
		if c.alphabet[s] != text[i] {
			t.Fatalf("symbol %d spells %q, want %q", i, c.alphabet[s], text[i])
		}
	}
}

func TestEntropy(t *testing.T) {
	// ½·1 + ¼·2 + ¼·2 bits
	if got := entropy([]uint8{0, 0, 7, 255}); math.Abs(got-1.5) > 1e-15 {
		t.Errorf("entropy %v, want 1.5", got)
	}
}

func TestSamplerStaysInTheText(t *testing.T) {
	const length, span = 10, 4
	seen := map[int]bool{}
	s := newSampler(length, span, 50, 1)
	for range 20 {
		for _, start := range s.next() {
			seen[start] = true
		}
	}
	for start := range seen {
		if start < 0 || start+span > length {
			t.Errorf("a sequence starts at %d", start)
		}
	}
	if len(seen) != length-span+1 {
		t.Errorf("%d different starts, want all %d", len(seen), length-span+1)
	}
	a, b := newSampler(1000, span, 8, 7), newSampler(1000, span, 8, 7)
	if !slices.Equal(a.next(), b.next()) {
		t.Error("two samplers of one seed differ")
	}
}

func TestEvenly(t *testing.T) {
	if got := evenly(100, 10, 4); !slices.Equal(got, []int{0, 30, 60, 90}) {
		t.Errorf("starts %v", got)
	}
	if got := evenly(10, 10, 3); !slices.Equal(got, []int{0, 0, 0}) {
		t.Errorf("starts in a text of one sequence: %v", got)
	}
}
