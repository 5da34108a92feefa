/* SHA-256 with the SHA extensions, one to four messages side by side.
 *
 * One message leaves the unit idle three quarters of the time, because each pair of rounds waits for the one before;
 * rounds of other messages fill the gaps. The instructions want the state as two registers, ABEF and CDGH, and work on
 * four rounds per 16 bytes of message schedule:
 *   W[t..t+3] = msg2(msg1(W[t-16..], W[t-12..]) + W[t-7..], W[t-4..]).
 *
 * Two messages need twelve registers, four would need twenty-four of the sixteen there are. So lanes are advanced in
 * pairs, sixteen rounds of one pair and then of the next: few enough spills not to matter, while the processor's own
 * reordering still overlaps one pair with the other. The extensions have no three-operand form; all around them is
 * compiled for AVX, which spares copies.
 */
#include "hash/sha256_kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define SFC_TARGET __attribute__((target("sha,avx")))
#define SFC_INLINE static inline __attribute__((always_inline, target("sha,avx")))

enum { LANES = 4, PAIR = 2, STEPS_PER_GROUP = 4, GROUPS = 4 };

/* One message's state in the instructions' order. */
typedef struct {
    __m128i abef, cdgh;
} shani_state;

SFC_INLINE shani_state load_state(const uint32_t words[8]) {
    const __m128i dcba = _mm_loadu_si128((const __m128i *)words);
    const __m128i hgfe = _mm_loadu_si128((const __m128i *)(words + 4));
    const __m128i cdab = _mm_shuffle_epi32(dcba, 0xb1);
    const __m128i efgh = _mm_shuffle_epi32(hgfe, 0x1b);
    return (shani_state){_mm_alignr_epi8(cdab, efgh, 8), _mm_blend_epi16(efgh, cdab, 0xf0)};
}

SFC_INLINE void store_state(uint32_t words[8], shani_state state) {
    const __m128i feba = _mm_shuffle_epi32(state.abef, 0x1b);
    const __m128i dchg = _mm_shuffle_epi32(state.cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)words, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((__m128i *)(words + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/* Sixteen big-endian words of a block, four to a register. */
typedef struct {
    __m128i words[4];
} shani_schedule;

SFC_INLINE shani_schedule load_block(const uint8_t *bytes) {
    const __m128i big_endian_words = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    shani_schedule schedule;
    for (int i = 0; i < 4; i++) {
        const __m128i words = _mm_loadu_si128((const __m128i *)(bytes + 16 * i));
        schedule.words[i] = _mm_shuffle_epi8(words, big_endian_words);
    }
    return schedule;
}

SFC_INLINE void four_rounds(shani_state *state, __m128i words, __m128i constants) {
    const __m128i input = _mm_add_epi32(words, constants);
    state->cdgh = _mm_sha256rnds2_epu32(state->cdgh, state->abef, input);
    state->abef = _mm_sha256rnds2_epu32(state->abef, state->cdgh, _mm_shuffle_epi32(input, 0x0e));
}

/* Replaces the oldest four words, those of this step, by the words of four steps later. */
SFC_INLINE void extend(shani_schedule *schedule, int step) {
    __m128i *oldest = &schedule->words[step % 4];
    const __m128i second = schedule->words[(step + 1) % 4];
    const __m128i third = schedule->words[(step + 2) % 4];
    const __m128i newest = schedule->words[(step + 3) % 4];
    const __m128i partial =
        _mm_add_epi32(_mm_sha256msg1_epu32(*oldest, second), _mm_alignr_epi8(newest, third, 4));
    *oldest = _mm_sha256msg2_epu32(partial, newest);
}

/* Sixteen rounds of one or two lanes, whose blocks begin at the byte offset. They are read no sooner than here: there
 * are no registers to keep them in. */
SFC_INLINE void advance(const int lanes, shani_state *states, shani_schedule *schedules,
                        const uint8_t *const *blocks, size_t offset, const int group) {
    if (group == 0) {
#pragma GCC unroll 2
        for (int lane = 0; lane < lanes; lane++) schedules[lane] = load_block(blocks[lane] + offset);
    }
#pragma GCC unroll 4
    for (int step = 0; step < STEPS_PER_GROUP; step++) {
        const uint32_t *constants = sfc_sha256_round_constants + 4 * (STEPS_PER_GROUP * group + step);
#pragma GCC unroll 2
        for (int lane = 0; lane < lanes; lane++) {
            four_rounds(&states[lane], schedules[lane].words[step], _mm_load_si128((const __m128i *)constants));
            if (group + 1 < GROUPS) extend(&schedules[lane], step);
        }
    }
}

/* `lanes` is a constant at every call, so that loops over lanes vanish. */
SFC_INLINE void compress_lanes(const int lanes, uint32_t (*states)[8], const uint8_t *const *blocks,
                               size_t block_count) {
    shani_state state[LANES];
#pragma GCC unroll 4
    for (int lane = 0; lane < lanes; lane++) state[lane] = load_state(states[lane]);

    for (size_t block = 0; block < block_count; block++) {
        const size_t offset = SFC_SHA256_BLOCK_BYTES * block;
        shani_state entered[LANES];
        shani_schedule schedules[LANES];
#pragma GCC unroll 4
        for (int lane = 0; lane < lanes; lane++) entered[lane] = state[lane];
#pragma GCC unroll 4
        for (int group = 0; group < GROUPS; group++) {
#pragma GCC unroll 2
            for (int first = 0; first < lanes; first += PAIR) {
                const int pair_lanes = lanes - first < PAIR ? 1 : PAIR;
                advance(pair_lanes, state + first, schedules + first, blocks + first, offset, group);
            }
        }
#pragma GCC unroll 4
        for (int lane = 0; lane < lanes; lane++) {
            state[lane].abef = _mm_add_epi32(state[lane].abef, entered[lane].abef);
            state[lane].cdgh = _mm_add_epi32(state[lane].cdgh, entered[lane].cdgh);
        }
    }
#pragma GCC unroll 4
    for (int lane = 0; lane < lanes; lane++) store_state(states[lane], state[lane]);
}

SFC_TARGET static void compress(uint32_t (*states)[8], const uint8_t *const *blocks, size_t lane_count,
                                size_t block_count) {
    switch (lane_count) {
    case 1: compress_lanes(1, states, blocks, block_count); break;
    case 2: compress_lanes(2, states, blocks, block_count); break;
    case 3: compress_lanes(3, states, blocks, block_count); break;
    case 4: compress_lanes(4, states, blocks, block_count); break;
    default: break;
    }
}

const sfc_sha256_kernel sfc_sha256_shani = {.lanes = LANES, .compress = compress};

#endif
