// What a C compiler makes of the kernels: the same arithmetic in plain loops, to be
// compared with the assembly. The main function calls the kernel that its argument
// names, on as many elements as the Go program in calls.

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define N 1008
#define KERNEL __attribute__((noinline)) void

volatile long sink;

static inline void philox(uint32_t *restrict out, uint64_t key, uint64_t first, uint64_t draw, long blocks) {
	for (long b = 0; b < blocks; b++) {
		uint32_t k0 = key, k1 = key >> 32, c0 = first + b, c1 = (first + b) >> 32, c2 = draw, c3 = draw >> 32;
		for (int r = 0; r < 10; r++) {
			uint64_t p0 = (uint64_t)0xD2511F53 * c0, p1 = (uint64_t)0xCD9E8D57 * c2;
			c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, c1 = p1, c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1, c3 = p0;
			k0 += 0x9E3779B9, k1 += 0xBB67AE85;
		}
		out[4 * b] = c0, out[4 * b + 1] = c1, out[4 * b + 2] = c2, out[4 * b + 3] = c3;
	}
}

// pow.go, its special cases chosen at the end. The coefficients are those printed
// by internal/fitpow.
#define log32C0 (0x1.71547652b7e8fp+01)
#define log32C1 (0x1.ec709dc7ba250p-01)
#define log32C2 (0x1.2776c0b993348p-01)
#define log32C3 (0x1.a61b4dffbf595p-02)
#define log32C4 (0x1.476f3d45e1711p-02)
#define log32C5 (0x1.23875d418923fp-02)
#define exp32C0 (0x1.ffffffffff7a3p-01)
#define exp32C1 (0x1.62e42fef8615ep-01)
#define exp32C2 (0x1.ebfbdff9319e2p-03)
#define exp32C3 (0x1.c6b08dd46d393p-05)
#define exp32C4 (0x1.3b2ab5c529244p-07)
#define exp32C5 (0x1.5d87483855827p-10)
#define exp32C6 (0x1.430acca3496bbp-13)
#define exp32C7 (0x1.00dad2505f78dp-16)
#define exp32C8 (0x1.61afceb9158e4p-20)
#define log64C0Head (0x1.7154768000000p+01)
#define log64C0Tail (-0x1.6a3e80fc5fd56p-26)
#define log64C1 (0x1.ec709dc3a0599p-01)
#define log64C2 (0x1.2776c50eca177p-01)
#define log64C3 (0x1.a61762f6dcf2fp-02)
#define log64C4 (0x1.484af0ff62438p-02)
#define log64C5 (0x1.0ca332bee9fb7p-02)
#define log64C6 (0x1.c41b85e6fbf9ep-03)
#define log64C7 (0x1.b87f0526488b2p-03)
#define exp64C1Head (0x1.62e42fefa3800p-01)
#define exp64C1Tail (0x1.ef32368453ac7p-45)
#define exp64C2Head (0x1.ebfbdff800000p-03)
#define exp64C2Tail (0x1.62c76411137a6p-38)
#define exp64C3 (0x1.c6b08d704a0d4p-05)
#define exp64C4 (0x1.3b2ab6fba4e13p-07)
#define exp64C5 (0x1.5d87fe78a199dp-10)
#define exp64C6 (0x1.430912f8867b4p-13)
#define exp64C7 (0x1.ffcbfc788e40cp-17)
#define exp64C8 (0x1.62c021dc5d7b5p-20)
#define exp64C9 (0x1.b524d5cb15d2cp-24)
#define exp64C10 (0x1.e4d074698d3ffp-28)
#define exp64C11 (0x1.ea0c8f49cf3a1p-32)
#define exp64C12 (0x1.c2d4ab7f1e322p-36)

typedef struct { double a, aHead, aTail, cHead, cTail; } powParams;

static inline double from(uint64_t b) { double x; memcpy(&x, &b, 8); return x; }
static inline uint64_t bits(double x) { uint64_t b; memcpy(&b, &x, 8); return b; }

