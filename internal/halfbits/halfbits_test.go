package halfbits

import (
	"math"
	"testing"
)

func TestKnown(t *testing.T) {
	for _, c := range []struct {
		f    Format
		h    uint16
		want float64
	}{
		{BFloat16, 0x3f80, 1}, {BFloat16, 0xc040, -3}, {BFloat16, 0x0001, 0x1p-133}, {BFloat16, 0x0080, 0x1p-126}, {BFloat16, 0x7f7f, 0x1.fep127}, {BFloat16, 0xff80, math.Inf(-1)},
		{Float16, 0x3c00, 1}, {Float16, 0xc200, -3}, {Float16, 0x0001, 0x1p-24}, {Float16, 0x0400, 0x1p-14}, {Float16, 0x7bff, 65504}, {Float16, 0x7c00, math.Inf(1)},
	} {
		if got := c.f.Value(c.h); got != c.want {
			t.Errorf("%s %#04x is %v, want %v", c.f.Name, c.h, got, c.want)
		}
		if got := NewRounder(c.f).Round(float32(c.want)); got != c.h {
			t.Errorf("%s: %v becomes %#04x, want %#04x", c.f.Name, c.want, got, c.h)
		}
	}
	for _, c := range []struct {
		f    Format
		x    float32
		want uint16
	}{
		{Float16, 65519.996, 0x7bff}, {Float16, 65520, 0x7c00}, {Float16, 0x1p-25, 0}, {Float16, 0x1.000002p-25, 1}, {Float16, 0x3p-25, 2}, {Float16, 1 + 0x1p-11, 0x3c00}, {Float16, 1 + 0x3p-11, 0x3c02},
		{BFloat16, math.MaxFloat32, 0x7f80}, {BFloat16, -0x1p-134, 0x8000}, {BFloat16, 0x3p-134, 2}, {BFloat16, 1 + 0x1p-8, 0x3f80}, {BFloat16, 1 + 0x3p-8, 0x3f82},
		{BFloat16, float32(math.NaN()), 0x7fc0}, {Float16, float32(math.NaN()), 0x7e00},
	} {
		if got := NewRounder(c.f).Round(c.x); got != c.want {
			t.Errorf("%s: %v becomes %#04x, want %#04x", c.f.Name, c.x, got, c.want)
		}
	}
}
