/* Products with PCLMULQDQ: of two words, and the chain of powers that opens the key schedule.
 *
 * Modulo z^128 + z^7 + z^2 + z + 1, that is with z^128 = 0x87, the upper half of a product is folded in two steps: its
 * own upper 64 bits times 0x87 land on bits 64 ... 134, then its lower 64 bits, what landed there included, times 0x87
 * on bits 0 ... 70.
 */
#include "kernels_x86.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET __attribute__((target("sse4.2,pclmul")))
#define TARGET_INLINE static inline __attribute__((always_inline, target("sse4.2,pclmul")))

typedef struct {
    __m128i low, high;
} wide_product;

/* Karatsuba: three products of 64-bit halves. */
TARGET_INLINE wide_product multiply(__m128i a, __m128i b) {
    const __m128i low = _mm_clmulepi64_si128(a, b, 0x00);
    const __m128i high = _mm_clmulepi64_si128(a, b, 0x11);
    const __m128i a_sum = _mm_xor_si128(a, _mm_srli_si128(a, 8));
    const __m128i b_sum = _mm_xor_si128(b, _mm_srli_si128(b, 8));
    const __m128i cross = _mm_clmulepi64_si128(a_sum, b_sum, 0x00);
    const __m128i middle = _mm_xor_si128(cross, _mm_xor_si128(low, high));
    return (wide_product){_mm_xor_si128(low, _mm_slli_si128(middle, 8)),
                          _mm_xor_si128(high, _mm_srli_si128(middle, 8))};
}

TARGET_INLINE __m128i field_multiply(__m128i a, __m128i b) {
    const __m128i residue = _mm_cvtsi64_si128(0x87);
    wide_product product = multiply(a, b);
    const __m128i folded = _mm_clmulepi64_si128(product.high, residue, 0x01);
    product.low = _mm_xor_si128(product.low, _mm_slli_si128(folded, 8));
    product.high = _mm_xor_si128(product.high, _mm_srli_si128(folded, 8));
    return _mm_xor_si128(product.low, _mm_clmulepi64_si128(product.high, residue, 0x00));
}

TARGET_INLINE __m128i load(const sfc_word *source) {
    return _mm_loadu_si128((const __m128i *)source);
}

TARGET_INLINE void store(sfc_word *target, __m128i value) {
    _mm_storeu_si128((__m128i *)target, value);
}

TARGET sfc_product sfc_multiply_pclmul(sfc_word a, sfc_word b) {
    const wide_product product = multiply(load(&a), load(&b));
    sfc_product result;
    store(&result.low, product.low);
    store(&result.high, product.high);
    return result;
}

TARGET void sfc_powers_pclmul(sfc_word r, sfc_word powers[SFC_POWERS]) {
    const __m128i r1 = load(&r), r2 = field_multiply(r1, r1), r4 = field_multiply(r2, r2);
    /* Four chains in steps of r^4, so that multiplications overlap. */
    __m128i chains[4] = {_mm_cvtsi64_si128(1), r1, r2, field_multiply(r2, r1)};
    for (int i = 0; i + 4 < SFC_POWERS; i += 4) {
        for (int k = 0; k < 4; k++) {
            store(&powers[i + k], chains[k]);
            chains[k] = field_multiply(chains[k], r4);
        }
    }
    store(&powers[SFC_POWERS - 1], chains[0]);
}

#endif
