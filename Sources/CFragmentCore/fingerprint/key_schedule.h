/* The key schedule's level-independent steps: from the powers of r to the polynomial modulo which planes are folded.
 *
 * Included by each field_*.c, which first defines
 *   SFC_INLINE     the prefix of an inline function, with the level's target attribute
 *   multiply_64    the carry-less product of two 64-bit polynomials, as a word
 * so that every level gets these steps with its own multiplier built in.
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
#ifndef SOLIDUS_KEY_SCHEDULE_H
#define SOLIDUS_KEY_SCHEDULE_H

#include "fingerprint/field.h"

enum { SEQUENCE_WORDS = 4 };

SFC_INLINE uint64_t parity(sfc_word word) {
    return (uint64_t)__builtin_parityll((uint64_t)word ^ (uint64_t)(word >> 64));
}

SFC_INLINE uint64_t reverse_bits_64(uint64_t word) {
    word = ((word >> 1) & 0x5555555555555555) | ((word & 0x5555555555555555) << 1);
    word = ((word >> 2) & 0x3333333333333333) | ((word & 0x3333333333333333) << 2);
    word = ((word >> 4) & 0x0f0f0f0f0f0f0f0f) | ((word & 0x0f0f0f0f0f0f0f0f) << 4);
    return __builtin_bswap64(word);
}

SFC_INLINE sfc_word reverse_bits(sfc_word word) {
    return sfc_word_from_halves(reverse_bits_64((uint64_t)word), reverse_bits_64((uint64_t)(word >> 64)));
}

/* The mask f with parity(x & f) = bit 0 of x * factor in K, for every x.
 *
 * Reduction modulo z^128 + z^7 + z^2 + z + 1 sends exactly the degrees 0, 128, 249 and 254 of a product (of degree at
 * most 254) to bit 0, the latter two by way of z^(121 + 7) and z^(126 + 2). Degree d of the product gathers bit i of x
 * times bit d - i of the factor. */
SFC_INLINE sfc_word functional_of_product(sfc_word factor) {
    const sfc_word reversed = reverse_bits(factor);
    return (factor & 1) ^ (reversed << 1) ^ (reversed << 122) ^ (reversed << 127);
}

/* Bit i of `sequence` = bit 0 of r^i for i = 0 ... 255.
 *
 * The upper half is had without more powers: its odd terms by the functional that goes with r^(128 + i) = r^i r^128,
 * its even terms from r^(2 i) = (r^i)^2. Squaring sends degree k to 2 k, and of the degrees that reduce to bit 0 the
 * even ones are 0, 128 and 254, so bit 0 of a square is the sum of the bits 0, 64 and 127. */
SFC_INLINE void compute_sequence(const sfc_word *powers, uint64_t sequence[SEQUENCE_WORDS]) {
    const sfc_word functional = functional_of_product(powers[128]);
    uint64_t first = 0, second = 0, of_squares = 0, odd = 0;
    for (int i = 63; i >= 0; i--) {
        first = 2 * first + ((uint64_t)powers[i] & 1);
        second = 2 * second + ((uint64_t)powers[64 + i] & 1);
        const uint64_t high = (uint64_t)(powers[64 + i] >> 64);
        of_squares = 2 * of_squares + ((high ^ (high >> 63)) & 1);
        odd = 2 * odd + parity(powers[2 * i + 1] & functional);
    }
    of_squares ^= second;
    /* A polynomial's square has its bits spread over the even places. */
    const sfc_word upper = multiply_64(of_squares, of_squares) | (multiply_64(odd, odd) << 1);
    sequence[0] = first;
    sequence[1] = second;
    sequence[2] = (uint64_t)upper;
    sequence[3] = (uint64_t)(upper >> 64);
}

/* What 64 steps of Berlekamp-Massey do to the pair (C, B), the connection polynomial and the last shorter one:
 * C := c[0] C + c[1] B and B := x (b[0] C + b[1] B). */
typedef struct {
    sfc_word_vector c, b;
} transfer;

/* Sixty-four steps of Berlekamp-Massey from the 64 terms that each of C and B produces next.
 *
 * c_terms and b_terms are the products of the sequence with C and with B (which carries its powers of x), from the
 * current position on. A set lowest bit of c_terms is a discrepancy; b_terms always has it set, so adding B to C
 * removes the discrepancy. Steps without one only multiply B by x: a run of them is passed over at once. `surplus` is
 * the position less twice the length of the recurrence; if it is not negative, a discrepancy makes the old C the new
 * B. The last step's factor x of B is left to the caller, as it may not fit in 64 bits. */
SFC_INLINE transfer advance_64_terms(uint64_t c_terms, uint64_t b_terms, int64_t *surplus) {
    transfer so_far = {{1, 0}, {0, 1}};
    int64_t excess = *surplus;
    int left = 64;
    for (;;) {
        const int run = c_terms != 0 ? __builtin_ctzll(c_terms) : 64;
        if (run >= left) break;
        c_terms >>= run;
        so_far.b <<= run;
        left -= run;
        excess += run;

        /* Masks rather than branches: which way a discrepancy goes is as good as random. */
        const uint64_t lengthens = ~(uint64_t)(excess >> 63);
        c_terms ^= b_terms;
        so_far.c ^= so_far.b;
        b_terms ^= c_terms & lengthens;
        so_far.b ^= so_far.c & lengthens;
        /* A longer recurrence makes the surplus -1 - surplus, this step included, which the next run counts. */
        excess = lengthens ? -2 - excess : excess;
    }
    *surplus = excess + left;
    so_far.b <<= left - 1;
    return so_far;
}

