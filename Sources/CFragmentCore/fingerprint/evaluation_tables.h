/* The map from p(t) to p(r) as look-up tables, filled with the registers of a level that is one word or two wide.
 *
 * Included after the level's lanes_*.h, as carryless_kernels.h is.
 */
#ifndef SOLIDUS_EVALUATION_TABLES_H
#define SOLIDUS_EVALUATION_TABLES_H

#include "fingerprint/carryless_kernels.h"
#include "fingerprint/linear_map.h"

_Static_assert(LANE_COUNT <= 2, "an index bit above bit 0 selects whole registers");

/* The map from p(t) to p(r) as tables: sfc_linear_map_fill with registers of one word or two. */
SFC_INLINE void prepare_evaluation_tables(sfc_linear_map *map, const sfc_word *powers) {
    /* The lanes of a row's first register whose table index has bit 0, where a register is two words wide. */
    static const sfc_word lanes_with_bit_0[2] = {0, ~(sfc_word)0};
    for (int group = 0; group < 32; group++) {
        lanes row[16 / LANE_COUNT];
        row[0] = zero_lanes();
        for (int bit = 0; bit < 4; bit++) {
            const lanes image = broadcast(&powers[4 * group + bit]);
            const int span = (1 << bit) / LANE_COUNT;
            if (span == 0) row[0] ^= image & load_lanes(lanes_with_bit_0);
            for (int v = 0; v < span; v++) row[span + v] = row[v] ^ image;
        }
        for (int v = 0; v < 16 / LANE_COUNT; v++) store_lanes(&map->rows[group][LANE_COUNT * v], row[v]);
    }
}

SFC_INLINE sfc_word evaluate_by_tables(const sfc_fingerprint_key *key, const sfc_planes *planes) {
    sfc_word values[SFC_PLANES];
    reduce_planes(key, planes, values);
    for (int j = 0; j < SFC_PLANES; j++) values[j] = sfc_linear_map_apply(&key->evaluation.tables, values[j]);
    return inner_product(sfc_theta_powers, values, SFC_PLANES);
}

#endif
