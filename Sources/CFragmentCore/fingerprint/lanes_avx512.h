/* Carry-less arithmetic with four words per register: VPCLMULQDQ on 512 bits. See carryless_kernels.h for what a level
 * defines. */
#ifndef SOLIDUS_LANES_AVX512_H
#define SOLIDUS_LANES_AVX512_H

#include <immintrin.h>

#include "level.h"
#include "fingerprint/multiply_x86.h"

#define SFC_AVX512_FEATURES "avx2,pclmul,popcnt,bmi,bmi2,avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,gfni,vpclmulqdq"
#define SFC_TARGET __attribute__((target(SFC_AVX512_FEATURES)))
#define SFC_INLINE static inline __attribute__((always_inline, target(SFC_AVX512_FEATURES)))

enum { LANE_COUNT = 4 };
typedef __m512i lanes;

SFC_INLINE lanes load_lanes(const sfc_word *source) { return _mm512_loadu_si512(source); }
SFC_INLINE lanes load_some_lanes(const sfc_word *source, size_t count) {
    return _mm512_maskz_loadu_epi64((__mmask8)((1 << 2 * count) - 1), source);
}
SFC_INLINE lanes broadcast(const sfc_word *source) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)source));
}
SFC_INLINE void store_lanes(sfc_word *target, lanes value) { _mm512_storeu_si512(target, value); }
SFC_INLINE lanes half_up(lanes a) { return _mm512_bslli_epi128(a, 8); }
SFC_INLINE lanes half_down(lanes a) { return _mm512_bsrli_epi128(a, 8); }
SFC_INLINE lanes multiply_low_low(lanes a, lanes b) { return _mm512_clmulepi64_epi128(a, b, 0x00); }
SFC_INLINE lanes multiply_high_low(lanes a, lanes b) { return _mm512_clmulepi64_epi128(a, b, 0x01); }
SFC_INLINE lanes multiply_low_high(lanes a, lanes b) { return _mm512_clmulepi64_epi128(a, b, 0x10); }
SFC_INLINE lanes multiply_high_high(lanes a, lanes b) { return _mm512_clmulepi64_epi128(a, b, 0x11); }

/* n in each byte of the 64-bit part n, for permutations of bytes. */
SFC_INLINE __m512i part_numbers(void) {
    return _mm512_set_epi64(0x0707070707070707, 0x0606060606060606, 0x0505050505050505, 0x0404040404040404,
                            0x0303030303030303, 0x0202020202020202, 0x0101010101010101, 0x0000000000000000);
}

#endif
