/* SHA-256 of eight messages side by side with AVX2: each 32-bit word of a register belongs to another message.
 *
 * Blocks are read 32 bytes per message and transposed, so that register t holds word W[t] of all eight. The working
 * variables a ... h keep their registers and change their names from round to round instead.
 */
#include "hash/sha256_kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET __attribute__((target("avx2")))
#define TARGET_INLINE static inline __attribute__((always_inline, target("avx2")))

enum { LANES = 8 };

TARGET_INLINE __m256i xor3(__m256i a, __m256i b, __m256i c) {
    return _mm256_xor_si256(_mm256_xor_si256(a, b), c);
}

TARGET_INLINE __m256i rotate_right(__m256i words, const int bits) {
    return _mm256_or_si256(_mm256_srli_epi32(words, bits), _mm256_slli_epi32(words, 32 - bits));
}

TARGET_INLINE __m256i load(const void *source) {
    return _mm256_loadu_si256((const __m256i *)source);
}

TARGET_INLINE void store(void *target, __m256i value) {
    _mm256_storeu_si256((__m256i *)target, value);
}

/* Eight rows of eight words become eight columns. */
TARGET_INLINE void transpose(__m256i rows[8]) {
    __m256i pairs[8], quads[8];
    for (int i = 0; i < 8; i += 2) {
        pairs[i] = _mm256_unpacklo_epi32(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm256_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        quads[i] = _mm256_unpacklo_epi64(pairs[i], pairs[i + 2]);
        quads[i + 1] = _mm256_unpackhi_epi64(pairs[i], pairs[i + 2]);
        quads[i + 2] = _mm256_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
        quads[i + 3] = _mm256_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        rows[i] = _mm256_permute2x128_si256(quads[i], quads[i + 4], 0x20);
        rows[i + 4] = _mm256_permute2x128_si256(quads[i], quads[i + 4], 0x31);
    }
}

/* Words W[0] ... W[15] of the messages' blocks at the byte offset. */
TARGET_INLINE void load_schedule(__m256i schedule[16], const uint8_t *const lanes[LANES], size_t offset) {
    const __m256i big_endian_words = _mm256_broadcastsi128_si256(
        _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203));
    for (int half = 0; half < 2; half++) {
        __m256i *words = schedule + 8 * half;
        for (int lane = 0; lane < LANES; lane++) words[lane] = load(lanes[lane] + offset + 32 * half);
        transpose(words);
        for (int i = 0; i < 8; i++) words[i] = _mm256_shuffle_epi8(words[i], big_endian_words);
    }
}

/* Replaces W[t-16], kept at schedule[t mod 16], by W[t]. */
TARGET_INLINE void extend(__m256i schedule[16], int t) {
    const __m256i w15 = schedule[(t + 1) % 16], w7 = schedule[(t + 9) % 16], w2 = schedule[(t + 14) % 16];
    const __m256i sigma0 = xor3(rotate_right(w15, 7), rotate_right(w15, 18), _mm256_srli_epi32(w15, 3));
    const __m256i sigma1 = xor3(rotate_right(w2, 17), rotate_right(w2, 19), _mm256_srli_epi32(w2, 10));
    schedule[t % 16] = _mm256_add_epi32(_mm256_add_epi32(schedule[t % 16], sigma0), _mm256_add_epi32(w7, sigma1));
}

/* Round t, of which only t mod 8 matters: before it, a is variables[-t mod 8], b the next, and so on around. */
TARGET_INLINE void one_round(__m256i variables[8], int t, __m256i word, uint32_t round_constant) {
    const int shift = (16 - t) % 8;
    const __m256i a = variables[shift], b = variables[(shift + 1) % 8], c = variables[(shift + 2) % 8];
    const __m256i e = variables[(shift + 4) % 8], f = variables[(shift + 5) % 8], g = variables[(shift + 6) % 8];
    __m256i *d = &variables[(shift + 3) % 8], *h = &variables[(shift + 7) % 8];

    const __m256i constant = _mm256_set1_epi32((int)round_constant);
    const __m256i sum1 = xor3(rotate_right(e, 6), rotate_right(e, 11), rotate_right(e, 25));
    const __m256i choice = _mm256_xor_si256(g, _mm256_and_si256(e, _mm256_xor_si256(f, g)));
    const __m256i sum0 = xor3(rotate_right(a, 2), rotate_right(a, 13), rotate_right(a, 22));
    const __m256i majority =
        _mm256_xor_si256(b, _mm256_and_si256(_mm256_xor_si256(a, b), _mm256_xor_si256(b, c)));

    const __m256i first = _mm256_add_epi32(_mm256_add_epi32(*h, _mm256_add_epi32(word, constant)),
                                           _mm256_add_epi32(sum1, choice));
    *d = _mm256_add_epi32(*d, first);
    *h = _mm256_add_epi32(first, _mm256_add_epi32(sum0, majority));
}

TARGET_INLINE void compress_block(__m256i state[8], const uint8_t *const lanes[LANES], size_t offset) {
    __m256i schedule[16], variables[8];
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
    for (int i = 0; i < 8; i++) state[i] = _mm256_add_epi32(state[i], variables[i]);
}

/* Lanes without a message of their own repeat the first one, and their result is dropped. */
TARGET static void compress(uint32_t (*states)[8], const uint8_t *const *blocks, size_t lane_count,
                            size_t block_count) {
    const uint8_t *lanes[LANES];
    __m256i state[8];
    for (size_t lane = 0; lane < LANES; lane++) {
        const size_t source = lane < lane_count ? lane : 0;
        lanes[lane] = blocks[source];
        state[lane] = load(states[source]);
    }
    transpose(state);
    for (size_t block = 0; block < block_count; block++) {
        compress_block(state, lanes, SFC_SHA256_BLOCK_BYTES * block);
    }
    transpose(state);
    for (size_t lane = 0; lane < lane_count; lane++) store(states[lane], state[lane]);
}

const sfc_sha256_kernel sfc_sha256_avx2 = {.name = "avx2", .lanes = LANES, .compress = compress};

#endif
