/* SHA-256 with the SHA extensions, one to four messages side by side.
 *
 * One message leaves the unit idle most of the time, because each pair of rounds waits for the one before; rounds of
 * other messages fill the gaps. The instructions want the state as two registers, ABEF and CDGH, and work on four
 * rounds per 16 bytes of message schedule:
 *   W[t..t+3] = msg2(msg1(W[t-16..], W[t-12..]) + W[t-7..], W[t-4..]).
 */
#include "kernels_x86.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET __attribute__((target("sha,sse4.1,ssse3")))
#define TARGET_INLINE static inline __attribute__((always_inline, target("sha,sse4.1,ssse3")))

static const uint32_t round_constants[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

/* One message's state in the instructions' order. */
typedef struct {
    __m128i abef, cdgh;
} shani_state;

TARGET_INLINE shani_state load_state(const uint32_t words[8]) {
    const __m128i dcba = _mm_loadu_si128((const __m128i *)words);
    const __m128i hgfe = _mm_loadu_si128((const __m128i *)(words + 4));
    const __m128i cdab = _mm_shuffle_epi32(dcba, 0xb1);
    const __m128i efgh = _mm_shuffle_epi32(hgfe, 0x1b);
    return (shani_state){_mm_alignr_epi8(cdab, efgh, 8), _mm_blend_epi16(efgh, cdab, 0xf0)};
}

TARGET_INLINE void store_state(uint32_t words[8], shani_state state) {
    const __m128i feba = _mm_shuffle_epi32(state.abef, 0x1b);
    const __m128i dchg = _mm_shuffle_epi32(state.cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)words, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((__m128i *)(words + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/* `lanes` is a constant at every call, so that loops over lanes vanish. */
TARGET_INLINE void compress_lanes(const int lanes, uint32_t (*states)[8], const uint8_t *const *blocks,
                                  size_t block_count) {
    const __m128i big_endian_words = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    shani_state state[SFC_SHA256_LANES_SHANI];
    for (int lane = 0; lane < lanes; lane++) state[lane] = load_state(states[lane]);

    for (size_t block = 0; block < block_count; block++) {
        shani_state entered[SFC_SHA256_LANES_SHANI];
        __m128i schedule[SFC_SHA256_LANES_SHANI][4];
        for (int lane = 0; lane < lanes; lane++) {
            const uint8_t *bytes = blocks[lane] + SFC_SHA256_BLOCK_BYTES * block;
            entered[lane] = state[lane];
            for (int i = 0; i < 4; i++) {
                const __m128i words = _mm_loadu_si128((const __m128i *)(bytes + 16 * i));
                schedule[lane][i] = _mm_shuffle_epi8(words, big_endian_words);
            }
        }
#pragma GCC unroll 16
        for (int step = 0; step < 16; step++) {
            const __m128i constants = _mm_load_si128((const __m128i *)(round_constants + 4 * step));
            for (int lane = 0; lane < lanes; lane++) {
                __m128i *oldest = &schedule[lane][step % 4];
                const __m128i second = schedule[lane][(step + 1) % 4];
                const __m128i third = schedule[lane][(step + 2) % 4];
                const __m128i newest = schedule[lane][(step + 3) % 4];

                const __m128i input = _mm_add_epi32(*oldest, constants);
                state[lane].cdgh = _mm_sha256rnds2_epu32(state[lane].cdgh, state[lane].abef, input);
                state[lane].abef = _mm_sha256rnds2_epu32(state[lane].abef, state[lane].cdgh,
                                                         _mm_shuffle_epi32(input, 0x0e));
                if (step < 12) {
                    const __m128i partial = _mm_add_epi32(_mm_sha256msg1_epu32(*oldest, second),
                                                          _mm_alignr_epi8(newest, third, 4));
                    *oldest = _mm_sha256msg2_epu32(partial, newest);
                }
            }
        }
        for (int lane = 0; lane < lanes; lane++) {
            state[lane].abef = _mm_add_epi32(state[lane].abef, entered[lane].abef);
            state[lane].cdgh = _mm_add_epi32(state[lane].cdgh, entered[lane].cdgh);
        }
    }
    for (int lane = 0; lane < lanes; lane++) store_state(states[lane], state[lane]);
}

TARGET void sfc_sha256_compress_shani(uint32_t (*states)[8], const uint8_t *const *blocks, size_t lane_count,
                                      size_t block_count) {
    switch (lane_count) {
    case 1: compress_lanes(1, states, blocks, block_count); break;
    case 2: compress_lanes(2, states, blocks, block_count); break;
    case 3: compress_lanes(3, states, blocks, block_count); break;
    case 4: compress_lanes(4, states, blocks, block_count); break;
    default: break;
    }
}

#endif
