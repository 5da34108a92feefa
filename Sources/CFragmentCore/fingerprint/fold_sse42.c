/* The SSE4.2 level: one chunk at a time in 128-bit registers. */
#include "fingerprint/kernels_x86.h"

#if defined(__x86_64__)

#include "fingerprint/lanes_pclmul.h"

typedef lanes products;

SFC_INLINE lanes load_bytes(const uint8_t *earlier, const uint8_t *later) {
    (void)earlier;
    return _mm_loadu_si128((const __m128i *)later);
}
SFC_INLINE lanes unpack_low(lanes a, lanes b) { return _mm_unpacklo_epi8(a, b); }
SFC_INLINE lanes unpack_high(lanes a, lanes b) { return _mm_unpackhi_epi8(a, b); }
SFC_INLINE lanes unpack_low_halves(lanes a, lanes b) { return _mm_unpacklo_epi64(a, b); }
SFC_INLINE lanes unpack_high_halves(lanes a, lanes b) { return _mm_unpackhi_epi64(a, b); }
SFC_INLINE lanes shift_left(lanes a, int count) { return _mm_slli_epi64(a, count); }
SFC_INLINE lanes shift_right(lanes a, int count) { return _mm_srli_epi64(a, count); }
SFC_INLINE lanes every_byte(char byte) { return _mm_set1_epi8(byte); }
SFC_INLINE products no_products(void) { return _mm_setzero_si128(); }
SFC_INLINE __m128i total(products sum) { return sum; }

#include "fingerprint/fold_kernel_x86.h"

SFC_TARGET void sfc_fold_sse42(const sfc_fingerprint_key *key, sfc_planes *planes, const uint8_t *chunks,
                               size_t chunk_count) {
    fold(key, planes, chunks, chunk_count);
}

#endif
