/* No kernel touches a byte that is not its own: inputs and outputs end exactly at an inaccessible page or begin at one,
 * inputs lie in read-only memory, and what surrounds the outputs is left as it was. */
#include <stdlib.h>
#include <string.h>

#include "checks.h"
#include "guarded.h"
#include "reference.h"

enum { LENGTH_MAX = 3 * 4096 + 200 };

static const guard_side sides[2] = {BEFORE_GUARD, AFTER_GUARD};

/* Short lengths one by one, then around the sizes at which kernels change their ways. */
static size_t length_after(size_t length) {
    const size_t dense_end = by_effort(0, 700, 1200);
    if (length < dense_end) return length + 1;
    return length + 1 + random_below(by_effort(2000, 250, 12));
}

static void set_side_detail(guard_side side) {
    set_detail(side == BEFORE_GUARD ? "ending at an inaccessible page" : "beginning at one", 0, 0, 0);
}

static void check_fingerprints(void) {
    guarded_memory input = guarded_create(LENGTH_MAX), output = guarded_create(16);
    uint8_t r[16];
    random_fill(r, sizeof r);
    sfc_fingerprint_key *keys[LEVELS_MAX];
    for (size_t level = 0; level < sfc_level_count(); level++) {
        keys[level] = sfc_fingerprint_key_create(level, r);
        if (keys[level] == NULL) abort();
    }
    for (size_t length = 0; length <= LENGTH_MAX; length = length_after(length)) {
        for (int i = 0; i < 2; i++) {
            uint8_t expected[16];
            uint8_t *data = guarded_place(&input, length, sides[i]);
            random_fill(data, length);
            guarded_seal(&input);
            bytes_of_element(reference_fingerprint(element_of_bytes(r), data, length), expected);
            set_side_detail(sides[i]);
            for (EACH_LEVEL(level)) {
                set_case(level, length, 0);
                uint8_t *actual = guarded_place(&output, 16, sides[i]);
                sfc_fingerprint(keys[level], data, length, actual);
                expect_bytes(actual, expected, 16, "fingerprint");
                expect(guarded_is_intact(&output, actual, 16), "what surrounds a fingerprint");
            }
        }
    }
    for (size_t level = 0; level < sfc_level_count(); level++) sfc_fingerprint_key_destroy(keys[level]);
    guarded_destroy(&input);
    guarded_destroy(&output);
}

static void check_keys_and_combinations(void) {
    enum { COUNT_MAX = 255 };
    guarded_memory r = guarded_create(16), coefficients = guarded_create(COUNT_MAX),
                   fingerprints = guarded_create(16 * COUNT_MAX), output = guarded_create(16);
    for (size_t count = 0; count <= COUNT_MAX; count += by_effort(17, 1, 1)) {
        for (int i = 0; i < 2; i++) {
            uint8_t *key_bytes = guarded_place(&r, 16, sides[i]);
            uint8_t *factors = guarded_place(&coefficients, count, sides[i]);
            uint8_t *terms = guarded_place(&fingerprints, 16 * count, sides[i]);
            random_fill(key_bytes, 16);
            random_fill(factors, count);
            random_fill(terms, 16 * count);
            guarded_seal(&r);
            guarded_seal(&coefficients);
            guarded_seal(&fingerprints);
            element sum = 0;
            for (size_t j = 0; j < count; j++) {
                sum ^= reference_multiply(reference_embed(factors[j]), element_of_bytes(terms + 16 * j));
            }
            uint8_t expected[16];
            bytes_of_element(sum, expected);
            set_side_detail(sides[i]);
            for (EACH_LEVEL(level)) {
                set_case(level, count, 0);
                uint8_t *actual = guarded_place(&output, 16, sides[i]);
                sfc_fingerprint_key *key = sfc_fingerprint_key_create(level, key_bytes);
                sfc_fingerprint_key_destroy(key);
                sfc_fingerprint_combine(level, factors, terms, count, actual);
                expect(key != NULL, "a key");
                expect_bytes(actual, expected, 16, "combination (its length is the count)");
                expect(guarded_is_intact(&output, actual, 16), "what surrounds a combination");
            }
        }
    }
    guarded_destroy(&r);
    guarded_destroy(&coefficients);
    guarded_destroy(&fingerprints);
    guarded_destroy(&output);
}

