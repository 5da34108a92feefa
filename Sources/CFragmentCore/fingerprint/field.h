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
    sfc_word value;
    memcpy(&value, source, sizeof value);
    return value;
}

static inline void sfc_store_word(uint8_t *target, sfc_word value) {
    memcpy(target, &value, sizeof value);
}

/* All ones if the lowest bit is set, else zero. */
static inline sfc_word sfc_mask_of_bit(uint64_t bit) {
    return (sfc_word)0 - (sfc_word)(bit & 1);
}

#define SFC_WORD(high, low) (((sfc_word)(high) << 64) | (low))

/* The elements of K that theta^0 ... theta^7 are. */
#define SFC_THETA_0 SFC_WORD(0x0000000000000000, 0x0000000000000001)
#define SFC_THETA_1 SFC_WORD(0x053d8555a9979a1c, 0xa13fe8ac5560ce0c)
#define SFC_THETA_2 SFC_WORD(0x4cf4b7439cbfbb84, 0xec7759ca3488aee0)
#define SFC_THETA_3 SFC_WORD(0x7c6452594879f35e, 0xf287b3c857d12645)
#define SFC_THETA_4 SFC_WORD(0x0dcb364640a222fe, 0x6b8330483c2e9848)
#define SFC_THETA_5 SFC_WORD(0x5c6ea3f2f3bd6647, 0xef9791c31255d4f1)
#define SFC_THETA_6 SFC_WORD(0x97be246db011860f, 0x40df9b6d2d87c98b)
#define SFC_THETA_7 SFC_WORD(0xfae6e08c31e89f90, 0x017eb6dcd4f33a26)

static const sfc_word sfc_theta_powers[8] = {
    SFC_THETA_0, SFC_THETA_1, SFC_THETA_2, SFC_THETA_3, SFC_THETA_4, SFC_THETA_5, SFC_THETA_6, SFC_THETA_7,
};

/* All sums of four elements, entry v having those that v's bits select. */
#define SFC_SUMS(a, b, c, d)                                                                                       \
    {0, (a), (b), (b) ^ (a), (c), (c) ^ (a), (c) ^ (b), (c) ^ (b) ^ (a),                                           \
     (d), (d) ^ (a), (d) ^ (b), (d) ^ (b) ^ (a), (d) ^ (c), (d) ^ (c) ^ (a), (d) ^ (c) ^ (b), (d) ^ (c) ^ (b) ^ (a)}

/* target = E(byte) = sum of byte's bits j times theta^j. Written at once, as the kernels will read it: a processor
 * hands on what it has just written only to a read that one write covers. */
static inline void sfc_embed(uint8_t byte, sfc_word *target) {
    static const sfc_word lower[16] = SFC_SUMS(SFC_THETA_0, SFC_THETA_1, SFC_THETA_2, SFC_THETA_3);
    static const sfc_word upper[16] = SFC_SUMS(SFC_THETA_4, SFC_THETA_5, SFC_THETA_6, SFC_THETA_7);
    *(sfc_word_vector *)target =
        *(const sfc_word_vector *)&lower[byte & 15] ^ *(const sfc_word_vector *)&upper[byte >> 4];
}

#endif