// One choice at a time, which gcc can vectorize.
static inline double special(double x, double y) {
	y = x <= (double)INFINITY ? y : x;
	y = x == (double)INFINITY ? x : y;
	return x == 0 ? 0 : y;
}

static inline double f32_pow(double v, const powParams *p) {
	uint64_t b = bits(v) + (0x3FF0000000000000 - 0x3FE6A09E667F3BCD);
	double e = from(b >> 52 | 0x4330000000000000) - (0x1p52 + 1023);
	double m = from((b & 0xFFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD);
	double s = (m - 1) / (m + 1), z = s * s, z2 = z * z;
	double l = log32C4 + log32C5 * z;
	l = (log32C2 + log32C3 * z) + z2 * l;
	l = (log32C0 + log32C1 * z) + z2 * l;
	double y = p->a * (e + s * l), t = y + 0x1.8p52, r = y - (t - 0x1.8p52), r2 = r * r, r4 = r2 * r2;
	double q0 = (exp32C0 + exp32C1 * r) + r2 * (exp32C2 + exp32C3 * r);
	double q4 = (exp32C4 + exp32C5 * r) + r2 * (exp32C6 + exp32C7 * r);
	double q = q0 + r4 * (q4 + r4 * exp32C8);
	return special(v, from(bits(q) + (bits(t) << 52)));
}

static inline double f64_pow(double v, const powParams *p) {
	uint64_t b = bits(v) + (0x3FF0000000000000 - 0x3FE6A09E667F3BCD);
	double e = from(b >> 52 | 0x4330000000000000) - (0x1p52 + 1023);
	double m = from((b & 0xFFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD);
	double f = m - 1, d = m + 1, inverse = 1 / d, s = f * inverse, sHead = (s + 0x1.8p28) - 0x1.8p28;
	double dHead = from(bits(d) & ~(uint64_t)0x7FFFFFF), dTail = m - (dHead - 1);
	double sTail = ((f - sHead * dHead) - sHead * dTail) * inverse;
	double z = s * s, z2 = z * z, z4 = z2 * z2;
	double l1 = (log64C1 + log64C2 * z) + z2 * (log64C3 + log64C4 * z);
	double l5 = (log64C5 + log64C6 * z) + z2 * log64C7;
	double l = l1 + z4 * l5;
	double yTail = p->cHead * sTail + p->cTail * s + p->aTail * e;
	yTail = ((p->a * s) * z) * l + yTail;
	double ae = p->aHead * e, cs = p->cHead * sHead, t = (ae + cs) + 0x1.8p52, yHead = (ae - (t - 0x1.8p52)) + cs;
	double rHead = (yHead + 0x1.8p42) - 0x1.8p42, rTail = (yHead - rHead) + yTail, r = rHead + rTail;
	double slope = exp64C1Head + exp64C2Head * rHead, exact = 1 + rHead * slope, r2 = r * r, r4 = r2 * r2, r8 = r4 * r4;
	double q1 = (exp64C1Tail + exp64C2Tail * r) + r2 * (exp64C3 + exp64C4 * r);
	double q5 = (exp64C5 + exp64C6 * r) + r2 * (exp64C7 + exp64C8 * r);
	double q9 = (exp64C9 + exp64C10 * r) + r2 * (exp64C11 + exp64C12 * r);
	double q = (q1 + r4 * q5) + r8 * q9;
	double y = exact + (rTail * (slope + exp64C2Head * r) + r * q);
	return special(v, from(bits(y) + (bits(t) << 52)));
}

#define T float
#define NAME(f) f32_##f
#define SUMS 16
#define FABS fabsf
#define SQRT sqrtf
#define MIN_NORMAL 0x1p-126f
#include "loops.h"

#define T double
#define NAME(f) f64_##f
#define SUMS 8
#define FABS fabs
#define SQRT sqrt
#define MIN_NORMAL 0x1p-1022
#include "loops.h"

int main(int argc, char **argv) {
	if (!strcmp(argv[2], "f32"))
		f32_call(argv[1]);
	else
		f64_call(argv[1]);
	return 0;
}
