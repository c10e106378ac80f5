package digits

import "testing"

// TestLoad checks that the data are complete, by what is known about them.
func TestLoad(t *testing.T) {
	train, test := Load[float32]()
	if train.Len() != 1408 || test.Len() != 389 {
		t.Fatalf("%d and %d images, want 1408 and 389", train.Len(), test.Len())
	}
	var count [Classes]int
	sum := float32(0)
	for _, s := range []Set[float32]{train, test} {
		if len(s.X) != s.Len()*Pixels {
			t.Fatalf("%d numbers for %d images", len(s.X), s.Len())
		}
		for _, y := range s.Y {
			count[y]++
		}
		for _, x := range s.X {
			if x < 0 || x > 1 {
				t.Fatalf("pixel of %v, want one in [0, 1]", x)
			}
			sum += x * 16
		}
	}
	if want := [Classes]int{178, 182, 177, 183, 181, 182, 181, 179, 174, 180}; count != want {
		t.Errorf("images of each digit: %v, want %v", count, want)
	}
	if sum != 561718 { // exact in float32
		t.Errorf("sum of all shades %v, want 561718", sum)
	}
	if got := train.Correct(train.OneHot()); got != train.Len() {
		t.Errorf("Correct counts %d of its own digits, want %d", got, train.Len())
	}
}
