/* The AVX2 levels: two chunks are split side by side, one in each 128-bit half, with the steps of fold_sse42.c.
 *
 * The words of chunk i and chunk i + 1 of a plane then lie next to each other in one 256-bit register and go to memory
 * with one store. Level "avx2" multiplies them one at a time (PCLMULQDQ), level "vpclmul" two at a time; there an odd
 * number of terms is made even by a term whose constant is zero, and the halves of each sum are added at the end.
 */
#include "kernels_x86.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET_AVX2 __attribute__((target("avx2,pclmul")))
#define TARGET_VPCLMUL __attribute__((target("avx2,pclmul,vpclmulqdq")))
#define INLINE_AVX2 static inline __attribute__((always_inline, target("avx2,pclmul")))
#define INLINE_VPCLMUL static inline __attribute__((always_inline, target("avx2,pclmul,vpclmulqdq")))

/* A plane's terms with room for a second chunk beyond the last and for the padding term. */
typedef sfc_word plane_terms[SFC_PLANES][SFC_FOLD_TERMS_PADDED];

INLINE_AVX2 __m128i load(const void *source) {
    return _mm_loadu_si128((const __m128i *)source);
}

INLINE_AVX2 void store(void *target, __m128i value) {
    _mm_storeu_si128((__m128i *)target, value);
}

INLINE_AVX2 __m256i load_wide(const void *source) {
    return _mm256_loadu_si256((const __m256i *)source);
}

/* Karatsuba's assembly: low + middle t^64 + high t^128, where `cross` still contains low and high. */
INLINE_AVX2 void assemble(__m128i low, __m128i high, __m128i cross, sfc_word *lower, sfc_word *upper) {
    const __m128i middle = _mm_xor_si128(cross, _mm_xor_si128(low, high));
    store(lower, _mm_xor_si128(low, _mm_slli_si128(middle, 8)));
    store(upper, _mm_xor_si128(high, _mm_srli_si128(middle, 8)));
}

/* Exchanges, in each byte, the bits of *a selected by mask << shift with those of *b selected by mask. */
INLINE_AVX2 void swap_bits(__m256i *a, __m256i *b, int shift, __m256i mask) {
    const __m256i difference = _mm256_and_si256(_mm256_xor_si256(_mm256_srli_epi64(*a, shift), *b), mask);
    *b = _mm256_xor_si256(*b, difference);
    *a = _mm256_xor_si256(*a, _mm256_slli_epi64(difference, shift));
}

