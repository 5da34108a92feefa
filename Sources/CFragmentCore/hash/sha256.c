/* SHA-256 of many messages in lanes, and of one message in pieces, on top of a level's kernels. Nothing here allocates,
 * except libcrypto where it stands in for kernels a level does not have.
 */
#include "hash/sha256.h"

#include <string.h>

#include "hash/sha256_libcrypto.h"

enum { BLOCK = SFC_SHA256_BLOCK_BYTES, LANES_MAX = SFC_SHA256_LANES_MAX };

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Choices are ordered from wide to narrow, and the last one serves any number of states. */
static sfc_sha256_choice choose(const sfc_level *level, size_t lane_count) {
    const sfc_sha256_choice *choice = level->sha256;
    while (lane_count < choice->from_lanes) choice++;
    return *choice;
}

void sfc_sha256_compress(const sfc_level *level, uint32_t (*states)[8], const uint8_t *const *blocks,
                         size_t lane_count, size_t block_count) {
    if (block_count == 0) return;
    for (size_t first = 0; first < lane_count;) {
        const sfc_sha256_kernel *kernel = choose(level, lane_count - first).kernel;
        const size_t lanes = smaller(lane_count - first, kernel->lanes);
        kernel->compress(states + first, blocks + first, lanes, block_count);
        first += lanes;
    }
}

void sfc_sha256_begin(uint32_t state[8]) {
    static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(state, initial, sizeof initial);
}

void sfc_sha256_store_digest(const uint32_t state[8], uint8_t *digest) {
    for (int i = 0; i < 8; i++) {
        const uint32_t word = __builtin_bswap32(state[i]);
        memcpy(digest + 4 * i, &word, sizeof word);
    }
}

size_t sfc_sha256_pad(uint8_t *tail, size_t length, uint64_t total_length) {
    const size_t blocks = length + 9 <= BLOCK ? 1 : 2;
    const size_t end = blocks * BLOCK;
    memset(tail + length, 0, end - length);
    tail[length] = 0x80;
    const uint64_t bits = __builtin_bswap64(8 * total_length);
    memcpy(tail + end - sizeof bits, &bits, sizeof bits);
    return blocks;
}

/* Messages on their way: first their head (the block that opens with the prefix), then the body, read where it lies,
 * then the padded tail. A message shorter than its head is all tail. */
typedef struct {
    const sfc_sha256_message *messages;
    size_t count;
    const uint8_t *prefix;
    size_t prefix_length;
    uint32_t states[LANES_MAX][8];
    uint8_t buffers[LANES_MAX][2 * BLOCK];
    const uint8_t *blocks[LANES_MAX];
} lane_set;

static size_t total_length(const lane_set *set, size_t lane) {
    return set->prefix_length + set->messages[lane].length;
}

/* The number of leading lanes with at least `block_count` whole blocks. */
static size_t lanes_with(const lane_set *set, size_t block_count) {
    size_t lanes = set->count;
    while (lanes > 0 && total_length(set, lanes - 1) / BLOCK < block_count) lanes--;
    return lanes;
}

static void compress_heads(const sfc_level *level, lane_set *set) {
    const size_t lanes = lanes_with(set, 1);
    for (size_t lane = 0; lane < lanes; lane++) {
        memcpy(set->buffers[lane], set->prefix, set->prefix_length);
        memcpy(set->buffers[lane] + set->prefix_length, set->messages[lane].bytes, BLOCK - set->prefix_length);
        set->blocks[lane] = set->buffers[lane];
    }
    sfc_sha256_compress(level, set->states, set->blocks, lanes, 1);
}

/* All lanes as far as the shortest goes, then the rest without it, and so on. */
static void compress_bodies(const sfc_level *level, lane_set *set) {
    for (size_t done = 1, lanes; (lanes = lanes_with(set, done + 1)) > 0;) {
        const size_t reached = total_length(set, lanes - 1) / BLOCK;
        for (size_t lane = 0; lane < lanes; lane++) {
            set->blocks[lane] = set->messages[lane].bytes + BLOCK * done - set->prefix_length;
        }
        sfc_sha256_compress(level, set->states, set->blocks, lanes, reached - done);
        done = reached;
    }
}

