/* SHA-256's compression function in plain C, as FIPS 180-4 section 6.2.2 has it: for states advanced little by little
 * where no kernel of the processor's own is at hand. */
#include "hash/sha256_kernels.h"

const uint32_t sfc_sha256_round_constants[64] __attribute__((aligned(64))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline uint32_t rotate_right(uint32_t word, int bits) {
    return (word >> bits) | (word << (32 - bits));
}

static inline uint32_t load_be32(const uint8_t *source) {
    return ((uint32_t)source[0] << 24) | ((uint32_t)source[1] << 16) | ((uint32_t)source[2] << 8) | source[3];
}

/* Overwrites W[t-16], kept at schedule[t % 16], with W[t]. */
static inline uint32_t extend_schedule(uint32_t schedule[16], int t) {
    const uint32_t w15 = schedule[(t + 1) % 16], w7 = schedule[(t + 9) % 16], w2 = schedule[(t + 14) % 16];
    const uint32_t sigma0 = rotate_right(w15, 7) ^ rotate_right(w15, 18) ^ (w15 >> 3);
    const uint32_t sigma1 = rotate_right(w2, 17) ^ rotate_right(w2, 19) ^ (w2 >> 10);
    return schedule[t % 16] += sigma0 + w7 + sigma1;
}

static void compress_block(uint32_t state[8], const uint8_t *block) {
    uint32_t schedule[16];
    for (int i = 0; i < 16; i++) schedule[i] = load_be32(block + 4 * i);

    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
#pragma GCC unroll 16
    for (int t = 0; t < 64; t++) {
        const uint32_t word = t < 16 ? schedule[t] : extend_schedule(schedule, t);
        const uint32_t sum1 = rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25);
        const uint32_t sum0 = rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22);
        const uint32_t choice = g ^ (e & (f ^ g));
        const uint32_t majority = (a & b) ^ (c & (a ^ b));
        const uint32_t first = h + sum1 + choice + sfc_sha256_round_constants[t] + word;
        h = g;
        g = f;
        f = e;
        e = d + first;
        d = c;
        c = b;
        b = a;
        a = first + sum0 + majority;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
}

static void compress(uint32_t (*states)[8], const uint8_t *const *blocks, size_t lane_count, size_t block_count) {
    for (size_t lane = 0; lane < lane_count; lane++) {
        for (size_t i = 0; i < block_count; i++) {
            compress_block(states[lane], blocks[lane] + SFC_SHA256_BLOCK_BYTES * i);
        }
    }
}

const sfc_sha256_kernel sfc_sha256_portable = {.lanes = 1, .compress = compress};
