/* libFuzzer target: no mutation makes a forged fragment pass, and every level gives the verdicts of the definition.
 *
 * The input spells a stripe (n, m, block size, bytes) and a list of mutations, among them what an attacker would do:
 * hash a changed fragment anew, and fingerprint the data fragments anew under the key that follows. Three properties:
 *   1. the honest stripe passes;
 *   2. with the cross-checksum left honest, a fragment passes at an index exactly if its bytes are that fragment's;
 *   3. whatever the cross-checksum, the fragments that pass are parts of one codeword.
 */
#include <isa-l/erasure_code.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fragment_core.h"

enum { N_MAX = 16, FRAGMENT_MAX = 2500, MUTATION_BYTES = 4, HEADER_BYTES = 5, MUTATIONS_MAX = 32 };

typedef struct {
    uint8_t hashes[N_MAX * SFC_DIGEST_BYTES];
    uint8_t fingerprints[N_MAX * SFC_FINGERPRINT_BYTES];
    uint64_t block_size;
} cross_checksum;

typedef struct {
    size_t n, m, fragment_size;
    uint8_t generator[N_MAX * N_MAX];
    uint8_t bytes[N_MAX][FRAGMENT_MAX];
    cross_checksum checksum;
} stripe;

static void require(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static sfc_stripe_shape shape_of(const stripe *of, const cross_checksum *checksum) {
    return (sfc_stripe_shape){
        .fragment_count = (uint16_t)of->n, .data_fragment_count = (uint16_t)of->m, .matrix_id = 1,
        .fragment_size_bytes = of->fragment_size, .block_size_bytes = checksum->block_size,
    };
}

static void derive_key(size_t level, const stripe *of, const cross_checksum *checksum, uint8_t *r) {
    const sfc_stripe_shape shape = shape_of(of, checksum);
    sfc_derive_key(level, &shape, checksum->hashes, r);
}

static void fingerprint(size_t level, const uint8_t *r, const uint8_t *bytes, size_t length, uint8_t *result) {
    sfc_fingerprint_key *key = sfc_fingerprint_key_create(level, r);
    if (key == NULL) abort();
    sfc_fingerprint(key, bytes, length, result);
    sfc_fingerprint_key_destroy(key);
}

/* The verdict on one fragment by its definition, from the core's parts. */
static sfc_verdict judge_by_parts(size_t level, const stripe *of, const cross_checksum *checksum, size_t index,
                                  const uint8_t *bytes) {
    uint8_t hash[SFC_DIGEST_BYTES], r[SFC_FINGERPRINT_BYTES], found[SFC_FINGERPRINT_BYTES],
        claimed[SFC_FINGERPRINT_BYTES];
    sfc_tree_hashes(level, &bytes, 1, of->fragment_size, hash);
    if (memcmp(hash, checksum->hashes + SFC_DIGEST_BYTES * index, sizeof hash) != 0) return SFC_FRAGMENT_HASH_MISMATCH;
    derive_key(level, of, checksum, r);
    fingerprint(level, r, bytes, of->fragment_size, found);
    sfc_fingerprint_combine(level, of->generator + of->m * index, checksum->fingerprints, of->m, claimed);
    return memcmp(found, claimed, sizeof found) == 0 ? SFC_FRAGMENT_GOOD : SFC_FRAGMENT_FINGERPRINT_MISMATCH;
}

/* verdicts[k] on bytes[k] presented as fragment indices[k], the same at every level. */
static void judge(const stripe *of, const cross_checksum *checksum, const uint8_t *indices,
                  const uint8_t *const *bytes, size_t count, uint8_t *verdicts) {
    for (size_t k = 0; k < count; k++) {
        verdicts[k] = (uint8_t)judge_by_parts((k + of->n) % sfc_level_count(), of, checksum, indices[k], bytes[k]);
    }
    for (size_t level = 0; level < sfc_level_count(); level++) {
        uint8_t at_level[N_MAX];
        const sfc_stripe described = {level, shape_of(of, checksum), of->generator};
        sfc_fragments_verify(&described, checksum->hashes, checksum->fingerprints, indices, bytes, count, at_level);
        require(memcmp(at_level, verdicts, count) == 0, "a level's verdicts differ from the definition");
    }
}

static void judge_all(const stripe *of, const cross_checksum *checksum, uint8_t *verdicts) {
    uint8_t indices[N_MAX];
    const uint8_t *bytes[N_MAX];
    for (size_t i = 0; i < of->n; i++) {
        indices[i] = (uint8_t)i;
        bytes[i] = of->bytes[i];
    }
    judge(of, checksum, indices, bytes, of->n, verdicts);
}

/* outputs[i] = rows[i] times inputs, by ISA-L. */
static void combine(const uint8_t *rows, size_t row_count, size_t column_count, uint8_t **inputs, uint8_t **outputs,
                    size_t length) {
    static uint8_t tables[32 * N_MAX * N_MAX];
    uint8_t coefficients[N_MAX * N_MAX];
    memcpy(coefficients, rows, row_count * column_count);
    ec_init_tables((int)column_count, (int)row_count, coefficients, tables);
    ec_encode_data((int)length, (int)column_count, (int)row_count, tables, inputs, outputs);
}

static void hash_fragment(size_t level, stripe *of, size_t index) {
    const uint8_t *bytes = of->bytes[index];
    sfc_tree_hashes(level, &bytes, 1, of->fragment_size, of->checksum.hashes + SFC_DIGEST_BYTES * index);
}

static void fingerprint_data(size_t level, stripe *of) {
    const sfc_stripe described = {level, shape_of(of, &of->checksum), of->generator};
    const uint8_t *data[N_MAX];
    for (size_t j = 0; j < of->m; j++) data[j] = of->bytes[j];
    sfc_stripe_fingerprints(&described, of->checksum.hashes, data, of->checksum.fingerprints);
}

static void encode(stripe *of, size_t block_size, uint8_t seed) {
    of->fragment_size = (block_size + of->m - 1) / of->m;
    of->checksum.block_size = block_size;
    uint64_t state = seed;
    for (size_t i = 0; i < of->m * of->fragment_size; i++) {
        state = state * 6364136223846793005 + 1442695040888963407;
        of->bytes[i / of->fragment_size][i % of->fragment_size] = i < block_size ? (uint8_t)(state >> 56) : 0;
    }
    gf_gen_cauchy1_matrix(of->generator, (int)of->n, (int)of->m);
    uint8_t *pieces[N_MAX];
    for (size_t i = 0; i < of->n; i++) pieces[i] = of->bytes[i];
    if (of->n > of->m && of->fragment_size > 0) {
        combine(of->generator + of->m * of->m, of->n - of->m, of->m, pieces, pieces + of->m, of->fragment_size);
    }
    for (size_t i = 0; i < of->n; i++) hash_fragment(i % sfc_level_count(), of, i);
    fingerprint_data(block_size % sfc_level_count(), of);
}

/* One mutation: what to do, to which fragment, where, by how much. */
static void mutate(stripe *of, const uint8_t mutation[MUTATION_BYTES], size_t level) {
    const size_t index = mutation[1] % of->n, data_index = mutation[1] % of->m;
    const size_t position = of->fragment_size > 0 ? (size_t)mutation[2] * 11 % of->fragment_size : 0;
    const uint8_t change = mutation[3];
    switch (mutation[0] % 10) {
    case 0: of->bytes[index][position] ^= of->fragment_size > 0 ? change : 0; break;
    case 1: of->checksum.hashes[SFC_DIGEST_BYTES * index + mutation[2] % SFC_DIGEST_BYTES] ^= change; break;
    case 2: of->checksum.fingerprints[SFC_FINGERPRINT_BYTES * data_index + mutation[2] % 16] ^= change; break;
    case 3: of->checksum.block_size += change; break;
    case 4: hash_fragment(level, of, index); break;
    case 5: fingerprint_data(level, of); break;
    case 6: memcpy(of->bytes[index], of->bytes[mutation[2] % of->n], of->fragment_size); break;
    case 7: memset(of->bytes[index], change, of->fragment_size); break;
    case 8:
        for (size_t i = position; i < of->fragment_size; i++) of->bytes[index][i] ^= change;
        break;
    case 9: memmove(of->bytes[index], of->bytes[index] + position, of->fragment_size - position); break;
    }
}

/* Fails unless the passing fragments are parts of one codeword: the first m of them determine all others. */
static void require_one_codeword(const stripe *of, const size_t *passing, size_t count) {
    if (count <= of->m || of->fragment_size == 0) return;
    uint8_t square[N_MAX * N_MAX], inverse[N_MAX * N_MAX];
    static uint8_t data[N_MAX][FRAGMENT_MAX], expected[FRAGMENT_MAX];
    uint8_t *inputs[N_MAX], *outputs[N_MAX], *expectation = expected;
    for (size_t j = 0; j < of->m; j++) {
        memcpy(square + of->m * j, of->generator + of->m * passing[j], of->m);
        inputs[j] = (uint8_t *)of->bytes[passing[j]];
        outputs[j] = data[j];
    }
    require(gf_invert_matrix(square, inverse, (int)of->m) == 0, "a square of the generator has no inverse");
    combine(inverse, of->m, of->m, inputs, outputs, of->fragment_size);
    for (size_t k = of->m; k < count; k++) {
        combine(of->generator + of->m * passing[k], 1, of->m, outputs, &expectation, of->fragment_size);
        require(memcmp(expected, of->bytes[passing[k]], of->fragment_size) == 0, "fragments of two codewords pass");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    static stripe honest, mutated;
    if (size < HEADER_BYTES) return 0;
    honest.n = 1 + input[0] % N_MAX;
    honest.m = 1 + input[1] % honest.n;
    const size_t wanted = (size_t)input[2] + 256 * (size_t)input[3];
    encode(&honest, wanted % (honest.m * FRAGMENT_MAX + 1), input[4]);
    const size_t length = honest.fragment_size;

    mutated = honest;
    const uint8_t *mutations = input + HEADER_BYTES;
    const size_t offered = (size - HEADER_BYTES) / MUTATION_BYTES;
    const size_t mutation_count = offered < MUTATIONS_MAX ? offered : MUTATIONS_MAX;
    for (size_t i = 0; i < mutation_count; i++) {
        mutate(&mutated, mutations + MUTATION_BYTES * i, i % sfc_level_count());
    }

    uint8_t verdicts[N_MAX];
    judge_all(&honest, &honest.checksum, verdicts);
    for (size_t i = 0; i < honest.n; i++) require(verdicts[i] == SFC_FRAGMENT_GOOD, "an honest fragment fails");

    judge_all(&mutated, &honest.checksum, verdicts);
    for (size_t i = 0; i < honest.n; i++) {
        const bool is_same = memcmp(mutated.bytes[i], honest.bytes[i], length) == 0;
        require((verdicts[i] == SFC_FRAGMENT_GOOD) == is_same,
                "under the honest cross-checksum a changed fragment passes or an unchanged one fails");
    }

    size_t passing[N_MAX], passing_count = 0;
    judge_all(&mutated, &mutated.checksum, verdicts);
    for (size_t i = 0; i < honest.n; i++) {
        if (verdicts[i] == SFC_FRAGMENT_GOOD) passing[passing_count++] = i;
    }
    require_one_codeword(&mutated, passing, passing_count);

    /* A fragment at another's index. */
    const uint8_t index = (uint8_t)(input[4] % honest.n), other = (uint8_t)(input[2] % honest.n);
    const uint8_t *bytes = honest.bytes[index];
    judge(&honest, &honest.checksum, &other, &bytes, 1, verdicts);
    require((verdicts[0] == SFC_FRAGMENT_GOOD) == (memcmp(honest.bytes[index], honest.bytes[other], length) == 0),
            "a fragment passes at another's index");
    return 0;
}
