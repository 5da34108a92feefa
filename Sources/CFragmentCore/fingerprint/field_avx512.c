/* The key schedule with VPCLMULQDQ on 512 bits, and the evaluation of planes with GFNI.
 *
 * The map from p(t) to p(r) is a 128 x 128 bit matrix with the columns r^k, cut into 16 x 16 matrices of 8 x 8 bits;
 * GF2P8AFFINEQB applies one of them to a byte of all eight planes at once. Both its preparation and its use exchange
 * the rows and columns of 8 x 16 bytes: eight words side by side, and their bytes collected by index.
 */
#include "fingerprint/kernels_x86.h"

#if defined(__x86_64__)

#include "fingerprint/lanes_avx512.h"

#include "fingerprint/carryless_kernels.h"

/* 128 bytes: eight words of 16 bytes or sixteen groups of eight. */
typedef struct {
    __m512i first, second;
} byte_matrix;

/* Byte j of group b = byte b of word j; `word_offsets` lists 16 j for j in the order of the group's bytes. */
SFC_INLINE byte_matrix group_bytes(byte_matrix words, uint64_t word_offsets) {
    const __m512i first = _mm512_add_epi8(_mm512_set1_epi64((long long)word_offsets), part_numbers());
    const __m512i second = _mm512_add_epi8(first, _mm512_set1_epi8(8));
    return (byte_matrix){_mm512_permutex2var_epi8(words.first, first, words.second),
                         _mm512_permutex2var_epi8(words.first, second, words.second)};
}

/* Byte b of word j = byte j of group b. */
SFC_INLINE byte_matrix ungroup_bytes(byte_matrix groups) {
    const __m128i group_offsets = _mm_set_epi64x(0x7870686058504840, 0x3830282018100800);
    const __m512i first = _mm512_add_epi8(
        _mm512_broadcast_i32x4(group_offsets),
        _mm512_set_epi64(0x0303030303030303, 0x0303030303030303, 0x0202020202020202, 0x0202020202020202,
                         0x0101010101010101, 0x0101010101010101, 0x0000000000000000, 0x0000000000000000));
    const __m512i second = _mm512_add_epi8(first, _mm512_set1_epi8(4));
    return (byte_matrix){_mm512_permutex2var_epi8(groups.first, first, groups.second),
                         _mm512_permutex2var_epi8(groups.first, second, groups.second)};
}

/* GF2P8AFFINEQB computes bit i of a result byte from row i of the matrix, which is its byte 7 - i. For input byte i and
 * output byte o, bit c of row b is bit b of byte o of r^(8 i + c). Grouping the bytes o of the eight powers, last power
 * first, gives the rows and columns the wrong way round; transposing is an affine map of the unit vectors. */
SFC_INLINE void prepare_evaluation_matrices(uint64_t matrices[16][16], const sfc_word *powers) {
    const __m512i unit_vectors = _mm512_set1_epi64(0x0102040810204080);
    for (int i = 0; i < 16; i++) {
        const byte_matrix columns = {load_lanes(&powers[8 * i]), load_lanes(&powers[8 * i + 4])};
        const byte_matrix grouped = group_bytes(columns, 0x0010203040506070);
        _mm512_storeu_si512(&matrices[i][0], _mm512_gf2p8affine_epi64_epi8(unit_vectors, grouped.first, 0));
        _mm512_storeu_si512(&matrices[i][8], _mm512_gf2p8affine_epi64_epi8(unit_vectors, grouped.second, 0));
    }
}

SFC_TARGET void sfc_compute_powers_avx512(sfc_word r, sfc_word powers[SFC_POWERS_ROOM], size_t count) {
    compute_powers(r, powers, count);
}

SFC_TARGET void sfc_prepare_folding_avx512(sfc_fingerprint_key *key) {
    prepare_folding(key);
    prepare_evaluation_matrices(key->evaluation.matrices, key->powers);
}

SFC_TARGET sfc_word sfc_evaluate_avx512(const sfc_fingerprint_key *key, const sfc_planes *planes) {
    sfc_word words[SFC_PLANES];
    reduce_planes(key, planes, words);
    const byte_matrix reduced = {load_lanes(&words[0]), load_lanes(&words[4])};
    const byte_matrix inputs = group_bytes(reduced, 0x7060504030201000);
    uint64_t input[16];
    _mm512_storeu_si512(&input[0], inputs.first);
    _mm512_storeu_si512(&input[8], inputs.second);

    byte_matrix outputs = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    for (int i = 0; i < 16; i++) {
        const __m512i bytes = _mm512_set1_epi64((long long)input[i]);
        const uint64_t *matrices = key->evaluation.matrices[i];
        outputs.first ^= _mm512_gf2p8affine_epi64_epi8(bytes, _mm512_loadu_si512(&matrices[0]), 0);
        outputs.second ^= _mm512_gf2p8affine_epi64_epi8(bytes, _mm512_loadu_si512(&matrices[8]), 0);
    }
    const byte_matrix values = ungroup_bytes(outputs);
    store_lanes(&words[0], values.first);
    store_lanes(&words[4], values.second);
    return inner_product(sfc_theta_powers, words, SFC_PLANES);
}

SFC_TARGET sfc_word sfc_inner_product_avx512(const sfc_word *a, const sfc_word *b, size_t count) {
    return inner_product(a, b, count);
}

#endif
