// ECDSA verification (FIPS 186-5, section 6.4.2) on libcrypto's arithmetic.
//
// A signature (r, s) over a digest e is valid under the key Q if r is the abscissa, modulo n, of u1 * G + u2 * Q, where
// u1 = e / s and u2 = r / s modulo n. libcrypto has tables for multiples of G and multiplies by G six times as fast as
// by any other point (on x86-64 and AArch64). It makes such tables for the generator of any group, so a key is a copy
// of P-256's group whose generator is Q. The abscissa is compared in projective coordinates, X = x * Z^2, which spares
// an inversion.

#include "known_key.h"

// Only functions that 3.0 deprecates make tables and show projective coordinates.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>
#include <stdlib.h>

#include "order_inverse.h"

enum { SCALAR_BYTES = 8 * ORDER_LIMBS, POINT_BYTES = 1 + 2 * SCALAR_BYTES };

struct solidus_known_key {
    EC_GROUP *curve;
    // The same curve with the key's point as generator, and tables for it.
    EC_GROUP *table;
    // The order n and the field's prime p belong to `curve`.
    const BIGNUM *order;
    const BIGNUM *prime;
    // 2^-ALMOST_INVERSE_BITS_MAX modulo n.
    BIGNUM *almost_inverse_scale;
};

static int set_scale(BIGNUM *scale, const BIGNUM *order, BN_CTX *context) {
    return BN_set_bit(scale, ALMOST_INVERSE_BITS_MAX) && BN_mod_inverse(scale, scale, order, context) != NULL;
}

static int make_table(EC_GROUP *table, const uint8_t *bytes, BN_CTX *context) {
    EC_POINT *point = EC_POINT_new(table);
    int made = point != NULL && EC_POINT_oct2point(table, point, bytes, POINT_BYTES, context) &&
               EC_GROUP_set_generator(table, point, EC_GROUP_get0_order(table), BN_value_one()) &&
               EC_GROUP_precompute_mult(table, context);
    EC_POINT_free(point);
    return made;
}

#if defined(__x86_64__) || defined(__aarch64__)
enum { HAS_FAST_GENERATOR = 1 };
#else
enum { HAS_FAST_GENERATOR = 0 };
#endif

solidus_known_key *solidus_known_key_create(const uint8_t point[65]) {
    if (!HAS_FAST_GENERATOR) return NULL;
    solidus_known_key *key = calloc(1, sizeof *key);
    if (key == NULL) return NULL;
    BN_CTX *context = BN_CTX_new();
    key->curve = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    key->table = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    key->almost_inverse_scale = BN_new();
    int made = context != NULL && key->curve != NULL && key->table != NULL && key->almost_inverse_scale != NULL;
    if (made) {
        key->order = EC_GROUP_get0_order(key->curve);
        key->prime = EC_GROUP_get0_field(key->curve);
        made = set_scale(key->almost_inverse_scale, key->order, context) && make_table(key->table, point, context);
    }
    BN_CTX_free(context);
    if (made) return key;
    solidus_known_key_destroy(key);
    return NULL;
}

void solidus_known_key_destroy(solidus_known_key *key) {
    if (key == NULL) return;
    EC_GROUP_free(key->curve);
    EC_GROUP_free(key->table);
    BN_free(key->almost_inverse_scale);
    free(key);
}

static int invert(const solidus_known_key *key, BIGNUM *result, const BIGNUM *value, BN_CTX *context) {
    uint8_t bytes[SCALAR_BYTES];
    uint64_t limbs[ORDER_LIMBS] = {0}, almost[ORDER_LIMBS];
    if (BN_bn2lebinpad(value, bytes, sizeof bytes) < 0) return 0;
    for (int i = 0; i < SCALAR_BYTES; i++) limbs[i / 8] |= (uint64_t)bytes[i] << 8 * (i % 8);
    unsigned k = order_almost_inverse(almost, limbs);
    for (int i = 0; i < SCALAR_BYTES; i++) bytes[i] = (uint8_t)(almost[i / 8] >> 8 * (i % 8));
    return BN_lebin2bn(bytes, sizeof bytes, result) != NULL &&
           BN_lshift(result, result, ALMOST_INVERSE_BITS_MAX - (int)k) &&
           BN_mod_mul(result, result, key->almost_inverse_scale, key->order, context);
}

