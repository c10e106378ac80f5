package fusecheck

import (
	"go/build"
	"os"
	"path/filepath"
	"testing"
)

// TestSourceUnfused reads the package's source, and proves that nothing calls a
// function of package math that may differ between architectures, and that no product
// is added or subtracted without a conversion.
func TestSourceUnfused(t *testing.T) {
	root := filepath.Join("..", "..")
	context := build.Default
	for _, arch := range []string{"amd64", "arm64", "s390x"} {
		t.Run(arch, func(t *testing.T) {
			context.GOARCH = arch
			p, err := context.ImportDir(root, 0)
			if err != nil {
				t.Fatal(err)
			}
			c := New()
			for _, name := range p.GoFiles {
				source, err := os.ReadFile(filepath.Join(root, name))
				if err != nil {
					t.Fatal(err)
				}
				if err := c.Parse(name, string(source)); err != nil {
					t.Fatal(err)
				}
			}
			for _, fault := range c.Faults() {
				t.Error(fault)
			}
			// If the types were not known, nothing would be found.
			if c.Products < 80 || c.Sums < 80 {
				t.Errorf("found %d products and %d sums", c.Products, c.Sums)
			}
		})
	}
}

// TestSourceCheck proves that the check above finds what it looks for.
func TestSourceCheck(t *testing.T) {
	const head = "package p\nimport \"math\"\ntype F interface{ ~float32 | ~float64 }\ntype pair struct{ x, y float64 }\n"
	for _, c := range []struct {
		source string
		faults int
	}{
		{"func f(a, b, c float64) float64 { return a*b + c }", 1},
		{"func f(a, b, c float64) float64 { return c - (a*b) }", 1},
		{"func f(a, b, c float64) float64 { return -(a*b) + c }", 1},
		{"func f(a, b, c float64) float64 { return a*b - c*a }", 2},
		{"func f[T F](a, b, c T) T { return a*b + c }", 1},
		{"func f[T F](a, b, c T) T { c += a*b; return c }", 1},
		{"func f(a, b, c float64) float64 { a *= b; return a + c }", 1},
		{"func f(a, b, c float64) float64 { a *= b; a += c; return a }", 1},
		{"func f(a, b, c float64) float64 { d := a*b; e := d; return e + c }", 1},
		{"func f(a, b, c float64) float64 { var d = a*b; return c + d }", 1},
		{"func f(a, b, c float64) float64 { d, e := a*b, c; return d + e }", 1},
		{"func f(x []float64, b, c float64) { x[0] = b*c; x[1] = x[0] + c }", 1},
		{"func f(a, b, c float64) float64 { p := pair{x: a*b}; return p.x + c }", 1},
		{"func f(a, b, c float64) float64 { p := pair{c, a*b}; return p.x + p.y }", 1},
		{"func f(p *pair, b float64) float64 { p.y *= b; return p.x + p.y }", 1},
		{"func f(a, b, c float64) float64 { return g(a, b) + c }\nfunc g(a, b float64) float64 { return a*b }", 1},
		{"func f(a, b, c float64) float64 { x, _ := g(a, b); return x + c }\nfunc g(a, b float64) (float64, float64) { return a*b, b }", 1},
		{"func f(a, b, c float64) float64 { return g(a*b, c) }\nfunc g(a, c float64) float64 { return a + c }", 1},
		{"func f(a float64) float64 { return math.Pow(a, 2) }", 1},
		{"func f(a float64) float64 { return math.FMA(a, 2, 1) }", 1},
		{"var f = math.Exp", 1},
		{"func f(a, b, c float64) float64 { return float64(a*b) + c }", 0},
		{"func f[T F](a, b, c T) T { return c - T(a*b) }", 0},
		{"func f(a, b, c float64) float64 { d := a*b; return float64(d*c) + float64(d*d) }", 0},
		{"func f(a, b, c float64) float64 { return a*b/c + 1 }", 0},
		{"func f(a, b, c float64) float64 { return math.Sqrt(a*b) + 1 }", 0},
		{"func f(a, b, c int) int { return a*b + c }", 0},
		{"func f(c float64) float64 { return 2*3.5 + c }", 0},
	} {
		k := New()
		if err := k.Parse("p.go", head+c.source); err != nil {
			t.Fatal(err)
		}
		if got := k.Faults(); len(got) != c.faults {
			t.Errorf("%s\n%d faults, want %d: %v", c.source, len(got), c.faults, got)
		}
	}
}