/* sum[0 ... count] += factor * words, for words of `count` 64-bit parts. */
SFC_INLINE void add_multiple(uint64_t *sum, uint64_t factor, const uint64_t *words, int count) {
    for (int i = 0; i < count; i++) {
        const sfc_word product = multiply_64(factor, words[i]);
        sum[i] ^= (uint64_t)product;
        sum[i + 1] ^= (uint64_t)(product >> 64);
    }
}

/* The sequence's minimal polynomial times t^(128 - its degree), without the leading t^128. */
SFC_INLINE sfc_word minimal_polynomial(const uint64_t sequence[SEQUENCE_WORDS]) {
    enum { POLYNOMIAL_WORDS = 3 };
    /* C = 1 and B = x, whose terms open with the discrepancy 1 that B is taken to have had before the sequence. */
    uint64_t c[POLYNOMIAL_WORDS + 1] = {1}, b[POLYNOMIAL_WORDS + 1] = {2};
    uint64_t c_terms[SEQUENCE_WORDS], b_terms[SEQUENCE_WORDS];
    for (int i = 0; i < SEQUENCE_WORDS; i++) {
        c_terms[i] = sequence[i];
        b_terms[i] = (sequence[i] << 1) | (i > 0 ? sequence[i - 1] >> 63 : 1);
    }
    int64_t surplus = 0;
    /* Unrolled, so that all of the above lives in registers. */
#pragma GCC unroll 4
    for (int window = 0; window < SEQUENCE_WORDS; window++) {
        const transfer step = advance_64_terms(c_terms[0], b_terms[0], &surplus);

        /* The polynomials' degree is about the number of terms seen, and what exceeds 128 never matters. */
        const int words = window + 1 < POLYNOMIAL_WORDS ? window + 1 : POLYNOMIAL_WORDS;
        uint64_t new_c[POLYNOMIAL_WORDS + 1] = {0}, new_b[POLYNOMIAL_WORDS + 1] = {0};
        add_multiple(new_c, step.c[0], c, words);
        add_multiple(new_c, step.c[1], b, words);
        add_multiple(new_b, step.b[0], c, words);
        add_multiple(new_b, step.b[1], b, words);
        for (int i = POLYNOMIAL_WORDS - 1; i >= 0; i--) {
            c[i] = new_c[i];
            b[i] = (new_b[i] << 1) | (i > 0 ? new_b[i - 1] >> 63 : 0);
        }

        const int terms_left = SEQUENCE_WORDS - window;
        uint64_t new_c_terms[SEQUENCE_WORDS + 1] = {0}, new_b_terms[SEQUENCE_WORDS + 1] = {0};
        add_multiple(new_c_terms, step.c[0], c_terms, terms_left);
        add_multiple(new_c_terms, step.c[1], b_terms, terms_left);
        add_multiple(new_b_terms, step.b[0], c_terms, terms_left);
        add_multiple(new_b_terms, step.b[1], b_terms, terms_left);
        for (int i = 0; i + 1 < terms_left; i++) {
            c_terms[i] = new_c_terms[i + 1];
            b_terms[i] = (new_b_terms[i + 1] << 1) | (new_b_terms[i] >> 63);
        }
    }
    /* The coefficient of x^i in C is that of t^(128 - i). */
    const sfc_word above_constant = sfc_word_from_halves((c[1] >> 1) | (c[2] << 63), (c[0] >> 1) | (c[1] << 63));
    return reverse_bits(above_constant);
}

/* floor(t^256 / (t^128 + modulus)) without its leading t^128.
 *
 * Written backwards, the quotient q of degree 128 is the power series 1 / f modulo x^129, where f is the divisor
 * written backwards: f_0 = 1, f_i = coefficient 128 - i. In characteristic 2, Newton's iteration for 1 / f is
 * g := g^2 f, doubling the number of correct coefficients. */
SFC_INLINE sfc_word reciprocal_of(sfc_word modulus) {
    const sfc_word f_above_constant = reverse_bits(modulus);
    const sfc_word f = (f_above_constant << 1) | 1;
    uint64_t g = 1;
    for (int correct = 1; correct < 64; correct *= 2) {
        const uint64_t square = (uint64_t)multiply_64(g, g);
        g = (uint64_t)multiply_64(square, (uint64_t)f);
    }
    const sfc_word square = multiply_64(g, g);
    const sfc_word inverse = multiply_64((uint64_t)square, (uint64_t)f) ^
                             (multiply_64((uint64_t)square, (uint64_t)(f >> 64)) << 64) ^
                             (multiply_64((uint64_t)(square >> 64), (uint64_t)f) << 64);
    /* f g = 1 fixes the coefficient of x^128: the sum of f_i g_(128 - i) for i = 1 ... 128 is g_128. */
    const sfc_word backwards = reverse_bits(inverse);
    return (backwards << 1) | parity(f_above_constant & backwards);
}

#endif
