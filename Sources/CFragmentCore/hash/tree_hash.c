/* Fragment hashes as trees of 2 KiB leaves, and the fingerprint key derived from them.
 *
 * One long SHA-256 stream cannot fill a processor; the leaves of a fragment are independent and can. Fragments of one
 * stripe are hashed together, so that lanes fill up even when each fragment has only a leaf or two. The prefixes 0x00
 * and 0x01 keep a leaf from being taken for a root; the length in the root fixes where leaves end.
 *
 * Fragments are taken in groups, and a group's leaves in strides of a few leaves of every fragment. The leaf hashes of
 * a stride fall due in the roots at once: they are written where the roots' messages are assembled, and the roots of
 * the group advance side by side. So the space needed does not depend on the fragments' length or number.
 */
#include <string.h>

#include "hash/sha256.h"

enum {
    GROUP_FRAGMENTS = SFC_SHA256_LANES_MAX,
    STRIDE_LEAVES = SFC_SHA256_LANES_MAX,
    ROOT_PREFIX_BYTES = 9,
    /* Beyond the stride's leaf hashes: what was left over of the last block before, and the padding at the end. */
    ROOT_BUFFER_BYTES = STRIDE_LEAVES * SFC_DIGEST_BYTES + 2 * SFC_SHA256_BLOCK_BYTES,
};

static const uint8_t leaf_prefix[1] = {0x00};

/* The roots of a group of fragments. All have equally long messages, so that they fill their buffers in step. */
typedef struct {
    uint32_t states[GROUP_FRAGMENTS][8];
    uint8_t buffers[GROUP_FRAGMENTS][ROOT_BUFFER_BYTES];
    size_t count;
    size_t buffered_bytes;
} root_set;

/* Writes what precedes the leaf hashes in a root; returns how much that is. */
static size_t begin_root(uint8_t *message, size_t fragment_length) {
    message[0] = 0x01;
    sfc_store_le64(message + 1, fragment_length);
    return ROOT_PREFIX_BYTES;
}

static void begin_roots(root_set *roots, size_t count, size_t length) {
    for (size_t i = 0; i < count; i++) {
        sfc_sha256_begin(roots->states[i]);
        roots->buffered_bytes = begin_root(roots->buffers[i], length);
    }
    roots->count = count;
}

static void compress_roots(const sfc_level *level, root_set *roots, size_t block_count) {
    const uint8_t *blocks[GROUP_FRAGMENTS];
    for (size_t i = 0; i < roots->count; i++) blocks[i] = roots->buffers[i];
    sfc_sha256_compress(level, roots->states, blocks, roots->count, block_count);
}

/* Takes in the `leaf_count` leaf hashes that follow the buffered bytes, up to the last whole block. */
static void advance_roots(const sfc_level *level, root_set *roots, size_t leaf_count) {
    const size_t filled_bytes = roots->buffered_bytes + leaf_count * SFC_DIGEST_BYTES;
    const size_t block_count = filled_bytes / SFC_SHA256_BLOCK_BYTES;
    compress_roots(level, roots, block_count);
    roots->buffered_bytes = filled_bytes % SFC_SHA256_BLOCK_BYTES;
    for (size_t i = 0; i < roots->count; i++) {
        memmove(roots->buffers[i], roots->buffers[i] + block_count * SFC_SHA256_BLOCK_BYTES, roots->buffered_bytes);
    }
}

static void finish_roots(const sfc_level *level, root_set *roots, uint64_t leaf_count, uint8_t *digests) {
    const uint64_t message_length = ROOT_PREFIX_BYTES + leaf_count * SFC_DIGEST_BYTES;
    size_t block_count = 0;
    for (size_t i = 0; i < roots->count; i++) {
        block_count = sfc_sha256_pad(roots->buffers[i], roots->buffered_bytes, message_length);
    }
    compress_roots(level, roots, block_count);
    for (size_t i = 0; i < roots->count; i++) {
        sfc_sha256_store_digest(roots->states[i], digests + i * SFC_DIGEST_BYTES);
    }
}

/* Leaves waiting for enough companions to be hashed side by side. */
typedef struct {
    sfc_sha256_message leaves[SFC_SHA256_LANES_MAX];
    size_t count;
} leaf_batch;

