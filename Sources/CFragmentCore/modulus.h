/* Arithmetic modulo the key's polynomial mu(t) = t^128 + key->modulus. */
#ifndef SOLIDUS_MODULUS_H
#define SOLIDUS_MODULUS_H

#include "level.h"

/* Barrett reduction: exact for polynomials, as the quotient's estimate loses nothing. */
static inline sfc_word sfc_modulus_reduce(const sfc_fingerprint_key *key, sfc_product product) {
    const sfc_word quotient = product.high ^ key->level->multiply(product.high, key->reciprocal).high;
    return product.low ^ key->level->multiply(quotient, key->modulus).low;
}

static inline sfc_word sfc_modulus_multiply(const sfc_fingerprint_key *key, sfc_word a, sfc_word b) {
    return sfc_modulus_reduce(key, key->level->multiply(a, b));
}

#endif
