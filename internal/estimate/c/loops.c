// The loops of the kernels, for compilers to do their best with: one array each,
// restrict everywhere, nothing that could be called. WIDE selects double.

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef WIDE
typedef double T;
typedef uint64_t U;
#define ABS fabs
#define SQRT sqrt
#define MIN_NORMAL 0x1p-1022
#define FINITE 0x7fefffffffffffff
#define ONE 0x3ff0000000000000
#else
typedef float T;
typedef uint32_t U;
#define ABS fabsf
#define SQRT sqrtf
#define MIN_NORMAL 0x1p-126f
#define FINITE 0x7f7fffff
#define ONE 0x3f800000
#endif
#define TOP (8 * sizeof(T) - 1)

struct scalars { T b1, c1, b2, c2, s, w, r, e, limit, div; };

static inline T flush(T x) { return ABS(x) < MIN_NORMAL ? 0 : x; }

void addProbe(T *restrict acc, const T *restrict z, const T *restrict hz, long n) {
	for (long i = 0; i < n; i++) acc[i] += z[i] * hz[i];
}

int allFinite(const U *restrict x, long n) {
	U most = 0;
	for (long i = 0; i < n; i++) {
		U b = x[i] & ((U)-1 >> 1);
		most = b > most ? b : most;
	}
	return most <= FINITE;
}

void stridedMeans(T *restrict d, const T *restrict x, long n) { // a row
	for (long i = 0; i < n; i++) d[i] += ABS(x[i]);
}

void curvature(T *restrict v, T *restrict den, const T *restrict d, long n, const struct scalars *restrict s) {
	T b2 = s->b2, c2 = s->c2, r = s->r, e = s->e;
	for (long i = 0; i < n; i++) {
		v[i] = flush(b2 * v[i] + c2 * d[i] * d[i]);
		den[i] = SQRT(v[i]) * r + e;
	}
}

static inline T clamp(T u, T limit) { return u > limit ? limit : u < -limit ? -limit : u; }

void descendRows(T *restrict theta, T *restrict m, const T *restrict g, const T *restrict den, long n, const struct scalars *restrict s) {
	T b1 = s->b1, c1 = s->c1, w = s->w, k = s->s;
	for (long i = 0; i < n; i++) {
		m[i] = flush(b1 * m[i] + c1 * g[i]);
		theta[i] = w * theta[i] - k * m[i] / den[i];
	}
}

void descendBlocks(T *restrict theta, T *restrict m, const T *restrict g, T den, long n, const struct scalars *restrict s) { // a block
	T b1 = s->b1, c1 = s->c1, w = s->w, k = s->s;
	for (long i = 0; i < n; i++) {
		m[i] = flush(b1 * m[i] + c1 * g[i]);
		theta[i] = w * theta[i] - k * m[i] / den;
	}
}

void update(T *restrict theta, T *restrict m, T *restrict v, const T *restrict g, const T *restrict hz, long n, const struct scalars *restrict s) {
	T b1 = s->b1, c1 = s->c1, b2 = s->b2, c2 = s->c2, w = s->w, k = s->s, r = s->r, e = s->e;
	for (long i = 0; i < n; i++) {
		v[i] = flush(b2 * v[i] + c2 * hz[i] * hz[i]);
		T den = SQRT(v[i]) * r + e;
		m[i] = flush(b1 * m[i] + c1 * g[i]);
		theta[i] = w * theta[i] - k * m[i] / den;
	}
}

void philox(uint32_t *restrict out, uint64_t key, uint64_t draw, uint64_t first, long blocks) {
	for (long b = 0; b < blocks; b++) {
		uint32_t k0 = key, k1 = key >> 32, c0 = first + b, c1 = (first + b) >> 32, c2 = draw, c3 = draw >> 32;
		for (int i = 0; i < 10; i++) {
			uint64_t p0 = (uint64_t)0xD2511F53 * c0, p1 = (uint64_t)0xCD9E8D57 * c2;
			c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, c1 = p1;
			c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1, c3 = p0;
			k0 += 0x9E3779B9, k1 += 0xBB67AE85;
		}
		out[4 * b] = c0, out[4 * b + 1] = c1, out[4 * b + 2] = c2, out[4 * b + 3] = c3;
	}
}

void signs(U *restrict z, const uint32_t *restrict words, long n) {
	for (long w = 0; w < n; w++)
		for (int i = 0; i < 32; i++) z[32 * w + i] = ONE | (U)(words[w] >> i & 1) << TOP;
}

