/* Fragment hashes, SHA-256 of pieces and the derivation of the key against libcrypto. */
#include <stdlib.h>
#include <string.h>

#include "checks.h"
#include "reference.h"
#include "hash/sha256.h"

/* `count` random fragments, each at an alignment of its own, and their hashes by definition. */
static void check_fragments(size_t count, size_t length, size_t first_alignment) {
    aligned_buffer *copies = allocate(count * sizeof *copies);
    const uint8_t **fragments = allocate(count * sizeof *fragments);
    uint8_t *expected = allocate(32 * count), *actual = allocate(32 * count);
    for (size_t i = 0; i < count; i++) {
        copies[i] = allocate_aligned(length, (first_alignment + 13 * i) % MAX_ALIGNMENT);
        random_fill(copies[i].bytes, length);
        fragments[i] = copies[i].bytes;
        reference_tree_hash(fragments[i], length, expected + 32 * i);
    }
    set_detail("%zu fragments", count, 0, 0);
    for (EACH_LEVEL(level)) {
        set_case(level, length, first_alignment);
        memset(actual, 0, 32 * count);
        sfc_tree_hashes(level, fragments, count, length, actual);
        expect_bytes(actual, expected, 32 * count, "tree hashes");
    }
    for (size_t i = 0; i < count; i++) free(copies[i].block);
    free(copies);
    free(fragments);
    free(expected);
    free(actual);
}

static void check_lengths(void) {
    for (size_t length = 0; length <= 1200; length += by_effort(11, 1, 1)) {
        for (size_t i = 0; i < by_effort(1, 2, 20); i++) {
            check_fragments(1 + random_below(5), length, random_below(MAX_ALIGNMENT));
        }
    }
}

static void check_leaves(void) {
    static const int surpluses[] = {-65, -64, -63, -10, -9, -1, 0, 1, 2, 54, 55, 56, 62, 63, 64, 65, 119, 120, 1024};
    for (size_t leaves = 1; leaves <= 20; leaves += by_effort(5, 1, 1)) {
        for (size_t i = 0; i < sizeof surpluses / sizeof surpluses[0]; i += by_effort(5, 1, 1)) {
            const size_t length = 2048 * leaves + (size_t)surpluses[i];
            for (size_t count = 1; count <= by_effort(1, 2, 6); count++) {
                check_fragments(count, length, random_below(MAX_ALIGNMENT));
            }
        }
    }
}

static void check_counts(void) {
    static const size_t lengths[] = {0, 1, 55, 64, 2047, 2048, 2049, 4096, 6000, 32768 + 5};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i += by_effort(4, 1, 1)) {
        for (size_t count = 0; count <= 20; count += by_effort(6, 1, 1)) check_fragments(count, lengths[i], 0);
    }
    check_fragments(255, 100, 1);
    if (effort == EFFORT_BRIEF) return;
    check_fragments(60, 5000, 3);
    check_fragments(255, 2048 + 9, 7);
}

static void check_large(void) {
    for (size_t i = 0; i < by_effort(1, 3, 20); i++) {
        check_fragments(1 + random_below(4), random_below(by_effort(40 << 10, 1 << 20, 4 << 20)),
                        random_below(MAX_ALIGNMENT));
    }
}

static void check_alignments(void) {
    for (size_t alignment = 0; alignment < MAX_ALIGNMENT; alignment += by_effort(13, 1, 1)) {
        check_fragments(3, 4500, alignment);
        check_fragments(1, 100, alignment);
    }
}

/* Pieces of any length, including none, hash as their concatenation. */
static void check_pieces(void) {
    for (size_t i = 0; i < by_effort(10, 200, 5000); i++) {
        const uint8_t *pieces[6];
        size_t lengths[6], total = 0;
        uint8_t text[6 * 200], expected[32], actual[32];
        const size_t count = random_below(7);
        for (size_t piece = 0; piece < count; piece++) {
            lengths[piece] = random_below(3) == 0 ? 0 : random_below(200);
            pieces[piece] = lengths[piece] == 0 ? NULL : text + total;
            total += lengths[piece];
        }
        random_fill(text, total);
        reference_sha256(text, total, expected);
        for (EACH_LEVEL(level)) {
            set_case(level, total, 0);
            sfc_sha256_pieces(sfc_level_at(level), pieces, lengths, count, actual);
            expect_bytes(actual, expected, 32, "SHA-256 of pieces at a level");
            sfc_sha256(pieces, lengths, count, actual);
            expect_bytes(actual, expected, 32, "SHA-256 of pieces");
        }
    }
}

static void check_key_derivation(void) {
    static const char tag[] = "solidus fingerprint key v1";
    static const uint16_t counts[] = {1, 4, 7, 10, 19, 60, 255, 256, 1000};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        const size_t hashes_length = 32 * (size_t)counts[i], length = 53 + hashes_length;
        sfc_stripe_shape shape = {
            .fragment_count = counts[i], .data_fragment_count = (uint16_t)random_word(),
            .matrix_id = (uint8_t)random_word(), .fragment_size_bytes = random_word(),
            .block_size_bytes = random_word(),
        };
        uint8_t *layout = allocate(length), digest[32], r[16];
        memset(layout, 0, 32);
        memcpy(layout, tag, strlen(tag));
        for (int byte = 0; byte < 2; byte++) {
            layout[32 + byte] = (uint8_t)(shape.fragment_count >> (8 * byte));
            layout[34 + byte] = (uint8_t)(shape.data_fragment_count >> (8 * byte));
        }
        layout[36] = shape.matrix_id;
        for (int byte = 0; byte < 8; byte++) {
            layout[37 + byte] = (uint8_t)(shape.fragment_size_bytes >> (8 * byte));
            layout[45 + byte] = (uint8_t)(shape.block_size_bytes >> (8 * byte));
        }
        random_fill(layout + 53, hashes_length);
        reference_sha256(layout, length, digest);
        for (EACH_LEVEL(level)) {
            set_case(level, hashes_length, 0);
            sfc_derive_key(level, &shape, layout + 53, r);
            expect_bytes(r, digest, 16, "derived key");
        }
        free(layout);
    }
}

const suite hash_suites[] = {
    {"hash.pieces", "SHA-256 of pieces", check_pieces},
    {"hash.key", "the derivation of the fingerprint key", check_key_derivation},
    {"hash.lengths", "tree hashes of every length 0 ... 1200", check_lengths},
    {"hash.leaves", "tree hashes around every leaf boundary up to 20 leaves", check_leaves},
    {"hash.counts", "tree hashes of 0 ... 20, 60 and 255 fragments", check_counts},
    {"hash.alignments", "tree hashes at all 64 alignments", check_alignments},
    {"hash.large", "tree hashes of random lengths up to megabytes", check_large},
    {0},
};
