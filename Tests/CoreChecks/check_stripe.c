/* Whole operations on stripes against their definition: key from the hashes, fingerprints under it, verdicts. */
#include <isa-l/erasure_code.h>
#include <stdlib.h>
#include <string.h>

#include "checks.h"
#include "guarded.h"
#include "reference.h"

enum { FRAGMENTS_MAX = 255 };

/* An honest stripe of random data, each fragment at an alignment of its own. */
typedef struct {
    size_t n, m, length;
    sfc_stripe_shape shape;
    uint8_t *generator, *hashes, *fingerprints;
    aligned_buffer copies[FRAGMENTS_MAX];
    uint8_t *fragments[FRAGMENTS_MAX];
    uint8_t indices[FRAGMENTS_MAX];
} stripe;

/* What a writer claims is bound to the documented bytes, laid out here once more. */
static element key_of(const stripe *of, const uint8_t *hashes) {
    const size_t size = 53 + 32 * of->n;
    uint8_t *layout = allocate(size), digest[32];
    memset(layout, 0, 53);
    memcpy(layout, "solidus fingerprint key v1", 26);
    layout[32] = (uint8_t)of->n;
    layout[34] = (uint8_t)of->m;
    layout[36] = of->shape.matrix_id;
    for (int i = 0; i < 8; i++) {
        layout[37 + i] = (uint8_t)(of->shape.fragment_size_bytes >> (8 * i));
        layout[45 + i] = (uint8_t)(of->shape.block_size_bytes >> (8 * i));
    }
    memcpy(layout + 53, hashes, 32 * of->n);
    reference_sha256(layout, size, digest);
    free(layout);
    return element_of_bytes(digest);
}

static void fill_fingerprints(stripe *of) {
    const element r = key_of(of, of->hashes);
    for (size_t j = 0; j < of->m; j++) {
        bytes_of_element(reference_fingerprint(r, of->fragments[j], of->length), of->fingerprints + 16 * j);
    }
}

static stripe *create_stripe(size_t m, size_t n, size_t length) {
    stripe *of = allocate(sizeof *of);
    of->n = n;
    of->m = m;
    of->length = length;
    of->shape = (sfc_stripe_shape){(uint16_t)n, (uint16_t)m, 1, length, m * length};
    of->generator = allocate(n * m);
    of->hashes = allocate(32 * n);
    of->fingerprints = allocate(16 * m);
    gf_gen_cauchy1_matrix(of->generator, (int)n, (int)m);
    for (size_t i = 0; i < n; i++) {
        of->copies[i] = allocate_aligned(length, random_below(MAX_ALIGNMENT));
        of->fragments[i] = of->copies[i].bytes;
        of->indices[i] = (uint8_t)i;
        if (i < m) random_fill(of->fragments[i], length);
    }
    reference_matrix_apply(of->generator + m * m, n - m, m, (const uint8_t *const *)of->fragments,
                           of->fragments + m, length);
    for (size_t i = 0; i < n; i++) reference_tree_hash(of->fragments[i], length, of->hashes + 32 * i);
    fill_fingerprints(of);
    return of;
}

static void destroy_stripe(stripe *of) {
    for (size_t i = 0; i < of->n; i++) free(of->copies[i].block);
    free(of->generator);
    free(of->hashes);
    free(of->fingerprints);
    free(of);
}

static void expect_verdicts(const stripe *of, const uint8_t *indices, const uint8_t *const *fragments, size_t count,
                            const uint8_t *expected, const char *what) {
    for (EACH_LEVEL(level)) {
        uint8_t actual[FRAGMENTS_MAX];
        memset(actual, 0xc5, sizeof actual);
        set_case(level, of->length, 0);
        const sfc_stripe described = {level, of->shape, of->generator};
        sfc_fragments_verify(&described, of->hashes, of->fingerprints, indices, fragments, count, actual);
        expect_bytes(actual, expected, count, what);
        expect(count == FRAGMENTS_MAX || actual[count] == 0xc5, "what follows the verdicts");
    }
}

