/* The key schedule: from r to everything a fingerprint needs that does not depend on the data.
 *
 * A fragment's bytes are split into eight bit planes, and each plane is a binary polynomial p(t) to be evaluated at
 * t = r. Because the planes' coefficients are bits, p may first be reduced modulo any binary polynomial that vanishes
 * at r. So the schedule looks for mu(t) of degree exactly 128 with mu(r) = 0: the minimal polynomial of r over GF(2)
 * times a power of t. Folding then works modulo mu as a CRC does, and the key enters through mu itself.
 *
 * The minimal polynomial is the shortest linear recurrence of the sequence s_i = bit 0 of r^i, found by
 * Berlekamp-Massey from 256 terms. Bit 0 is a linear functional on K with s_0 = 1, and the minimal polynomial of r is
 * irreducible, so the recurrence of the non-zero sequence is the minimal polynomial and no proper divisor. (The trace
 * would not do: it vanishes on subfields.) This covers r = 0, where s = 1, 0, 0, ... has the recurrence t.
 */
#include <stdlib.h>

#include "field.h"
#include "linear_map.h"

enum { SEQUENCE_TERMS = 256 };

static uint64_t parity(sfc_word word) {
    return (uint64_t)__builtin_parityll((uint64_t)word ^ (uint64_t)(word >> 64));
}

static sfc_word reverse_bits(sfc_word word) {
    static const uint64_t masks[6] = {0x5555555555555555, 0x3333333333333333, 0x0f0f0f0f0f0f0f0f,
                                      0x00ff00ff00ff00ff, 0x0000ffff0000ffff, 0x00000000ffffffff};
    uint64_t halves[2] = {(uint64_t)word, (uint64_t)(word >> 64)};
    for (int h = 0; h < 2; h++) {
        for (int k = 0; k < 6; k++) {
            const int shift = 1 << k;
            halves[h] = ((halves[h] >> shift) & masks[k]) | ((halves[h] & masks[k]) << shift);
        }
    }
    return sfc_word_from_halves(halves[0], halves[1]);
}

/* The mask f with parity(x & f) = bit 0 of x * factor in K, for every x.
 *
 * Reduction modulo z^128 + z^7 + z^2 + z + 1 sends exactly the degrees 0, 128, 249 and 254 of a product (of degree at
 * most 254) to bit 0, the latter two by way of z^(121 + 7) and z^(126 + 2). Degree d of the product gathers bit i of x
 * times bit d - i of the factor. */
static sfc_word functional_of_product(sfc_word factor) {
    const sfc_word reversed = reverse_bits(factor);
    return (factor & 1) ^ (reversed << 1) ^ (reversed << 122) ^ (reversed << 127);
}

/* terms[i] = bit 0 of r^i for i = 0 ... 255; the upper half follows from r^(128 + i) = r^i * r^128. */
static void compute_sequence(const sfc_word powers[SFC_POWERS], uint8_t terms[SEQUENCE_TERMS]) {
    const sfc_word functional = functional_of_product(powers[128]);
    for (int i = 0; i < 128; i++) {
        terms[i] = (uint8_t)(powers[i] & 1);
        terms[128 + i] = (uint8_t)parity(powers[i] & functional);
    }
}

/* Berlekamp-Massey: the sequence's minimal polynomial times t^(128 - its degree), without the leading t^128.
 *
 * `connection` holds the coefficients C_1 ... C_128 of the connection polynomial 1 + C_1 x + ... (bit i - 1 is C_i),
 * `previous` those of the last shorter one, already times a power of x; `window` the latest terms, newest in bit 0.
 * The discrepancy of term n is s_n + parity(connection & window). It is computed a step ahead, from the values before
 * the update connection + discrepancy * previous, so that the next step does not wait for a parity. */
static sfc_word minimal_polynomial(const uint8_t terms[SEQUENCE_TERMS]) {
    sfc_word connection = 0, previous = 1, window = 0;
    uint64_t discrepancy = terms[0];
    int recurrence_length = 0;
    for (int n = 0; n < SEQUENCE_TERMS; n++) {
        window = (window << 1) | terms[n];
        const uint64_t next_term = n + 1 < SEQUENCE_TERMS ? terms[n + 1] : 0;
        const uint64_t next_discrepancy =
            next_term ^ parity(connection & window) ^ (discrepancy & parity(previous & window));

        const uint64_t lengthens = discrepancy & (uint64_t)(2 * recurrence_length <= n);
        const sfc_word lengthens_mask = sfc_mask_of_bit(lengthens);
        const sfc_word shorter = connection;
        connection ^= previous & sfc_mask_of_bit(discrepancy);
        previous = (((shorter & lengthens_mask) | (previous & ~lengthens_mask)) << 1) | lengthens;
        recurrence_length = lengthens ? n + 1 - recurrence_length : recurrence_length;
        discrepancy = next_discrepancy;
    }
    /* C_i is the coefficient of t^(128 - i). */
    return reverse_bits(connection);
}

/* floor(t^256 / (t^128 + modulus)) without its leading t^128, by long division. */
static sfc_word reciprocal_of(sfc_word modulus) {
    sfc_word remainder = modulus, quotient = 0;
    for (int i = 0; i < 128; i++) {
        const sfc_word carry = sfc_mask_of_bit((uint64_t)(remainder >> 127));
        quotient = (quotient << 1) | (carry & 1);
        remainder = (remainder << 1) ^ (carry & modulus);
    }
    return quotient;
}

void sfc_fingerprint_key_init(const sfc_level *level, const uint8_t *r, sfc_fingerprint_key *key) {
    key->level = level;
    sfc_word powers[SFC_POWERS];
    uint8_t terms[SEQUENCE_TERMS];
    key->level->powers(sfc_load_word(r), powers);
    compute_sequence(powers, terms);
    key->modulus = minimal_polynomial(terms);
    key->reciprocal = reciprocal_of(key->modulus);
    sfc_linear_map_fill(&key->evaluation, powers);
    key->level->prepare_fold(key);
}

sfc_fingerprint_key *sfc_fingerprint_key_create(size_t level, const uint8_t *r) {
    sfc_fingerprint_key *key = malloc(sizeof *key);
    if (key != NULL) sfc_fingerprint_key_init(sfc_level_at(level), r, key);
    return key;
}

void sfc_fingerprint_key_destroy(sfc_fingerprint_key *key) {
    free(key);
}
