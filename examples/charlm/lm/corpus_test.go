package lm

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// Slice i of the text is filled with byte i, so the bytes of a part show where in the
// text it comes from.
func TestPartsAreDisjoint(t *testing.T) {
	const length = 50
	text := make([]byte, textSlices*length)
	for i := range text {
		text[i] = byte(i / length)
	}
	c, err := NewCorpus(text, 20)
	if err != nil {
		t.Fatal(err)
	}
	owner := map[byte]string{}
	for _, part := range []struct {
		name    string
		symbols []uint8
		share   float64
	}{{"train", c.Train, 0.8}, {"tuning", c.Tuning, 0.1}, {"validation", c.Validation, 0.1}} {
		if got := float64(len(part.symbols)) / float64(len(text)); got != part.share {
			t.Errorf("%s: %v of the text, want %v", part.name, got, part.share)
		}
		for _, s := range part.symbols {
			b := c.Alphabet[s]
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
		c, err := NewCorpus([]byte(strings.Repeat("abc", 400)[:n]), span)
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if got := len(c.Train) + len(c.Tuning) + len(c.Validation); got != n {
			t.Fatalf("%d bytes: %d in the parts", n, got)
		}
		if len(c.Tuning) < span || len(c.Validation) < span {
			t.Fatalf("%d bytes: parts of %d and %d cannot hold a sequence of %d", n, len(c.Tuning), len(c.Validation), span)
		}
	}
	if _, err := NewCorpus(make([]byte, cycle*span+textSlices-1), span); err == nil {
		t.Error("a text that is too short is accepted")
	}
}

func TestAlphabetIsTheBytesOfTheText(t *testing.T) {
	text := []byte(strings.Repeat("\xff\x00hello", 100))
	c, err := NewCorpus(text, 5)
	if err != nil {
		t.Fatal(err)
	}
	if want := []byte("\x00ehlo\xff"); !slices.Equal(c.Alphabet, want) {
		t.Errorf("alphabet %q, want %q", c.Alphabet, want)
	}
	for i, s := range c.Train[:len(text)/textSlices] {
		if c.Alphabet[s] != text[i] {
			t.Fatalf("symbol %d spells %q, want %q", i, c.Alphabet[s], text[i])
		}
	}
}

func TestEntropy(t *testing.T) {
	// ½·1 + ¼·2 + ¼·2 bits
	if got := Entropy([]uint8{0, 0, 7, 255}); math.Abs(got-1.5) > 1e-15 {
		t.Errorf("entropy %v, want 1.5", got)
	}
}

func TestSamplerStaysInTheText(t *testing.T) {
	const length, span = 10, 4
	seen := map[int]bool{}
	s := NewSampler(length, span, 50, 1)
	for range 20 {
		for _, start := range s.Next() {
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
	a, b := NewSampler(1000, span, 8, 7), NewSampler(1000, span, 8, 7)
	if !slices.Equal(a.Next(), b.Next()) {
		t.Error("two samplers of one seed differ")
	}
}

func TestEvenly(t *testing.T) {
	if got := Evenly(100, 10, 4); !slices.Equal(got, []int{0, 30, 60, 90}) {
		t.Errorf("starts %v", got)
	}
	if got := Evenly(10, 10, 3); !slices.Equal(got, []int{0, 0, 0}) {
		t.Errorf("starts in a text of one sequence: %v", got)
	}
}
