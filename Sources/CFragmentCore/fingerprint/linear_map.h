/* Linear maps on 128 bits by table look-up: x is cut into 32 groups of four bits, each group's image looked up. */
#ifndef SOLIDUS_LINEAR_MAP_H
#define SOLIDUS_LINEAR_MAP_H

#include "level.h"

/* The map that sends the unit vector of degree k to images[k]. */
static inline void sfc_linear_map_fill(sfc_linear_map *map, const sfc_word images[128]) {
    for (int group = 0; group < 32; group++) {
        sfc_word *row = map->rows[group];
        row[0] = 0;
        for (int bit = 0; bit < 4; bit++) {
            const int span = 1 << bit;
            for (int v = 0; v < span; v++) row[span + v] = row[v] ^ images[4 * group + bit];
        }
    }
}

static inline sfc_word sfc_linear_map_apply(const sfc_linear_map *map, sfc_word x) {
    /* For each byte of x, lowest first, sixteen times its lower and its upper four bits: offsets into rows. */
    uint8_t lower[16], upper[16];
    for (int half = 0; half < 2; half++) {
        const uint64_t bits = (uint64_t)(x >> (64 * half)), upper_bits = 0xf0f0f0f0f0f0f0f0;
        sfc_store_le64(lower + 8 * half, (bits << 4) & upper_bits);
        sfc_store_le64(upper + 8 * half, bits & upper_bits);
    }
    const uint8_t *rows = (const uint8_t *)map->rows;
    /* Two sums, so that the additions overlap. */
    sfc_word_vector sum_lower = {0, 0}, sum_upper = {0, 0};
    for (int byte = 0; byte < 16; byte++) {
        sum_lower ^= *(const sfc_word_vector *)(rows + 512 * byte + lower[byte]);
        sum_upper ^= *(const sfc_word_vector *)(rows + 512 * byte + 256 + upper[byte]);
    }
    union {
        sfc_word_vector vector;
        sfc_word word;
    } sum = {.vector = sum_lower ^ sum_upper};
    return sum.word;
}

#endif
