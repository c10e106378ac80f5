package main

import (
	"strings"
	"testing"

	"github.com/adahessian-go/adahessian"
)

// TestCampaign runs a short form of the campaign. The command runs the long one.
func TestCampaign(t *testing.T) {
	t.Run("float32", testCampaign[float32])
	t.Run("float64", testCampaign[float64])
}

func testCampaign[T adahessian.Float](t *testing.T) {
	cases := 40
	if testing.Short() {
		cases = 10
	}
	r := campaign[T](cases, 2)
	for _, f := range r.mistakes() {
		t.Error(f)
	}
	sum := r.sum()
	t.Logf("%d losses: right %v, wrong %v (accepted, refused, undecided)", cases, sum[right], sum[wrong])
	if decided := sum[wrong][refused]; decided < 6*cases {
		t.Errorf("%d wrong products refused, want most of %d", decided, sum[wrong][undecided]+decided)
	}
	ordinary := r.counts["right"][0][right]
	if n := ordinary[accepted] + ordinary[undecided]; n == 0 || ordinary[undecided]*100 > n {
		t.Errorf("%d of %d right products of ordinary losses undecided", ordinary[undecided], n)
	}
}

// TestWitness proves that a product counts as wrong if it is far from the exact one.
func TestWitness(t *testing.T) {
	all := campaign[float64](20, 5)
	for _, c := range []struct {
		name string
		want truth
	}{{"right", right}, {"zero", wrong}, {"half", wrong}, {"twice", wrong}, {"× 1.1", wrong}, {"sign flipped", wrong}, {"sum for mean", wrong}} {
		for class := range 2 {
			for truth, verdicts := range all.counts[c.name][class] {
				for v, n := range verdicts {
					if n > 0 && truth != int(c.want) {
						t.Errorf("%s: %d products counted as %d (%v)", c.name, n, truth, verdict(v))
					}
				}
			}
		}
	}
	var b strings.Builder
	all.print(&b, "float64")
	if lines := strings.Count(b.String(), "\n"); lines != 2+2*(len(all.names)+1) {
		t.Errorf("the table has %d lines:\n%s", lines, b.String())
	}
}
