/* The key schedule and the evaluation of planes with PMULL. */
#include "fingerprint/kernels_aarch64.h"

#if defined(__aarch64__)

#include "fingerprint/lanes_pmull.h"

#include "fingerprint/evaluation_tables.h"

SFC_TARGET void sfc_prepare_key_pmull(sfc_fingerprint_key *key, sfc_word r) {
    prepare_key_with_tables(key, r);
}

SFC_TARGET sfc_word sfc_evaluate_pmull(const sfc_fingerprint_key *key, const sfc_planes *planes) {
    return evaluate_by_tables(key, planes);
}

SFC_TARGET sfc_word sfc_inner_product_pmull(const sfc_word *a, const sfc_word *b, size_t count) {
    return inner_product(a, b, count);
}

#endif
