package adahessian

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The largest |x − ref| of a tensor, relative to its largest |ref|, after any step. The
// published implementations fuse and order operations differently, so float32 cannot
// agree to the bit.
const (
	goldenLimit32 = 2e-6
	goldenLimit64 = 1e-13
)

const (
	goldenDir = "testdata/golden"
	// The long ones are in a module of their own, and so not in the zip of this one.
	goldenNetworks = goldenDir + "/networks"
)

// golden is a recorded trajectory; see testdata/golden/README.md.
type golden struct {
	Format, Dtype string
	Config        struct {
		LR           float64
		Beta1        float64
		Beta2        float64
		Eps          float64
		WeightDecay  float64 `json:"weight_decay"`
		HessianPower float64 `json:"hessian_power"`
		Samples      int     `json:"n_samples"`
	}
	Params []struct {
		Name  string
		Shape []int
		Block struct {
			Kind string
			Dims []int
			Size int
		}
	}
	Theta0 []goldenTensor
	Steps  []struct {
		Params []struct {
			G, D, Theta, M, V goldenTensor
			Z, Hz             []goldenTensor
		}
	}
}

type goldenTensor struct {
	Dtype, B64 string
}

// decode returns the tensor's values.
func (x goldenTensor) decode(t *testing.T) []float64 {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(x.B64)
	if err != nil {
		t.Fatal(err)
	}
	var values []float64
	switch x.Dtype {
	case "i8":
		for _, b := range raw {
			values = append(values, float64(int8(b)))
		}
	case "f32":
		for ; len(raw) > 0; raw = raw[4:] {
			values = append(values, float64(math.Float32frombits(binary.LittleEndian.Uint32(raw))))
		}
	case "f64":
		for ; len(raw) > 0; raw = raw[8:] {
			values = append(values, math.Float64frombits(binary.LittleEndian.Uint64(raw)))
		}
	default:
		t.Fatalf("a tensor of type %q", x.Dtype)
	}
	return values
}

// goldenFiles returns the files of the trajectories in a folder.
func goldenFiles(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(dir + "/*.json")
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestGoldenFiles proves that TestGolden has all the files that it claims to compare
// with.
func TestGoldenFiles(t *testing.T) {
	require := func(dir string, count int, cases ...string) {
		files := goldenFiles(t, dir)
		if len(files) != count {
			t.Errorf("%s has %d trajectories, want %d", dir, len(files), count)
		}
		for _, want := range cases {
			if !slices.ContainsFunc(files, func(file string) bool { return strings.HasPrefix(filepath.Base(file), want+"__") }) {
				t.Errorf("%s has no trajectory of %s", dir, want)
			}
		}
	}
	require(goldenDir, 11, "a_vec37", "b_linear_rowmean", "c_conv2d", "d_power0.5_conv2d", "d_power0.5_vec", "f_wd_conv2d")
	if _, err := os.Stat(goldenNetworks); errors.Is(err, fs.ErrNotExist) {
		// Nor is any other module in the zip.
		if _, err := os.Stat("_asm"); errors.Is(err, fs.ErrNotExist) {
			t.Skipf("%s is in the repository, and not in the module's zip", goldenNetworks)
		}
	}
	require(goldenNetworks, 7, "f_wd_mlp", "h_cnn", "i_nsamples3_mlp")
}

// TestGolden follows the trajectories of the published implementations.
func TestGolden(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		worst := map[string]float64{}
		for _, name := range append(goldenFiles(t, goldenDir), goldenFiles(t, goldenNetworks)...) {
			t.Run(strings.TrimSuffix(filepath.Base(name), ".json"), func(t *testing.T) {
				raw, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				var file golden
				if err := json.Unmarshal(raw, &file); err != nil {
					t.Fatal(err)
				}
				if file.Format != "adahessian-golden-1" {
					t.Fatalf("format %q", file.Format)
				}
				var e float64
				switch file.Dtype {
				case "float32":
					e = followGolden[float32](t, &file, goldenLimit32)
				case "float64":
					e = followGolden[float64](t, &file, goldenLimit64)
				default:
					t.Fatalf("dtype %q", file.Dtype)
				}
				t.Logf("worst relative error %.2g", e)
				worst[file.Dtype] = max(worst[file.Dtype], e)
			})
		}
		t.Logf("worst relative error of all: float32 %.2g, float64 %.2g", worst["float32"], worst["float64"])
	})
}

// followGolden makes the steps of a file as it is, and again with each tensor
// transposed if that makes its blocks strided. It returns the worst error.
func followGolden[T Float](t *testing.T, file *golden, limit float64) float64 {
	worst := newGoldenRun[T](t, file, false).follow(t, limit)
	if transposed := newGoldenRun[T](t, file, true); transposed.differs {
		worst = max(worst, transposed.follow(t, limit))
	}
	return worst
}

// goldenRun is an optimizer with the trajectory that it should make.
type goldenRun[T Float] struct {
	file      *golden
	params    []Param[T]
	transpose []bool // the tensor's blocks are columns here, rows in the file
	differs   bool   // some tensor is transposed
}