static void hash_batch(const sfc_level *level, leaf_batch *batch) {
    if (batch->count > 0) sfc_sha256_messages(level, leaf_prefix, sizeof leaf_prefix, batch->leaves, batch->count);
    batch->count = 0;
}

/* Adds leaves first ... last - 1 of every fragment to the batch. `leaf_length` is that of each of them, and not above
 * that of leaves already waiting. The hashes belong after the roots' buffered bytes and `skipped` hashes. */
static void add_leaves(const sfc_level *level, leaf_batch *batch, const uint8_t *const *fragments, root_set *roots,
                       size_t first, size_t last, size_t leaf_length, size_t skipped) {
    for (size_t fragment = 0; fragment < roots->count; fragment++) {
        uint8_t *digest = roots->buffers[fragment] + roots->buffered_bytes + skipped * SFC_DIGEST_BYTES;
        for (size_t leaf = first; leaf < last; leaf++, digest += SFC_DIGEST_BYTES) {
            batch->leaves[batch->count++] = (sfc_sha256_message){
                .bytes = fragments[fragment] + leaf * SFC_LEAF_BYTES, .length = leaf_length, .digest = digest};
            if (batch->count == SFC_SHA256_LANES_MAX) hash_batch(level, batch);
        }
    }
}

static void hash_group(const sfc_level *level, const uint8_t *const *fragments, size_t count, size_t length,
                       uint8_t *digests) {
    const size_t whole_leaves = length / SFC_LEAF_BYTES;
    const size_t last_leaf_length = length % SFC_LEAF_BYTES;
    const size_t leaf_count = whole_leaves + (last_leaf_length > 0);
    root_set roots;
    begin_roots(&roots, count, length);
    for (size_t first = 0; first < leaf_count; first += STRIDE_LEAVES) {
        const size_t end = leaf_count - first < STRIDE_LEAVES ? leaf_count : first + STRIDE_LEAVES;
        const size_t whole_end = end < whole_leaves ? end : whole_leaves;
        leaf_batch batch;
        batch.count = 0;
        add_leaves(level, &batch, fragments, &roots, first, whole_end, SFC_LEAF_BYTES, 0);
        add_leaves(level, &batch, fragments, &roots, whole_end, end, last_leaf_length, whole_end - first);
        hash_batch(level, &batch);
        advance_roots(level, &roots, end - first);
    }
    finish_roots(level, &roots, leaf_count, digests);
}

/* A lone fragment of one leaf or none: two messages of which one waits for the other, so there are no lanes to fill. */
static void hash_lone_leaf(const sfc_level *level, const uint8_t *leaf, size_t length, uint8_t *digest) {
    uint8_t root[ROOT_PREFIX_BYTES + SFC_DIGEST_BYTES];
    size_t root_length = begin_root(root, length);
    if (length > 0) {
        const uint8_t *pieces[2] = {leaf_prefix, leaf};
        const size_t lengths[2] = {sizeof leaf_prefix, length};
        sfc_sha256_pieces(level, pieces, lengths, 2, root + root_length);
        root_length += SFC_DIGEST_BYTES;
    }
    const uint8_t *piece = root;
    sfc_sha256_pieces(level, &piece, &root_length, 1, digest);
}

void sfc_tree_hashes(size_t level, const uint8_t *const *fragments, size_t count, size_t length, uint8_t *digests) {
    const sfc_level *kernels = sfc_level_at(level);
    if (count == 1 && length <= SFC_LEAF_BYTES) {
        hash_lone_leaf(kernels, fragments[0], length, digests);
        return;
    }
    for (size_t first = 0; first < count; first += GROUP_FRAGMENTS) {
        const size_t group_count = count - first < GROUP_FRAGMENTS ? count - first : GROUP_FRAGMENTS;
        hash_group(kernels, fragments + first, group_count, length, digests + first * SFC_DIGEST_BYTES);
    }
}

void sfc_derive_key(size_t level, const sfc_stripe_shape *shape, const uint8_t *hashes, uint8_t *r) {
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
    sfc_sha256_pieces(sfc_level_at(level), pieces, lengths, 2, digest);
    memcpy(r, digest, SFC_FINGERPRINT_BYTES);
}
