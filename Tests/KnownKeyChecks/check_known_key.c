/* A known key's verdicts against libcrypto's own verification, on signatures that a signer makes and on those that only
 * somebody makes who looks for the formula's corners.
 *
 * Corners are built backwards: whoever chooses the key's logarithm d and the scalars u1 and u2 gets a point
 * u1 * G + u2 * d * G and from it r, s = r / u2 and e = u1 * s. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/obj_mac.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "known_key.h"
#include "order_inverse.h"

enum { KEYS = 4, SIGNATURES_PER_KEY = 100, ALTERATIONS = 20, INVERSES = 20000 };

static uint64_t run_seed, random_state;
static size_t comparison_count, failure_count;
static BN_CTX *context;
static EC_GROUP *curve;
static const BIGNUM *order, *prime;

static void require(bool holds) {
    if (!holds) abort();
}

static void expect(bool holds, const char *what) {
    comparison_count++;
    if (holds) return;
    failure_count++;
    printf("FAILED %s: seed %llu\n", what, (unsigned long long)run_seed);
}

static uint64_t random_word(void) {
    random_state += 0x9e3779b97f4a7c15;
    uint64_t word = random_state;
    word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9;
    word = (word ^ word >> 27) * 0x94d049bb133111eb;
    return word ^ word >> 31;
}

static void random_fill(uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) bytes[i] = (uint8_t)random_word();
}

/* 1 ... n - 1, a new number. */
static BIGNUM *random_scalar(void) {
    uint8_t bytes[40];
    random_fill(bytes, sizeof bytes);
    BIGNUM *value = BN_bin2bn(bytes, sizeof bytes, NULL);
    require(value != NULL && BN_mod(value, value, order, context));
    if (BN_is_zero(value)) BN_one(value);
    return value;
}

static BIGNUM *number(unsigned long word) {
    BIGNUM *value = BN_new();
    require(value != NULL && BN_set_word(value, word));
    return value;
}

/* MARK: The inverse */

static void check_inverse(const BIGNUM *value) {
    uint8_t bytes[32];
    uint64_t limbs[ORDER_LIMBS] = {0}, almost[ORDER_LIMBS];
    require(BN_bn2lebinpad(value, bytes, 32) == 32);
    for (int i = 0; i < 32; i++) limbs[i / 8] |= (uint64_t)bytes[i] << 8 * (i % 8);
    const unsigned k = order_almost_inverse(almost, limbs);
    for (int i = 0; i < 32; i++) bytes[i] = (uint8_t)(almost[i / 8] >> 8 * (i % 8));
    BIGNUM *actual = BN_lebin2bn(bytes, 32, NULL), *expected = BN_mod_inverse(NULL, value, order, context);
    require(actual != NULL && expected != NULL);
    require(BN_mod_lshift(expected, expected, (int)k, order, context));
    expect(k <= ALMOST_INVERSE_BITS_MAX && BN_cmp(actual, expected) == 0, "an almost inverse");
    BN_free(actual);
    BN_free(expected);
}

static void check_inverses(void) {
    for (int bit = 0; bit < 256; bit++) {
        BIGNUM *value = number(0);
        require(BN_set_bit(value, bit));
        check_inverse(value);
        require(BN_sub(value, order, value));
        check_inverse(value);
        BN_free(value);
    }
    for (unsigned long word = 1; word <= 1000; word++) {
        BIGNUM *value = number(word);
        check_inverse(value);
        require(BN_sub(value, order, value));
        check_inverse(value);
        BN_free(value);
    }
    for (int i = 0; i < INVERSES; i++) {
        BIGNUM *value = random_scalar();
        check_inverse(value);
        BN_free(value);
    }
}

/* MARK: Signatures */

typedef struct {
    EC_KEY *reference;
    solidus_known_key *known;
} signer;

static signer signer_of_point(const EC_POINT *point) {
    uint8_t bytes[65];
    signer result = {.reference = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1)};
    require(EC_POINT_point2oct(curve, point, POINT_CONVERSION_UNCOMPRESSED, bytes, 65, context) == 65);
    result.known = solidus_known_key_create(bytes);
    require(EC_KEY_set_public_key(result.reference, point) && result.known != NULL);
    return result;
}

static signer signer_of_logarithm(const BIGNUM *logarithm) {
    EC_POINT *point = EC_POINT_new(curve);
    require(point != NULL && EC_POINT_mul(curve, point, logarithm, NULL, NULL, context));
    signer result = signer_of_point(point);
    require(EC_KEY_set_private_key(result.reference, logarithm));
    EC_POINT_free(point);
    return result;
}

static void free_signer(signer held) {
    EC_KEY_free(held.reference);
    solidus_known_key_destroy(held.known);
}