func newGoldenRun[T Float](t *testing.T, file *golden, transpose bool) *goldenRun[T] {
	t.Helper()
	r := &goldenRun[T]{file: file, transpose: make([]bool, len(file.Params))}
	for i, p := range file.Params {
		var l Layout
		var err error
		switch p.Block.Kind {
		case "none":
			l, err = AverageAxes(p.Shape)
		case "mean_dims":
			l, err = AverageAxes(p.Shape, p.Block.Dims...)
		case "flat":
			size := 1
			for _, d := range p.Shape {
				size *= d
			}
			l, err = Flat(size, p.Block.Size)
		default:
			t.Fatalf("block kind %q", p.Block.Kind)
		}
		if err != nil {
			t.Fatal(err)
		}
		if transpose && l.Block > 1 && l.Inner == 1 {
			r.transpose[i], r.differs = true, true
			l, err = AverageAxes([]int{l.Block, l.Outer}, 0)
			if err != nil {
				t.Fatal(err)
			}
		}
		r.params = append(r.params, Param[T]{Name: p.Name, Layout: l})
		r.params[i].Value = r.load(t, i, file.Theta0[i])
	}
	return r
}

// load returns a tensor of the file for parameter i.
func (r *goldenRun[T]) load(t *testing.T, i int, x goldenTensor) []T {
	t.Helper()
	values := x.decode(t)
	l := r.params[i].Layout
	if len(values) != l.Len() {
		t.Fatalf("%s has %d values, want %d", r.params[i].Name, len(values), l.Len())
	}
	y := make([]T, len(values))
	for e, f := range values {
		if r.transpose[i] {
			row, column := e/l.Block, e%l.Block
			e = column*l.Inner + row
		}
		y[e] = T(f)
	}
	return y
}

// follow makes the steps and returns the worst error.
func (r *goldenRun[T]) follow(t *testing.T, limit float64) float64 {
	t.Helper()
	c := &r.file.Config
	opts := DefaultOptions()
	opts.Hyper = Hyper{LR: c.LR, Beta1: c.Beta1, Beta2: c.Beta2, Eps: c.Eps, WeightDecay: c.WeightDecay, HessianPower: c.HessianPower}
	opts.Samples = c.Samples
	opt, err := New(opts, r.params...)
	if err != nil {
		t.Fatal(err)
	}
	grads := make([][]T, len(r.params))
	worst := 0.0
	for s := range r.file.Steps {
		params := r.file.Steps[s].Params
		for i := range grads {
			grads[i] = r.load(t, i, params[i].G)
		}
		if err := opt.Step(grads, r.products(t, s)); err != nil {
			t.Fatal(err)
		}
		for i, p := range r.params {
			m, v := opt.State(i)
			for _, x := range []struct {
				name      string
				got, want []T
			}{
				{"θ", p.Value, r.load(t, i, params[i].Theta)},
				{"m", m, r.load(t, i, params[i].M)},
				{"v", expand(v, p.Layout), r.load(t, i, params[i].V)},
			} {
				e := goldenError(x.got, x.want)
				worst = max(worst, e)
				if !(e <= limit) {
					t.Errorf("step %d: %s of %s is off by %.3g, at most %.3g allowed", s+1, x.name, p.Name, e, limit)
				}
			}
			if d := params[i].D; d.B64 != "" && c.Samples == 1 {
				r.compareCurvature(t, i, params[i].Hz[0], d, limit)
			}
		}
	}
	return worst
}

// products returns an hvp with the recorded products of step s.
func (r *goldenRun[T]) products(t *testing.T, s int) HVP[T] {
	probe := 0
	return func(hz, z [][]T) error {
		if probe >= r.file.Config.Samples {
			return fmt.Errorf("probe %d of %d", probe, r.file.Config.Samples)
		}
		for i, p := range r.file.Steps[s].Params {
			copy(hz[i], r.load(t, i, p.Hz[probe]))
			if r.file.Config.Samples == 1 {
				continue
			}
			// The recorded signs are not the package's own, by which it multiplies.
			// Multiplied here by both, z⊙Hz becomes what was recorded. Multiplying by
			// signs rounds nothing.
			for e, recorded := range r.load(t, i, p.Z[probe]) {
				hz[i][e] *= z[i][e] * recorded
			}
		}
		probe++
		return nil
	}
}

// compareCurvature compares the mean of |Hz| with the recorded curvature.
func (r *goldenRun[T]) compareCurvature(t *testing.T, i int, hz, want goldenTensor, limit float64) {
	t.Helper()
	l := r.params[i].Layout
	d := make([]T, l.Blocks())
	BlockMeanAbs(d, r.load(t, i, hz), l)
	if e := goldenError(expand(d, l), r.load(t, i, want)); !(e <= limit) {
		t.Errorf("D of %s is off by %.3g, at most %.3g allowed", r.params[i].Name, e, limit)
	}
}

// goldenError returns max|x−ref| / max|ref|.
func goldenError[T Float](x, ref []T) float64 {
	var diff, scale float64
	for e := range x {
		if d := math.Abs(float64(x[e]) - float64(ref[e])); !(d <= diff) {
			diff = d // NaN too, which stays
		}
		scale = max(scale, math.Abs(float64(ref[e])))
	}
	if diff == 0 {
		return 0
	}
	return diff / scale
}
