/* The AVX2 level without VPCLMULQDQ: two chunks are split side by side in 256-bit registers and multiplied one after
 * the other, their products added at once. */
#include "fingerprint/kernels_x86.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define SFC_TARGET __attribute__((target("avx2,pclmul")))
#define SFC_INLINE static inline __attribute__((always_inline, target("avx2,pclmul")))

enum { LANE_COUNT = 2 };
typedef __m256i lanes;
typedef __m128i products;

#include "fingerprint/rows_avx2.h"

SFC_INLINE lanes load_lanes(const sfc_word *source) { return _mm256_loadu_si256((const __m256i *)source); }
SFC_INLINE __m128i lane_0(lanes a) { return _mm256_castsi256_si128(a); }
SFC_INLINE __m128i lane_1(lanes a) { return _mm256_extracti128_si256(a, 1); }

SFC_INLINE products multiply_low_low(lanes a, lanes b) {
    return _mm_clmulepi64_si128(lane_0(a), lane_0(b), 0x00) ^ _mm_clmulepi64_si128(lane_1(a), lane_1(b), 0x00);
}
SFC_INLINE products multiply_high_low(lanes a, lanes b) {
    return _mm_clmulepi64_si128(lane_0(a), lane_0(b), 0x01) ^ _mm_clmulepi64_si128(lane_1(a), lane_1(b), 0x01);
}
SFC_INLINE products multiply_high_high(lanes a, lanes b) {
    return _mm_clmulepi64_si128(lane_0(a), lane_0(b), 0x11) ^ _mm_clmulepi64_si128(lane_1(a), lane_1(b), 0x11);
}
SFC_INLINE products no_products(void) { return _mm_setzero_si128(); }
SFC_INLINE __m128i total(products sum) { return sum; }

#include "fingerprint/fold_kernel_x86.h"

SFC_TARGET void sfc_fold_avx2(const sfc_fingerprint_key *key, sfc_planes *planes, const uint8_t *chunks,
                              size_t chunk_count) {
    fold(key, planes, chunks, chunk_count);
}

#endif
