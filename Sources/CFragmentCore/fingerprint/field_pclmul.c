/* The key schedule and the evaluation of planes with PCLMULQDQ. */
#include "fingerprint/kernels_x86.h"

#if defined(__x86_64__)

#include "fingerprint/lanes_pclmul.h"

#include "fingerprint/evaluation_tables.h"

SFC_TARGET void sfc_prepare_key_pclmul(sfc_fingerprint_key *key, sfc_word r) {
    prepare_key_with_tables(key, r);
}

SFC_TARGET sfc_word sfc_evaluate_pclmul(const sfc_fingerprint_key *key, const sfc_planes *planes) {
    return evaluate_by_tables(key, planes);
}

SFC_TARGET sfc_word sfc_inner_product_pclmul(const sfc_word *a, const sfc_word *b, size_t count) {
    return inner_product(a, b, count);
}

#endif
