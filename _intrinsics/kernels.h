#include <stdint.h>

// update: θ, m, v, g, hz of n elements, a multiple of the lanes, and the scalars
// b1, c1, b2, c2, s, w, r, e, limit. signs: n is a multiple of 128. fill and
// stream set every element to 1, by plain and by non-temporal stores.
#define DECLARE(T, SUFFIX)                                                                               \
	void update##SUFFIX(T *theta, T *m, T *v, const T *g, const T *hz, long n, const double *s);     \
	void signs##SUFFIX(T *z, long n, uint64_t seed, uint64_t draw);                                  \
	void fill##SUFFIX(T *z, long n);                                                                 \
	void stream##SUFFIX(T *z, long n);
DECLARE(float, F32AVX2)
DECLARE(double, F64AVX2)
DECLARE(float, F32AVX512)
DECLARE(double, F64AVX512)
