// The four forms of the kernels: float and double, 256 and 512 bits.

#pragma GCC optimize("fp-contract=off") // cgo takes no such option

#include <immintrin.h>
#include "kernels.h"

#define JOIN_(a, b, c) a##b##c
#define JOIN(a, b, c) JOIN_(a, b, c)
#define NAME(f) JOIN(f, SUFFIX, )

#pragma GCC push_options
#pragma GCC target("avx2")

#define I __m256i
#define BITS(op) _mm256_##op##_epi64
#define _mm256_set1_epi64 _mm256_set1_epi64x
#define XOR _mm256_xor_si256
#define LOAD_I(p) _mm256_loadu_si256((const void *)(p))
#define STORE_I(p, x) _mm256_storeu_si256((void *)(p), x)
#define WORDS 4
#define MUL32 _mm256_mul_epu32

#define T float
#define V __m256
#define OP(op) _mm256_##op##_ps
#define LANES 8
#define SUFFIX F32AVX2
#define MIN_NORMAL 0x1p-126f
#define NOT_BELOW(x, least) OP(and)(x, OP(cmp)(ABS(x), least, _CMP_NLT_UQ))
#define ABS(x) OP(andnot)(OP(set1)(-0.0), x)
#define SIGNS(word, j) OP(or)(OP(set1)(1), OP(and)(OP(set1)(-0.0), _mm256_castsi256_ps( \
	_mm256_sllv_epi32(_mm256_set1_epi32(word), _mm256_sub_epi32(_mm256_setr_epi32(31, 30, 29, 28, 27, 26, 25, 24), _mm256_set1_epi32(8 * (j)))))))
#include "kernels.inc"

#define T double
#define V __m256d
#define OP(op) _mm256_##op##_pd
#define LANES 4
#define SUFFIX F64AVX2
#define MIN_NORMAL 0x1p-1022
#define SIGNS(word, j) OP(or)(OP(set1)(1), OP(and)(OP(set1)(-0.0), _mm256_castsi256_pd( \
	_mm256_sllv_epi64(_mm256_set1_epi64x(word), _mm256_sub_epi64(_mm256_setr_epi64x(63, 62, 61, 60), _mm256_set1_epi64x(4 * (j)))))))
#include "kernels.inc"
#undef NOT_BELOW
#undef ABS
#undef I
#undef BITS
#undef XOR
#undef LOAD_I
#undef STORE_I
#undef WORDS
#undef MUL32
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,prefer-vector-width=512")

#define I __m512i
#define BITS(op) _mm512_##op##_epi64
#define XOR _mm512_xor_si512
#define LOAD_I(p) _mm512_loadu_si512((const void *)(p))
#define STORE_I(p, x) _mm512_storeu_si512((void *)(p), x)
#define WORDS 8
#define MUL32 _mm512_mul_epu32

#define T float
#define V __m512
#define OP(op) _mm512_##op##_ps
#define LANES 16
#define SUFFIX F32AVX512
#define MIN_NORMAL 0x1p-126f
#define ABS(x) OP(abs)(x)
#define NOT_BELOW(x, least) OP(maskz_mov)(_mm512_cmp_ps_mask(ABS(x), least, _CMP_NLT_UQ), x)
#define SIGNS(word, j) OP(mask_blend)((__mmask16)((word) >> (16 * (j))), OP(set1)(1), OP(set1)(-1))
#include "kernels.inc"
#undef NOT_BELOW

#define T double
#define V __m512d
#define OP(op) _mm512_##op##_pd
#define LANES 8
#define SUFFIX F64AVX512
#define MIN_NORMAL 0x1p-1022
#define NOT_BELOW(x, least) OP(maskz_mov)(_mm512_cmp_pd_mask(ABS(x), least, _CMP_NLT_UQ), x)
#define SIGNS(word, j) OP(mask_blend)((__mmask8)((word) >> (8 * (j))), OP(set1)(1), OP(set1)(-1))
#include "kernels.inc"
#pragma GCC pop_options
