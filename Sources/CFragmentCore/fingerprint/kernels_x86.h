/* The x86-64 kernels, each to be called only where its instructions exist. */
#ifndef SOLIDUS_KERNELS_X86_H
#define SOLIDUS_KERNELS_X86_H

#include "level.h"

#if defined(__x86_64__)

/* PCLMULQDQ, with SSE4.2 or AVX2 for the splitting into planes. */
void sfc_compute_powers_pclmul(sfc_word r, sfc_word powers[SFC_POWERS_ROOM], size_t count);
void sfc_prepare_folding_pclmul(sfc_fingerprint_key *key);
sfc_word sfc_evaluate_pclmul(const sfc_fingerprint_key *key, const sfc_planes *planes);
sfc_word sfc_inner_product_pclmul(const sfc_word *a, const sfc_word *b, size_t count);
void sfc_fold_sse42(const sfc_fingerprint_key *key, sfc_planes *planes, const uint8_t *chunks, size_t chunk_count);
void sfc_fold_avx2(const sfc_fingerprint_key *key, sfc_planes *planes, const uint8_t *chunks, size_t chunk_count);

/* AVX2 with VPCLMULQDQ on 256 bits. */
void sfc_compute_powers_vpclmul(sfc_word r, sfc_word powers[SFC_POWERS_ROOM], size_t count);
void sfc_prepare_folding_vpclmul(sfc_fingerprint_key *key);
sfc_word sfc_evaluate_vpclmul(const sfc_fingerprint_key *key, const sfc_planes *planes);
sfc_word sfc_inner_product_vpclmul(const sfc_word *a, const sfc_word *b, size_t count);
void sfc_fold_vpclmul(const sfc_fingerprint_key *key, sfc_planes *planes, const uint8_t *chunks, size_t chunk_count);

/* AVX-512 (F, BW, DQ, VL, VBMI) with VPCLMULQDQ and GFNI. */
void sfc_compute_powers_avx512(sfc_word r, sfc_word powers[SFC_POWERS_ROOM], size_t count);
void sfc_prepare_folding_avx512(sfc_fingerprint_key *key);
sfc_word sfc_evaluate_avx512(const sfc_fingerprint_key *key, const sfc_planes *planes);
sfc_word sfc_inner_product_avx512(const sfc_word *a, const sfc_word *b, size_t count);
void sfc_fold_avx512(const sfc_fingerprint_key *key, sfc_planes *planes, const uint8_t *chunks, size_t chunk_count);

#endif
#endif
