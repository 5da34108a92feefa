/* Fingerprints, level-independent part: cutting a fragment into chunks, and from the folded planes to one element of K.
 *
 * With plane j of the bytes d_i written as p_j(t) = sum of bit j of d_i times t^(L-1-i),
 *   fp(r, d) = sum_i E(d_i) r^(L-1-i) = sum_j theta^j p_j(r).
 */
#include <string.h>

#include "field.h"
#include "linear_map.h"
#include "modulus.h"

/* sum of theta^j times plane j's value at r, by Horner's rule in theta. */
static sfc_word combine_planes(const sfc_fingerprint_key *key, const sfc_planes *planes) {
    const sfc_word theta = sfc_theta_power(1);
    sfc_word sum = 0;
    for (int j = SFC_PLANES - 1; j >= 0; j--) {
        const sfc_product state = {planes->lower[j], planes->upper[j]};
        const sfc_word value = sfc_linear_map_apply(&key->evaluation, sfc_modulus_reduce(key, state));
        sum = sfc_field_multiply(key->level, sum, theta) ^ value;
    }
    return sum;
}

void sfc_fingerprint(const sfc_fingerprint_key *key, const uint8_t *data, size_t length, uint8_t *fingerprint) {
    sfc_planes planes;
    memset(&planes, 0, sizeof planes);

    /* The incomplete chunk comes first, right-aligned: leading zeros are neutral in Horner order, trailing are not. */
    const size_t head_length = length % SFC_CHUNK_BYTES;
    if (head_length > 0) {
        uint8_t head[SFC_CHUNK_BYTES] = {0};
        memcpy(head + SFC_CHUNK_BYTES - head_length, data, head_length);
        key->level->fold(key, &planes, head, 1);
    }
    if (length > head_length) {
        key->level->fold(key, &planes, data + head_length, (length - head_length) / SFC_CHUNK_BYTES);
    }
    sfc_store_word(fingerprint, combine_planes(key, &planes));
}

void sfc_fingerprint_combine(size_t level, const uint8_t *coefficients, const uint8_t *fingerprints, size_t count,
                             uint8_t *result) {
    const sfc_level *kernels = sfc_level_at(level);
    /* Reduction is linear, so one at the end serves all products. */
    sfc_product sum = {0, 0};
    for (size_t j = 0; j < count; j++) {
        const sfc_word fingerprint = sfc_load_word(fingerprints + SFC_FINGERPRINT_BYTES * j);
        const sfc_product term = kernels->multiply(sfc_embed(coefficients[j]), fingerprint);
        sum.low ^= term.low;
        sum.high ^= term.high;
    }
    sfc_store_word(result, sfc_field_reduce(sum));
}
