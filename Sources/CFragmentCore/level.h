/* The one interface between the level-independent code and the kernels of each instruction set level. */
#ifndef SOLIDUS_LEVEL_H
#define SOLIDUS_LEVEL_H

#include <stdbool.h>

#include "fragment_core.h"
#include "matrix_kernels.h"
#include "sha256_kernels.h"

/* 128 coefficients over GF(2): bit i is the coefficient of degree i. */
typedef unsigned __int128 sfc_word;

/* A polynomial of degree below 256. */
typedef struct {
    sfc_word low, high;
} sfc_product;

enum {
    SFC_PLANES = 8,
    SFC_CHUNK_BYTES = 128,                    /* one word of every bit plane */
    SFC_BLOCK_CHUNKS = 32,                    /* chunks folded between two updates of the state */
    SFC_FOLD_TERMS = SFC_BLOCK_CHUNKS + 2,    /* the state's two halves, then the chunks */
    SFC_FOLD_TERMS_PADDED = SFC_FOLD_TERMS + 2,
    SFC_POWERS = 129,                         /* r^0 ... r^128 */
    SFC_FRAGMENTS_MAX = 255,
};

/* A linear map on words: rows[i][v] is the image of the four coefficients v of degrees 4 i ... 4 i + 3. */
typedef struct {
    sfc_word rows[32][16];
} sfc_linear_map;

/* The state of a fingerprint between chunks: for each bit plane a polynomial in t, not necessarily reduced, whose
 * value at t = r is the plane's contribution so far. */
typedef struct {
    sfc_word lower[SFC_PLANES];
    sfc_word upper[SFC_PLANES];
} sfc_planes;

/* One instruction set level. All its functions are safe to call at once from many threads. */
typedef struct sfc_level {
    const char *name;

    /* The carry-less product of two words. */
    sfc_product (*multiply)(sfc_word a, sfc_word b);

    /* powers[i] = r^i in K. */
    void (*powers)(sfc_word r, sfc_word powers[SFC_POWERS]);

    /* Fills the part of the key that only this level's `fold` reads. */
    void (*prepare_fold)(sfc_fingerprint_key *key);

    /* planes := planes * t^(128 * chunk_count) + chunks, modulo key->modulus or not reduced at all. */
    void (*fold)(const sfc_fingerprint_key *key, sfc_planes *planes, const uint8_t *chunks, size_t chunk_count);

    /* The level's SHA-256 kernels from wide to narrow. A set of states goes to the first that the number of states left
     * is enough for; the last one has from_lanes = 1. The numbers come from measured times per call. */
    sfc_sha256_choice sha256[SFC_SHA256_CHOICES_MAX];

    /* There is only the portable kernel: whole messages go to libcrypto, which may know this processor better. */
    bool hashes_by_libcrypto;

    /* Linear combinations over GF(2^8). */
    const sfc_matrix_kernel *matrix;
} sfc_level;

struct sfc_fingerprint_key {
    const sfc_level *level;
    /* mu(t) of degree 128 with mu(r) = 0; its leading term is not stored. */
    sfc_word modulus;
    /* floor(t^256 / mu), again without the leading t^128. */
    sfc_word reciprocal;
    /* From a polynomial p(t) of degree below 128 to p(r). */
    sfc_linear_map evaluation;
    union {
        /* portable: reduction[k][v] = v(t) * t^(8 k + 128) mod mu */
        sfc_word reduction[8][256];
        /* carry-less multipliers: constant[i] = t^(128 (SFC_FOLD_TERMS - 1 - i)) mod mu, zero in the padding;
         * half_sum[i] holds the XOR of its two halves twice, for Karatsuba's middle product. */
        struct {
            sfc_word constant[SFC_FOLD_TERMS_PADDED];
            sfc_word half_sum[SFC_FOLD_TERMS_PADDED];
        } terms;
    } fold;
};

/* Prepares the key r in memory of the caller's. */
void sfc_fingerprint_key_init(const sfc_level *level, const uint8_t *r, sfc_fingerprint_key *key);

/* The level at an index, which must be below sfc_level_count(). */
const sfc_level *sfc_level_at(size_t level);

/* Every SHA-256 kernel this machine can run, whether or not a level uses it; returns how many. */
size_t sfc_sha256_kernels(const sfc_sha256_kernel *const **kernels);

/* Kernels that need no particular instruction set. */
sfc_product sfc_multiply_portable(sfc_word a, sfc_word b);
void sfc_powers_portable(sfc_word r, sfc_word powers[SFC_POWERS]);
void sfc_prepare_fold_portable(sfc_fingerprint_key *key);
void sfc_fold_portable(const sfc_fingerprint_key *key, sfc_planes *planes, const uint8_t *chunks, size_t chunk_count);

/* Fills key->fold.terms; the prepare_fold of every level whose kernel multiplies. */
void sfc_prepare_fold_terms(sfc_fingerprint_key *key);

static inline void sfc_store_le64(uint8_t *target, uint64_t value) {
    for (int i = 0; i < 8; i++) target[i] = (uint8_t)(value >> (8 * i));
}

static inline uint64_t sfc_load_le64(const uint8_t *source) {
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) value |= (uint64_t)source[i] << (8 * i);
    return value;
}

#endif