// Whether the point's abscissa is `value` modulo n; the field has values from n to p - 1, too.
static solidus_signature_verdict compare_abscissa(const solidus_known_key *key, const EC_POINT *point,
                                                  const BIGNUM *value, BN_CTX *context) {
    if (EC_POINT_is_at_infinity(key->curve, point)) return SOLIDUS_SIGNATURE_INVALID;
    BIGNUM *x = BN_CTX_get(context), *square = BN_CTX_get(context);
    BIGNUM *candidate = BN_CTX_get(context), *expected = BN_CTX_get(context);
    if (expected == NULL || !EC_POINT_get_Jprojective_coordinates_GFp(key->curve, point, x, NULL, square, context) ||
        !BN_mod_sqr(square, square, key->prime, context) || BN_copy(candidate, value) == NULL)
        return SOLIDUS_SIGNATURE_UNCHECKED;
    while (BN_cmp(candidate, key->prime) < 0) {
        if (!BN_mod_mul(expected, candidate, square, key->prime, context)) return SOLIDUS_SIGNATURE_UNCHECKED;
        if (BN_cmp(expected, x) == 0) return SOLIDUS_SIGNATURE_VALID;
        if (!BN_add(candidate, candidate, key->order)) return SOLIDUS_SIGNATURE_UNCHECKED;
    }
    return SOLIDUS_SIGNATURE_INVALID;
}

static int is_scalar(const solidus_known_key *key, const BIGNUM *value) {
    return !BN_is_zero(value) && BN_cmp(value, key->order) < 0;
}

static solidus_signature_verdict check(const solidus_known_key *key, const uint8_t *digest, const uint8_t *signature,
                                       EC_POINT *sum, EC_POINT *term, BN_CTX *context) {
    BIGNUM *r = BN_CTX_get(context), *s = BN_CTX_get(context), *e = BN_CTX_get(context);
    BIGNUM *inverse = BN_CTX_get(context), *u1 = BN_CTX_get(context), *u2 = BN_CTX_get(context);
    if (u2 == NULL || BN_bin2bn(signature, SCALAR_BYTES, r) == NULL ||
        BN_bin2bn(signature + SCALAR_BYTES, SCALAR_BYTES, s) == NULL || BN_bin2bn(digest, SCALAR_BYTES, e) == NULL)
        return SOLIDUS_SIGNATURE_UNCHECKED;
    if (!is_scalar(key, r) || !is_scalar(key, s)) return SOLIDUS_SIGNATURE_INVALID;
    if (!invert(key, inverse, s, context) || !BN_mod_mul(u1, e, inverse, key->order, context) ||
        !BN_mod_mul(u2, r, inverse, key->order, context) ||
        !EC_POINT_mul(key->curve, sum, u1, NULL, NULL, context) ||
        !EC_POINT_mul(key->table, term, u2, NULL, NULL, context) ||
        !EC_POINT_add(key->curve, sum, sum, term, context))
        return SOLIDUS_SIGNATURE_UNCHECKED;
    return compare_abscissa(key, sum, r, context);
}

solidus_signature_verdict solidus_known_key_check(const solidus_known_key *key, const uint8_t digest[32],
                                                  const uint8_t signature[64]) {
    BN_CTX *context = BN_CTX_new();
    EC_POINT *sum = EC_POINT_new(key->curve), *term = EC_POINT_new(key->table);
    solidus_signature_verdict verdict = SOLIDUS_SIGNATURE_UNCHECKED;
    if (context != NULL && sum != NULL && term != NULL) {
        BN_CTX_start(context);
        verdict = check(key, digest, signature, sum, term, context);
        BN_CTX_end(context);
    }
    EC_POINT_free(sum);
    EC_POINT_free(term);
    BN_CTX_free(context);
    return verdict;
}
