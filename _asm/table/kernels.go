package table

import "slices"

const panelRequires = "It requires outer, block and width of at least 1, and width = stride if outer > 1."

// Kernels are the kernels, in the order in which they are emitted. Each is
// emitted for float32 and float64 and for every set that has it.
var Kernels = []Kernel{
	{
		Name: "rademacher",
		Args: slices.Concat(slice("z"), length("n", "z"), plain("uint64", "seed", "draw", "offset")),
		Sets: everywhere,
		Else: "rademacherGeneric(z, seed, draw, offset)",
		Doc: []string{
			"sets z[i] = 1 - 2*bit(offset+i) for i < n, with the bits of Philox4x32-10.",
			"It requires that offset+n does not exceed 2^64.",
		},
	}, {
		Name: "streamRademacher",
		Args: slices.Concat(slice("z"), length("n", "z"), plain("uint64", "seed", "draw", "offset")),
		Sets: avx,
		Else: "rademacher(z, seed, draw, offset)",
		Doc: []string{
			"sets z[i] = 1 - 2*bit(offset+i) for i < n, with the bits of Philox4x32-10, past the caches.",
			"It requires that z is aligned to 64 bytes and that n is a positive multiple of 1,792.",
		},
	}, {
		Name: "addProbe",
		Args: slices.Concat(slice("acc", "z", "hz"), length("n", "acc")),
		Sets: everywhere,
		Else: "addProbeGeneric(acc, z, hz)",
		Doc:  []string{"adds the product with a probe to a sum: for i < n: acc[i] += z[i]*hz[i]."},
	}, {
		Name: "allFinite",
		Args: slices.Concat(slice("x"), length("n", "x")),
		Bool: true,
		Sets: everywhere,
		Else: "allFiniteGeneric(x)",
		Doc:  []string{"reports whether no x[i], i < n, is NaN or infinite."},
	}, {
		Name: "allFiniteMulti",
		Args: slices.Concat(multi("x"), length("slices", "x")),
		Bool: true,
		Sets: avx,
		Else: "allFiniteOneByOne(x)",
		Doc:  []string{"reports whether no x[s][i], s < slices, i < len(x[s]), is NaN or infinite."},
	}, {
		Name: "bothFinite",
		Args: slices.Concat(slice("x", "y"), length("n", "x"), []Arg{next}),
		Bool: true,
		Sets: avx,
		Else: "allFinite(x) && allFinite(y)",
		Doc:  []string{"reports whether no x[i] and no y[i], i < n, is NaN or infinite."},
	}, {
		Name: "blockMeans",
		Args: slices.Concat(slice("d", "x"), length("blocks", "d"), plain("int", "block"), divisor),
		Sets: everywhere,
		Else: "blockMeansGeneric(d, x, block, div)",
		Doc: []string{
			"sets d[j] to the sum of |x| over the j-th run of block elements, in the contract's order, divided by div.",
			"It requires block of at least 1.",
		},
	}, {
		Name: "stridedMeans",
		Args: slices.Concat(slice("d", "x"), strided, divisor, plain("bool", "more"), []Arg{next}),
		Sets: everywhere,
		Else: "stridedMeansGeneric(d, x, p, div, more)",
		Doc: []string{
			"sets d[j] to the sum of |x[b][j]| over the rows b of each slice, in rising order, divided by div;",
			"with more the sum continues from d[j].",
			panelRequires,
		},
	}, {
		Name: "curvature",
		Args: slices.Concat(slice("v", "den", "d"), length("n", "v"), scalars, power),
		Sets: everywhere,
		Else: "curvatureGeneric(v, den, d, s, k, 0)",
		Doc: []string{
			"takes n blocks from their curvature to their denominators; den may be d:",
			"for i < n: v[i] = flush(b2*v[i] + (c2*d[i])*d[i]); den[i] = v[i]^(k/2)*r + e.",
		},
	}, {
		Name: "curvaturePow",
		Args: slices.Concat(slice("v", "den", "d"), length("n", "v"), scalars,
			[]Arg{{Name: "exponent", Type: "*float64", Param: "e *powParams", Value: "&e.a"}}),
		Sets: everywhere,
		Else: "curvatureGeneric(v, den, d, s, powerAny, e.a)",
		Doc: []string{
			"takes n blocks from their curvature to their denominators by the power function; den may be d:",
			"for i < n: v[i] = flush(b2*v[i] + (c2*d[i])*d[i]); den[i] = pow(v[i], k/2)*r + e.",
		},
	}, {
		Name: "descendRows",
		Args: slices.Concat(slice("theta", "m", "g", "den"), []Arg{ahead}, strided, scalars),
		Sets: everywhere,
		Else: "descendGeneric(theta, m, g, den, p, s)",
		Doc: []string{
			"makes the second pass of a step of a panel of strided blocks, with one denominator for each column:",
			"m[b][j] = flush(b1*m[b][j] + c1*grad[b][j]); theta[b][j] = w*theta[b][j] - clamp((s*m[b][j])/den[j], -limit, limit).",
			panelRequires,
		},
	}, {
		Name: "descendTogether",
		Args: slices.Concat(slice("theta", "m", "g", "den"), strided, scalars, []Arg{next}),
		Sets: avx,
		Else: "descendRows(theta, m, g, den, g, p, s)",
		Doc: []string{
			"is descendRows with all rows of a slice at a time, a few columns further on in each turn.",
			panelRequires,
		},
	}, {
		Name: "descendBlocks",
		Args: slices.Concat(slice("theta", "m", "g", "den"), contiguous, scalars),
		Sets: everywhere,
		Else: "descendGeneric(theta, m, g, den, p, s)",
		Doc: []string{
			"makes the second pass of a step of contiguous blocks, with one denominator for each:",
			"for the elements i of block j: m[i] = flush(b1*m[i] + c1*grad[i]); theta[i] = w*theta[i] - clamp((s*m[i])/den[j], -limit, limit).",
			"It requires block of at least 1.",
		},
	}, {
		Name: "updateElements",
		Args: slices.Concat(slice("theta", "m", "v", "g", "hz"), length("n", "theta"), scalars, power),
		Sets: everywhere,
		Else: "updateGeneric(theta, m, v, g, hz, panel{len(theta), 1, 1, 1}, s, k, 0)",
		Doc: []string{
			"makes a step of n elements that each have their own curvature:",
			"for i < n: v[i], den = curvature(v[i], |hz[i]|/s.div); m[i], theta[i] = descend(m[i], grad[i], theta[i], den).",
		},
	}, {
		Name: "updateMulti",
		Args: slices.Concat(multi("theta"), slice("m", "v"), multi("g", "hz"), length("tensors", "theta"), scalars, power),
		Sets: avx,
		Else: "updateOneByOne(theta, m, v, g, hz, s, k)",
		Doc: []string{
			"makes a step of some tensors, whose m and v lie one behind the other, of elements that each have their own curvature:",
			"for t < tensors, i < len(theta[t]), j counting on: v[j], den = curvature(v[j], |hz[t][i]|/s.div); m[j], theta[t][i] = descend(m[j], grad[t][i], theta[t][i], den).",
		},
	}, {
		Name: "updateBlocks",
		Args: slices.Concat(slice("theta", "m", "v", "g", "hz"), contiguous, scalars, power),
		Sets: everywhere,
		Else: "updateGeneric(theta, m, v, g, hz, p, s, k, 0)",
		Doc: []string{
			"makes a step of contiguous blocks of block elements each:",
			"v[j], den = curvature(v[j], sum of |hz| over block j / s.div); for its elements i: m[i], theta[i] = descend(m[i], grad[i], theta[i], den).",
			"It requires block of at least 1.",
		},
	}, {
		Name: "updateRows",
		Args: slices.Concat(slice("theta", "m", "v", "g", "hz", "den"), strided, scalars, power),
		Sets: everywhere,
		Else: "updateGeneric(theta, m, v, g, hz, p, s, k, 0)",
		Doc: []string{
			"makes a step of a panel of strided blocks, outer slices of block rows of width columns, rows stride elements apart:",
			"v[j], den[j] = curvature(v[j], sum over b of |hz[b][j]| / s.div); for b: m[b][j], theta[b][j] = descend(m[b][j], grad[b][j], theta[b][j], den[j]).",
			"den has room for width values. " + panelRequires,
		},
	}, {
		Name: "updateTogether",
		Args: slices.Concat(slice("theta", "m", "v", "g", "hz"), []Arg{{Param: "den []T"}}, strided, scalars, power),
		Sets: avx,
		Else: "updateRows(theta, m, v, g, hz, den, p, s, k)",
		Doc: []string{
			"is updateRows for a few rows, with all rows of a slice at a time, a few columns further on in each turn.",
			panelRequires,
		},
	}, {
		Name: "widen",
		Half: true,
		Args: slices.Concat(singles("x"), halves("h"), length("n", "h"), factor, ofHalf),
		Sets: everywhere,
		Also: f16c,
		Else: "widenGeneric(x, h, factor, f)",
		Doc:  []string{"sets x[i] = h[i]*factor for i < n, and without a multiplication where factor is 1."},
	}, {
		Name: "narrow",
		Half: true,
		Args: slices.Concat(halves("h"), singles("x"), length("n", "h"), ofHalf),
		Sets: everywhere,
		Also: f16c,
		Else: "narrowGeneric(h, x, f)",
		Doc:  []string{"sets h[i] to x[i] for i < n, rounded to nearest even; a NaN becomes the quiet one without sign and payload."},
	}, {
		Name: "allFiniteHalf",
		Half: true,
		Args: slices.Concat(halves("h"), length("n", "h"), ofHalf),
		Bool: true,
		Sets: everywhere,
		Else: "allFiniteHalfGeneric(h, f)",
		Doc:  []string{"reports whether no h[i], i < n, is NaN or infinite."},
	}, {
		Name: "updateElementsHalf",
		Half: true,
		Args: slices.Concat(stepOfHalves, length("n", "theta"), []Arg{scalars32}, power, factor, ofHalf, tiles),
		Sets: everywhere,
		Also: f16c,
		Else: "updateHalfTiles(theta, m, v, out, g, hz, panel{len(theta), 1, 1, 1}, s, k, factor, f, w)",
		Doc: []string{
			"is updateElements with inputs of halves:",
			inputsOfHalves,
		},
	}, {
		Name: "updateBlocksHalf",
		Half: true,
		Args: slices.Concat(stepOfHalves, contiguous, []Arg{scalars32}, power, factor, ofHalf, tiles),
		Sets: everywhere,
		Also: f16c,
		Else: "updateHalfTiles(theta, m, v, out, g, hz, p, s, k, factor, f, w)",
		Doc: []string{
			"is updateBlocks with inputs of halves:",
			inputsOfHalves,
			"It requires block of at least 1.",
		},
	}, {
		Name: "updateRowsHalf",
		Half: true,
		Args: slices.Concat(stepOfHalves, singles("den"), strided, []Arg{scalars32}, power, factor, ofHalf, tiles),
		Sets: everywhere,
		Also: f16c,
		Else: "updateHalfRows(theta, m, v, out, g, hz, p, s, k, factor, f, w)",
		Doc: []string{
			"is updateRows with inputs of halves:",
			inputsOfHalves,
			"den has room for width values. " + panelRequires,
		},
	}, {
		Name: "blockMeansHalf",
		Half: true,
		Args: slices.Concat(singles("d"), halves("x"), length("blocks", "d"), plain("int", "block"), plain("float32", "div"), factor, ofHalf, tiles),
		Sets: everywhere,
		Also: f16c,
		Else: "blockMeansHalfTiles(d, x, block, div, factor, f, w)",
		Doc: []string{
			"is blockMeans with inputs of halves:",
			inputsOfHalves,
			"It requires block of at least 1.",
		},
	}, {
		Name: "stridedMeansHalf",
		Half: true,
		Args: slices.Concat(singles("d"), halves("x"), strided, plain("float32", "div"), plain("bool", "more"), []Arg{next}, factor, ofHalf, tiles),
		Sets: everywhere,
		Also: f16c,
		Else: "stridedMeansHalfTiles(d, x, p, div, more, factor, f, w)",
		Doc: []string{
			"is stridedMeans with inputs of halves:",
			inputsOfHalves,
			panelRequires,
		},
	}, {
		Name: "descendBlocksHalf",
		Half: true,
		Args: slices.Concat(singles("theta"), singles("m"), halves("out"), halves("g"), singles("den"), contiguous,
			[]Arg{scalars32}, factor, ofHalf, tiles),
		Sets: everywhere,
		Also: f16c,
		Else: "descendHalfTiles(theta, m, out, g, den, p, s, factor, f, w)",
		Doc: []string{
			"is descendBlocks with inputs of halves:",
			inputsOfHalves,
			"It requires block of at least 1.",
		},
	}, {
		Name: "updateTogetherHalf",
		Half: true,
		Args: slices.Concat(stepOfHalves, strided, []Arg{scalars32}, power, factor, ofHalf, tiles),
		Sets: avx,
		Also: f16c,
		Else: "updateRowsHalf(theta, m, v, out, g, hz, w.den[:], p, s, k, factor, f, w)",
		Doc: []string{
			"is updateTogether with inputs of halves:",
			inputsOfHalves,
			panelRequires,
		},
	}, {
		Name: "descendTogetherHalf",
		Half: true,
		Args: slices.Concat(singles("theta"), singles("m"), halves("out"), halves("g"), singles("den"), strided, []Arg{scalars32, next}, factor, ofHalf, tiles),
		Sets: avx,
		Also: f16c,
		Else: "descendRowsHalf(theta, m, out, g, den, g, p, s, factor, f, w)",
		Doc: []string{
			"is descendTogether with inputs of halves:",
			inputsOfHalves,
			panelRequires,
		},
	}, {
		Name: "descendRowsHalf",
		Half: true,
		Args: slices.Concat(singles("theta"), singles("m"), halves("out"), halves("g"), singles("den"),
			[]Arg{{Name: "ahead", Type: "*uint16", Param: "ahead []uint16", Value: "unsafe.SliceData(ahead)", Without: ahead.Without, Doc: ahead.Doc}},
			strided, []Arg{scalars32}, factor, ofHalf, tiles),
		Sets: everywhere,
		Also: f16c,
		Else: "descendHalfTiles(theta, m, out, g, den, p, s, factor, f, w)",
		Doc: []string{
			"is descendRows with inputs of halves:",
			inputsOfHalves,
			panelRequires,
		},
	},
}

