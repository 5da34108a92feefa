/* Key schedule, evaluation and inner products of the levels with a carry-less multiplier, whatever its width.
 *
 * Included by each such field_*.c after its lanes_*.h, which defines
 *   SFC_TARGET, SFC_INLINE      prefixes of an exported and of an inline function of the level
 *   LANE_COUNT                  words side by side in a register: 1, 2 or 4
 *   lanes                       the register, a vector type of the compiler, so that ^ adds polynomials
 *   load_lanes, store_lanes     LANE_COUNT consecutive words; no alignment
 *   load_some_lanes             the first `count` of them, above 0 and below LANE_COUNT, and zeros
 *   broadcast                   one word in every lane
 *   half_up, half_down          each lane shifted by 64 bits
 *   multiply_low_low, ...       in each lane the product of the named halves of a and b
 *   multiply_64                 as key_schedule.h wants it
 */
#ifndef SOLIDUS_CARRYLESS_KERNELS_H
#define SOLIDUS_CARRYLESS_KERNELS_H

#include "fingerprint/key_schedule.h"

/* In each lane a polynomial of degree below 256: low + middle t^64 + high t^128. */
typedef struct {
    lanes low, middle, high;
} product_lanes;

SFC_INLINE lanes zero_lanes(void) {
    const sfc_word zero = 0;
    return broadcast(&zero);
}

SFC_INLINE product_lanes multiply_unreduced(lanes a, lanes b) {
    return (product_lanes){multiply_low_low(a, b), multiply_low_high(a, b) ^ multiply_high_low(a, b),
                           multiply_high_high(a, b)};
}

/* z^128 in K, whose modulus is z^128 + z^7 + z^2 + z + 1. */
SFC_INLINE lanes field_residue(void) {
    const sfc_word residue = 0x87;
    return broadcast(&residue);
}

/* A product in K. The part from degree 192 on is folded first;
 * times 0x87 it reaches 71 bits beyond degree 64, so that some of it lands beyond 128 and is folded again. */
SFC_INLINE lanes reduce_in_field(product_lanes product) {
    const lanes residue = field_residue();
    const lanes middle = product.middle ^ multiply_high_low(product.high, residue);
    const lanes high = product.high ^ half_down(middle);
    return product.low ^ half_up(middle) ^ multiply_low_low(high, residue);
}

/* The two products of unlike halves are the same and cancel. */
SFC_INLINE lanes field_square(lanes a) {
    return reduce_in_field((product_lanes){multiply_low_low(a, a), zero_lanes(), multiply_high_high(a, a)});
}

/* A factor to be used often: itself and its product with z^64 (or t^64), reduced. Multiplying by the pair,
 *   a * factor = a.low * factor + a.high * (factor * z^64),
 * stays below degree 192, which leaves half the reduction to do. */
typedef struct {
    lanes factor, raised;
} fixed_factor;

/* low + high t^64, of degree below 192. */
typedef struct {
    lanes low, high;
} short_product;

SFC_INLINE short_product multiply_by_fixed(lanes a, fixed_factor by) {
    return (short_product){multiply_low_low(a, by.factor) ^ multiply_high_low(a, by.raised),
                           multiply_low_high(a, by.factor) ^ multiply_high_high(a, by.raised)};
}

/* For the field, the 64 bits from degree 128 on times 0x87 fit below degree 128. */
SFC_INLINE lanes field_reduce_short(short_product product) {
    return product.low ^ half_up(product.high) ^ multiply_high_low(product.high, field_residue());
}

SFC_INLINE fixed_factor field_fixed_factor(lanes factor) {
    return (fixed_factor){factor, half_up(factor) ^ multiply_high_low(factor, field_residue())};
}

/* powers[i] = r^i for i < count, by doubling: r^(n + i) = r^n * r^i for i < n. The first register is the product of
 * r, r^2, ... where bit 0, 1, ... of the lane's number is set, so that only whole registers are stored and read. */
SFC_INLINE void compute_powers(sfc_word r, sfc_word powers[SFC_POWERS_ROOM], size_t count) {
    static const sfc_word lanes_with_bit[2][4] = {{0, ~(sfc_word)0, 0, ~(sfc_word)0},
                                                  {0, 0, ~(sfc_word)0, ~(sfc_word)0}};
    const sfc_word one_word = 1;
    const lanes one = broadcast(&one_word);
    lanes step = broadcast(&r), first = one;
    for (int bit = 0; 1 << bit < LANE_COUNT; bit++) {
        const lanes factor = one ^ ((one ^ step) & load_lanes(lanes_with_bit[bit]));
        first = bit == 0 ? factor : reduce_in_field(multiply_unreduced(first, factor));
        step = field_square(step);
    }
    store_lanes(powers, first);
    for (size_t known = LANE_COUNT; known < count; known *= 2) {
        const fixed_factor by_step = field_fixed_factor(step);
        const size_t wanted = known < count - known ? known : count - known;
        for (size_t i = 0; i < wanted; i += LANE_COUNT) {
            const lanes next = field_reduce_short(multiply_by_fixed(load_lanes(&powers[i]), by_step));
            store_lanes(&powers[known + i], next);
        }
        step = field_square(step);
    }
}

/* Arithmetic modulo mu(t) = t^128 + modulus. */
typedef struct {
    lanes modulus, reciprocal;
} modulus_lanes;

/* (upper t^128) mod mu, by Barrett: exact for polynomials, as the quotient's estimate loses nothing. Only the upper
 * half of the first product and the lower half of the second are needed. */
