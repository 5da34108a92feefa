/* The portable level's key schedule and evaluation of planes: carry-less products four bits at a time, and tables
 * wherever one factor stays the same. */
#include "fingerprint/field.h"
#include "fingerprint/linear_map.h"

#define SFC_INLINE static inline

/* The carry-less product of two 64-bit polynomials, four bits of b at a time. */
static sfc_word multiply_64(uint64_t a, uint64_t b) {
    sfc_word multiples[16];
    multiples[0] = 0;
    for (int bit = 0; bit < 4; bit++) {
        const int span = 1 << bit;
        for (int v = 0; v < span; v++) multiples[span + v] = multiples[v] ^ ((sfc_word)a << bit);
    }
    sfc_word sum = 0;
    for (int shift = 60; shift >= 0; shift -= 4) sum = (sum << 4) ^ multiples[(b >> shift) & 15];
    return sum;
}

#include "fingerprint/key_schedule.h"

/* A polynomial of degree below 256. */
typedef struct {
    sfc_word low, high;
} product;

/* Karatsuba: three products of halves instead of four. */
static product multiply(sfc_word a, sfc_word b) {
    const uint64_t a0 = (uint64_t)a, a1 = (uint64_t)(a >> 64);
    const uint64_t b0 = (uint64_t)b, b1 = (uint64_t)(b >> 64);
    const sfc_word low = multiply_64(a0, b0);
    const sfc_word high = multiply_64(a1, b1);
    const sfc_word middle = multiply_64(a0 ^ a1, b0 ^ b1) ^ low ^ high;
    return (product){low ^ (middle << 64), high ^ (middle >> 64)};
}

/* A product modulo z^128 + z^7 + z^2 + z + 1. */
static sfc_word reduce_in_field(product unreduced) {
    const sfc_word high = unreduced.high;
    /* high * (z^7 + z^2 + z + 1) reaches degree 134; `overflow` is the part of degree 128 and more. */
    const sfc_word overflow = (high >> 127) ^ (high >> 126) ^ (high >> 121);
    const sfc_word folded = high ^ overflow;
    return unreduced.low ^ folded ^ (folded << 1) ^ (folded << 2) ^ (folded << 7);
}

sfc_word sfc_inner_product_portable(const sfc_word *a, const sfc_word *b, size_t count) {
    product sum = {0, 0};
    for (size_t i = 0; i < count; i++) {
        const product term = multiply(a[i], b[i]);
        sum.low ^= term.low;
        sum.high ^= term.high;
    }
    return reduce_in_field(sum);
}

/* One after the other: multiplication by a fixed r is linear, so a table does it. */
void sfc_compute_powers_portable(sfc_word r, sfc_word powers[SFC_POWERS_ROOM], size_t count) {
    sfc_word images[128];
    sfc_word shifted = r;
    for (int k = 0; k < 128; k++) {
        images[k] = shifted;
        shifted = (shifted << 1) ^ (sfc_mask_of_bit((uint64_t)(shifted >> 127)) & 0x87);
    }
    sfc_linear_map times_r;
    sfc_linear_map_fill(&times_r, images);
    powers[0] = 1;
    for (size_t i = 1; i < count; i++) powers[i] = sfc_linear_map_apply(&times_r, powers[i - 1]);
}

static void prepare_fold(sfc_fingerprint_key *key) {
    /* power = t^(8 k + bit + 128) mod mu; t^128 mod mu is the modulus itself. */
    sfc_word power = key->modulus;
    for (int k = 0; k < 8; k++) {
        sfc_word *row = key->fold.reduction[k];
        row[0] = 0;
        for (int bit = 0; bit < 8; bit++) {
            const int span = 1 << bit;
            for (int v = 0; v < span; v++) row[span + v] = row[v] ^ power;
            power = (power << 1) ^ (key->modulus & sfc_mask_of_bit((uint64_t)(power >> 127)));
        }
    }
}

void sfc_prepare_folding_portable(sfc_fingerprint_key *key) {
    uint64_t sequence[SEQUENCE_WORDS];
    compute_sequence(key->powers, sequence);
    key->modulus = minimal_polynomial(sequence);
    sfc_linear_map_fill(&key->evaluation.tables, key->powers);
    prepare_fold(key);
}

/* The folding tables keep the state below degree 128, in planes->lower alone. */
sfc_word sfc_evaluate_portable(const sfc_fingerprint_key *key, const sfc_planes *planes) {
    sfc_word values[SFC_PLANES];
    for (int j = 0; j < SFC_PLANES; j++) values[j] = sfc_linear_map_apply(&key->evaluation.tables, planes->lower[j]);
    return sfc_inner_product_portable(sfc_theta_powers, values, SFC_PLANES);
}
