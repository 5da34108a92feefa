/* The key schedule and the evaluation of planes with PCLMULQDQ. */
#include "fingerprint/kernels_x86.h"

#if defined(__x86_64__)

#include "fingerprint/lanes_pclmul.h"

#include "fingerprint/evaluation_tables.h"

SFC_TARGET void sfc_compute_powers_pclmul(sfc_word r, sfc_word powers[SFC_POWERS_ROOM], size_t count) {
    compute_powers(r, powers, count);
}

SFC_TARGET void sfc_prepare_folding_pclmul(sfc_fingerprint_key *key) {
    prepare_folding(key);
    prepare_evaluation_tables(&key->evaluation.tables, key->powers);
}

SFC_TARGET sfc_word sfc_evaluate_pclmul(const sfc_fingerprint_key *key, const sfc_planes *planes) {
    return evaluate_by_tables(key, planes);
}

SFC_TARGET sfc_word sfc_inner_product_pclmul(const sfc_word *a, const sfc_word *b, size_t count) {
    return inner_product(a, b, count);
}

#endif
