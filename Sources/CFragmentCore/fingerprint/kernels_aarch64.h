/* The 64-bit ARM kernels, each to be called only where its instructions exist. */
#ifndef SOLIDUS_KERNELS_AARCH64_H
#define SOLIDUS_KERNELS_AARCH64_H

#include "level.h"

#if defined(__aarch64__)

/* NEON with PMULL on 64-bit operands. */
void sfc_compute_powers_pmull(sfc_word r, sfc_word powers[SFC_POWERS_ROOM], size_t count);
void sfc_prepare_folding_pmull(sfc_fingerprint_key *key);
sfc_word sfc_evaluate_pmull(const sfc_fingerprint_key *key, const sfc_planes *planes);
sfc_word sfc_inner_product_pmull(const sfc_word *a, const sfc_word *b, size_t count);
void sfc_fold_pmull(const sfc_fingerprint_key *key, sfc_planes *planes, const uint8_t *chunks, size_t chunk_count);

#endif
#endif
