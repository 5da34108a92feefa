/* Fragment hashes as trees of 2 KiB leaves, and the fingerprint key derived from them.
 *
 * One long SHA-256 stream cannot fill a processor; the leaves of a fragment are independent and can. Fragments of one
 * stripe are hashed together, so that lanes fill up even when each fragment has only a leaf or two. The prefixes 0x00
 * and 0x01 keep a leaf from being taken for a root; the length in the root fixes where leaves end.
 */
#include <stdlib.h>
#include <string.h>

#include "level.h"

/* Leaves waiting for enough companions of the same length to be hashed side by side. */
typedef struct {
    const uint8_t *leaves[SFC_SHA256_LANES_MAX];
    uint8_t *targets[SFC_SHA256_LANES_MAX];
    size_t count;
} leaf_batch;

static void hash_batch(const sfc_level *level, leaf_batch *batch, size_t leaf_length) {
    static const uint8_t leaf_prefix[1] = {0x00};
    uint8_t digests[SFC_SHA256_LANES_MAX][SFC_DIGEST_BYTES];
    sfc_sha256_messages(level, leaf_prefix, sizeof leaf_prefix, batch->leaves, batch->count, leaf_length, digests);
    for (size_t i = 0; i < batch->count; i++) memcpy(batch->targets[i], digests[i], SFC_DIGEST_BYTES);
    batch->count = 0;
}

/* Hashes leaves first ... last - 1 of every fragment, all of leaf_length bytes, into leaf_hashes[fragment][leaf]. */
static void hash_leaves(const sfc_level *level, const uint8_t *const *fragments, size_t count, size_t first,
                        size_t last, size_t leaf_length, size_t leaves_per_fragment, uint8_t *leaf_hashes) {
    leaf_batch batch;
    batch.count = 0;
    for (size_t fragment = 0; fragment < count; fragment++) {
        for (size_t leaf = first; leaf < last; leaf++) {
            batch.leaves[batch.count] = fragments[fragment] + leaf * SFC_LEAF_BYTES;
            batch.targets[batch.count] = leaf_hashes + (fragment * leaves_per_fragment + leaf) * SFC_DIGEST_BYTES;
            batch.count++;
            if (batch.count == SFC_SHA256_LANES_MAX) hash_batch(level, &batch, leaf_length);
        }
    }
    if (batch.count > 0) hash_batch(level, &batch, leaf_length);
}

static void hash_roots(const sfc_level *level, const uint8_t *leaf_hashes, size_t count, size_t length,
                       size_t leaves_per_fragment, uint8_t *digests) {
    uint8_t prefix[9] = {0x01};
    sfc_store_le64(prefix + 1, length);
    const size_t message_length = leaves_per_fragment * SFC_DIGEST_BYTES;
    for (size_t first = 0; first < count; first += SFC_SHA256_LANES_MAX) {
        const size_t remaining = count - first;
        const size_t batch_count = remaining < SFC_SHA256_LANES_MAX ? remaining : SFC_SHA256_LANES_MAX;
        const uint8_t *messages[SFC_SHA256_LANES_MAX];
        uint8_t batch_digests[SFC_SHA256_LANES_MAX][SFC_DIGEST_BYTES];
        for (size_t i = 0; i < batch_count; i++) messages[i] = leaf_hashes + (first + i) * message_length;
        sfc_sha256_messages(level, prefix, sizeof prefix, messages, batch_count, message_length, batch_digests);
        memcpy(digests + first * SFC_DIGEST_BYTES, batch_digests, batch_count * SFC_DIGEST_BYTES);
    }
}

void sfc_tree_hashes(size_t level, const uint8_t *const *fragments, size_t count, size_t length, uint8_t *digests) {
    const sfc_level *kernels = sfc_level_at(level);
    const size_t whole_leaves = length / SFC_LEAF_BYTES;
    const size_t last_leaf_length = length % SFC_LEAF_BYTES;
    const size_t leaves = whole_leaves + (last_leaf_length > 0);

    /* One byte more than needed, so that an empty fragment does not ask for nothing. A sixty-fourth of the fragments'
     * own size: if that is not to be had, there is no way to go on. */
    uint8_t *leaf_hashes = malloc(count * leaves * SFC_DIGEST_BYTES + 1);
    if (leaf_hashes == NULL) abort();
    hash_leaves(kernels, fragments, count, 0, whole_leaves, SFC_LEAF_BYTES, leaves, leaf_hashes);
    if (last_leaf_length > 0) {
        hash_leaves(kernels, fragments, count, whole_leaves, leaves, last_leaf_length, leaves, leaf_hashes);
    }
    hash_roots(kernels, leaf_hashes, count, length, leaves, digests);
    free(leaf_hashes);
}

void sfc_derive_key(size_t level, const sfc_stripe_shape *shape, const uint8_t *hashes, uint8_t *r) {
    (void)level;
    uint8_t header[53] = "solidus fingerprint key v1";
    header[32] = (uint8_t)shape->fragment_count;
    header[33] = (uint8_t)(shape->fragment_count >> 8);
    header[34] = (uint8_t)shape->data_fragment_count;
    header[35] = (uint8_t)(shape->data_fragment_count >> 8);
    header[36] = shape->matrix_id;
    sfc_store_le64(header + 37, shape->fragment_size_bytes);
    sfc_store_le64(header + 45, shape->block_size_bytes);

    const uint8_t *pieces[2] = {header, hashes};
    const size_t lengths[2] = {sizeof header, (size_t)shape->fragment_count * SFC_DIGEST_BYTES};
    uint8_t digest[SFC_DIGEST_BYTES];
    sfc_sha256(pieces, lengths, 2, digest);
    memcpy(r, digest, SFC_FINGERPRINT_BYTES);
}