static void expect_same_verdict(const stripe *of, uint8_t verdict, const char *what) {
    uint8_t expected[FRAGMENTS_MAX];
    memset(expected, verdict, sizeof expected);
    expect_verdicts(of, of->indices, (const uint8_t *const *)of->fragments, of->n, expected, what);
}

/* A random flip somewhere in `size` bytes; its inverse is itself. */
typedef struct {
    uint8_t *byte;
    uint8_t change;
} flip;

static flip random_flip(uint8_t *bytes, size_t size) {
    const flip chosen = {bytes + random_below(size), (uint8_t)(1 << random_below(8))};
    *chosen.byte ^= chosen.change;
    return chosen;
}

static void undo(flip chosen) {
    *chosen.byte ^= chosen.change;
}

static void check_honest(const stripe *of) {
    for (EACH_LEVEL(level)) {
        uint8_t *actual = allocate(16 * of->m);
        set_case(level, of->length, 0);
        const sfc_stripe described = {level, of->shape, of->generator};
        sfc_stripe_fingerprints(&described, of->hashes, (const uint8_t *const *)of->fragments, actual);
        expect_bytes(actual, of->fingerprints, 16 * of->m, "a stripe's fingerprints");
        free(actual);
    }
    expect_same_verdict(of, SFC_FRAGMENT_GOOD, "an honest stripe");

    /* A few of the fragments, in another order, one of them twice. */
    uint8_t indices[3], verdicts[3] = {0, 0, 0};
    const uint8_t *fragments[3];
    const size_t count = of->n < 3 ? of->n : 3;
    for (size_t k = 0; k < count; k++) {
        indices[k] = k == 2 ? indices[0] : (uint8_t)random_below(of->n);
        fragments[k] = of->fragments[indices[k]];
    }
    expect_verdicts(of, indices, fragments, count, verdicts, "some fragments of an honest stripe");
    expect_verdicts(of, indices, fragments, 0, verdicts, "no fragments");
}

static void check_changed_fragment(stripe *of) {
    uint8_t expected[FRAGMENTS_MAX] = {0};
    const size_t index = random_below(of->n);
    const flip chosen = random_flip(of->fragments[index], of->length);
    expected[index] = SFC_FRAGMENT_HASH_MISMATCH;
    expect_verdicts(of, of->indices, (const uint8_t *const *)of->fragments, of->n, expected, "a changed fragment");

    /* Hashed and fingerprinted anew by a writer who lies. A changed data fragment passes, for it is what the
     * fingerprints now are of, and all parity contradicts it; changed parity contradicts the data. */
    uint8_t hash[32];
    memcpy(hash, of->hashes + 32 * index, 32);
    reference_tree_hash(of->fragments[index], of->length, of->hashes + 32 * index);
    fill_fingerprints(of);
    for (size_t i = 0; i < of->n; i++) {
        const bool is_consistent = index < of->m ? i < of->m : i != index;
        expected[i] = is_consistent ? SFC_FRAGMENT_GOOD : SFC_FRAGMENT_FINGERPRINT_MISMATCH;
    }
    expect_verdicts(of, of->indices, (const uint8_t *const *)of->fragments, of->n, expected,
                    "fragments of a writer who lies");
    undo(chosen);
    memcpy(of->hashes + 32 * index, hash, 32);
    fill_fingerprints(of);
}

static void check_changed_fingerprint(stripe *of) {
    uint8_t expected[FRAGMENTS_MAX];
    const size_t data_index = random_below(of->m);
    const flip chosen = random_flip(of->fingerprints + 16 * data_index, 16);
    for (size_t i = 0; i < of->n; i++) {
        const bool is_touched = of->generator[of->m * i + data_index] != 0;
        expected[i] = is_touched ? SFC_FRAGMENT_FINGERPRINT_MISMATCH : SFC_FRAGMENT_GOOD;
    }
    expect_verdicts(of, of->indices, (const uint8_t *const *)of->fragments, of->n, expected, "a changed fingerprint");
    undo(chosen);
}

