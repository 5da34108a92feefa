/* SHA-256 of sixteen messages side by side with AVX-512: each 32-bit word of a register belongs to another message.
 *
 * A block is one register; sixteen of them are transposed, so that register t holds word W[t] of all messages, and
 * schedule, working variables and temporaries fit the thirty-two registers. Rotations are one instruction, and so is
 * every Boolean function of three variables: its truth table is the instruction's constant.
 */
#include "hash/sha256_kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw")))
#define TARGET_INLINE static inline __attribute__((always_inline, target("avx512f,avx512bw")))

enum { LANES = 16 };

/* Truth tables over (a, b, c), a the most significant bit of the row's number. */
enum { TABLE_XOR = 0x96, TABLE_CHOICE = 0xca, TABLE_MAJORITY = 0xe8 };

TARGET_INLINE __m512i xor3(__m512i a, __m512i b, __m512i c) {
    return _mm512_ternarylogic_epi32(a, b, c, TABLE_XOR);
}

/* Transposes the 4 x 4 squares of words that four rows form in each 128-bit lane. */
TARGET_INLINE void transpose_squares(__m512i *rows, const int row_count) {
#pragma GCC unroll 4
    for (int i = 0; i < row_count; i += 4) {
        const __m512i low01 = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
        const __m512i high01 = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
        const __m512i low23 = _mm512_unpacklo_epi32(rows[i + 2], rows[i + 3]);
        const __m512i high23 = _mm512_unpackhi_epi32(rows[i + 2], rows[i + 3]);
        rows[i] = _mm512_unpacklo_epi64(low01, low23);
        rows[i + 1] = _mm512_unpackhi_epi64(low01, low23);
        rows[i + 2] = _mm512_unpacklo_epi64(high01, high23);
        rows[i + 3] = _mm512_unpackhi_epi64(high01, high23);
    }
}

/* Sixteen rows of sixteen words become sixteen columns. */
TARGET_INLINE void transpose_blocks(__m512i rows[16]) {
    transpose_squares(rows, 16);
    /* Now a 4 x 4 transposition of 128-bit lanes among rows k, k + 4, k + 8, k + 12. */
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) {
        const __m512i even01 = _mm512_shuffle_i32x4(rows[k], rows[k + 4], 0x88);
        const __m512i odd01 = _mm512_shuffle_i32x4(rows[k], rows[k + 4], 0xdd);
        const __m512i even23 = _mm512_shuffle_i32x4(rows[k + 8], rows[k + 12], 0x88);
        const __m512i odd23 = _mm512_shuffle_i32x4(rows[k + 8], rows[k + 12], 0xdd);
        rows[k] = _mm512_shuffle_i32x4(even01, even23, 0x88);
        rows[k + 4] = _mm512_shuffle_i32x4(odd01, odd23, 0x88);
        rows[k + 8] = _mm512_shuffle_i32x4(even01, even23, 0xdd);
        rows[k + 12] = _mm512_shuffle_i32x4(odd01, odd23, 0xdd);
    }
}

/* Row i holds eight words of message i and eight of message i + 8; afterwards row i holds word i of all messages. The
 * two halves are transposed alike, so the function undoes itself. */
TARGET_INLINE void transpose_states(__m512i rows[8]) {
    const __m512i lower = _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0);
    const __m512i upper = _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2);
    transpose_squares(rows, 8);
    for (int k = 0; k < 4; k++) {
        const __m512i first = rows[k], second = rows[k + 4];
        rows[k] = _mm512_permutex2var_epi64(first, lower, second);
        rows[k + 4] = _mm512_permutex2var_epi64(first, upper, second);
    }
}

/* Words W[0] ... W[15] of the messages' blocks at the byte offset. */
TARGET_INLINE void load_schedule(__m512i schedule[16], const uint8_t *const lanes[LANES], size_t offset) {
    const __m512i big_endian_words = _mm512_broadcast_i32x4(
        _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203));
#pragma GCC unroll 16
    for (int lane = 0; lane < LANES; lane++) schedule[lane] = _mm512_loadu_si512(lanes[lane] + offset);
    transpose_blocks(schedule);
#pragma GCC unroll 16
    for (int t = 0; t < 16; t++) schedule[t] = _mm512_shuffle_epi8(schedule[t], big_endian_words);
}