static inline double bitsToDouble(uint64_t b) { double x; memcpy(&x, &b, 8); return x; }
static inline uint64_t doubleToBits(double x) { uint64_t b; memcpy(&b, &x, 8); return b; }

// As pow.go, whose coefficients matter as little here as the powers of what is
// not positive and finite.
#define C(i) (0x1.5p-3 + (i) * 0x1p-9)
#define ROUND(x, by) ((x) + (by) - (by))

struct exponent { double a, aHead, aTail, cHead, cTail; };

static inline double pow32(double x, double a) {
	uint64_t b = doubleToBits(x) + (0x3FF0000000000000 - 0x3FE6A09E667F3BCD);
	double e = bitsToDouble(b >> 52 | 0x4330000000000000) - (0x1p52 + 1023);
	double m = bitsToDouble((b & (((uint64_t)1 << 52) - 1)) + 0x3FE6A09E667F3BCD);
	double s = (m - 1) / (m + 1), z = s * s, z2 = z * z;
	double l = C(4) + C(5) * z;
	l = (C(2) + C(3) * z) + z2 * l;
	l = (C(0) + C(1) * z) + z2 * l;
	double y = a * (e + s * l), t = y + 0x1.8p52, r = y - (t - 0x1.8p52), r2 = r * r, r4 = r2 * r2;
	double q0 = (C(6) + C(7) * r) + r2 * (C(8) + C(9) * r), q4 = (C(10) + C(11) * r) + r2 * (C(12) + C(13) * r);
	double q = q0 + r4 * (q4 + r4 * C(14));
	return bitsToDouble(doubleToBits(q) + (doubleToBits(t) << 52));
}

static inline double pow64(double x, struct exponent p) {
	uint64_t b = doubleToBits(x) + (0x3FF0000000000000 - 0x3FE6A09E667F3BCD);
	double e = bitsToDouble(b >> 52 | 0x4330000000000000) - (0x1p52 + 1023);
	double m = bitsToDouble((b & (((uint64_t)1 << 52) - 1)) + 0x3FE6A09E667F3BCD);
	double f = m - 1, d = m + 1, inverse = 1 / d, s = f * inverse, sHead = ROUND(s, 0x1.8p28);
	double dHead = bitsToDouble(doubleToBits(d) & ~(((uint64_t)1 << 27) - 1)), dTail = m - (dHead - 1);
	double sTail = ((f - sHead * dHead) - sHead * dTail) * inverse;
	double z = s * s, z2 = z * z, z4 = z2 * z2;
	double l1 = (C(1) + C(2) * z) + z2 * (C(3) + C(4) * z), l5 = (C(5) + C(6) * z) + z2 * C(7), l = l1 + z4 * l5;
	double yTail = p.cHead * sTail + p.cTail * s + p.aTail * e;
	yTail = ((p.a * s) * z) * l + yTail;
	double ae = p.aHead * e, cs = p.cHead * sHead, t = (ae + cs) + 0x1.8p52, yHead = (ae - (t - 0x1.8p52)) + cs;
	double rHead = ROUND(yHead, 0x1.8p42), rTail = (yHead - rHead) + yTail, r = rHead + rTail;
	double slope = C(8) + C(9) * rHead, exact = 1 + rHead * slope;
	double r2 = r * r, r4 = r2 * r2, r8 = r4 * r4;
	double q1 = (C(10) + C(11) * r) + r2 * (C(12) + C(13) * r), q5 = (C(14) + C(15) * r) + r2 * (C(16) + C(17) * r);
	double q9 = (C(18) + C(19) * r) + r2 * (C(20) + C(21) * r), q = (q1 + r4 * q5) + r8 * q9;
	double y = exact + (rTail * (slope + C(9) * r) + r * q);
	return bitsToDouble(doubleToBits(y) + (doubleToBits(t) << 52));
}

static inline T power(T x, struct exponent p) {
#ifdef WIDE
	T y = pow64(x, p);
#else
	T y = pow32(x, p.a);
#endif
	y = x <= (T)INFINITY ? y : x;
	y = x == (T)INFINITY ? x : y;
	return x == 0 ? 0 : y;
}

void curvaturePow(T *restrict v, T *restrict den, const T *restrict d, long n, const struct scalars *restrict s, const struct exponent *restrict exponent) {
	T b2 = s->b2, c2 = s->c2, r = s->r, e = s->e;
	struct exponent p = *exponent;
	for (long i = 0; i < n; i++) {
		v[i] = flush(b2 * v[i] + c2 * d[i] * d[i]);
		den[i] = power(v[i], p) * r + e;
	}
}
