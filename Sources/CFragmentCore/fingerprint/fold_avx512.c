/* The AVX-512 level with GFNI, VBMI and VPCLMULQDQ: everything in registers.
 *
 * Splitting. GF2P8AFFINEQB with the data as the matrices and the bytes 1, 2, 4 ... 128 as the vectors transposes the
 * 8 x 8 bit matrix in each 64-bit part: byte j of the result holds bit j of the part's eight bytes, the first one
 * highest. VPERMB then collects byte j of all eight parts, so that 64 bytes of data become one 64-bit part of each
 * plane in their order, planes 2 l and 2 l + 1 in lane l.
 *
 * Folding. A chunk's words are thus split between two registers, the upper parts in one and the lower parts in the
 * other, with even planes in the low and odd planes in the high half of each lane. With one residue in all lanes, two
 * products each of upper parts, of lower parts and of their sum (Karatsuba) serve all planes. The sums, and between
 * blocks the state, keep even and odd planes in registers of their own, four words each.
 */
#include "fingerprint/kernels_x86.h"

#if defined(__x86_64__)

#include "fingerprint/lanes_avx512.h"

/* Words of four planes, all even or all odd: an unreduced sum of products, before Karatsuba's middle is put right. */
typedef struct {
    __m512i low, high, cross;
} product_sums;

/* The state upper t^128 + lower of four planes. */
typedef struct {
    __m512i lower, upper;
} plane_states;

/* One 64-bit part of each plane, in order. */
SFC_INLINE __m512i split_64_bytes(const uint8_t *bytes) {
    const __m512i unit_vectors = _mm512_set1_epi64((long long)0x8040201008040201);
    /* Result byte 8 j + i = byte j of part 7 - i. */
    const __m512i collect = _mm512_add_epi8(_mm512_set1_epi64(0x0008101820283038), part_numbers());
    const __m512i transposed = _mm512_gf2p8affine_epi64_epi8(unit_vectors, _mm512_loadu_si512(bytes), 0);
    return _mm512_permutexvar_epi8(collect, transposed);
}

SFC_INLINE void add_chunk(product_sums *even, product_sums *odd, const uint8_t *chunk, const sfc_word *residue_word,
                          const sfc_word *half_sum_word) {
    const __m512i upper = split_64_bytes(chunk), lower = split_64_bytes(chunk + 64);
    const __m512i added = upper ^ lower;
    const __m512i residue = broadcast(residue_word), half_sum = broadcast(half_sum_word);
    even->low ^= multiply_low_low(lower, residue);
    odd->low ^= multiply_high_low(lower, residue);
    even->high ^= multiply_low_high(upper, residue);
    odd->high ^= multiply_high_high(upper, residue);
    even->cross ^= multiply_low_low(added, half_sum);
    odd->cross ^= multiply_high_low(added, half_sum);
}

/* Adds words * residue, for four planes. */
SFC_INLINE void add_words(product_sums *sums, __m512i words, const sfc_word *residue_word,
                          const sfc_word *half_sum_word) {
    const __m512i residue = broadcast(residue_word), half_sum = broadcast(half_sum_word);
    const __m512i added = words ^ half_down(words);
    sums->low ^= multiply_low_low(words, residue);
    sums->high ^= multiply_high_high(words, residue);
    sums->cross ^= multiply_low_low(added, half_sum);
}

SFC_INLINE plane_states assemble(product_sums sums) {
    const __m512i middle = sums.cross ^ sums.low ^ sums.high;
    return (plane_states){sums.low ^ half_up(middle), sums.high ^ half_down(middle)};
}

SFC_TARGET void sfc_fold_avx512(const sfc_fingerprint_key *key, sfc_planes *planes, const uint8_t *chunks,
                                size_t chunk_count) {
    const sfc_word *residues = key->fold.terms.residue + SFC_FOLD_PADDING;
    const sfc_word *half_sums = key->fold.terms.half_sum + SFC_FOLD_PADDING;

    const __m512i take_even = _mm512_set_epi64(13, 12, 9, 8, 5, 4, 1, 0);
    const __m512i take_odd = _mm512_set_epi64(15, 14, 11, 10, 7, 6, 3, 2);
    const __m512i lower_0 = load_lanes(&planes->lower[0]), lower_4 = load_lanes(&planes->lower[4]);
    const __m512i upper_0 = load_lanes(&planes->upper[0]), upper_4 = load_lanes(&planes->upper[4]);
    plane_states even = {_mm512_permutex2var_epi64(lower_0, take_even, lower_4),
                         _mm512_permutex2var_epi64(upper_0, take_even, upper_4)};
    plane_states odd = {_mm512_permutex2var_epi64(lower_0, take_odd, lower_4),
                        _mm512_permutex2var_epi64(upper_0, take_odd, upper_4)};

    while (chunk_count > 0) {
        const size_t count = chunk_count < SFC_BLOCK_CHUNKS ? chunk_count : SFC_BLOCK_CHUNKS;
        const __m512i zero = _mm512_setzero_si512();
        product_sums even_sums = {zero, zero, zero}, odd_sums = {zero, zero, zero};
        /* Two chunks per step, so that the compiler can add three values in one instruction. */
        size_t left = count;
        for (; left >= 2; left -= 2) {
            add_chunk(&even_sums, &odd_sums, chunks, &residues[left - 1], &half_sums[left - 1]);
            add_chunk(&even_sums, &odd_sums, chunks + SFC_CHUNK_BYTES, &residues[left - 2], &half_sums[left - 2]);
            chunks += 2 * SFC_CHUNK_BYTES;
        }
        if (left > 0) {
            add_chunk(&even_sums, &odd_sums, chunks, &residues[0], &half_sums[0]);
            chunks += SFC_CHUNK_BYTES;
        }
        add_words(&even_sums, even.lower, &residues[count], &half_sums[count]);
        add_words(&even_sums, even.upper, &residues[count + 1], &half_sums[count + 1]);
        add_words(&odd_sums, odd.lower, &residues[count], &half_sums[count]);
        add_words(&odd_sums, odd.upper, &residues[count + 1], &half_sums[count + 1]);
        even = assemble(even_sums);
        odd = assemble(odd_sums);
        chunk_count -= count;
    }

    const __m512i first_four = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0);
    const __m512i last_four = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
    store_lanes(&planes->lower[0], _mm512_permutex2var_epi64(even.lower, first_four, odd.lower));
    store_lanes(&planes->lower[4], _mm512_permutex2var_epi64(even.lower, last_four, odd.lower));
    store_lanes(&planes->upper[0], _mm512_permutex2var_epi64(even.upper, first_four, odd.upper));
    store_lanes(&planes->upper[4], _mm512_permutex2var_epi64(even.upper, last_four, odd.upper));
}

#endif