static void check_tree_hashes(void) {
    enum { COUNT = 3 };
    guarded_memory inputs[COUNT], output = guarded_create(32 * COUNT);
    for (int j = 0; j < COUNT; j++) inputs[j] = guarded_create(LENGTH_MAX);
    for (size_t length = 0; length <= LENGTH_MAX; length = length_after(length)) {
        for (int i = 0; i < 2; i++) {
            const uint8_t *fragments[COUNT];
            uint8_t expected[32 * COUNT];
            for (int j = 0; j < COUNT; j++) {
                uint8_t *data = guarded_place(&inputs[j], length, sides[i]);
                random_fill(data, length);
                guarded_seal(&inputs[j]);
                reference_tree_hash(data, length, expected + 32 * j);
                fragments[j] = data;
            }
            set_side_detail(sides[i]);
            for (EACH_LEVEL(level)) {
                set_case(level, length, 0);
                for (size_t count = 1; count <= COUNT; count += COUNT - 1) {
                    uint8_t *actual = guarded_place(&output, 32 * count, sides[i]);
                    sfc_tree_hashes(level, fragments, count, length, actual);
                    expect_bytes(actual, expected, 32 * count, "tree hashes");
                    expect(guarded_is_intact(&output, actual, 32 * count), "what surrounds tree hashes");
                }
            }
        }
    }
    for (int j = 0; j < COUNT; j++) guarded_destroy(&inputs[j]);
    guarded_destroy(&output);
}

static void check_matrix(guarded_memory *inputs, guarded_memory *outputs, guarded_memory *coefficients,
                         size_t row_count, size_t column_count, size_t length, guard_side side) {
    enum { SIDE_MAX = 8 };
    const uint8_t *data[SIDE_MAX];
    uint8_t *actual[SIDE_MAX], *expected[SIDE_MAX];
    uint8_t *factors = guarded_place(coefficients, row_count * column_count, side);
    random_fill(factors, row_count * column_count);
    guarded_seal(coefficients);
    for (size_t j = 0; j < column_count; j++) {
        uint8_t *bytes = guarded_place(&inputs[j], length, side);
        random_fill(bytes, length);
        guarded_seal(&inputs[j]);
        data[j] = bytes;
    }
    for (size_t i = 0; i < row_count; i++) expected[i] = allocate(length);
    reference_matrix_apply(factors, row_count, column_count, data, expected, length);
    set_detail(side == BEFORE_GUARD ? "%zu rows, %zu columns, ending at an inaccessible page"
                                    : "%zu rows, %zu columns, beginning at one", row_count, column_count, 0);
    for (EACH_LEVEL(level)) {
        set_case(level, length, 0);
        for (size_t i = 0; i < row_count; i++) actual[i] = guarded_place(&outputs[i], length, side);
        sfc_matrix *matrix = sfc_matrix_create(level, factors, row_count, column_count);
        if (matrix == NULL) abort();
        sfc_matrix_apply(matrix, data, actual, length);
        sfc_matrix_destroy(matrix);
        for (size_t i = 0; i < row_count; i++) {
            expect_bytes(actual[i], expected[i], length, "product of a matrix");
            expect(guarded_is_intact(&outputs[i], actual[i], length), "what surrounds a product");
        }
    }
    for (size_t i = 0; i < row_count; i++) free(expected[i]);
}

static void check_matrices(void) {
    enum { SIDE_MAX = 8, MATRIX_LENGTH_MAX = 4096 };
    guarded_memory inputs[SIDE_MAX], outputs[SIDE_MAX], coefficients = guarded_create(SIDE_MAX * SIDE_MAX);
    for (int j = 0; j < SIDE_MAX; j++) {
        inputs[j] = guarded_create(MATRIX_LENGTH_MAX);
        outputs[j] = guarded_create(MATRIX_LENGTH_MAX);
    }
    for (size_t length = 0; length <= MATRIX_LENGTH_MAX; length = length_after(length)) {
        for (int i = 0; i < 2; i++) {
            const size_t row_count = 1 + random_below(SIDE_MAX);
            check_matrix(inputs, outputs, &coefficients, row_count, 1 + random_below(SIDE_MAX), length, sides[i]);
        }
    }
    for (int j = 0; j < SIDE_MAX; j++) {
        guarded_destroy(&inputs[j]);
        guarded_destroy(&outputs[j]);
    }
    guarded_destroy(&coefficients);
}

const suite boundary_suites[] = {
    {"boundaries.fingerprint", "fingerprints between inaccessible pages", check_fingerprints},
    {"boundaries.combine", "keys and combinations between inaccessible pages", check_keys_and_combinations},
    {"boundaries.hash", "tree hashes between inaccessible pages", check_tree_hashes},
    {"boundaries.encoder", "matrices between inaccessible pages", check_matrices},
    {0},
};
