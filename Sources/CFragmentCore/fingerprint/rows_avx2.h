/* What fold_kernel_x86.h needs for splitting two chunks side by side in 256-bit registers. */
#ifndef SOLIDUS_ROWS_AVX2_H
#define SOLIDUS_ROWS_AVX2_H

SFC_INLINE lanes load_bytes(const uint8_t *earlier, const uint8_t *later) {
    const __m128i low = _mm_loadu_si128((const __m128i *)later), high = _mm_loadu_si128((const __m128i *)earlier);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}
SFC_INLINE lanes unpack_low(lanes a, lanes b) { return _mm256_unpacklo_epi8(a, b); }
SFC_INLINE lanes unpack_high(lanes a, lanes b) { return _mm256_unpackhi_epi8(a, b); }
SFC_INLINE lanes unpack_low_halves(lanes a, lanes b) { return _mm256_unpacklo_epi64(a, b); }
SFC_INLINE lanes unpack_high_halves(lanes a, lanes b) { return _mm256_unpackhi_epi64(a, b); }
SFC_INLINE lanes shift_left(lanes a, int count) { return _mm256_slli_epi64(a, count); }
SFC_INLINE lanes shift_right(lanes a, int count) { return _mm256_srli_epi64(a, count); }
SFC_INLINE lanes every_byte(char byte) { return _mm256_set1_epi8(byte); }

#endif
