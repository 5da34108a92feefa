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
    const uint64_t low = (uint64_t)x, high = (uint64_t)(x >> 64);
    /* Two sums, so that look-ups of both halves overlap. */
    sfc_word sum_low = 0, sum_high = 0;
    for (int group = 0; group < 16; group++) {
        sum_low ^= map->rows[group][(low >> (4 * group)) & 15];
        sum_high ^= map->rows[16 + group][(high >> (4 * group)) & 15];
    }
    return sum_low ^ sum_high;
}

#endif
