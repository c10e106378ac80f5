// The generic Go definitions of the kernels as plain C loops, for the type T.
// NAME adds the type's name to a function's name. SUMS is the number of partial sums.

typedef struct { T b1, c1, b2, c2, s, w, r, e, limit, div; } NAME(scalars);

static inline T NAME(flush)(T x) { return FABS(x) < MIN_NORMAL ? 0 : x; }
static inline T NAME(second)(T v, T d, const NAME(scalars) *s) { return NAME(flush)(s->b2 * v + s->c2 * d * d); }
static inline T NAME(first)(T m, T g, const NAME(scalars) *s) { return NAME(flush)(s->b1 * m + s->c1 * g); }
static inline T NAME(parameter)(T theta, T m, T den, const NAME(scalars) *s) {
	T u = s->s * m / den;
	u = u > s->limit ? s->limit : u;
	u = u < -s->limit ? -s->limit : u;
	return s->w * theta - u;
}
static inline T NAME(sum)(const T *x, long block) {
	T p[SUMS] = {0};
	long i = 0;
	for (; i + SUMS <= block; i += SUMS)
		for (int j = 0; j < SUMS; j++) p[j] += FABS(x[i + j]);
	for (int j = 0; i + j < block; j++) p[j] += FABS(x[i + j]);
	for (int w = SUMS / 2; w > 0; w /= 2)
		for (int j = 0; j < w; j++) p[j] += p[j + w];
	return p[0];
}

KERNEL NAME(updateElements)(T *restrict theta, T *restrict m, T *restrict v, const T *restrict g, const T *restrict hz, long n, const NAME(scalars) *sp) {
	const NAME(scalars) s = *sp;
	for (long i = 0; i < n; i++) {
		v[i] = NAME(second)(v[i], FABS(hz[i]), &s);
		T den = SQRT(v[i]) * s.r + s.e;
		m[i] = NAME(first)(m[i], g[i], &s);
		theta[i] = NAME(parameter)(theta[i], m[i], den, &s);
	}
}

KERNEL NAME(updateBlocks)(T *restrict theta, T *restrict m, T *restrict v, const T *restrict g, const T *restrict hz, long blocks, long block, const NAME(scalars) *sp) {
	const NAME(scalars) s = *sp;
	for (long o = 0; o < blocks; o++) {
		v[o] = NAME(second)(v[o], NAME(sum)(hz + o * block, block) / s.div, &s);
		T den = SQRT(v[o]) * s.r + s.e;
		for (long i = o * block; i < (o + 1) * block; i++) {
			m[i] = NAME(first)(m[i], g[i], &s);
			theta[i] = NAME(parameter)(theta[i], m[i], den, &s);
		}
	}
}

static inline void NAME(columnSums)(T *restrict d, const T *restrict x, long block, long width) {
	for (long i = 0; i < width; i++) d[i] = FABS(x[i]);
	for (long b = 1; b < block; b++)
		for (long i = 0; i < width; i++) d[i] += FABS(x[b * width + i]);
}

static inline void NAME(rows)(T *restrict theta, T *restrict m, const T *restrict g, const T *restrict den, long block, long width, NAME(scalars) s) {
	for (long b = 0; b < block; b++)
		for (long i = 0; i < width; i++) {
			long e = b * width + i;
			m[e] = NAME(first)(m[e], g[e], &s);
			theta[e] = NAME(parameter)(theta[e], m[e], den[i], &s);
		}
}

KERNEL NAME(updateRows)(T *restrict theta, T *restrict m, T *restrict v, const T *restrict g, const T *restrict hz, T *restrict den, long block, long width, const NAME(scalars) *sp) {
	const NAME(scalars) s = *sp;
	NAME(columnSums)(den, hz, block, width);
	for (long i = 0; i < width; i++) {
		v[i] = NAME(second)(v[i], den[i] / s.div, &s);
		den[i] = SQRT(v[i]) * s.r + s.e;
	}
	NAME(rows)(theta, m, g, den, block, width, s);
}

KERNEL NAME(curvature)(T *restrict v, T *restrict den, const T *restrict d, long n, const NAME(scalars) *sp) {
	const NAME(scalars) s = *sp;
	for (long i = 0; i < n; i++) {
		v[i] = NAME(second)(v[i], d[i], &s);
		den[i] = SQRT(v[i]) * s.r + s.e;
	}
}