/* Returns the verdict, which must be libcrypto's. */
static bool is_valid(signer by, const uint8_t *digest, const uint8_t *signature) {
    ECDSA_SIG *parsed = ECDSA_SIG_new();
    require(parsed != NULL && ECDSA_SIG_set0(parsed, BN_bin2bn(signature, 32, NULL),
                                             BN_bin2bn(signature + 32, 32, NULL)));
    const bool expected = ECDSA_do_verify(digest, 32, parsed, by.reference) == 1;
    ECDSA_SIG_free(parsed);
    const solidus_signature_verdict verdict = solidus_known_key_check(by.known, digest, signature);
    expect(verdict == (expected ? SOLIDUS_SIGNATURE_VALID : SOLIDUS_SIGNATURE_INVALID), "libcrypto's verdict");
    return verdict == SOLIDUS_SIGNATURE_VALID;
}

static void write_signature(const BIGNUM *r, const BIGNUM *s, uint8_t *signature) {
    require(BN_bn2binpad(r, signature, 32) == 32 && BN_bn2binpad(s, signature + 32, 32) == 32);
}

static void sign(signer by, const uint8_t *digest, uint8_t *signature) {
    ECDSA_SIG *made = ECDSA_do_sign(digest, 32, by.reference);
    require(made != NULL);
    write_signature(ECDSA_SIG_get0_r(made), ECDSA_SIG_get0_s(made), signature);
    ECDSA_SIG_free(made);
}

/* r and s that are no scalars, the other half of a valid signature being right. */
static void check_ranges(signer by, const uint8_t *digest, const uint8_t *signature) {
    BIGNUM *bounds[] = {number(0), BN_dup(order), BN_dup(order), BN_dup(prime), number(0)};
    require(BN_add_word(bounds[2], 1) && BN_set_bit(bounds[4], 256) && BN_sub_word(bounds[4], 1));
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        for (size_t half = 0; half < 64; half += 32) {
            uint8_t altered[64];
            memcpy(altered, signature, 64);
            require(BN_bn2binpad(bounds[i], altered + half, 32) == 32);
            expect(!is_valid(by, digest, altered), "r or s out of range is refused");
        }
        BN_free(bounds[i]);
    }
}

/* ECDSA takes -s for s. */
static void check_negated(signer by, const uint8_t *digest, const uint8_t *signature) {
    uint8_t negated[64];
    BIGNUM *s = BN_bin2bn(signature + 32, 32, NULL);
    require(s != NULL && BN_sub(s, order, s));
    memcpy(negated, signature, 32);
    require(BN_bn2binpad(s, negated + 32, 32) == 32);
    expect(is_valid(by, digest, negated), "the negative of s is as good");
    BN_free(s);
}

static void check_honest_signatures(void) {
    for (int number_of_key = 0; number_of_key < KEYS; number_of_key++) {
        BIGNUM *logarithm = random_scalar();
        const signer own = signer_of_logarithm(logarithm);
        for (int i = 0; i < SIGNATURES_PER_KEY; i++) {
            uint8_t digest[32], signature[64];
            random_fill(digest, 32);
            /* Some digests exceed n. */
            if (i % 4 == 0) memset(digest, 0xff, 8);
            sign(own, digest, signature);
            expect(is_valid(own, digest, signature), "a signature is valid");
            for (int j = 0; j < ALTERATIONS; j++) {
                uint8_t altered[96];
                memcpy(altered, digest, 32);
                memcpy(altered + 32, signature, 64);
                const uint64_t where = random_word();
                altered[where % 96] ^= (uint8_t)(1 << (where >> 32) % 8);
                expect(!is_valid(own, altered, altered + 32), "an altered signature is refused");
            }
            check_negated(own, digest, signature);
            if (i == 0) check_ranges(own, digest, signature);
        }
        free_signer(own);
        BN_free(logarithm);
    }
}

/* What u1, u2 and a point make of the digest and the signature. */
static void forge(const BIGNUM *u1, const BIGNUM *u2, const EC_POINT *point, uint8_t *digest, uint8_t *signature) {
    BIGNUM *r = BN_new(), *s = BN_mod_inverse(NULL, u2, order, context), *e = BN_new();
    require(r != NULL && s != NULL && e != NULL);
    require(EC_POINT_get_affine_coordinates(curve, point, r, NULL, context) && BN_nnmod(r, r, order, context));
    require(BN_mod_mul(s, r, s, order, context) && BN_mod_mul(e, u1, s, order, context));
    require(BN_bn2binpad(e, digest, 32) == 32);
    write_signature(r, s, signature);
    BN_free(r);
    BN_free(s);
    BN_free(e);
}

/* u1 * G + u2 * Q for chosen scalars, by the key with logarithm d. */
static void check_corner(const BIGNUM *logarithm, const BIGNUM *u1, const BIGNUM *u2, const char *what) {
    const signer own = signer_of_logarithm(logarithm);
    BIGNUM *sum = BN_new();
    EC_POINT *point = EC_POINT_new(curve);
    require(sum != NULL && point != NULL && BN_mod_mul(sum, u2, logarithm, order, context));
    require(BN_mod_add(sum, sum, u1, order, context));
    uint8_t digest[32], signature[64];
    if (BN_is_zero(sum)) {
        /* The point at infinity has no abscissa: any r will do. */
        require(EC_POINT_copy(point, EC_GROUP_get0_generator(curve)));
        forge(u1, u2, point, digest, signature);
        expect(!is_valid(own, digest, signature), what);
    } else {
        require(EC_POINT_mul(curve, point, sum, NULL, NULL, context));
        forge(u1, u2, point, digest, signature);
        expect(is_valid(own, digest, signature), what);
    }
    EC_POINT_free(point);
    BN_free(sum);
    free_signer(own);
}

