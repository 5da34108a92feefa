/* 64-bit ARM: bit planes by NEON's structure loads and bit inserts, folding by PMULL.
 *
 * Splitting. Plane j's word of a chunk of 128 bytes has bit 127 - k = bit j of byte k. Loading with a stride of four
 * and taking even and odd places apart collects, for each b, the byte 7 - b of every octet into register b; reversing
 * puts the last octet lowest. What remains is, at each of the 16 places, an 8 x 8 bit matrix whose rows lie in the
 * eight registers; three rounds of exchanging bits transpose it, and register j is plane j.
 *
 * Folding. For each plane the terms (the state's two halves, one word per chunk) are multiplied by the residues in
 * sfc_fold_terms and summed without reduction, with Karatsuba's three products per term; two planes share a register
 * for the added halves. Thirty-two registers hold the sums of all planes only in part, so a few chunks are split first
 * and then multiplied plane by plane.
 */
#include "fingerprint/kernels_aarch64.h"

#if defined(__aarch64__)

#include "fingerprint/lanes_pmull.h"

enum { GROUP_CHUNKS = 8 };

typedef struct {
    lanes low, high, cross;
} product_sums;

/* The places of a register in reverse order. */
SFC_INLINE uint8x16_t reverse_places(uint8x16_t a) {
    const uint8x16_t reversed = vrev64q_u8(a);
    return vextq_u8(reversed, reversed, 8);
}

/* Exchanges, in each byte, the upper `shift` bits of every group of 2 * shift in *a (below them: mask) with the lower
 * ones in *b. */
SFC_INLINE void swap_bits(uint8x16_t *a, uint8x16_t *b, int shift, uint8_t mask) {
    const uint8x16_t lower = vdupq_n_u8(mask);
    const uint8x16_t b_up = vshlq_u8(*b, vdupq_n_s8((int8_t)shift));
    const uint8x16_t a_down = vshlq_u8(*a, vdupq_n_s8((int8_t)-shift));
    *a = vbslq_u8(lower, *a, b_up);
    *b = vbslq_u8(lower, a_down, *b);
}

/* words[j][column] = plane j of a chunk. */
SFC_INLINE void split_into_planes(const uint8_t *chunk, sfc_word words[SFC_PLANES][GROUP_CHUNKS], size_t column) {
    const uint8x16x4_t first = vld4q_u8(chunk), second = vld4q_u8(chunk + 64);
    uint8x16_t rows[8];
    for (int c = 0; c < 4; c++) {
        rows[7 - c] = reverse_places(vuzp1q_u8(first.val[c], second.val[c]));
        rows[3 - c] = reverse_places(vuzp2q_u8(first.val[c], second.val[c]));
    }
    for (int r = 0; r < 4; r++) swap_bits(&rows[r], &rows[r + 4], 4, 0x0f);
    for (int r = 0; r < 8; r += 4) {
        swap_bits(&rows[r], &rows[r + 2], 2, 0x33);
        swap_bits(&rows[r + 1], &rows[r + 3], 2, 0x33);
    }
    for (int r = 0; r < 8; r += 2) swap_bits(&rows[r], &rows[r + 1], 1, 0x55);
    for (int j = 0; j < 8; j++) store_lanes(&words[j][column], vreinterpretq_u64_u8(rows[j]));
}

/* Adds the products of two planes' terms; powers of t descend, so the residues are read backwards. */
SFC_INLINE void add_terms(product_sums sums[2], const sfc_word *terms_a, const sfc_word *terms_b, size_t count,
                          const sfc_word *last_residue, const sfc_word *last_half_sum) {
    product_sums a_sums = sums[0], b_sums = sums[1];
    for (size_t i = 0; i < count; i++) {
        const lanes residue = load_lanes(last_residue + (count - 1 - i));
        const lanes half_sum = load_lanes(last_half_sum + (count - 1 - i));
        const lanes a = load_lanes(&terms_a[i]), b = load_lanes(&terms_b[i]);
        /* Low half: a's halves added; high half: b's. */
        const lanes added = vzip1q_u64(a, b) ^ vzip2q_u64(a, b);
        a_sums.low ^= multiply_low_low(a, residue);
        a_sums.high ^= multiply_high_high(a, residue);
        a_sums.cross ^= multiply_low_low(added, half_sum);
        b_sums.low ^= multiply_low_low(b, residue);
        b_sums.high ^= multiply_high_high(b, residue);
        b_sums.cross ^= multiply_high_high(added, half_sum);
    }
    sums[0] = a_sums;
    sums[1] = b_sums;
}

/* One block of 1 ... SFC_BLOCK_CHUNKS chunks. */
SFC_INLINE void fold_block(const sfc_fold_terms *constants, sfc_planes *planes, const uint8_t *chunks,
                           size_t chunk_count) {
    const sfc_word *residues = constants->residue + SFC_FOLD_PADDING;
    const sfc_word *half_sums = constants->half_sum + SFC_FOLD_PADDING;
    product_sums sums[SFC_PLANES];
    sfc_word terms[SFC_PLANES][GROUP_CHUNKS];
    for (int j = 0; j < SFC_PLANES; j++) {
        sums[j].low = sums[j].high = sums[j].cross = vdupq_n_u64(0);
        terms[j][0] = planes->upper[j];
        terms[j][1] = planes->lower[j];
    }
    for (int j = 0; j < SFC_PLANES; j += 2) {
        add_terms(&sums[j], terms[j], terms[j + 1], 2, residues + chunk_count, half_sums + chunk_count);
    }
    for (size_t left = chunk_count; left > 0;) {
        const size_t group = left < GROUP_CHUNKS ? left : GROUP_CHUNKS;
        for (size_t i = 0; i < group; i++) {
            split_into_planes(chunks + SFC_CHUNK_BYTES * i, terms, i);
        }
        chunks += SFC_CHUNK_BYTES * group;
        left -= group;
        for (int j = 0; j < SFC_PLANES; j += 2) {
            add_terms(&sums[j], terms[j], terms[j + 1], group, residues + left, half_sums + left);
        }
    }
    for (int j = 0; j < SFC_PLANES; j++) {
        const lanes middle = sums[j].cross ^ sums[j].low ^ sums[j].high;
        store_lanes(&planes->lower[j], sums[j].low ^ half_up(middle));
        store_lanes(&planes->upper[j], sums[j].high ^ half_down(middle));
    }
}

SFC_TARGET void sfc_fold_pmull(const sfc_fingerprint_key *key, sfc_planes *planes, const uint8_t *chunks,
                               size_t chunk_count) {
    while (chunk_count > 0) {
        const size_t count = chunk_count < SFC_BLOCK_CHUNKS ? chunk_count : SFC_BLOCK_CHUNKS;
        fold_block(&key->fold.terms, planes, chunks, count);
        chunks += SFC_CHUNK_BYTES * count;
        chunk_count -= count;
    }
}

#endif
