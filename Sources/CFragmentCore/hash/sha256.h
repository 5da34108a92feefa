/* SHA-256 over whole messages, at a level. */
#ifndef SOLIDUS_SHA256_H
#define SOLIDUS_SHA256_H

#include "level.h"

/* Advances any number of independent states by `block_count` consecutive blocks each, with the level's kernels. */
void sfc_sha256_compress(const sfc_level *level, uint32_t (*states)[8], const uint8_t *const *blocks,
                         size_t lane_count, size_t block_count);

/* A message without the prefix it shares with others, and where its digest of SFC_DIGEST_BYTES goes. */
typedef struct {
    const uint8_t *bytes;
    size_t length;
    uint8_t *digest;
} sfc_sha256_message;

/* Stores SHA-256(prefix || message) of 1 ... SFC_SHA256_LANES_MAX messages, of which none is longer than the one before
 * it; the prefix has 1 ... 16 bytes. */
void sfc_sha256_messages(const sfc_level *level, const uint8_t *prefix, size_t prefix_length,
                         const sfc_sha256_message *messages, size_t count);

/* digest[32] = SHA-256 of the pieces one after another. */
void sfc_sha256_pieces(const sfc_level *level, const uint8_t *const *pieces, const size_t *lengths, size_t count,
                       uint8_t *digest);

void sfc_sha256_begin(uint32_t state[8]);
void sfc_sha256_store_digest(const uint32_t state[8], uint8_t *digest);

/* Pads the last `length` bytes (below 64) of a message of `total_length` bytes: appends 0x80, zeros and the length in
 * bits big-endian to `tail`, which has room for two blocks. Returns how many blocks it now holds. */
size_t sfc_sha256_pad(uint8_t *tail, size_t length, uint64_t total_length);

#endif
