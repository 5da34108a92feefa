/* SHA-256 over one message through libcrypto, and over many of one length in lanes where the level has them. */
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "level.h"

static EVP_MD *sha256_method;
static pthread_once_t sha256_method_once = PTHREAD_ONCE_INIT;

/* Fetching a method by name costs more than hashing a short message, so it is done once per process. */
static void fetch_sha256_method(void) {
    sha256_method = EVP_MD_fetch(NULL, "SHA256", NULL);
}

/* libcrypto fails here only when memory is exhausted or SHA-256 is not installed; neither leaves a way to go on. */
static void require(int succeeded) {
    if (!succeeded) abort();
}

static EVP_MD_CTX *new_context(void) {
    require(pthread_once(&sha256_method_once, fetch_sha256_method) == 0 && sha256_method != NULL);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    require(context != NULL);
    return context;
}

void sfc_sha256(const uint8_t *const *pieces, const size_t *lengths, size_t count, uint8_t *digest) {
    EVP_MD_CTX *context = new_context();
    require(EVP_DigestInit_ex2(context, sha256_method, NULL));
    for (size_t i = 0; i < count; i++) {
        if (lengths[i] > 0) require(EVP_DigestUpdate(context, pieces[i], lengths[i]));
    }
    require(EVP_DigestFinal_ex(context, digest, NULL));
    EVP_MD_CTX_free(context);
}

static void hash_one_by_one(const uint8_t *prefix, size_t prefix_length, const uint8_t *const *messages,
                            size_t count, size_t length, uint8_t (*digests)[SFC_DIGEST_BYTES]) {
    EVP_MD_CTX *context = new_context();
    for (size_t i = 0; i < count; i++) {
        require(EVP_DigestInit_ex2(context, sha256_method, NULL));
        require(EVP_DigestUpdate(context, prefix, prefix_length));
        if (length > 0) require(EVP_DigestUpdate(context, messages[i], length));
        require(EVP_DigestFinal_ex(context, digests[i], NULL));
    }
    EVP_MD_CTX_free(context);
}

/* The padded end of a message: what follows the last whole block, 0x80, zeros, the length in bits big-endian. */
typedef struct {
    uint8_t bytes[2 * SFC_SHA256_BLOCK_BYTES];
} padded_tail;

/* Pads the first `length` bytes of a tail (below 64) for a message of `total_length` bytes; returns its blocks. */
static size_t pad_tail(padded_tail *tail, size_t length, uint64_t total_length) {
    const size_t blocks = length + 9 <= SFC_SHA256_BLOCK_BYTES ? 1 : 2;
    const size_t end = blocks * SFC_SHA256_BLOCK_BYTES;
    memset(tail->bytes + length, 0, end - length);
    tail->bytes[length] = 0x80;
    for (int i = 0; i < 8; i++) tail->bytes[end - 1 - i] = (uint8_t)((8 * total_length) >> (8 * i));
    return blocks;
}

/* Hashes 1 ... level->sha256_lanes messages in step. A message's bytes are read where they lie; only the block that
 * begins with the prefix and the padded end are assembled. */
static void hash_in_lanes(const sfc_level *level, const uint8_t *prefix, size_t prefix_length,
                          const uint8_t *const *messages, size_t lane_count, size_t length,
                          uint8_t (*digests)[SFC_DIGEST_BYTES]) {
    static const uint32_t initial_state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                              0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    uint32_t states[SFC_SHA256_LANES_MAX][8];
    uint8_t heads[SFC_SHA256_LANES_MAX][SFC_SHA256_BLOCK_BYTES];
    padded_tail tails[SFC_SHA256_LANES_MAX];
    const uint8_t *blocks[SFC_SHA256_LANES_MAX] = {NULL};

    const size_t total_length = prefix_length + length;
    const size_t whole_blocks = total_length / SFC_SHA256_BLOCK_BYTES;
    const size_t tail_length = total_length % SFC_SHA256_BLOCK_BYTES;
    const size_t head_length = SFC_SHA256_BLOCK_BYTES - prefix_length;

    for (size_t lane = 0; lane < lane_count; lane++) memcpy(states[lane], initial_state, sizeof initial_state);
    if (whole_blocks > 0) {
        for (size_t lane = 0; lane < lane_count; lane++) {
            memcpy(heads[lane], prefix, prefix_length);
            memcpy(heads[lane] + prefix_length, messages[lane], head_length);
            blocks[lane] = heads[lane];
        }
        level->sha256_compress(states, blocks, lane_count, 1);
    }
    if (whole_blocks > 1) {
        for (size_t lane = 0; lane < lane_count; lane++) blocks[lane] = messages[lane] + head_length;
        level->sha256_compress(states, blocks, lane_count, whole_blocks - 1);
    }
    size_t tail_blocks = 0;
    for (size_t lane = 0; lane < lane_count; lane++) {
        if (whole_blocks > 0) {
            if (tail_length > 0) memcpy(tails[lane].bytes, messages[lane] + length - tail_length, tail_length);
        } else {
            memcpy(tails[lane].bytes, prefix, prefix_length);
            if (length > 0) memcpy(tails[lane].bytes + prefix_length, messages[lane], length);
        }
        tail_blocks = pad_tail(&tails[lane], tail_length, total_length);
        blocks[lane] = tails[lane].bytes;
    }
    level->sha256_compress(states, blocks, lane_count, tail_blocks);

    for (size_t lane = 0; lane < lane_count; lane++) {
        for (int i = 0; i < 32; i++) digests[lane][i] = (uint8_t)(states[lane][i / 4] >> (24 - 8 * (i % 4)));
    }
}

void sfc_sha256_messages(const sfc_level *level, const uint8_t *prefix, size_t prefix_length,
                         const uint8_t *const *messages, size_t count, size_t length,
                         uint8_t (*digests)[SFC_DIGEST_BYTES]) {
    if (level->sha256_compress == NULL) {
        hash_one_by_one(prefix, prefix_length, messages, count, length, digests);
        return;
    }
    for (size_t first = 0; first < count; first += level->sha256_lanes) {
        const size_t remaining = count - first;
        const size_t lane_count = remaining < level->sha256_lanes ? remaining : level->sha256_lanes;
        hash_in_lanes(level, prefix, prefix_length, messages + first, lane_count, length, digests + first);
    }
}
