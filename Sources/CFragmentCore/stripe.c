/* Whole operations on one stripe: fingerprinting its data, and checking fragments against what a writer claims.
 *
 * The fingerprint key is derived from all hashes, so fragments cannot be fingerprinted before all of them are hashed;
 * a verifier derives the key anew from the hashes it was sent. A fragment whose hash is wrong is not looked at further:
 * the key is prepared only if some fragment's hash is right.
 */
#include <stdlib.h>
#include <string.h>

#include "level.h"

static void prepare_key(const sfc_stripe *stripe, const uint8_t *hashes, sfc_fingerprint_key *key) {
    uint8_t r[SFC_FINGERPRINT_BYTES];
    sfc_derive_key(stripe->level, &stripe->shape, hashes, r);
    sfc_fingerprint_key_init(sfc_level_at(stripe->level), r, stripe->shape.fragment_size_bytes, key);
}

void sfc_stripe_fingerprints(const sfc_stripe *stripe, const uint8_t *hashes, const uint8_t *const *data_fragments,
                             uint8_t *fingerprints) {
    sfc_fingerprint_key key;
    prepare_key(stripe, hashes, &key);
    for (size_t i = 0; i < stripe->shape.data_fragment_count; i++) {
        sfc_fingerprint(&key, data_fragments[i], stripe->shape.fragment_size_bytes,
                        fingerprints + SFC_FINGERPRINT_BYTES * i);
    }
}

/* Whether a fragment has the fingerprint that its row of the generator gives it. */
static int fingerprint_matches(const sfc_stripe *stripe, const sfc_fingerprint_key *key, const uint8_t *fingerprints,
                               size_t index, const uint8_t *fragment) {
    const size_t m = stripe->shape.data_fragment_count;
    uint8_t expected[SFC_FINGERPRINT_BYTES], found[SFC_FINGERPRINT_BYTES];
    sfc_fingerprint_combine(stripe->level, stripe->generator + index * m, fingerprints, m, expected);
    sfc_fingerprint(key, fragment, stripe->shape.fragment_size_bytes, found);
    return memcmp(expected, found, sizeof found) == 0;
}

void sfc_fragments_verify(const sfc_stripe *stripe, const uint8_t *hashes, const uint8_t *fingerprints,
                          const uint8_t *indices, const uint8_t *const *fragments, size_t count, uint8_t *verdicts) {
    /* No code has more; a caller who gets here with more is at fault. */
    if (count > SFC_FRAGMENTS_MAX) abort();
    uint8_t found[SFC_FRAGMENTS_MAX * SFC_DIGEST_BYTES];
    sfc_tree_hashes(stripe->level, fragments, count, stripe->shape.fragment_size_bytes, found);

    size_t matching = 0;
    for (size_t k = 0; k < count; k++) {
        const uint8_t *claimed = hashes + SFC_DIGEST_BYTES * indices[k];
        const int matches = memcmp(found + SFC_DIGEST_BYTES * k, claimed, SFC_DIGEST_BYTES) == 0;
        verdicts[k] = matches ? SFC_FRAGMENT_GOOD : SFC_FRAGMENT_HASH_MISMATCH;
        matching += matches;
    }
    if (matching == 0) return;

    sfc_fingerprint_key key;
    prepare_key(stripe, hashes, &key);
    for (size_t k = 0; k < count; k++) {
        if (verdicts[k] != SFC_FRAGMENT_GOOD) continue;
        if (!fingerprint_matches(stripe, &key, fingerprints, indices[k], fragments[k])) {
            verdicts[k] = SFC_FRAGMENT_FINGERPRINT_MISMATCH;
        }
    }
}
