/* The SSE4.2 level: bit planes by byte shuffles and delta swaps, folding by PCLMULQDQ.
 *
 * Splitting. A chunk of 128 bytes is sixteen octets; plane j's word has bit 127 - k = bit j of byte k. Byte shuffles
 * and unpacking first collect, for each b, the byte 7 - b of every octet into register b, the last octet lowest. What
 * remains is, at each of the 16 byte positions, an 8 x 8 bit matrix whose rows lie in the eight registers; three rounds
 * of delta swaps transpose it, and register j is plane j.
 *
 * Folding. For each plane the terms (old state's upper half, its lower half, one word per chunk) are multiplied by the
 * constants of fold_terms.c and summed without reduction. Karatsuba: (v1 z + v0)(c1 z + c0) with z = t^64 takes the
 * products v0 c0, v1 c1 and (v0 + v1)(c0 + c1), each summed over all terms before they are put together once.
 */
#include "kernels_x86.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET __attribute__((target("sse4.2,pclmul")))
#define TARGET_INLINE static inline __attribute__((always_inline, target("sse4.2,pclmul")))

TARGET_INLINE __m128i load(const void *source) {
    return _mm_loadu_si128((const __m128i *)source);
}

TARGET_INLINE void store(void *target, __m128i value) {
    _mm_storeu_si128((__m128i *)target, value);
}

/* Karatsuba's assembly: low + middle t^64 + high t^128, where `cross` still contains low and high. */
TARGET_INLINE void assemble(__m128i low, __m128i high, __m128i cross, sfc_word *lower, sfc_word *upper) {
    const __m128i middle = _mm_xor_si128(cross, _mm_xor_si128(low, high));
    store(lower, _mm_xor_si128(low, _mm_slli_si128(middle, 8)));
    store(upper, _mm_xor_si128(high, _mm_srli_si128(middle, 8)));
}

/* Exchanges, in each byte, the bits of *a selected by mask << shift with those of *b selected by mask. */
TARGET_INLINE void swap_bits(__m128i *a, __m128i *b, int shift, __m128i mask) {
    const __m128i difference = _mm_and_si128(_mm_xor_si128(_mm_srli_epi64(*a, shift), *b), mask);
    *b = _mm_xor_si128(*b, difference);
    *a = _mm_xor_si128(*a, _mm_slli_epi64(difference, shift));
}