/* Replaces W[t-16], kept at schedule[t mod 16], by W[t]. */
TARGET_INLINE void extend(__m512i schedule[16], int t) {
    const __m512i w15 = schedule[(t + 1) % 16], w7 = schedule[(t + 9) % 16], w2 = schedule[(t + 14) % 16];
    const __m512i sigma0 = xor3(_mm512_ror_epi32(w15, 7), _mm512_ror_epi32(w15, 18), _mm512_srli_epi32(w15, 3));
    const __m512i sigma1 = xor3(_mm512_ror_epi32(w2, 17), _mm512_ror_epi32(w2, 19), _mm512_srli_epi32(w2, 10));
    schedule[t % 16] = _mm512_add_epi32(_mm512_add_epi32(schedule[t % 16], sigma0), _mm512_add_epi32(w7, sigma1));
}

/* Round t, of which only t mod 8 matters: before it, a is variables[-t mod 8], b the next, and so on around. */
TARGET_INLINE void one_round(__m512i variables[8], int t, __m512i word, uint32_t round_constant) {
    const int shift = (16 - t) % 8;
    const __m512i a = variables[shift], b = variables[(shift + 1) % 8], c = variables[(shift + 2) % 8];
    const __m512i e = variables[(shift + 4) % 8], f = variables[(shift + 5) % 8], g = variables[(shift + 6) % 8];
    __m512i *d = &variables[(shift + 3) % 8], *h = &variables[(shift + 7) % 8];

    const __m512i constant = _mm512_set1_epi32((int)round_constant);
    const __m512i sum1 = xor3(_mm512_ror_epi32(e, 6), _mm512_ror_epi32(e, 11), _mm512_ror_epi32(e, 25));
    const __m512i choice = _mm512_ternarylogic_epi32(e, f, g, TABLE_CHOICE);
    const __m512i sum0 = xor3(_mm512_ror_epi32(a, 2), _mm512_ror_epi32(a, 13), _mm512_ror_epi32(a, 22));
    const __m512i majority = _mm512_ternarylogic_epi32(a, b, c, TABLE_MAJORITY);

    const __m512i first = _mm512_add_epi32(_mm512_add_epi32(*h, _mm512_add_epi32(word, constant)),
                                           _mm512_add_epi32(sum1, choice));
    *d = _mm512_add_epi32(*d, first);
    *h = _mm512_add_epi32(first, _mm512_add_epi32(sum0, majority));
}

TARGET_INLINE void compress_block(__m512i state[8], const uint8_t *const lanes[LANES], size_t offset) {
    __m512i schedule[16], variables[8];
    load_schedule(schedule, lanes, offset);
    for (int i = 0; i < 8; i++) variables[i] = state[i];
#pragma GCC unroll 16
    for (int t = 0; t < 16; t++) one_round(variables, t, schedule[t], sfc_sha256_round_constants[t]);
#pragma GCC unroll 1
    for (int done = 16; done < 64; done += 16) {
#pragma GCC unroll 16
        for (int t = 0; t < 16; t++) {
            extend(schedule, t);
            one_round(variables, t, schedule[t], sfc_sha256_round_constants[done + t]);
        }
    }
    for (int i = 0; i < 8; i++) state[i] = _mm512_add_epi32(state[i], variables[i]);
}

/* Lanes without a message of their own repeat the first one, and their result is dropped. */
TARGET static void compress(uint32_t (*states)[8], const uint8_t *const *blocks, size_t lane_count,
                            size_t block_count) {
    const uint8_t *lanes[LANES];
    const uint32_t *sources[LANES];
    for (size_t lane = 0; lane < LANES; lane++) {
        const size_t source = lane < lane_count ? lane : 0;
        lanes[lane] = blocks[source];
        sources[lane] = states[source];
    }
    __m512i state[8];
    for (int i = 0; i < 8; i++) {
        const __m256i lower = _mm256_loadu_si256((const __m256i *)sources[i]);
        const __m256i upper = _mm256_loadu_si256((const __m256i *)sources[i + 8]);
        state[i] = _mm512_inserti64x4(_mm512_castsi256_si512(lower), upper, 1);
    }
    transpose_states(state);
    for (size_t block = 0; block < block_count; block++) {
        compress_block(state, lanes, SFC_SHA256_BLOCK_BYTES * block);
    }
    transpose_states(state);
    for (size_t lane = 0; lane < lane_count; lane++) {
        const __m512i both = state[lane % 8];
        const __m256i own = lane < 8 ? _mm512_castsi512_si256(both) : _mm512_extracti64x4_epi64(both, 1);
        _mm256_storeu_si256((__m256i *)states[lane], own);
    }
}

const sfc_sha256_kernel sfc_sha256_avx512 = {.name = "avx512", .lanes = LANES, .compress = compress};

#endif