KERNEL NAME(curvaturePow)(T *restrict v, T *restrict den, const T *restrict d, long n, const NAME(scalars) *sp, const powParams *ap) {
	const NAME(scalars) s = *sp;
	const powParams a = *ap;
	for (long i = 0; i < n; i++) {
		v[i] = NAME(second)(v[i], d[i], &s);
		den[i] = (T)NAME(pow)(v[i], &a) * s.r + s.e;
	}
}

KERNEL NAME(descendRows)(T *restrict theta, T *restrict m, const T *restrict g, const T *restrict den, long block, long width, const NAME(scalars) *s) {
	NAME(rows)(theta, m, g, den, block, width, *s);
}

KERNEL NAME(descendBlocks)(T *restrict theta, T *restrict m, const T *restrict g, const T *restrict den, long blocks, long block, const NAME(scalars) *sp) {
	const NAME(scalars) s = *sp;
	for (long o = 0; o < blocks; o++)
		for (long i = o * block; i < (o + 1) * block; i++) {
			m[i] = NAME(first)(m[i], g[i], &s);
			theta[i] = NAME(parameter)(theta[i], m[i], den[o], &s);
		}
}

KERNEL NAME(blockMeans)(T *restrict d, const T *restrict x, long blocks, long block, T div) {
	for (long o = 0; o < blocks; o++) d[o] = NAME(sum)(x + o * block, block) / div;
}

KERNEL NAME(stridedMeans)(T *restrict d, const T *restrict x, long block, long width, T div) {
	NAME(columnSums)(d, x, block, width);
	for (long i = 0; i < width; i++) d[i] /= div;
}

KERNEL NAME(addProbe)(T *restrict acc, const T *restrict z, const T *restrict hz, long n) {
	for (long i = 0; i < n; i++) acc[i] += z[i] * hz[i];
}

KERNEL NAME(allFinite)(const T *x, long n) {
	long bad = 0; // no early exit, which would keep gcc from vectorizing the loop
	for (long i = 0; i < n; i++) bad |= x[i] - x[i] != 0;
	sink = bad;
}

KERNEL NAME(rademacher)(T *restrict z, long n, uint64_t seed, uint64_t draw, uint64_t offset) { // whole blocks, at most N signs
	uint32_t words[(N + 127) / 128 * 4];
	philox(words, seed, offset >> 7, draw, (n + 127) / 128);
	long w = 0;
	for (; 32 * (w + 1) <= n; w++)
		for (int i = 0; i < 32; i++) z[32 * w + i] = 1 - 2 * (int)(words[w] >> i & 1);
	for (int i = 0; 32 * w + i < n; i++) z[32 * w + i] = 1 - 2 * (int)(words[w] >> i & 1);
}

static void NAME(call)(const char *kernel) {
	static T theta[N], m[N], v[N], g[N], hz[N], den[N];
	for (int i = 0; i < N; i++) theta[i] = m[i] = v[i] = g[i] = hz[i] = den[i] = 1;
	NAME(scalars) s = {0.9, 0.1, 0.999, 0.001, 0.5, 1, 18, 1e-4, INFINITY, 9};
	powParams a = {0.375, 0.375, 0, 1.08, 1e-9};
	long b = 9, k = N / 9;
	if (!strcmp(kernel, "updateElements")) NAME(updateElements)(theta, m, v, g, hz, N, &s);
	if (!strcmp(kernel, "updateBlocks")) NAME(updateBlocks)(theta, m, v, g, hz, k, b, &s);
	if (!strcmp(kernel, "updateRows")) NAME(updateRows)(theta, m, v, g, hz, den, b, k, &s);
	if (!strcmp(kernel, "curvature")) NAME(curvature)(v, den, hz, N, &s);
	if (!strcmp(kernel, "curvaturePow")) NAME(curvaturePow)(v, den, hz, N, &s, &a);
	if (!strcmp(kernel, "descendRows")) NAME(descendRows)(theta, m, g, den, 1, N, &s);
	if (!strcmp(kernel, "descendBlocks")) NAME(descendBlocks)(theta, m, g, den, k, b, &s);
	if (!strcmp(kernel, "blockMeans")) NAME(blockMeans)(v, hz, k, b, 9);
	if (!strcmp(kernel, "stridedMeans")) NAME(stridedMeans)(v, hz, b, k, 9);
	if (!strcmp(kernel, "addProbe")) NAME(addProbe)(theta, g, hz, N);
	if (!strcmp(kernel, "allFinite")) NAME(allFinite)(g, N);
	if (!strcmp(kernel, "rademacher")) NAME(rademacher)(theta, N, 1, 2, 0);
}

#undef T
#undef NAME
#undef SUMS
#undef FABS
#undef SQRT
#undef MIN_NORMAL
