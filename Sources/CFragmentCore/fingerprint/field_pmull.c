/* The key schedule and the evaluation of planes with PMULL. */
#include "fingerprint/kernels_aarch64.h"

#if defined(__aarch64__)

#include "fingerprint/lanes_pmull.h"

#include "fingerprint/evaluation_tables.h"

SFC_TARGET void sfc_compute_powers_pmull(sfc_word r, sfc_word powers[SFC_POWERS_ROOM], size_t count) {
    compute_powers(r, powers, count);
}

SFC_TARGET void sfc_prepare_folding_pmull(sfc_fingerprint_key *key) {
    prepare_folding(key);
    prepare_evaluation_tables(&key->evaluation.tables, key->powers);
}

SFC_TARGET sfc_word sfc_evaluate_pmull(const sfc_fingerprint_key *key, const sfc_planes *planes) {
    return evaluate_by_tables(key, planes);
}

SFC_TARGET sfc_word sfc_inner_product_pmull(const sfc_word *a, const sfc_word *b, size_t count) {
    return inner_product(a, b, count);
}

#endif
