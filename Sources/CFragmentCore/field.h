/* Arithmetic of K = GF(2)[z]/(z^128 + z^7 + z^2 + z + 1) and the embedding of the erasure code's field into it.
 *
 * The code computes in GF(2^8) = GF(2)[x]/(x^8 + x^4 + x^3 + x^2 + 1). That polynomial has eight roots in K; theta is
 * the smallest as an integer. Sending x to theta is a field homomorphism E, so sums and products of bytes can be
 * followed through E: this is what makes fingerprints of parity fragments linear in those of the data fragments. The
 * other seven roots would serve as well but disagree with this one.
 */
#ifndef SOLIDUS_FIELD_H
#define SOLIDUS_FIELD_H

#include "level.h"

static inline sfc_word sfc_word_from_halves(uint64_t high, uint64_t low) {
    return ((sfc_word)high << 64) | low;
}

static inline sfc_word sfc_load_word(const uint8_t *source) {
    return sfc_word_from_halves(sfc_load_le64(source + 8), sfc_load_le64(source));
}

static inline void sfc_store_word(uint8_t *target, sfc_word value) {
    sfc_store_le64(target, (uint64_t)value);
    sfc_store_le64(target + 8, (uint64_t)(value >> 64));
}

/* A product modulo z^128 + z^7 + z^2 + z + 1. */
static inline sfc_word sfc_field_reduce(sfc_product product) {
    const sfc_word high = product.high;
    /* high * (z^7 + z^2 + z + 1) reaches degree 134; `overflow` is the part of degree 128 and more. */
    const sfc_word overflow = (high >> 127) ^ (high >> 126) ^ (high >> 121);
    const sfc_word folded = high ^ overflow;
    return product.low ^ folded ^ (folded << 1) ^ (folded << 2) ^ (folded << 7);
}

static inline sfc_word sfc_field_multiply(const sfc_level *level, sfc_word a, sfc_word b) {
    return sfc_field_reduce(level->multiply(a, b));
}

/* All ones if the lowest bit is set, else zero. */
static inline sfc_word sfc_mask_of_bit(uint64_t bit) {
    return (sfc_word)0 - (sfc_word)(bit & 1);
}

/* The element of K that theta^j is, for j = 0 ... 7. */
static inline sfc_word sfc_theta_power(int j) {
    static const uint64_t halves[8][2] = {
        {0x0000000000000000, 0x0000000000000001},
        {0x053d8555a9979a1c, 0xa13fe8ac5560ce0c},
        {0x4cf4b7439cbfbb84, 0xec7759ca3488aee0},
        {0x7c6452594879f35e, 0xf287b3c857d12645},
        {0x0dcb364640a222fe, 0x6b8330483c2e9848},
        {0x5c6ea3f2f3bd6647, 0xef9791c31255d4f1},
        {0x97be246db011860f, 0x40df9b6d2d87c98b},
        {0xfae6e08c31e89f90, 0x017eb6dcd4f33a26},
    };
    return sfc_word_from_halves(halves[j][0], halves[j][1]);
}

/* E(byte) = sum of byte's bits j times theta^j. */
static inline sfc_word sfc_embed(uint8_t byte) {
    sfc_word value = 0;
    for (int j = 0; j < 8; j++) value ^= sfc_theta_power(j) & sfc_mask_of_bit(byte >> j);
    return value;
}

#endif
