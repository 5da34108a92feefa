/* Prepared keys and matrices are immutable: eight threads that share them get what one alone gets. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "checks.h"
#include "reference.h"

enum { THREADS = 8, PIECES = 4, ROWS = 3, LENGTH = 5000 };

/* What the threads of one level share, and what each must arrive at. */
typedef struct {
    size_t level;
    const sfc_fingerprint_key *key;
    const sfc_matrix *matrix;
    const uint8_t *pieces[PIECES];
    uint8_t coefficients[ROWS * PIECES];
    uint8_t fingerprints[16 * PIECES], combination[16], hashes[32 * PIECES];
    uint8_t *products[ROWS];
    size_t rounds;
} shared_work;

static bool is_equal(const uint8_t *a, const uint8_t *b, size_t size) {
    return memcmp(a, b, size) == 0;
}

/* Returns null, or what went wrong. */
static const char *do_round(const shared_work *work, uint8_t *const *products) {
    uint8_t fingerprints[16 * PIECES], combination[16], hashes[32 * PIECES];
    for (int j = 0; j < PIECES; j++) sfc_fingerprint(work->key, work->pieces[j], LENGTH, fingerprints + 16 * j);
    if (!is_equal(fingerprints, work->fingerprints, sizeof fingerprints)) return "fingerprints of a shared key";
    sfc_fingerprint_combine(work->level, work->coefficients, fingerprints, PIECES, combination);
    if (!is_equal(combination, work->combination, sizeof combination)) return "a combination";
    sfc_tree_hashes(work->level, work->pieces, PIECES, LENGTH, hashes);
    if (!is_equal(hashes, work->hashes, sizeof hashes)) return "tree hashes";
    sfc_matrix_apply(work->matrix, work->pieces, products, LENGTH);
    for (int i = 0; i < ROWS; i++) {
        if (!is_equal(products[i], work->products[i], LENGTH)) return "products of a shared matrix";
    }
    return NULL;
}

static void *do_work(void *argument) {
    const shared_work *work = argument;
    uint8_t *products[ROWS];
    for (int i = 0; i < ROWS; i++) products[i] = allocate(LENGTH);
    const char *fault = NULL;
    for (size_t round = 0; round < work->rounds && fault == NULL; round++) fault = do_round(work, products);
    for (int i = 0; i < ROWS; i++) free(products[i]);
    return (void *)fault;
}

static void run_threads(shared_work *work, const uint8_t *r) {
    sfc_fingerprint_key *key = sfc_fingerprint_key_create(work->level, r);
    sfc_matrix *matrix = sfc_matrix_create(work->level, work->coefficients, ROWS, PIECES);
    if (key == NULL || matrix == NULL) abort();
    work->key = key;
    work->matrix = matrix;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, do_work, work) != 0) abort();
    }
    for (int i = 0; i < THREADS; i++) {
        void *fault;
        if (pthread_join(threads[i], &fault) != 0) abort();
        expect(fault == NULL, fault == NULL ? "" : fault);
    }
    sfc_fingerprint_key_destroy(key);
    sfc_matrix_destroy(matrix);
}

static void check_sharing(void) {
    shared_work work = {.rounds = by_effort(2, 200, 5000)};
    uint8_t r[16];
    random_fill(r, sizeof r);
    random_fill(work.coefficients, sizeof work.coefficients);
    element sum = 0;
    for (int j = 0; j < PIECES; j++) {
        uint8_t *piece = allocate(LENGTH);
        random_fill(piece, LENGTH);
        work.pieces[j] = piece;
        const element fingerprint = reference_fingerprint(element_of_bytes(r), piece, LENGTH);
        bytes_of_element(fingerprint, work.fingerprints + 16 * j);
        sum ^= reference_multiply(reference_embed(work.coefficients[j]), fingerprint);
        reference_tree_hash(piece, LENGTH, work.hashes + 32 * j);
    }
    bytes_of_element(sum, work.combination);
    for (int i = 0; i < ROWS; i++) work.products[i] = allocate(LENGTH);
    reference_matrix_apply(work.coefficients, ROWS, PIECES, work.pieces, work.products, LENGTH);
    for (EACH_LEVEL(level)) {
        set_case(level, LENGTH, 0);
        work.level = level;
        run_threads(&work, r);
    }
    for (int i = 0; i < ROWS; i++) free(work.products[i]);
    for (int j = 0; j < PIECES; j++) free((void *)work.pieces[j]);
}

const suite thread_suites[] = {
    {"threads.sharing", "one key and one matrix used by eight threads at once", check_sharing},
    {0},
};
