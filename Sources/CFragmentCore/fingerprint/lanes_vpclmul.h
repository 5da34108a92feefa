/* Carry-less arithmetic with two words per register: VPCLMULQDQ on 256 bits. See carryless_kernels.h for what a level
 * defines. */
#ifndef SOLIDUS_LANES_VPCLMUL_H
#define SOLIDUS_LANES_VPCLMUL_H

#include <immintrin.h>

#include "level.h"
#include "fingerprint/multiply_x86.h"

#define SFC_TARGET __attribute__((target("avx2,pclmul,vpclmulqdq,popcnt,bmi,bmi2")))
#define SFC_INLINE static inline __attribute__((always_inline, target("avx2,pclmul,vpclmulqdq,popcnt,bmi,bmi2")))

enum { LANE_COUNT = 2 };
typedef __m256i lanes;

SFC_INLINE lanes load_lanes(const sfc_word *source) { return _mm256_loadu_si256((const __m256i *)source); }
SFC_INLINE lanes load_some_lanes(const sfc_word *source, size_t count) {
    (void)count; /* Above 0 and below 2. */
    return _mm256_zextsi128_si256(_mm_loadu_si128((const __m128i *)source));
}
SFC_INLINE lanes broadcast(const sfc_word *source) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)source));
}
SFC_INLINE void store_lanes(sfc_word *target, lanes value) { _mm256_storeu_si256((__m256i *)target, value); }
SFC_INLINE lanes half_up(lanes a) { return _mm256_bslli_epi128(a, 8); }
SFC_INLINE lanes half_down(lanes a) { return _mm256_bsrli_epi128(a, 8); }
SFC_INLINE lanes multiply_low_low(lanes a, lanes b) { return _mm256_clmulepi64_epi128(a, b, 0x00); }
SFC_INLINE lanes multiply_high_low(lanes a, lanes b) { return _mm256_clmulepi64_epi128(a, b, 0x01); }
SFC_INLINE lanes multiply_low_high(lanes a, lanes b) { return _mm256_clmulepi64_epi128(a, b, 0x10); }
SFC_INLINE lanes multiply_high_high(lanes a, lanes b) { return _mm256_clmulepi64_epi128(a, b, 0x11); }

#endif
