/* Fingerprints, level-independent part: keys, cutting a fragment into chunks, and linear combinations.
 *
 * With plane j of the bytes d_i written as p_j(t) = sum of bit j of d_i times t^(L-1-i),
 *   fp(r, d) = sum_i E(d_i) r^(L-1-i) = sum_j theta^j p_j(r).
 * The second sum has far fewer products, and a key to prepare first; short fragments are better off with the first.
 */
#include <stdlib.h>
#include <string.h>

#include "fingerprint/field.h"

void sfc_fingerprint_key_init(const sfc_level *level, const uint8_t *r, size_t length, sfc_fingerprint_key *key) {
    key->level = level;
    if (length <= level->short_bytes) {
        const size_t count = length <= SFC_SHORT_STEP ? length : SFC_SHORT_STEP + 1;
        level->compute_powers(sfc_load_word(r), key->powers, count);
    } else {
        level->compute_powers(sfc_load_word(r), key->powers, SFC_POWERS);
        level->prepare_folding(key);
    }
}

sfc_fingerprint_key *sfc_fingerprint_key_create(size_t level, const uint8_t *r) {
    sfc_fingerprint_key *key = malloc(sizeof *key);
    if (key != NULL) sfc_fingerprint_key_init(sfc_level_at(level), r, SIZE_MAX, key);
    return key;
}

void sfc_fingerprint_key_destroy(sfc_fingerprint_key *key) {
    free(key);
}

/* The first sum as it stands, some bytes at a time in Horner order, so that there are fewer powers to compute. */
static sfc_word fingerprint_short(const sfc_fingerprint_key *key, const uint8_t *data, size_t length) {
    sfc_word sum = 0, terms[SFC_SHORT_STEP + 1];
    for (size_t done = 0; done < length;) {
        const size_t left = length - done, count = left < SFC_SHORT_STEP ? left : SFC_SHORT_STEP;
        for (size_t i = 0; i < count; i++) sfc_embed(data[done + count - 1 - i], &terms[i]);
        terms[count] = sum;
        sum = key->level->inner_product(terms, key->powers, done > 0 ? count + 1 : count);
        done += count;
    }
    return sum;
}

void sfc_fingerprint(const sfc_fingerprint_key *key, const uint8_t *data, size_t length, uint8_t *fingerprint) {
    if (length <= key->level->short_bytes) {
        sfc_store_word(fingerprint, fingerprint_short(key, data, length));
        return;
    }
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
    sfc_store_word(fingerprint, key->level->evaluate(key, &planes));
}

void sfc_fingerprint_combine(size_t level, const uint8_t *coefficients, const uint8_t *fingerprints, size_t count,
                             uint8_t *result) {
    enum { BATCH = 16 };
    const sfc_level *kernels = sfc_level_at(level);
    sfc_word sum = 0;
    while (count > 0) {
        const size_t batch = count < BATCH ? count : BATCH;
        sfc_word embedded[BATCH], values[BATCH];
        for (size_t j = 0; j < batch; j++) {
            sfc_embed(coefficients[j], &embedded[j]);
            values[j] = sfc_load_word(fingerprints + SFC_FINGERPRINT_BYTES * j);
        }
        sum ^= kernels->inner_product(embedded, values, batch);
        coefficients += batch;
        fingerprints += SFC_FINGERPRINT_BYTES * batch;
        count -= batch;
    }
    sfc_store_word(result, sum);
}
