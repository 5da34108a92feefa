/* The constants of every level that folds by carry-less multiplication.
 *
 * A block of n chunks v_0 ... v_(n-1) advances the unreduced state U t^128 + L by
 *   U t^(128 (n+1)) + L t^(128 n) + v_0 t^(128 (n-1)) + ... + v_(n-1)
 * where each power of t is replaced by its residue modulo mu. The n + 2 products have degree below 255, and so has
 * their sum: no reduction inside a block, and none between blocks. Stored in descending order, the constants of a
 * shorter block are the tail of the same array.
 */
#include "modulus.h"

void sfc_prepare_fold_terms(sfc_fingerprint_key *key) {
    /* residue[g] = t^(128 g) mod mu, in four chains so that multiplications overlap. */
    sfc_word residue[SFC_FOLD_TERMS];
    residue[0] = 1;
    residue[1] = key->modulus;
    residue[2] = sfc_modulus_multiply(key, residue[1], residue[1]);
    residue[3] = sfc_modulus_multiply(key, residue[2], residue[1]);
    const sfc_word step = sfc_modulus_multiply(key, residue[2], residue[2]);
    for (int g = 4; g < SFC_FOLD_TERMS; g++) residue[g] = sfc_modulus_multiply(key, residue[g - 4], step);

    for (int i = 0; i < SFC_FOLD_TERMS_PADDED; i++) {
        const sfc_word constant = i < SFC_FOLD_TERMS ? residue[SFC_FOLD_TERMS - 1 - i] : 0;
        const sfc_word half_sum = (uint64_t)constant ^ (uint64_t)(constant >> 64);
        key->fold.terms.constant[i] = constant;
        key->fold.terms.half_sum[i] = half_sum | (half_sum << 64);
    }
}
