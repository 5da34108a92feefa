/* One carry-less product of general registers; PCLMULQDQ. */
#ifndef SOLIDUS_MULTIPLY_X86_H
#define SOLIDUS_MULTIPLY_X86_H

#include <immintrin.h>

#include "level.h"

static inline __attribute__((always_inline, target("sse4.2,pclmul"))) sfc_word multiply_64(uint64_t a, uint64_t b) {
    const __m128i factor_a = _mm_cvtsi64_si128((long long)a), factor_b = _mm_cvtsi64_si128((long long)b);
    sfc_word product;
    _mm_storeu_si128((__m128i *)&product, _mm_clmulepi64_si128(factor_a, factor_b, 0x00));
    return product;
}

#endif