static void check_corners(void) {
    BIGNUM *one = number(1), *last = BN_dup(order), *zero = number(0);
    BIGNUM *logarithm = random_scalar(), *u2 = random_scalar(), *u1 = BN_new();
    require(BN_sub_word(last, 1) && BN_mod_mul(u1, u2, logarithm, order, context));
    check_corner(logarithm, u1, u2, "both terms are the same point");
    require(BN_sub(u1, order, u1));
    check_corner(logarithm, u1, u2, "the terms cancel");
    check_corner(logarithm, zero, u2, "the digest is 0");
    check_corner(logarithm, one, one, "both scalars are 1");
    check_corner(logarithm, last, last, "both scalars are n - 1");
    check_corner(one, u1, u2, "the key is G");
    check_corner(one, one, one, "the key is G and both scalars are 1");
    check_corner(last, u1, u2, "the key is -G");
    check_corner(last, one, one, "the key is -G and the terms cancel");
    BIGNUM *numbers[] = {one, last, zero, logarithm, u1, u2};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) BN_free(numbers[i]);
}

/* Points whose abscissa is n ... p - 1, so that r is less than it. */
static void check_large_abscissas(void) {
    EC_POINT *point = EC_POINT_new(curve), *key_point = EC_POINT_new(curve), *term = EC_POINT_new(curve);
    BIGNUM *abscissa = BN_dup(order);
    require(point != NULL && key_point != NULL && term != NULL && abscissa != NULL);
    for (int found = 0; found < 4; require(BN_add_word(abscissa, 1))) {
        if (!EC_POINT_set_compressed_coordinates(curve, point, abscissa, found & 1, context)) continue;
        found++;
        /* Q = (R - u1 * G) / u2 */
        BIGNUM *u1 = random_scalar(), *u2 = random_scalar(), *inverse = BN_mod_inverse(NULL, u2, order, context);
        require(inverse != NULL && EC_POINT_mul(curve, term, u1, NULL, NULL, context));
        require(EC_POINT_invert(curve, term, context) && EC_POINT_add(curve, term, term, point, context));
        require(EC_POINT_mul(curve, key_point, NULL, term, inverse, context));
        const signer own = signer_of_point(key_point);
        uint8_t digest[32], signature[64];
        forge(u1, u2, point, digest, signature);
        /* r is 0 where the abscissa is n. */
        const bool has_r = BN_cmp(abscissa, order) != 0;
        expect(is_valid(own, digest, signature) == has_r, "an abscissa above n");
        require(BN_bn2binpad(abscissa, signature, 32) == 32);
        expect(!is_valid(own, digest, signature), "an r that is not reduced is refused");
        free_signer(own);
        BN_free(u1);
        BN_free(u2);
        BN_free(inverse);
    }
    BN_free(abscissa);
    EC_POINT_free(term);
    EC_POINT_free(key_point);
    EC_POINT_free(point);
}

/* MARK: Keys */

static void check_points(void) {
    uint8_t bytes[65];
    require(EC_POINT_point2oct(curve, EC_GROUP_get0_generator(curve), POINT_CONVERSION_UNCOMPRESSED, bytes, 65,
                               context) == 65);
    for (int i = 0; i < 65; i++) {
        uint8_t altered[65];
        memcpy(altered, bytes, 65);
        altered[i] ^= 1;
        solidus_known_key *key = solidus_known_key_create(altered);
        expect(key == NULL, "what is no point is no key");
        solidus_known_key_destroy(key);
    }
    uint8_t none[65] = {0};
    expect(solidus_known_key_create(none) == NULL, "the point at infinity is no key");
    none[0] = 4;
    expect(solidus_known_key_create(none) == NULL, "the origin is no key");
}

int main(void) {
    const char *wanted = getenv("SOLIDUS_TEST_SEED");
    run_seed = wanted != NULL ? strtoull(wanted, NULL, 0) : (uint64_t)time(NULL);
    random_state = run_seed;
    context = BN_CTX_new();
    curve = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    require(context != NULL && curve != NULL);
    order = EC_GROUP_get0_order(curve);
    prime = EC_GROUP_get0_field(curve);
    check_inverses();
    check_honest_signatures();
    check_corners();
    check_large_abscissas();
    check_points();
    EC_GROUP_free(curve);
    BN_CTX_free(context);
    printf("known keys: seed %llu, %zu comparisons, %zu failed\n", (unsigned long long)run_seed, comparison_count,
           failure_count);
    return failure_count == 0 && comparison_count > 0 ? 0 : 1;
}