/* In each 128-bit half: rows[b] byte 15 - o = byte 7 - b of octet o of that half's chunk. */
INLINE_AVX2 void gather_bytes(const uint8_t *first, const uint8_t *second, __m256i rows[8]) {
    const __m256i pair_up = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(15, 7, 14, 6, 13, 5, 12, 4, 11, 3, 10, 2, 9, 1, 8, 0));
    __m256i pairs[8];
    for (int i = 0; i < 8; i++) {
        const int offset = 16 * (7 - i);
        const __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(load(first + offset)),
                                                     load(second + offset), 1);
        pairs[i] = _mm256_shuffle_epi8(both, pair_up);
    }
    __m256i quads[8], octets[8];
    for (int i = 0; i < 8; i += 2) {
        quads[i] = _mm256_unpacklo_epi16(pairs[i], pairs[i + 1]);
        quads[i + 1] = _mm256_unpackhi_epi16(pairs[i], pairs[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        octets[i] = _mm256_unpacklo_epi32(quads[i], quads[i + 2]);
        octets[i + 1] = _mm256_unpackhi_epi32(quads[i], quads[i + 2]);
        octets[i + 2] = _mm256_unpacklo_epi32(quads[i + 1], quads[i + 3]);
        octets[i + 3] = _mm256_unpackhi_epi32(quads[i + 1], quads[i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        rows[2 * i] = _mm256_unpacklo_epi64(octets[i], octets[i + 4]);
        rows[2 * i + 1] = _mm256_unpackhi_epi64(octets[i], octets[i + 4]);
    }
}

INLINE_AVX2 void transpose_bits(__m256i rows[8]) {
    const __m256i low_nibbles = _mm256_set1_epi8(0x0f);
    const __m256i low_pairs = _mm256_set1_epi8(0x33);
    const __m256i even_bits = _mm256_set1_epi8(0x55);
    for (int r = 0; r < 4; r++) swap_bits(&rows[r], &rows[r + 4], 4, low_nibbles);
    for (int r = 0; r < 8; r += 4) {
        swap_bits(&rows[r], &rows[r + 2], 2, low_pairs);
        swap_bits(&rows[r + 1], &rows[r + 3], 2, low_pairs);
    }
    for (int r = 0; r < 8; r += 2) swap_bits(&rows[r], &rows[r + 1], 1, even_bits);
}

/* The state and the chunks of a block as terms. An odd last chunk is split together with itself: one surplus term. */
INLINE_AVX2 void split_block(const sfc_planes *planes, const uint8_t *chunks, size_t chunk_count,
                             plane_terms terms) {
    for (int j = 0; j < SFC_PLANES; j++) {
        terms[j][0] = planes->upper[j];
        terms[j][1] = planes->lower[j];
    }
    for (size_t i = 0; i < chunk_count; i += 2) {
        const uint8_t *first = chunks + SFC_CHUNK_BYTES * i;
        const uint8_t *second = i + 1 < chunk_count ? first + SFC_CHUNK_BYTES : first;
        __m256i rows[8];
        gather_bytes(first, second, rows);
        transpose_bits(rows);
        for (int j = 0; j < SFC_PLANES; j++) _mm256_storeu_si256((__m256i *)&terms[j][2 + i], rows[j]);
    }
}

INLINE_AVX2 void fold_two_planes_narrow(const sfc_word *constants, const sfc_word *half_sums, size_t term_count,
                                        const sfc_word *terms_a, const sfc_word *terms_b, sfc_planes *planes,
                                        int plane) {
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

INLINE_VPCLMUL __m128i sum_of_halves(__m256i wide) {
    return _mm_xor_si128(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
}

/* As above with two terms per step; term_count is even. */
INLINE_VPCLMUL void fold_two_planes_wide(const sfc_word *constants, const sfc_word *half_sums, size_t term_count,
                                         const sfc_word *terms_a, const sfc_word *terms_b, sfc_planes *planes,
                                         int plane) {
    __m256i low_a = _mm256_setzero_si256(), high_a = low_a, cross_a = low_a;
    __m256i low_b = low_a, high_b = low_a, cross_b = low_a;
    for (size_t i = 0; i < term_count; i += 2) {
        const __m256i constant = load_wide(&constants[i]), half_sum = load_wide(&half_sums[i]);
        const __m256i a = load_wide(&terms_a[i]), b = load_wide(&terms_b[i]);
        const __m256i sums = _mm256_xor_si256(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
        low_a = _mm256_xor_si256(low_a, _mm256_clmulepi64_epi128(a, constant, 0x00));
        high_a = _mm256_xor_si256(high_a, _mm256_clmulepi64_epi128(a, constant, 0x11));
        cross_a = _mm256_xor_si256(cross_a, _mm256_clmulepi64_epi128(sums, half_sum, 0x00));
        low_b = _mm256_xor_si256(low_b, _mm256_clmulepi64_epi128(b, constant, 0x00));
        high_b = _mm256_xor_si256(high_b, _mm256_clmulepi64_epi128(b, constant, 0x11));
        cross_b = _mm256_xor_si256(cross_b, _mm256_clmulepi64_epi128(sums, half_sum, 0x01));
    }
    assemble(sum_of_halves(low_a), sum_of_halves(high_a), sum_of_halves(cross_a), &planes->lower[plane],
             &planes->upper[plane]);
    assemble(sum_of_halves(low_b), sum_of_halves(high_b), sum_of_halves(cross_b), &planes->lower[plane + 1],
             &planes->upper[plane + 1]);
}

TARGET_AVX2 void sfc_fold_avx2(const sfc_fingerprint_key *key, sfc_planes *planes, const uint8_t *chunks,
                               size_t chunk_count) {
    while (chunk_count > 0) {
        const size_t count = chunk_count < SFC_BLOCK_CHUNKS ? chunk_count : SFC_BLOCK_CHUNKS;
        const size_t skipped = SFC_BLOCK_CHUNKS - count;
        plane_terms terms;
        split_block(planes, chunks, count, terms);
        for (int j = 0; j < SFC_PLANES; j += 2) {
            fold_two_planes_narrow(key->fold.terms.constant + skipped, key->fold.terms.half_sum + skipped, count + 2,
                                   terms[j], terms[j + 1], planes, j);
        }
        chunks += SFC_CHUNK_BYTES * count;
        chunk_count -= count;
    }
}

TARGET_VPCLMUL void sfc_fold_vpclmul(const sfc_fingerprint_key *key, sfc_planes *planes, const uint8_t *chunks,
                                     size_t chunk_count) {
    while (chunk_count > 0) {
        const size_t count = chunk_count < SFC_BLOCK_CHUNKS ? chunk_count : SFC_BLOCK_CHUNKS;
        const size_t skipped = SFC_BLOCK_CHUNKS - count;
        plane_terms terms;
        split_block(planes, chunks, count, terms);
        /* With an odd count the surplus term is multiplied by the zero that pads the constants. */
        const size_t even_term_count = (count + 2 + 1) & ~(size_t)1;
        for (int j = 0; j < SFC_PLANES; j += 2) {
            fold_two_planes_wide(key->fold.terms.constant + skipped, key->fold.terms.half_sum + skipped,
                                 even_term_count, terms[j], terms[j + 1], planes, j);
        }
        chunks += SFC_CHUNK_BYTES * count;
        chunk_count -= count;
    }
}

#endif
