/* SHA-256 with the ARMv8 SHA-2 instructions, one to four messages side by side.
 *
 * One message leaves the unit waiting for itself; rounds of other messages fill the gaps, and thirty-two registers hold
 * four of them. The instructions want the state as ABCD and EFGH, four rounds at a time, and
 *   W[t..t+3] = su1(su0(W[t-16..], W[t-12..]), W[t-8..], W[t-4..]).
 */
#include "hash/sha256_kernels.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#if defined(__clang__)
#define FEATURES "sha2"
#else
#define FEATURES "+crypto"
#endif
#define SFC_TARGET __attribute__((target(FEATURES)))
#define SFC_INLINE static inline __attribute__((always_inline, target(FEATURES)))

enum { LANES = 4, STEPS = 16 };

typedef struct {
    uint32x4_t abcd, efgh;
} armv8_state;

/* Sixteen words of a block, four to a register. */
typedef struct {
    uint32x4_t words[4];
} armv8_schedule;

SFC_INLINE armv8_schedule load_block(const uint8_t *bytes) {
    armv8_schedule schedule;
    for (int i = 0; i < 4; i++) schedule.words[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(bytes + 16 * i)));
    return schedule;
}

SFC_INLINE void four_rounds(armv8_state *state, uint32x4_t words, uint32x4_t constants) {
    const uint32x4_t input = vaddq_u32(words, constants), abcd = state->abcd;
    state->abcd = vsha256hq_u32(abcd, state->efgh, input);
    state->efgh = vsha256h2q_u32(state->efgh, abcd, input);
}

/* Replaces the oldest four words, those of this step, by the words of four steps later. */
SFC_INLINE void extend(armv8_schedule *schedule, int step) {
    uint32x4_t *oldest = &schedule->words[step % 4];
    const uint32x4_t second = schedule->words[(step + 1) % 4];
    const uint32x4_t third = schedule->words[(step + 2) % 4];
    const uint32x4_t newest = schedule->words[(step + 3) % 4];
    *oldest = vsha256su1q_u32(vsha256su0q_u32(*oldest, second), third, newest);
}

/* `lanes` is a constant at every call, so that loops over lanes vanish. */
SFC_INLINE void compress_lanes(const int lanes, uint32_t (*states)[8], const uint8_t *const *blocks,
                               size_t block_count) {
    armv8_state state[LANES];
#pragma GCC unroll 4
    for (int lane = 0; lane < lanes; lane++) {
        state[lane] = (armv8_state){vld1q_u32(states[lane]), vld1q_u32(states[lane] + 4)};
    }
    for (size_t block = 0; block < block_count; block++) {
        armv8_state entered[LANES];
        armv8_schedule schedules[LANES];
#pragma GCC unroll 4
        for (int lane = 0; lane < lanes; lane++) {
            entered[lane] = state[lane];
            schedules[lane] = load_block(blocks[lane] + SFC_SHA256_BLOCK_BYTES * block);
        }
#pragma GCC unroll 16
        for (int step = 0; step < STEPS; step++) {
            const uint32x4_t constants = vld1q_u32(sfc_sha256_round_constants + 4 * step);
#pragma GCC unroll 4
            for (int lane = 0; lane < lanes; lane++) {
                four_rounds(&state[lane], schedules[lane].words[step % 4], constants);
                if (step + 4 < STEPS) extend(&schedules[lane], step);
            }
        }
#pragma GCC unroll 4
        for (int lane = 0; lane < lanes; lane++) {
            state[lane].abcd = vaddq_u32(state[lane].abcd, entered[lane].abcd);
            state[lane].efgh = vaddq_u32(state[lane].efgh, entered[lane].efgh);
        }
    }
#pragma GCC unroll 4
    for (int lane = 0; lane < lanes; lane++) {
        vst1q_u32(states[lane], state[lane].abcd);
        vst1q_u32(states[lane] + 4, state[lane].efgh);
    }
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

const sfc_sha256_kernel sfc_sha256_armv8 = {.lanes = LANES, .compress = compress};

#endif