/* Assembles the tail in the lane's buffer; returns its number of blocks. */
static size_t make_tail(lane_set *set, size_t lane) {
    const sfc_sha256_message message = set->messages[lane];
    const size_t total = total_length(set, lane), length = total % BLOCK;
    uint8_t *tail = set->buffers[lane];
    if (total >= BLOCK) {
        memcpy(tail, message.bytes + message.length - length, length);
    } else {
        memcpy(tail, set->prefix, set->prefix_length);
        if (message.length > 0) memcpy(tail + set->prefix_length, message.bytes, message.length);
    }
    return sfc_sha256_pad(tail, length, total);
}

/* Neighbours of equal length have tails of equally many blocks and go on together. */
static void compress_tails(const sfc_level *level, lane_set *set) {
    size_t tail_blocks[LANES_MAX];
    for (size_t lane = 0; lane < set->count; lane++) {
        tail_blocks[lane] = make_tail(set, lane);
        set->blocks[lane] = set->buffers[lane];
    }
    for (size_t first = 0, end; first < set->count; first = end) {
        for (end = first + 1; end < set->count && tail_blocks[end] == tail_blocks[first];) end++;
        sfc_sha256_compress(level, set->states + first, set->blocks + first, end - first, tail_blocks[first]);
    }
}

void sfc_sha256_messages(const sfc_level *level, const uint8_t *prefix, size_t prefix_length,
                         const sfc_sha256_message *messages, size_t count) {
    if (level->hashes_by_libcrypto) {
        sfc_sha256_messages_libcrypto(prefix, prefix_length, messages, count);
        return;
    }
    lane_set set;
    set.messages = messages;
    set.count = count;
    set.prefix = prefix;
    set.prefix_length = prefix_length;
    for (size_t lane = 0; lane < count; lane++) sfc_sha256_begin(set.states[lane]);
    compress_heads(level, &set);
    compress_bodies(level, &set);
    compress_tails(level, &set);
    for (size_t lane = 0; lane < count; lane++) sfc_sha256_store_digest(set.states[lane], messages[lane].digest);
}

void sfc_sha256_pieces(const sfc_level *level, const uint8_t *const *pieces, const size_t *lengths, size_t count,
                       uint8_t *digest) {
    if (level->hashes_by_libcrypto) {
        sfc_sha256_pieces_libcrypto(pieces, lengths, count, digest);
        return;
    }
    uint32_t state[1][8];
    uint8_t buffer[2 * BLOCK];
    size_t buffered = 0, total = 0;
    sfc_sha256_begin(state[0]);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *bytes = pieces[i];
        size_t remaining = lengths[i];
        total += remaining;
        if (remaining == 0) continue;
        if (buffered > 0) {
            const size_t taken = smaller(remaining, BLOCK - buffered);
            memcpy(buffer + buffered, bytes, taken);
            buffered += taken;
            bytes += taken;
            remaining -= taken;
            if (buffered < BLOCK) continue;
            const uint8_t *block = buffer;
            sfc_sha256_compress(level, state, &block, 1, 1);
        }
        sfc_sha256_compress(level, state, &bytes, 1, remaining / BLOCK);
        buffered = remaining % BLOCK;
        memcpy(buffer, bytes + remaining - buffered, buffered);
    }
    const uint8_t *tail = buffer;
    sfc_sha256_compress(level, state, &tail, 1, sfc_sha256_pad(buffer, buffered, total));
    sfc_sha256_store_digest(state[0], digest);
}

void sfc_sha256(const uint8_t *const *pieces, const size_t *lengths, size_t count, uint8_t *digest) {
    sfc_sha256_pieces(sfc_level_at(sfc_active_level()), pieces, lengths, count, digest);
}