/* Every claim is bound to every verdict by the key. */
static void check_changed_claims(stripe *of) {
    uint8_t expected[FRAGMENTS_MAX];
    const size_t index = random_below(of->n);
    const flip chosen = random_flip(of->hashes + 32 * index, 32);
    memset(expected, SFC_FRAGMENT_FINGERPRINT_MISMATCH, sizeof expected);
    expected[index] = SFC_FRAGMENT_HASH_MISMATCH;
    expect_verdicts(of, of->indices, (const uint8_t *const *)of->fragments, of->n, expected, "a changed hash");
    undo(chosen);

    of->shape.block_size_bytes ^= (uint64_t)1 << random_below(64);
    expect_same_verdict(of, SFC_FRAGMENT_FINGERPRINT_MISMATCH, "another block size");
    of->shape.block_size_bytes = of->m * of->length;
    of->shape.matrix_id ^= 1;
    expect_same_verdict(of, SFC_FRAGMENT_FINGERPRINT_MISMATCH, "another matrix id");
    of->shape.matrix_id ^= 1;
}

static void check_stripe(size_t m, size_t n, size_t length) {
    set_detail("m = %zu, n = %zu", m, n, 0);
    stripe *of = create_stripe(m, n, length);
    check_honest(of);
    check_changed_fingerprint(of);
    if (length > 0) check_changed_fragment(of);
    /* Of a single byte, or zeros and a byte, the fingerprint does not depend on the key; of random longer ones it does
     * but for a chance of 2^-120. */
    if (length >= 16) check_changed_claims(of);
    destroy_stripe(of);
}

static void check_stripes(void) {
    static const struct {
        size_t m, n;
    } codes[] = {{1, 1}, {1, 4}, {2, 4}, {3, 7}, {4, 8}, {8, 10}, {7, 19}, {20, 60}};
    static const size_t lengths[] = {0, 1, 2, 16, 128, 1000, 2048, 2049, 6200};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i += by_effort(3, 1, 1)) {
        for (size_t code = 0; code < sizeof codes / sizeof codes[0]; code += by_effort(3, 1, 1)) {
            for (size_t round = 0; round < by_effort(1, 1, 30); round++) {
                check_stripe(codes[code].m, codes[code].n, lengths[i]);
            }
        }
    }
    for (size_t length = 3; length <= by_effort(0, 400, 1200); length++) check_stripe(2, 4, length);
    if (effort != EFFORT_BRIEF) check_stripe(128, 255, 100);
}

/* Fragments between inaccessible pages, and claims as well. */
static void check_boundaries(void) {
    enum { M = 2, N = 4, LENGTH_MAX = 5000 };
    guarded_memory fragments[N], hashes = guarded_create(32 * N), fingerprints = guarded_create(16 * M);
    for (int i = 0; i < N; i++) fragments[i] = guarded_create(LENGTH_MAX);
    const size_t dense_end = by_effort(0, 300, 300);
    for (size_t length = 0; length <= LENGTH_MAX;
         length += length < dense_end ? 1 : 1 + random_below(by_effort(1200, 60, 4))) {
        const guard_side side = length % 2 ? BEFORE_GUARD : AFTER_GUARD;
        stripe *of = create_stripe(M, N, length);
        stripe moved = *of;
        for (int i = 0; i < N; i++) {
            moved.fragments[i] = guarded_place(&fragments[i], length, side);
            memcpy(moved.fragments[i], of->fragments[i], length);
            guarded_seal(&fragments[i]);
        }
        moved.hashes = guarded_place(&hashes, 32 * N, side);
        memcpy(moved.hashes, of->hashes, 32 * N);
        moved.fingerprints = guarded_place(&fingerprints, 16 * M, side);
        memcpy(moved.fingerprints, of->fingerprints, 16 * M);
        guarded_seal(&hashes);
        guarded_seal(&fingerprints);
        expect_same_verdict(&moved, SFC_FRAGMENT_GOOD, "an honest stripe between inaccessible pages");
        destroy_stripe(of);
    }
    for (int i = 0; i < N; i++) guarded_destroy(&fragments[i]);
    guarded_destroy(&hashes);
    guarded_destroy(&fingerprints);
}

const suite stripe_suites[] = {
    {"stripe.verdicts", "fingerprints and verdicts of honest and forged stripes", check_stripes},
    {"stripe.boundaries", "verdicts on fragments between inaccessible pages", check_boundaries},
    {0},
};
