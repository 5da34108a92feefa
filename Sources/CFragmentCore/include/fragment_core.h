/* The C core of the coding rooms: fragment hashes, homomorphic fingerprints and the key that binds the two.
 *
 * Every entry that takes a `level` (an index below sfc_level_count()) gives the same bytes at every level; production
 * code passes sfc_active_level(), tests run all of them. All functions may be called from any thread. Integers in byte
 * layouts are little-endian. A pointer may be null where its length is 0. Only the functions called create allocate,
 * except that levels without a SHA-256 kernel of their own hash through libcrypto, which allocates a context per batch.
 */
#ifndef SOLIDUS_FRAGMENT_CORE_H
#define SOLIDUS_FRAGMENT_CORE_H

#include <stddef.h>
#include <stdint.h>

enum {
    SFC_FINGERPRINT_BYTES = 16,
    SFC_DIGEST_BYTES = 32,
    SFC_LEAF_BYTES = 2048,
    SFC_FRAGMENTS_MAX = 255, /* the largest n of any code over GF(2^8) */
};

/* Levels this machine can run, weakest first; level 0 is the portable one and always there. */
size_t sfc_level_count(void);

/* The level's name, as the environment variable SOLIDUS_CPU_LEVEL spells it; null beyond the last level. */
const char *sfc_level_name(size_t level);

/* The level production code uses: the one SOLIDUS_CPU_LEVEL names if the machine has it, the strongest otherwise. */
size_t sfc_active_level(void);

/* Everything that depends on the key r only, prepared once per stripe. Immutable, so threads may share it. */
typedef struct sfc_fingerprint_key sfc_fingerprint_key;

/* Prepares the key r (16 bytes); null only when memory is exhausted. */
sfc_fingerprint_key *sfc_fingerprint_key_create(size_t level, const uint8_t *r);
void sfc_fingerprint_key_destroy(sfc_fingerprint_key *key);

/* fingerprint[16] = sum of E(data[i]) * r^(length - 1 - i) over K = GF(2^128). */
void sfc_fingerprint(const sfc_fingerprint_key *key, const uint8_t *data, size_t length, uint8_t *fingerprint);

/* result[16] = sum of E(coefficients[j]) * fingerprints[j] for j < count; fingerprints are 16 bytes each, packed. */
void sfc_fingerprint_combine(size_t level, const uint8_t *coefficients, const uint8_t *fingerprints, size_t count,
                             uint8_t *result);

/* Tree hashes of `count` fragments of `length` bytes each: digests[32 * i] is that of fragments[i].
 *
 *   leaf hash     = SHA-256(0x00 || leaf), leaves of 2 KiB, the last one possibly shorter, none for an empty fragment
 *   fragment hash = SHA-256(0x01 || length as 8 bytes || leaf hashes in order)
 */
void sfc_tree_hashes(size_t level, const uint8_t *const *fragments, size_t count, size_t length, uint8_t *digests);

/* What the fingerprint key binds, besides the fragment hashes. */
typedef struct {
    uint16_t fragment_count;      /* n, at most 255 where fragments are verified */
    uint16_t data_fragment_count; /* m */
    uint8_t matrix_id;            /* the family of the generator matrix */
    uint64_t fragment_size_bytes;
    uint64_t block_size_bytes;
} sfc_stripe_shape;

/* r[16] = the first 16 bytes of SHA-256 over, in this order and without gaps:
 *
 *   offset  bytes  field
 *        0     32  "solidus fingerprint key v1" in ASCII, then zero bytes
 *       32      2  n
 *       34      2  m
 *       36      1  matrix id
 *       37      8  fragment size in bytes
 *       45      8  block size in bytes
 *       53   32 n  fragment hashes 0 ... n-1 (fragment_count * 32 bytes at `hashes`)
 */
void sfc_derive_key(size_t level, const sfc_stripe_shape *shape, const uint8_t *hashes, uint8_t *r);

/* A stripe as whole operations see it: its sizes and its code. The generator must outlive the call. */
typedef struct {
    size_t level;
    sfc_stripe_shape shape;
    const uint8_t *generator; /* n rows of m coefficients */
} sfc_stripe;

/* fingerprints[16 m] = those of the stripe's first m fragments, shape.fragment_size_bytes long each, under the key that
 * follows from the hashes of all n (32 n bytes). */
void sfc_stripe_fingerprints(const sfc_stripe *stripe, const uint8_t *hashes, const uint8_t *const *data_fragments,
                             uint8_t *fingerprints);

typedef enum {
    SFC_FRAGMENT_GOOD = 0,
    /* The bytes are not those the hash names. */
    SFC_FRAGMENT_HASH_MISMATCH = 1,
    /* The bytes match their hash but contradict the fingerprints. */
    SFC_FRAGMENT_FINGERPRINT_MISMATCH = 2,
} sfc_verdict;

/* verdicts[k] = an sfc_verdict on fragments[k] as the stripe's fragment indices[k], for k < count, at most n. Each
 * fragment must be shape.fragment_size_bytes long and each index below n; hashes and fingerprints are what a writer
 * claims, 32 n and 16 m bytes. */
void sfc_fragments_verify(const sfc_stripe *stripe, const uint8_t *hashes, const uint8_t *fingerprints,
                          const uint8_t *indices, const uint8_t *const *fragments, size_t count, uint8_t *verdicts);

/* A matrix over GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1, prepared for multiplication. Immutable, so threads may share
 * it. */
typedef struct sfc_matrix sfc_matrix;

/* The matrix of `row_count` (0 ... 255) rows and `column_count` (1 ... 255) columns, given row by row, one byte per
 * coefficient; null only when memory is exhausted. */
sfc_matrix *sfc_matrix_create(size_t level, const uint8_t *coefficients, size_t row_count, size_t column_count);
void sfc_matrix_destroy(sfc_matrix *matrix);

/* outputs[i] = sum over j of coefficient[i][j] * inputs[j], for column_count inputs and row_count outputs of `length`
 * bytes each. No output may overlap an input or another output. */
void sfc_matrix_apply(const sfc_matrix *matrix, const uint8_t *const *inputs, uint8_t *const *outputs, size_t length);

/* digest[32] = SHA-256 of the pieces one after another. */
void sfc_sha256(const uint8_t *const *pieces, const size_t *lengths, size_t count, uint8_t *digest);

#endif
