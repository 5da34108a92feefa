/* The one interface between the level-independent code and the kernels of each instruction set level. */
#ifndef SOLIDUS_LEVEL_H
#define SOLIDUS_LEVEL_H

#include <stdbool.h>
#include <string.h>

#include "fragment_core.h"
#include "code/matrix_kernels.h"
#include "hash/sha256_kernels.h"

/* 128 coefficients over GF(2): bit i is the coefficient of degree i. */
typedef unsigned __int128 sfc_word;

/* Two halves of a word, or two other 64-bit values, to be worked on side by side. */
typedef uint64_t sfc_word_vector __attribute__((vector_size(16), may_alias));

enum {
    SFC_PLANES = 8,
    SFC_CHUNK_BYTES = 128,                    /* one word of every bit plane */
    SFC_BLOCK_CHUNKS = 32,                    /* chunks folded between two updates of the state */
    SFC_FOLD_TERMS = SFC_BLOCK_CHUNKS + 2,    /* the state's two halves, then the chunks */
    SFC_FOLD_PADDING = 2,
    SFC_POWERS = 129,                         /* r^0 ... r^128 */
    SFC_POWERS_ROOM = 132,                    /* the same in whole registers of up to four words */
    SFC_SHORT_STEP = 32,                      /* bytes of a short fragment taken at once */
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
typedef struct {
    const char *name;

    /* Fragments of up to so many bytes are fingerprinted by the definition, for which a few powers of r are enough; the
     * whole key would take longer to prepare than it saves. */
    size_t short_bytes;

    /* powers[i] = r^i for i < count, at most SFC_POWERS; what follows them up to a whole register is spoiled. */
    void (*compute_powers)(sfc_word r, sfc_word powers[SFC_POWERS_ROOM], size_t count);

    /* From SFC_POWERS powers in the key to everything that follows them there. */
    void (*prepare_folding)(sfc_fingerprint_key *key);

    /* planes := planes * t^(128 * chunk_count) + chunks, modulo key->modulus or not reduced at all. */
    void (*fold)(const sfc_fingerprint_key *key, sfc_planes *planes, const uint8_t *chunks, size_t chunk_count);

    /* sum of theta^j times plane j's value at r: the fingerprint of what was folded. */
    sfc_word (*evaluate)(const sfc_fingerprint_key *key, const sfc_planes *planes);

    /* sum of a[i] * b[i] in K for i < count. */
    sfc_word (*inner_product)(const sfc_word *a, const sfc_word *b, size_t count);

    /* The level's SHA-256 kernels from wide to narrow. A set of states goes to the first that the number of states left
     * is enough for; the last one has from_lanes = 1. The numbers come from measured times per call. */
    sfc_sha256_choice sha256[SFC_SHA256_CHOICES_MAX];

    /* There is only the portable kernel: whole messages go to libcrypto, which may know this processor better. */
    bool hashes_by_libcrypto;

    /* Linear combinations over GF(2^8). */
    const sfc_matrix_kernel *matrix;
} sfc_level;

/* The constants of the levels that fold by carry-less multiplication.
 *
 * A block of n chunks v_0 ... v_(n-1) advances the unreduced state U t^128 + L by
 *   U t^(128 (n+1)) + L t^(128 n) + v_0 t^(128 (n-1)) + ... + v_(n-1)
 * where each power of t is replaced by its residue modulo mu. The n + 2 products have degree below 255, and so has
 * their sum: no reduction inside a block, and none between blocks. */
typedef struct {
    /* residue[SFC_FOLD_PADDING + g] = t^(128 g) mod mu, after zeros that pair off an odd chunk, before unused space. */
    sfc_word residue[SFC_FOLD_PADDING + SFC_FOLD_TERMS + 2];
    /* The XOR of the residue's two halves in both halves, for Karatsuba's middle product. */
    sfc_word half_sum[SFC_FOLD_PADDING + SFC_FOLD_TERMS + 2];
} sfc_fold_terms;

/* Prepared by one level and read by the same only. */
struct sfc_fingerprint_key {
    const sfc_level *level;
    /* powers[i] = r^i; a key for short fragments has no more than they need, and nothing else. */
    sfc_word powers[SFC_POWERS_ROOM];
    /* mu(t) of degree 128 with mu(r) = 0; its leading term is not stored. */
    sfc_word modulus;
    /* floor(t^256 / mu), again without the leading t^128; only for the levels that multiply. */
    sfc_word reciprocal;
    /* From a polynomial p(t) of degree below 128 to p(r). */
    union {
        sfc_linear_map tables;
        /* GFNI: matrices[i][o] is the 8 x 8 bit matrix from byte i of p to byte o of p(r), for GF2P8AFFINEQB. */
        uint64_t matrices[16][16];
    } evaluation;
    union {
        /* portable: reduction[k][v] = v(t) * t^(8 k + 128) mod mu */
        sfc_word reduction[8][256];
        sfc_fold_terms terms;
    } fold;
};

/* Prepares the key r in memory of the caller's, for fragments of at most `length` bytes. */
void sfc_fingerprint_key_init(const sfc_level *level, const uint8_t *r, size_t length, sfc_fingerprint_key *key);

/* The level at an index, which must be below sfc_level_count(). */
const sfc_level *sfc_level_at(size_t level);

/* Kernels that need no particular instruction set. */
void sfc_compute_powers_portable(sfc_word r, sfc_word powers[SFC_POWERS_ROOM], size_t count);
void sfc_prepare_folding_portable(sfc_fingerprint_key *key);
sfc_word sfc_evaluate_portable(const sfc_fingerprint_key *key, const sfc_planes *planes);
sfc_word sfc_inner_product_portable(const sfc_word *a, const sfc_word *b, size_t count);
void sfc_fold_portable(const sfc_fingerprint_key *key, sfc_planes *planes, const uint8_t *chunks, size_t chunk_count);

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "integers in byte layouts are copied as they are");

static inline void sfc_store_le64(uint8_t *target, uint64_t value) {
    memcpy(target, &value, sizeof value);
}

#endif