// The arguments of a step of halves, what its kernels do with them, and what it works in
// where there is no kernel.
var (
	stepOfHalves = slices.Concat(singles("theta"), singles("m"), singles("v"), halves("out"), halves("g"), halves("hz"))
	tiles        = []Arg{{Param: "w *halfScratch"}}
)

const inputsOfHalves = "what it takes of them is widened and multiplied by factor, and out gets the new theta, rounded as by narrow."

// f16c is what AVX2 needs for the conversions of float16, which are a feature of their own.
var f16c = map[Set]string{AVX2: "(f == bfloat16 || useF16C)"}

// next is where the memory is that is read next.
var next = Arg{
	Name: "next", Type: "int", Param: "next int", Value: "next",
	Without: []Set{NEON},
	Doc:     "It asks for what lies next elements further on in each stream that it reads but does not sum into, unless next is 0.",
}

// scalars32 is the scalars of float32.
var scalars32 = Arg{Name: "s", Type: "*float32", Param: "s *scalars[float32]", Value: "s32(s)"}

// ahead is memory that is read next.
var ahead = Arg{
	Name: "ahead", Type: "*float", Param: "ahead []T", Value: "f{bits}(ahead)",
	Without: []Set{NEON},
	Doc:     "It asks for the memory at ahead, of the shape of grad, and does not read it.",
}
