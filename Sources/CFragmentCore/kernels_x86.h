/* The x86-64 kernels, each to be called only where its instructions exist. */
#ifndef SOLIDUS_KERNELS_X86_H
#define SOLIDUS_KERNELS_X86_H

#include "level.h"

#if defined(__x86_64__)

/* SSE4.2 with PCLMULQDQ. */
sfc_product sfc_multiply_pclmul(sfc_word a, sfc_word b);
void sfc_powers_pclmul(sfc_word r, sfc_word powers[SFC_POWERS]);
void sfc_fold_sse42(const sfc_fingerprint_key *key, sfc_planes *planes, const uint8_t *chunks, size_t chunk_count);

/* AVX2 with PCLMULQDQ: 256-bit transposition, 128-bit products. */
void sfc_fold_avx2(const sfc_fingerprint_key *key, sfc_planes *planes, const uint8_t *chunks, size_t chunk_count);

/* AVX2 with VPCLMULQDQ: 256-bit products as well. */
void sfc_fold_vpclmul(const sfc_fingerprint_key *key, sfc_planes *planes, const uint8_t *chunks, size_t chunk_count);

#endif
#endif
