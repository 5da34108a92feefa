/* Carry-less arithmetic with one word per register: PCLMULQDQ. See carryless_kernels.h for what a level defines. */
#ifndef SOLIDUS_LANES_PCLMUL_H
#define SOLIDUS_LANES_PCLMUL_H

#include <immintrin.h>

#include "level.h"
#include "fingerprint/multiply_x86.h"

#define SFC_TARGET __attribute__((target("sse4.2,pclmul,popcnt")))
#define SFC_INLINE static inline __attribute__((always_inline, target("sse4.2,pclmul,popcnt")))

enum { LANE_COUNT = 1 };
typedef __m128i lanes;

SFC_INLINE lanes load_lanes(const sfc_word *source) { return _mm_loadu_si128((const __m128i *)source); }
SFC_INLINE lanes load_some_lanes(const sfc_word *source, size_t count) {
    (void)count; /* No number is above 0 and below 1: there never is a rest. */
    return load_lanes(source);
}
SFC_INLINE lanes broadcast(const sfc_word *source) { return load_lanes(source); }
SFC_INLINE void store_lanes(sfc_word *target, lanes value) { _mm_storeu_si128((__m128i *)target, value); }
SFC_INLINE lanes half_up(lanes a) { return _mm_slli_si128(a, 8); }
SFC_INLINE lanes half_down(lanes a) { return _mm_srli_si128(a, 8); }
SFC_INLINE lanes multiply_low_low(lanes a, lanes b) { return _mm_clmulepi64_si128(a, b, 0x00); }
SFC_INLINE lanes multiply_high_low(lanes a, lanes b) { return _mm_clmulepi64_si128(a, b, 0x01); }
SFC_INLINE lanes multiply_low_high(lanes a, lanes b) { return _mm_clmulepi64_si128(a, b, 0x10); }
SFC_INLINE lanes multiply_high_high(lanes a, lanes b) { return _mm_clmulepi64_si128(a, b, 0x11); }

#endif