/* rows[b] byte 15 - o = byte 7 - b of octet o. */
TARGET_INLINE void gather_bytes(const uint8_t *chunk, __m128i rows[8]) {
    /* Two octets per register, last register first; 16-bit unit b becomes (byte 7 - b of the second, of the first). */
    const __m128i pair_up = _mm_setr_epi8(15, 7, 14, 6, 13, 5, 12, 4, 11, 3, 10, 2, 9, 1, 8, 0);
    __m128i pairs[8];
    for (int i = 0; i < 8; i++) pairs[i] = _mm_shuffle_epi8(load(chunk + 16 * (7 - i)), pair_up);

    /* An 8 x 8 transposition of 16-bit units in three rounds of unpacking: quads, octets, whole registers. */
    __m128i quads[8], octets[8];
    for (int i = 0; i < 8; i += 2) {
        quads[i] = _mm_unpacklo_epi16(pairs[i], pairs[i + 1]);
        quads[i + 1] = _mm_unpackhi_epi16(pairs[i], pairs[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        octets[i] = _mm_unpacklo_epi32(quads[i], quads[i + 2]);
        octets[i + 1] = _mm_unpackhi_epi32(quads[i], quads[i + 2]);
        octets[i + 2] = _mm_unpacklo_epi32(quads[i + 1], quads[i + 3]);
        octets[i + 3] = _mm_unpackhi_epi32(quads[i + 1], quads[i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        rows[2 * i] = _mm_unpacklo_epi64(octets[i], octets[i + 4]);
        rows[2 * i + 1] = _mm_unpackhi_epi64(octets[i], octets[i + 4]);
    }
}

TARGET_INLINE void transpose_bits(__m128i rows[8]) {
    const __m128i low_nibbles = _mm_set1_epi8(0x0f);
    const __m128i low_pairs = _mm_set1_epi8(0x33);
    const __m128i even_bits = _mm_set1_epi8(0x55);
    for (int r = 0; r < 4; r++) swap_bits(&rows[r], &rows[r + 4], 4, low_nibbles);
    for (int r = 0; r < 8; r += 4) {
        swap_bits(&rows[r], &rows[r + 2], 2, low_pairs);
        swap_bits(&rows[r + 1], &rows[r + 3], 2, low_pairs);
    }
    for (int r = 0; r < 8; r += 2) swap_bits(&rows[r], &rows[r + 1], 1, even_bits);
}

/* Advances two planes by one block: their terms times the constants, summed. Two at once keep the multiplier busy. */
TARGET_INLINE void fold_two_planes(const sfc_word *constants, const sfc_word *half_sums, size_t term_count,
                                   const sfc_word *terms_a, const sfc_word *terms_b, sfc_planes *planes, int plane) {
    __m128i low_a = _mm_setzero_si128(), high_a = low_a, cross_a = low_a;
    __m128i low_b = low_a, high_b = low_a, cross_b = low_a;
    for (size_t i = 0; i < term_count; i++) {
        const __m128i constant = load(&constants[i]), half_sum = load(&half_sums[i]);
        const __m128i a = load(&terms_a[i]), b = load(&terms_b[i]);
        /* Low half: a's halves summed; high half: b's. */
        const __m128i sums = _mm_xor_si128(_mm_unpacklo_epi64(a, b), _mm_unpackhi_epi64(a, b));
        low_a = _mm_xor_si128(low_a, _mm_clmulepi64_si128(a, constant, 0x00));
        high_a = _mm_xor_si128(high_a, _mm_clmulepi64_si128(a, constant, 0x11));
        cross_a = _mm_xor_si128(cross_a, _mm_clmulepi64_si128(sums, half_sum, 0x00));
        low_b = _mm_xor_si128(low_b, _mm_clmulepi64_si128(b, constant, 0x00));
        high_b = _mm_xor_si128(high_b, _mm_clmulepi64_si128(b, constant, 0x11));
        cross_b = _mm_xor_si128(cross_b, _mm_clmulepi64_si128(sums, half_sum, 0x01));
    }
    assemble(low_a, high_a, cross_a, &planes->lower[plane], &planes->upper[plane]);
    assemble(low_b, high_b, cross_b, &planes->lower[plane + 1], &planes->upper[plane + 1]);
}

/* One block of 1 ... SFC_BLOCK_CHUNKS chunks. */
TARGET_INLINE void fold_block(const sfc_fingerprint_key *key, sfc_planes *planes, const uint8_t *chunks,
                              size_t chunk_count) {
    sfc_word terms[SFC_PLANES][SFC_FOLD_TERMS];
    for (int j = 0; j < SFC_PLANES; j++) {
        terms[j][0] = planes->upper[j];
        terms[j][1] = planes->lower[j];
    }
    for (size_t i = 0; i < chunk_count; i++) {
        __m128i rows[8];
        gather_bytes(chunks + SFC_CHUNK_BYTES * i, rows);
        transpose_bits(rows);
        for (int j = 0; j < SFC_PLANES; j++) store(&terms[j][2 + i], rows[j]);
    }
    const size_t skipped = SFC_BLOCK_CHUNKS - chunk_count;
    const sfc_word *constants = key->fold.terms.constant + skipped;
    const sfc_word *half_sums = key->fold.terms.half_sum + skipped;
    for (int j = 0; j < SFC_PLANES; j += 2) {
        fold_two_planes(constants, half_sums, chunk_count + 2, terms[j], terms[j + 1], planes, j);
    }
}

TARGET void sfc_fold_sse42(const sfc_fingerprint_key *key, sfc_planes *planes, const uint8_t *chunks,
                           size_t chunk_count) {
    while (chunk_count > 0) {
        const size_t count = chunk_count < SFC_BLOCK_CHUNKS ? chunk_count : SFC_BLOCK_CHUNKS;
        fold_block(key, planes, chunks, count);
        chunks += SFC_CHUNK_BYTES * count;
        chunk_count -= count;
    }
}

#endif