SFC_INLINE lanes reduce_upper(lanes upper, modulus_lanes mu) {
    const lanes quotient = upper ^ multiply_high_high(upper, mu.reciprocal) ^
                           half_down(multiply_low_high(upper, mu.reciprocal) ^
                                     multiply_high_low(upper, mu.reciprocal));
    return multiply_low_low(quotient, mu.modulus) ^
           half_up(multiply_low_high(quotient, mu.modulus) ^ multiply_high_low(quotient, mu.modulus));
}

/* The same for a product below degree 192, where 64 bits of quotient are enough. */
SFC_INLINE lanes modulus_reduce_short(short_product product, modulus_lanes mu) {
    const lanes quotient = product.high ^ multiply_high_high(product.high, mu.reciprocal);
    return product.low ^ half_up(product.high) ^ multiply_high_low(quotient, mu.modulus) ^
           half_up(multiply_high_high(quotient, mu.modulus));
}

SFC_INLINE lanes modulus_multiply(lanes a, lanes b, modulus_lanes mu) {
    const product_lanes product = multiply_unreduced(a, b);
    return product.low ^ half_up(product.middle) ^ reduce_upper(product.high ^ half_down(product.middle), mu);
}

SFC_INLINE fixed_factor modulus_fixed_factor(lanes factor, modulus_lanes mu) {
    const lanes quotient = factor ^ multiply_high_high(factor, mu.reciprocal);
    return (fixed_factor){factor, half_up(factor) ^ multiply_high_low(quotient, mu.modulus) ^
                                      half_up(multiply_high_high(quotient, mu.modulus))};
}

/* The constants of level.h's fold_terms: t^(128 g) mod mu by doubling, and the sums of their halves. */
SFC_INLINE void compute_fold_terms(const sfc_fingerprint_key *key, sfc_fold_terms *terms) {
    const modulus_lanes mu = {broadcast(&key->modulus), broadcast(&key->reciprocal)};
    sfc_word residues[SFC_FOLD_TERMS + LANE_COUNT];
    residues[0] = 1;
    for (int i = 1; i < LANE_COUNT; i++) residues[i] = 0;
    sfc_word step[LANE_COUNT];
    store_lanes(step, broadcast(&key->modulus));
    for (int known = 1; known <= SFC_BLOCK_CHUNKS / 2; known *= 2) {
        const lanes step_lanes = broadcast(&step[0]);
        const fixed_factor by_step = modulus_fixed_factor(step_lanes, mu);
        /* The last round goes on for the two terms of the state. */
        const int wanted = known < SFC_BLOCK_CHUNKS / 2 ? known : SFC_FOLD_TERMS - known;
        for (int i = 0; i < wanted; i += LANE_COUNT) {
            const lanes next = modulus_reduce_short(multiply_by_fixed(load_lanes(&residues[i]), by_step), mu);
            store_lanes(&residues[known + i], next);
        }
        store_lanes(step, modulus_multiply(step_lanes, step_lanes, mu));
    }
    for (int i = 0; i < SFC_FOLD_PADDING; i++) terms->residue[i] = terms->half_sum[i] = 0;
    for (int g = 0; g < SFC_FOLD_TERMS; g += LANE_COUNT) {
        const lanes residue = load_lanes(&residues[g]);
        store_lanes(&terms->residue[SFC_FOLD_PADDING + g], residue);
        store_lanes(&terms->half_sum[SFC_FOLD_PADDING + g], residue ^ half_up(residue) ^ half_down(residue));
    }
}

/* All that folding needs. */
SFC_INLINE void prepare_folding(sfc_fingerprint_key *key) {
    uint64_t sequence[SEQUENCE_WORDS];
    compute_sequence(key->powers, sequence);
    key->modulus = minimal_polynomial(sequence);
    key->reciprocal = reciprocal_of(key->modulus);
    compute_fold_terms(key, &key->fold.terms);
}

/* Adds LANE_COUNT products. */
SFC_INLINE void add_products(product_lanes *sum, lanes a, lanes b) {
    const product_lanes term = multiply_unreduced(a, b);
    sum->low ^= term.low;
    sum->middle ^= term.middle;
    sum->high ^= term.high;
}

/* Sum of a[i] b[i] in K; reduction is linear, so one at the end serves all products. */
SFC_INLINE sfc_word inner_product(const sfc_word *a, const sfc_word *b, size_t count) {
    product_lanes sum = {zero_lanes(), zero_lanes(), zero_lanes()};
    size_t i = 0;
    for (; i + LANE_COUNT <= count; i += LANE_COUNT) add_products(&sum, load_lanes(&a[i]), load_lanes(&b[i]));
    if (i < count) add_products(&sum, load_some_lanes(&a[i], count - i), load_some_lanes(&b[i], count - i));
    sfc_word parts[LANE_COUNT], total = 0;
    store_lanes(parts, reduce_in_field(sum));
    for (int lane = 0; lane < LANE_COUNT; lane++) total ^= parts[lane];
    return total;
}

/* The planes reduced modulo mu. */
SFC_INLINE void reduce_planes(const sfc_fingerprint_key *key, const sfc_planes *planes,
                              sfc_word reduced[SFC_PLANES]) {
    const modulus_lanes mu = {broadcast(&key->modulus), broadcast(&key->reciprocal)};
    for (int j = 0; j < SFC_PLANES; j += LANE_COUNT) {
        store_lanes(&reduced[j], load_lanes(&planes->lower[j]) ^ reduce_upper(load_lanes(&planes->upper[j]), mu));
    }
}

#endif
